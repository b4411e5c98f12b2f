"""What can be decided, by which rule, and what proves that it was done. The rules' texts are part of every
explanation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bridge.core.mapping import Topic
from bridge.core.model import (
    CARRIED_OVER,
    OWN_DATES,
    Agreement,
    Block,
    Choice,
    HoldState,
    Observation,
    Side,
    StandingHold,
)
from bridge.core.writes import Adjustment, Raise, Withdrawal, Write


class Rule(StrEnum):
    """Why a decision is what it is. The explanation of each stands in `RULE_TEXT`."""

    # nothing to decide yet
    IN_DOUBT = "in_doubt"
    UNSEEN = "unseen"
    STALE = "stale"
    NEEDS_DATE = "needs_date"
    UNPROVEN = "unproven"
    # nothing to do
    UNCHANGED = "unchanged"
    AGREEMENT = "agreement"
    SILENCE = "silence"
    NOBODY_THERE = "nobody_there"
    NOT_A_STATEMENT = "not_a_statement"
    UNREACHABLE = "unreachable"
    PENDING = "pending"
    ONE_WAY = "one_way"
    DISMISSED = "dismissed"
    CHALLENGE_PENDING = "challenge_pending"
    ERASED = "erased"
    # withdrawals
    WITHDRAWAL_FOLLOWS = "withdrawal_follows"
    WITHDRAWAL_WINS = "withdrawal_wins"
    SAME_ADDRESS = "same_address"
    LATE_OPT_IN = "late_opt_in"
    UNDATED_OPT_IN = "undated_opt_in"
    CARRIED = "carried"
    DELETED = "deleted"
    # raises
    NEWER_OPT_IN = "newer_opt_in"
    NEWER_FREQUENCY = "newer_frequency"
    # holds
    FIRST_RUN = "first_run"
    UNDATED = "undated"
    FUTURE = "future"
    CONFLICT = "conflict"
    CHALLENGE_EXPIRED = "challenge_expired"
    CLEARED = "cleared"
    COMPLAINT = "complaint"
    CONTROLLER = "controller"
    CHANNEL_OUT = "channel_out"
    UNKNOWN_STATUS = "unknown_status"
    RESUBSCRIBE = "resubscribe"
    SEVERAL_RECORDS = "several_records"
    ADDRESS_CHANGED = CARRIED_OVER
    OTHER_ADDRESS = "other_address"
    SEVERAL_FREQUENCIES = "several_frequencies"
    FREQUENCY_UNKNOWN = "frequency_unknown"
    FREQUENCY_UNDATED = "frequency_undated"
    DIRECTION = "direction"
    BURST = "burst"
    FLIPPING = "flipping"
    OWN_WRITE = "own_write"
    RESTORED = "restored"
    UNREADABLE = "unreadable"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    NOT_HONOURED = "not_honoured"


HOLD_RULES = tuple(Rule)[tuple(Rule).index(Rule.FIRST_RUN) :]  # the reasons that a hold may have

RULE_TEXT: Mapping[Rule, str] = {
    Rule.IN_DOUBT: "the outcome of a write is unknown; nothing is decided before a newer read",
    Rule.UNSEEN: "one side has not been read yet",
    Rule.STALE: "the read began before our last write to that side",
    Rule.NEEDS_DATE: "the listing gives no date for the opt-in; the person is read for it",
    Rule.UNPROVEN: "the side has not finished processing a write; it is read again",
    Rule.UNCHANGED: "neither side changed since the agreement",
    Rule.AGREEMENT: "both sides say the same",
    Rule.SILENCE: "neither side records a choice",
    Rule.NOBODY_THERE: "the person is known at one side only",
    Rule.NOT_A_STATEMENT: "being mailable is a state, not a person's opt-in",
    Rule.UNREACHABLE: "the address cannot be reached; that is not a choice",
    Rule.PENDING: "a confirmation mail is unanswered: neither in nor out",
    Rule.ONE_WAY: "the mapping's direction sends no opt-in there",
    Rule.DISMISSED: "an operator dismissed this",
    Rule.CHALLENGE_PENDING: "the person was asked by mail to confirm, and is asked only once",
    Rule.ERASED: "the person was erased after this opt-in; only a later one counts",
    Rule.WITHDRAWAL_FOLLOWS: "one side opted out; the other follows",
    Rule.WITHDRAWAL_WINS: "the sides disagree, and an opt-out wins under doubt",
    Rule.SAME_ADDRESS: "an opt-out applies to every record with the same address",
    Rule.LATE_OPT_IN: "the opt-in is not newer than the opt-out it would undo",
    Rule.UNDATED_OPT_IN: "the opt-in has no date and cannot undo an opt-out",
    Rule.NEWER_OPT_IN: "a dated opt-in, newer than anything against it",
    Rule.NEWER_FREQUENCY: "both sides are opted in; the newer dated frequency counts",
    Rule.FIRST_RUN: "an opt-in from before the bridge or its mapping; an operator must approve it",
    Rule.UNDATED: "the opt-in has no date, so it opts nobody in",
    Rule.FUTURE: "the opt-in is dated in the future",
    Rule.CONFLICT: "both sides changed to opposite choices, and the mapping leaves that to an operator",
    Rule.CHALLENGE_EXPIRED: "the person was asked by mail to confirm and did not; they are not asked again",
    Rule.CLEARED: "one side no longer records the choice; that is neither opt-in nor opt-out",
    Rule.COMPLAINT: "the person complained; only an operator may lift that",
    Rule.CONTROLLER: "the account's owner suppressed the address",
    Rule.CHANNEL_OUT: "the person unsubscribed from all e-mail, and the mapping cannot undo that",
    Rule.UNKNOWN_STATUS: "the side shows a status this program does not know",
    Rule.RESUBSCRIBE: "the person is unsubscribed, and the mapping leaves resubscribing to an operator",
    Rule.DELETED: "the person was deleted at the other side, and the mapping treats that as an opt-out",
    Rule.CARRIED: "an opt-out made under the person's other address",
    Rule.ADDRESS_CHANGED: "the address changed after this opt-in; an operator must approve it",
    Rule.SEVERAL_RECORDS: "several records share the address, and none is marked as the one to opt in",
    Rule.OTHER_ADDRESS: "the linked record has a different address; opt-ins apply to one address only",
    Rule.SEVERAL_FREQUENCIES: "several frequencies are chosen at once",
    Rule.FREQUENCY_UNKNOWN: "the chosen frequency is not in the mapping",
    Rule.FREQUENCY_UNDATED: "the frequencies differ, and neither is newer",
    Rule.BURST: "many people were opted out or in in the same minute: a mass change, not single choices",
    Rule.FLIPPING: "the topic was opted in twice within 30 days and opted out again; an operator decides",
    Rule.OWN_WRITE: "the opt-out is newer, but may be a late write of the bridge; an operator must decide",
    Rule.RESTORED: "an older state DB was restored: this may have been settled or asked since; look first",
    Rule.UNREADABLE: "one side cannot be read for this person",
    Rule.UNCONFIRMED: "the contact has yet to confirm its sign-up, and Dotdigital ignores choices until then",
    Rule.REFUSED: "the side refused the write permanently",
    Rule.NOT_HONOURED: "the side accepted the write several times without effect",
    Rule.DIRECTION: "an opt-out that the mapping's direction does not allow",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be decided before another read of `sides`."""

    rule: Rule
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing is to be done, and nothing new is agreed."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class Agree:
    """Both sides say the same: that is the new agreement."""

    rule: Rule
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Act:
    """These writes bring the sides to the goal; once proven, they make the agreement."""

    rule: Rule
    writes: tuple[Write, ...]
    choice: Choice
    at: datetime
    versions: Mapping[Side, str]  # what each side showed when this was decided
    frequencies: tuple[str, ...] = ()

    def agreement(self, written: Mapping[Side, Observation], now: datetime) -> Agreement:
        """What is agreed once the writes are proven: `written` is what those sides show now. An opt-out that
        shows without a date, where ours has one, may be the person's own, made at any time until now."""
        versions = {**self.versions, **{side: seen.version for side, seen in written.items()}}
        own = [seen for side, seen in written.items() if side not in OWN_DATES and seen.opted_out]
        at = now if any(seen.changed_at is None for seen in own) else self.at
        return Agreement(self.choice, max(self.at, at), self.rule.value, now, versions, self.frequencies)


@dataclass(frozen=True, slots=True)
class Held:
    """An operator has to decide. `proposed` is what a release would do, if anything can be done at all."""

    rule: Rule
    proposed: tuple[Write, ...] = ()


Decision = Wait | Nothing | Agree | Act | Held


def writes_of(decision: Decision) -> tuple[Write, ...]:
    """What a decision would send now."""
    return decision.writes if isinstance(decision, Act) else ()


def is_raise(decision: Decision) -> bool:
    """Whether it would send anything but withdrawals."""
    return any(not isinstance(write, Withdrawal) for write in writes_of(decision))


class HoldChange(StrEnum):
    """What a cell's hold changes to when the cell is held once more."""

    KEEP = "keep"
    RENEW = "renew"  # it keeps its age and takes the new ground
    REPLACE = "replace"


def hold_change(
    standing: StandingHold | None,
    reason: str,
    ground: str,
    began: datetime | None,
    *,
    same_writes: bool = True,
) -> HoldChange:
    """What to do with the standing hold when its cell is held for `reason` in a run that began then. The same
    hold stays, but not where it would send something else by now (`same_writes` False): its number stands
    for what an operator saw. One that was released before had no effect: the operator is asked again. That a
    side cannot be read replaces no other hold: what waits for a review, or was answered, would be lost."""
    if standing is None:
        return HoldChange.REPLACE
    if standing.reason != reason:
        return HoldChange.KEEP if reason == Rule.UNREADABLE else HoldChange.REPLACE
    same = standing.ground == ground
    match standing.state:
        case HoldState.OPEN:
            if same:
                return HoldChange.KEEP
            return HoldChange.RENEW if same_writes else HoldChange.REPLACE
        case HoldState.RELEASED if not standing.answered_since(began):
            return HoldChange.REPLACE
        case _:
            return HoldChange.KEEP if same else HoldChange.REPLACE


def sends_the_same(one: Sequence[Mapping[str, object]], other: Sequence[Mapping[str, object]]) -> bool:
    """Whether two holds propose the same writes, as JSON, whatever statements these rest on."""
    what = ("side", "topic", "kind", "frequency", "how")
    return [list(map(write.get, what)) for write in one] == [list(map(write.get, what)) for write in other]


def can_be_released(reason: str, proposed: Collection[object]) -> bool:
    """Whether releasing a hold can do anything: it proposes a write, or its opt-in waits for nothing else.
    What is impossible at a side, or proven by no date, no operator can make possible."""
    return bool(proposed) or reason == Rule.FIRST_RUN


def is_proven_by(topic: Topic, write: Write, seen: Observation) -> bool:
    """Whether `seen`, read after the write, shows that it is in force."""
    if seen.pending:
        return False
    match write:
        case Withdrawal():
            return _is_withdrawn(topic, write.side, seen)
        case Raise(frequency=None):
            return seen.choice is Choice.OPTED_IN
        case Raise(frequency=frequency) | Adjustment(frequency=frequency):
            return seen.choice is Choice.OPTED_IN and seen.frequencies == (frequency,)


def _is_withdrawn(topic: Topic, side: Side, seen: Observation) -> bool:
    if not seen.present:
        return True
    if seen.choice is Choice.OPTED_OUT:
        return seen.consistent
    if side is Side.MYPREFERENCES or seen.choice is Choice.OPTED_IN:
        return False
    return not topic.is_channel or seen.block not in (None, Block.PENDING)
