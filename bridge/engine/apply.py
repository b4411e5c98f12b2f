"""Applying decisions: withdrawals first, always; raises after, each checked again just before it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bridge.core.brakes import RunVolume, check_brakes
from bridge.core.decision import (
    RULE_TEXT,
    Act,
    Agree,
    Decision,
    Held,
    Nothing,
    Rule,
    Wait,
    is_raise,
    writes_of,
)
from bridge.core.double_opt_in import challenge_state_after
from bridge.core.errors import SideError
from bridge.core.model import PersonId, Side, TopicId, address_key
from bridge.core.ports import PersonView, batched, saves_calls
from bridge.core.priority import Priority, keep_priority, with_priority
from bridge.core.store_port import LedgerEntry, Settlement
from bridge.engine.attempts import PersonWrites
from bridge.engine.context import RunContext, RunHealth, WriteContext
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.fetch import record
from bridge.engine.poll import FeedPoller
from bridge.engine.report import WriteCounts
from bridge.engine.send import Sender, collect_records
from bridge.engine.serialize import ground_out, writes_out
from bridge.engine.weigh import Weighed


class Applier:
    """Carries out what was decided, in two passes over everybody who has something to decide."""

    def __init__(self, run: WriteContext, decider: Decider, poller: FeedPoller, weighed: Weighed) -> None:
        self._run = run
        self._decider = decider
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

    def _pass(self, name: str, *, raising: bool) -> WriteCounts:
        """Gather everybody's writes in waves, and send each wave."""
        total, done = WriteCounts(), 0
        wave: list[PersonWrites] = []
        for page in self._decider.people():
            settle(self._run, [one for person in page for one in person])
            if raising and self._is_braked(page):
                return total
            wave += self._writes(page, raising=raising)
            done += len(page)
            self._run.progress(f"sending {name}", done)
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
        """People who go together are sent in one batch, all others each in a batch of their own."""
        send = self._send_raises if raising else self._sender.send
        alone: list[PersonWrites] = []
        for side, work in _by_side(wave):
            if side is not None and self._saves_calls(side, work):
                total.add(send(work))
            else:
                alone += work
        for some in batched(alone, self._run.tuning.page):
            with ThreadPoolExecutor(self._run.tuning.workers) as pool:
                for counts in pool.map(keep_priority(lambda person: send([person])), some):
                    total.add(counts)
            self._run.heartbeat()

    def _saves_calls(self, side: Side, work: Sequence[PersonWrites]) -> bool:
        people = [person.writes(side) for person in work]
        return len(people) > 1 and saves_calls(self._run.readers[side], people)

    def _send_raises(self, work: Sequence[PersonWrites]) -> WriteCounts:
        recorded = collect_records(self._run, work)
        confirmed = recheck(self._run, self._decider, self._poller, recorded)
        counts = self._sender.send(confirmed) if confirmed else WriteCounts()
        counts.failed += len(work) - len(recorded)
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
    run: RunContext, decider: Decider, poller: FeedPoller, work: Sequence[PersonWrites]
) -> list[PersonWrites]:
    """What still stands of these people's opt-ins, read again just before they are sent: at the sides that
    are written, and at a side where a feed that would report a withdrawal was not due in this run. There a
    person alone is read; for many its feeds are read, which takes fewer calls. So they are where a read of
    many has no dates: only a date tells whether an opt-out is newer than the opt-in."""
    topics = set[TopicId]().union(*(person.acts for person in work))
    left = {address_key(one.who.address): one for one in work if not run.health.unread(one.who.person)}
    for side in Side:
        written = any(side in person.sides for person in work)
        unread = bool(topics & run.health.unread_this_run[side])
        if not written and not (unread and len(work) == 1):
            if unread:
                poller.read_covering(side, topics)
            continue
        shown = _read_again(run, side, list(left.values()))
        left = {key: person for key, person in left.items() if key in shown}
        if any(_is_undated(shown[key], person.acts) for key, person in left.items()):
            poller.read_covering(side, topics)
        if written and side in run.health.down:
            return []
    readable = {
        person.who.person: person for person in left.values() if not run.health.unread(person.who.person)
    }
    found = []
    for mine, cells in run.state.cells.of_many(list(readable)).items():
        person = readable[mine]
        again = [
            one for one in decider.person(cells) if one.topic.id in person.acts and may_raise(run.health, one)
        ]
        if again:
            found.append(PersonWrites.of(person.who, again, person.records))
    return found


def _read_again(run: RunContext, side: Side, work: Sequence[PersonWrites]) -> dict[str, PersonView]:
    """What a side shows of these people now; nobody where not all of them could be asked for."""
    shown: dict[str, PersonView] = {}
    try:
        for page in run.readers[side].read_people([person.who for person in work]) if work else ():
            record(run, side, page.views)
            shown |= {address_key(view.address): view for view in page.views}
            for _, error in page.failures:
                _defer(run, side, error)
            run.heartbeat()
    except SideError as error:
        _defer(run, side, error)
        return {}
    return shown


def _defer(run: RunContext, side: Side, error: SideError) -> None:
    run.health.warn(f"{side}: an opt-in is deferred: the person could not be read again ({error})")


def _is_undated(view: PersonView, topics: Iterable[TopicId]) -> bool:
    return any(view.topics[topic].undated for topic in topics if topic in view.topics)


# what needs no write


def settle(run: RunContext, decisions: Sequence[CellDecision]) -> None:
    """Note every decision that needs no write: agreements, holds, and holds that are over."""
    settlements = [_settlement(one) for one in decisions if not isinstance(one.decision, Act | Wait)]
    for one in decisions:
        _note_challenge_state(run, one)
        if isinstance(one.decision, Held):
            _hold(run, one, one.decision)
        elif one.cell.hold is not None and _ends_hold(one.decision):
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
    return Settlement(one.cell.person, one.topic.id, one.cell.ground, agreement, entry)


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
        ground=one.cell.ground,
        proposed=writes_out(held.proposed),
        ledger=LedgerEntry("held", {**body, **ground_out(one.cell)}, one.cell.person, one.topic.id),
    )


def _ends_hold(decision: Decision) -> bool:
    """Whether a decision ends the hold that stood before it. An act keeps it until it is carried out."""
    if isinstance(decision, Wait | Act):
        return False
    return decision != Nothing(Rule.DISMISSED)
