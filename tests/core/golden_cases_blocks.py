"""Golden cases of what blocks a write: channel, blocks, records, frequencies, directions, holds, doubts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_cells import (
    ABSENT,
    EMAIL,
    MAILABLE,
    MP,
    NO_CHANNEL,
    NOW,
    OFFERS,
    READ,
    TOPIC,
    agreed,
    blocked,
    cell,
    day,
    no,
    silent,
    with_hold,
    yes,
)
from golden_cases import (
    CLEANED,
    COMPLAINED,
    DAILY,
    GONE,
    LATEST,
    LISTED_YES,
    OUT,
    SILENTLY,
    TO_DD,
    TO_MP,
    UNDATED_GONE,
    WEEKLY,
    WERE_IN,
    WERE_OUT,
    GoldenCase,
    beside,
    under,
)

from bridge.core.decision import Rule
from bridge.core.mapping import OnDeletion
from bridge.core.model import (
    OTHER_ADDRESS,
    Agreement,
    Block,
    Choice,
    HoldState,
    Observation,
)

MOVED = Agreement(Choice.OPTED_OUT, day(10), Rule.ADDRESS_CHANGED, day(20), {})


def elsewhere(at: int | None = None) -> Observation:
    """A record of theirs that holds other addresses only, opted in there on that day."""
    said = None if at is None else day(at)
    return replace(blocked(Block.UNREACHABLE), changed_at=said, reason=OTHER_ADDRESS)


BLOCKS: dict[str, GoldenCase] = {
    "An opt-in from before the person's erasure raises nobody": (
        "nothing: erased",
        TOPIC,
        replace(cell(yes(20), silent()), erased_at=day(30)),
    ),
    # a deletion
    "Who was deleted at one side stays as they are at the other": (
        "nothing: nobody_there",
        TOPIC,
        cell(ABSENT, yes(6), WERE_IN),
    ),
    "Who was deleted at one side is withdrawn at the other, where the mapping says so": (
        "withdraw dotdigital: deleted",
        replace(TOPIC, on_deletion=OnDeletion.WITHDRAW),
        cell(ABSENT, yes(6), WERE_IN),
    ),
    "Whom only a listing left out is looked for before they count as deleted": (
        "wait unseen: mypreferences",
        replace(TOPIC, on_deletion=OnDeletion.WITHDRAW),
        cell(replace(ABSENT, undated=True), yes(6), WERE_IN),
    ),
    # a changed address
    "What was withdrawn at the old address is withdrawn at the new one, where nothing is said": (
        "withdraw mypreferences: carried",
        TOPIC,
        cell(silent(), silent(), MOVED),
    ),
    "An opt-in from before the change of address waits for a person": (
        "hold address_changed (raise mypreferences)",
        TOPIC,
        cell(silent(), yes(15), MOVED),
    ),
    "Opposite words from before the change of address fall under the mapping's policy": (
        "withdraw dotdigital: withdrawal_wins",
        TOPIC,
        cell(no(10), yes(15), MOVED),
    ),
    "An opt-in said since the change of address counts": (
        "raise mypreferences: newer_opt_in",
        TOPIC,
        cell(no(10), yes(25), MOVED),
    ),
    "What both sides say from before the change of address is no more than the one withdrawal": (
        "withdraw mypreferences + withdraw dotdigital: late_opt_in",
        TOPIC,
        cell(yes(15), yes(15), MOVED),
    ),
    # the e-mail channel
    "Mailable at Dotdigital is a state, not an opt-in": (
        "nothing: not_a_statement",
        EMAIL,
        cell(silent(), MAILABLE),
    ),
    "An opt-out at MyPreferences unsubscribes a mailable contact": (
        "withdraw dotdigital: withdrawal_follows",
        EMAIL,
        cell(no(20), MAILABLE),
    ),
    "A contact made mailable after the opt-out is unsubscribed again": (
        "withdraw dotdigital: undated_opt_in",
        EMAIL,
        cell(no(5), MAILABLE, WERE_OUT),
    ),
    "A complaint is lifted by nobody but a person": (
        "hold complaint",
        SILENTLY,
        cell(yes(20), no(6, block=Block.COMPLAINT), WERE_OUT),
    ),
    "The controller's block is not lifted": (
        "hold controller",
        SILENTLY,
        cell(yes(20), blocked(Block.CONTROLLER)),
    ),
    "A bounce is no choice": (
        "nothing: unreachable",
        EMAIL,
        cell(yes(5), blocked(Block.UNREACHABLE), WERE_IN),
    ),
    "An undated opt-in of an unreachable person is not held": (
        "nothing: unreachable",
        EMAIL,
        cell(yes(), blocked(Block.UNREACHABLE)),
    ),
    "An unanswered confirmation is no choice": (
        "nothing: pending",
        EMAIL,
        cell(yes(20), blocked(Block.PENDING)),
    ),
    "A status this program does not know raises nobody": (
        "hold unknown_status",
        EMAIL,
        cell(yes(20), blocked(Block.UNKNOWN)),
    ),
    "An opt-out is told even to a blocked address": (
        "withdraw dotdigital: withdrawal_follows",
        EMAIL,
        cell(no(20), blocked(Block.UNREACHABLE)),
    ),
    "It is told once, though the block hides it": (
        "nothing: unchanged",
        EMAIL,
        cell(no(20), blocked(Block.UNREACHABLE), agreed(OUT, 20, no(20), blocked(Block.UNREACHABLE))),
    ),
    # several records, one address
    "An opt-out is written to all records with the address": (
        "withdraw mypreferences: same_address",
        TOPIC,
        cell(no(20, records=2, consistent=False), no(6)),
    ),
    "And to the other side in the same decision": (
        "withdraw mypreferences + withdraw dotdigital: withdrawal_follows",
        TOPIC,
        cell(no(20, records=2, consistent=False), yes(6), WERE_IN),
    ),
    "An opt-in is written to none of several records": (
        "hold several_records",
        TOPIC,
        cell(no(6, records=2), yes(20), WERE_OUT),
    ),
    # a record of theirs with another address
    "An opt-in is written to no other address": (
        "hold other_address",
        TOPIC,
        cell(elsewhere(), yes(20)),
    ),
    "Being mailable is not asked about there": (
        "nothing: not_a_statement",
        EMAIL,
        cell(elsewhere(), replace(yes(20), stated=False)),
    ),
    "An opt-out is written to every address": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(elsewhere(6), no(20)),
    ),
    "A later opt-in for another address is kept": (
        "agree opted_out: agreement",
        TOPIC,
        cell(elsewhere(20), no(6)),
    ),
    # frequencies
    "A frequency is carried with the opt-in": (
        "raise dotdigital DAILY: newer_opt_in",
        OFFERS,
        cell(yes(20, **DAILY), silent()),
    ),
    "The newer frequency counts": (
        "adjust dotdigital WEEKLY: newer_frequency",
        OFFERS,
        cell(yes(20, **WEEKLY), yes(6, **DAILY)),
    ),
    "Two frequencies without an order wait for a person": (
        "hold frequency_undated",
        OFFERS,
        cell(yes(**WEEKLY), yes(**DAILY)),
    ),
    "Two frequencies said in the same moment wait for a person": (
        "hold frequency_undated",
        OFFERS,
        cell(yes(20, **WEEKLY), yes(day(20) + timedelta(seconds=1), **DAILY)),
    ),
    "A new frequency without a date is not overwritten by the old one": (
        "hold frequency_undated",
        OFFERS,
        cell(yes(**WEEKLY), yes(6, **DAILY), agreed(Choice.OPTED_IN, 6, theirs=yes(6, **DAILY))),
    ),
    "Several frequencies at once wait for a person": (
        "hold several_frequencies",
        OFFERS,
        cell(yes(20, frequencies=("DAILY", "WEEKLY")), silent()),
    ),
    "A frequency outside the mapping waits for a person": (
        "hold frequency_unknown",
        OFFERS,
        cell(yes(20, frequencies=("HOURLY",)), silent()),
    ),
    "A listed frequency is looked at closely": (
        "wait needs_date: dotdigital",
        OFFERS,
        cell(yes(20, **WEEKLY), yes(undated=True, **DAILY)),
    ),
    # cleared, absent
    "A choice that is recorded no longer is neither an opt-in nor an opt-out": (
        "hold cleared",
        TOPIC,
        cell(silent(), yes(6), WERE_IN),
    ),
    "A listing's silence after an opt-in is looked at first": (
        "wait needs_date: dotdigital",
        TOPIC,
        cell(yes(5), silent(undated=True), WERE_IN),
    ),
    "A person deleted at one side has not withdrawn": (
        "nothing: nobody_there",
        TOPIC,
        cell(yes(5), ABSENT, WERE_IN),
    ),
    "Silence after an agreed opt-out is not an opt-in": (
        "nothing: unchanged",
        TOPIC,
        cell(silent(), silent(), WERE_OUT),
    ),
    "A late opt-in beside MyPreferences' silence withdraws both": (
        "withdraw mypreferences + withdraw dotdigital: late_opt_in",
        TOPIC,
        cell(silent(), yes(5.5), WERE_OUT),
    ),
    # one-way mappings
    "One way: no opt-in goes back": ("nothing: one_way", TO_DD, cell(silent(), yes(20))),
    "One way: no look is spent on an opt-in that goes nowhere": ("nothing: one_way", TO_DD, LISTED_YES),
    "One way: an opt-out that may not go back is seen by a person": (
        "hold direction",
        TO_DD,
        cell(yes(5), no(20), WERE_IN),
    ),
    "One way: nor is a second record of the forbidden side written": (
        "hold direction",
        TO_DD,
        cell(no(20, records=2, consistent=False), no(6)),
    ),
    "One way: what may go goes, though the rest is barred": (
        "withdraw mypreferences: late_opt_in",
        TO_MP,
        cell(yes(5.5), yes(5.6), WERE_OUT),
    ),
    # an unsubscribe that spreads
    "Unsubscribed from all: every topic follows": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(yes(5), yes(6), WERE_IN),
        under(GONE),
    ),
    "Without a date it follows too, however new the opt-in": (
        "withdraw mypreferences: late_opt_in",
        LATEST,
        cell(yes(36), no(6)),
        under(UNDATED_GONE),
    ),
    "A complaint spreads like an unsubscribe": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(yes(5), yes(6), WERE_IN),
        under(COMPLAINED),
    ),
    "Where it does not spread, the topics stay": (
        "nothing: unchanged",
        TOPIC,
        cell(yes(5), yes(6), WERE_IN),
        beside(GONE),
    ),
    "A topic's newer opt-in does not lift the unsubscribe from all": (
        "hold channel_out",
        TOPIC,
        cell(yes(36), no(6), WERE_OUT),
        under(GONE),
    ),
    "Nobody is raised under a channel not read yet": (
        "wait unseen: dotdigital",
        TOPIC,
        cell(yes(20), silent()),
        under(cell(silent(), None, topic=EMAIL)),
    ),
    "A channel without a place at MyPreferences decides nothing itself": (
        "nothing: unchanged",
        NO_CHANNEL,
        cell(None, no(20)),
    ),
    # writes that did not help
    "A write refused for good waits for a person": (
        "hold refused (withdraw mypreferences)",
        TOPIC,
        with_hold(CLEANED, Rule.REFUSED, HoldState.OPEN),
    ),
    "Released, it is tried again": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        with_hold(CLEANED, Rule.NOT_HONOURED, HoldState.RELEASED),
    ),
    "A write that is accepted and never followed waits for a person": (
        "hold not_honoured (withdraw mypreferences)",
        TOPIC,
        with_hold(CLEANED, Rule.NOT_HONOURED, HoldState.OPEN),
    ),
    "An opt-out that an unconfirmed contact ignored is not for a person to decide, and is sent again": (
        "hold unconfirmed (withdraw mypreferences)",
        TOPIC,
        with_hold(CLEANED, Rule.UNCONFIRMED, HoldState.OPEN),
    ),
    "No opt-in to a topic goes to a contact that has yet to confirm": (
        "nothing: pending",
        TOPIC,
        cell(yes(20), no(5), WERE_OUT),
        under(cell(yes(20), blocked(Block.PENDING), topic=EMAIL)),
    ),
    "An opt-out goes to a contact that has yet to confirm": (
        "withdraw dotdigital: withdrawal_follows",
        TOPIC,
        cell(no(20), yes(5), WERE_IN),
        under(cell(yes(20), blocked(Block.PENDING), topic=EMAIL)),
    ),
    "Dismissed, it is not": (
        "nothing: dismissed",
        TOPIC,
        with_hold(CLEANED, Rule.REFUSED, HoldState.DISMISSED),
    ),
    # what may not be decided yet
    "A side not read yet is waited for": ("wait unseen: dotdigital", TOPIC, cell(yes(20), None)),
    "A read begun before our last write is not believed": (
        "wait stale: mypreferences",
        TOPIC,
        cell(yes(5), no(20), WERE_IN, written_at={MP: NOW}),
    ),
    "A write in doubt is read back before anything": (
        "wait in_doubt: mypreferences",
        TOPIC,
        cell(yes(5), no(20), WERE_IN, in_doubt_since={MP: NOW}),
    ),
    "A read begun at the very moment of the doubt does not end it": (
        "wait in_doubt: mypreferences",
        TOPIC,
        cell(yes(5), no(20), WERE_IN, in_doubt_since={MP: READ}),
    ),
    "A newer read ends the doubt": (
        "withdraw mypreferences: withdrawal_follows",
        TOPIC,
        cell(yes(5), no(20), WERE_IN, in_doubt_since={MP: day(39)}),
    ),
    "An update not processed yet is read again": (
        "wait unproven: mypreferences",
        TOPIC,
        cell(yes(5, reason="pending_update"), no(20), WERE_IN),
    ),
}
