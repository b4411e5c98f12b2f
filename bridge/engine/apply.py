"""Applying decisions: withdrawals first, always; raises after, each checked again just before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from bridge.core.brakes import RunVolume, check_brakes
from bridge.core.clocks import sent_before
from bridge.core.decision import (
    RULE_TEXT,
    Act,
    Agree,
    Held,
    Nothing,
    Rule,
    Wait,
    is_raise,
    writes_of,
)
from bridge.core.double_opt_in import challenge_state_after
from bridge.core.errors import SideError
from bridge.core.jobs import HEARTBEAT
from bridge.core.latch import hold_ground, is_incomplete
from bridge.core.model import CHANNEL, HoldState, PersonId, Side, StandingHold, Who
from bridge.core.ports import batched, read_person, saves_calls
from bridge.core.priority import Priority, keep_priority, with_priority
from bridge.core.store_values import LedgerEntry, Settlement
from bridge.core.writes import Raise, Resubscribe
from bridge.engine.attempts import PersonWrites
from bridge.engine.context import RunContext, RunHealth, WriteContext
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.fetch import record
from bridge.engine.poll import FeedPoller
from bridge.engine.report import WriteCounts
from bridge.engine.send import Sender, collect_records
from bridge.engine.serialize import ground_out, writes_out
from bridge.engine.weigh import Weighed

FRESH = timedelta(seconds=10)  # an opt-in leaves so soon after both sides were read, or they are read again
TRIES = 3  # then the next run goes on


class Applier:
    """Carries out what was decided, in two passes over everybody who has something to decide."""

    def __init__(self, run: WriteContext, decider: Decider, poller: FeedPoller, weighed: Weighed) -> None:
        self._run = run
        self.decider = decider
        self._poller = poller
        self._sender = Sender(run)
        self._known = weighed.people
        self.brakes = weighed.brakes
        self._raised = set(weighed.use.raised)  # people opted in within the window, or tried to

    def withdrawals(self) -> WriteCounts:
        """Settle what is agreed, open and close holds, and send every withdrawal."""
        with with_priority(Priority.WITHDRAWALS):
            return self._pass("withdrawals", raising=False)

    def raises(self) -> WriteCounts:
        """Send raises and frequency changes, unless a brake stops them."""
        if self.brakes.raises:
            return WriteCounts()
        with with_priority(Priority.RAISES):
            return self._pass("opt-ins", raising=True)

    def withdraw(self, people: list[list[CellDecision]]) -> WriteCounts:
        """Send these people's withdrawals, and settle nothing else."""
        total, wave = WriteCounts(), self._writes(people, raising=False)
        self._run.under_way |= {person.who.person for person in wave}
        self._send(wave, total, raising=False)
        return total

    def _pass(self, name: str, *, raising: bool) -> WriteCounts:
        """Gather everybody's writes in waves, and send each wave."""
        total, done = WriteCounts(), 0
        wave: list[PersonWrites] = []
        for page in self.decider.people():
            settle(self._run, [one for person in page for one in person])
            if raising and self._is_braked(page):
                return total
            wave += self._writes(page, raising=raising)
            if not raising:  # what is gathered is sent once: not by the second lane as well
                self._run.under_way |= {person.who.person for person in wave}
            done += len(page)
            self._run.progress(f"deciding {name}", done)
            if len(wave) >= self._run.tuning.wave:
                self._send(wave, total, raising=raising)
                wave = []
        self._send(wave, total, raising=raising)
        return total

    def _is_braked(self, page: list[list[CellDecision]]) -> bool:
        """Whether this page brings more raises than the brake lets through. What comes to be raised after the
        run was weighed, since an operator released it meanwhile, counts too."""
        health = self._run.health
        more = {one.cell.person for person in page for one in person if may_raise(health, one)}
        if not more:
            return False
        self._raised |= more
        found = check_brakes(RunVolume(len(self._raised), 0, self._known), self._run.tuning.limits)
        if found.raises:
            reasons = (*self.brakes.reasons, *found.reasons)
            self.brakes = replace(self.brakes, raises=True, reasons=reasons)
        return found.raises

    def _writes(self, page: list[list[CellDecision]], *, raising: bool) -> list[PersonWrites]:
        """What is to be sent in this pass for the people of a page."""
        found: dict[PersonId, list[CellDecision]] = {}
        for person in page:
            for one in person:
                if self._is_due(one, person, raising=raising):
                    found.setdefault(one.cell.person, []).append(one)
        return [
            PersonWrites.of(who, found[who.person]) for who in self._run.state.people.get_many(list(found))
        ]

    def _is_due(self, one: CellDecision, person: Sequence[CellDecision], *, raising: bool) -> bool:
        """Whether it is sent in this pass. What might cross a bulk job that is still running waits."""
        health = self._run.health
        if raising:
            due = may_raise(health, one)
        else:
            due = not self.brakes.withdrawals and not is_raise(one.decision) and can_write(health, one)
        doubted = {side for other in person for side in other.cell.in_doubt_since} & health.busy
        return due and not any(write.side in doubted for write in writes_of(one.decision))

    def _send(self, wave: Sequence[PersonWrites], total: WriteCounts, *, raising: bool) -> None:
        """People whose withdrawals go together are sent in one batch, all others each in a batch of their
        own: an opt-in rests on what both sides showed a moment ago, which holds for no batch."""
        alone: list[PersonWrites] = []
        gathered = {person.who.person for person in wave}
        for side, work in _by_side(wave):
            if side is not None and not raising and self._saves_calls(side, work):
                total.add(self._sender.send(work))
            else:
                alone += work
        # Opt-ins one after the other: what one rests on is read after the one before it has left.
        send, workers = (self._raise, 1) if raising else (self._withdraw, self._run.tuning.workers)
        name, sent = "opt-ins" if raising else "withdrawals", 0
        for some in batched(alone, self._run.tuning.page):
            for counts in self._sent(send, some, workers):
                total.add(counts)
                sent += 1
                self._run.progress(f"sending {name}, one person after another", sent, len(alone))
        self._run.under_way -= gathered

    def _sent(
        self, send: Callable[[PersonWrites], WriteCounts], work: Sequence[PersonWrites], workers: int
    ) -> Iterator[WriteCounts]:
        """Send each person's writes, so many at a time. This thread goes on with the heartbeat meanwhile."""
        with ThreadPoolExecutor(workers) as pool:
            left, under_way = iter(work), set[Future[WriteCounts]]()
            while True:
                for person in islice(left, workers - len(under_way)):
                    under_way.add(pool.submit(keep_priority(send), person))
                if not under_way:
                    return
                done, under_way = wait(under_way, HEARTBEAT, FIRST_COMPLETED)
                yield from (one.result() for one in done)
                self._run.heartbeat()

    def _saves_calls(self, side: Side, work: Sequence[PersonWrites]) -> bool:
        people = [person.writes(side) for person in work]
        return len(people) > 1 and saves_calls(self._run.readers[side], people)

    def _withdraw(self, person: PersonWrites) -> WriteCounts:
        return self._sender.send([person])

    def _raise(self, person: PersonWrites) -> WriteCounts:
        """Send a person's opt-ins as both sides show them now."""
        if not collect_records(self._run, [person]):
            return WriteCounts(failed=1)

        def confirm() -> PersonWrites | None:
            return recheck(self._run, self.decider, self._poller, person)

        counts, _ = send_fresh(self._run, self._sender, confirm)
        return counts


def _by_side(wave: Sequence[PersonWrites]) -> Iterator[tuple[Side | None, list[PersonWrites]]]:
    """Those who are written at one side only, by that side; under None those who are written at both."""
    found: dict[Side | None, list[PersonWrites]] = {side: [] for side in (*Side, None)}
    for person in wave:
        found[next(iter(person.sides)) if len(person.sides) == 1 else None].append(person)
    yield from ((side, mine) for side, mine in found.items() if mine)


# what may be sent


def can_write(health: RunHealth, one: CellDecision) -> bool:
    """Whether a side that it would write to can be used: a side that is down keeps nothing from the other."""
    return any(write.side not in health.down for write in writes_of(one.decision))


def may_raise(health: RunHealth, one: CellDecision) -> bool:
    """Whether an opt-in could go as things stand in this run."""
    return is_raise(one.decision) and one.topic.id not in health.untrusted_topics and can_write(health, one)


def recheck(
    run: RunContext, decider: Decider, poller: FeedPoller, person: PersonWrites
) -> PersonWrites | None:
    """What still stands of a person's opt-ins after both sides were read again, the one that is written last.
    The date of an unsubscribe is in a feed alone: it is read before anybody is resubscribed without being
    asked (Dotdigital 3.7; 3.8 on `dateRemoved`)."""
    for side in sorted(Side, key=lambda side: side in person.sides):
        if side in run.health.down or not _read_again(run, side, person.who):
            return None
    if any(isinstance(write, Raise) and write.how is Resubscribe.SILENT for write in person.all_writes):
        poller.read_covering(Side.DOTDIGITAL, {CHANNEL})
    if run.health.unread(person.who.person):
        return None
    decided = decider.person(run.state.cells.of(person.who.person))
    again = [one for one in decided if one.topic.id in person.acts and may_raise(run.health, one)]
    return PersonWrites.of(person.who, again, person.records) if again else None


def _read_again(run: RunContext, side: Side, who: Who) -> bool:
    """Read a person again, and store what a side shows now; whether that succeeded."""
    try:
        record(run, side, [read_person(run.readers[side], who)])
    except SideError as error:
        run.health.warn(f"{side}: an opt-in is deferred: the person could not be read again ({error})")
        run.health.unread_people[side].add(who.person)
        return False
    return True


def send_fresh(
    run: RunContext, sender: Sender, confirm: Callable[[], PersonWrites | None]
) -> tuple[WriteCounts, bool]:
    """Send opt-ins that `confirm` has just read at both sides. Where a call had to wait until that is too
    long ago, it is not sent, and what is left is confirmed again. Returns what all tries came to, and whether
    the last one was confirmed."""
    total = WriteCounts()
    for _ in range(TRIES):
        confirmed = confirm()
        if confirmed is None:
            return total, False
        with sent_before(run.clock() + FRESH):
            total.add(sender.send([confirmed]))
        if not confirmed.too_late:
            return total, True
    total.failed += 1
    return total, True


# what needs no write


def settle(run: RunContext, decisions: Sequence[CellDecision]) -> None:
    """Note every decision that needs no write: agreements, holds, and holds that are over."""
    settlements = [_settlement(one) for one in decisions if not isinstance(one.decision, Act | Wait)]
    for one in decisions:
        _note_challenge_state(run, one)
        if isinstance(one.decision, Held):
            _hold(run, one, one.decision)
        elif one.cell.hold is not None and _ends_hold(one.cell.hold, one):
            run.state.holds.close(one.cell.person, one.topic.id)
    if settlements:
        run.state.cells.settle(run.id, settlements)


def _settlement(one: CellDecision) -> Settlement:
    agreement = one.decision.agreement if isinstance(one.decision, Agree) else None
    before = one.cell.agreed
    entry = None
    if agreement is not None and before is not None and before.choice is not agreement.choice:
        body = {"choice": agreement.choice.value, "rule": agreement.rule, **ground_out(one.cell)}
        entry = LedgerEntry("agreed", body, one.cell.person, one.topic.id)
    left = agreement is not None and is_incomplete(one.cell, agreement)
    return Settlement(one.cell.person, one.topic.id, one.cell.ground, agreement, entry, left)


def _note_challenge_state(run: RunContext, one: CellDecision) -> None:
    """How a confirmation mail stands after its cell was decided, where that changed."""
    challenge = one.cell.challenge
    if challenge is None:
        return
    after = challenge_state_after(one.cell, challenge, one.decision)
    if after is not challenge.state:
        run.state.confirmations.set_state(run.id, one.cell.person, after)


def _hold(run: RunContext, one: CellDecision, held: Held) -> None:
    why = RULE_TEXT[held.rule]
    body = {"rule": held.rule.value, "why": why, "mapping": run.mapping.digest}
    run.state.holds.open(
        run.id,
        one.cell.person,
        one.topic.id,
        reason=held.rule.value,
        why=why,
        ground=hold_ground(one.cell),
        proposed=writes_out(held.proposed),
        ledger=LedgerEntry("held", {**body, **ground_out(one.cell)}, one.cell.person, one.topic.id),
    )


def _ends_hold(hold: StandingHold, one: CellDecision) -> bool:
    """Whether a decision ends the hold that stood before it. An act keeps it until it is carried out; so does
    an opt-in to a topic that was let through and awaits the confirmation of a sign-up."""
    if isinstance(one.decision, Wait | Act):
        return False
    awaited = one.decision == Nothing(Rule.PENDING) and not one.topic.is_channel
    if awaited and hold.state is HoldState.RELEASED:
        return False
    return one.decision != Nothing(Rule.DISMISSED)
