"""Dotdigital, simulated: it dates every change by its own clock (3.10, `dateModifed`; 3.8, `dateRemoved`).
One feed lists who cannot be mailed any more, one for each topic whose opt-in changed. Nothing reports a
contact that can be mailed again, or that was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from bridge.core.errors import NotFound, Refused
from bridge.core.model import CHANNEL, Block, Choice, Observation, PersonId, TopicId, Who
from bridge.core.ports import (
    Feed,
    Hint,
    ListingCursor,
    Page,
    PersonView,
    WriteRequest,
    WriteResponse,
)
from bridge.core.writes import Raise, Resubscribe, Withdrawal, Write
from bridge.simulation.history import PersonAct
from bridge.simulation.service import ServiceRow, SimulatedRecord, SimulatedService, observed
from bridge.simulation.steps import ContactChange, Switch

SUPPRESSED = "dotdigital.suppressed"
_OPT_INS = "dotdigital.opt_ins."
SUBSCRIBED = "Subscribed"
_STATUSES = {
    ContactChange.COMPLAINS: (Choice.OPTED_OUT, Block.COMPLAINT, "DirectComplaint"),
    ContactChange.BOUNCES: (Choice.UNSET, Block.UNREACHABLE, "HardBounced"),
    ContactChange.SUPPRESSED: (Choice.UNSET, Block.CONTROLLER, "Suppressed"),
}


class SimulatedDotdigital(SimulatedService):
    """Fills `bridge.core.ports.Replica`."""

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        topics = (
            Feed(f"{_OPT_INS}{one.id}", frozenset({one.id}), poll_interval) for one in self.mapping.topics
        )
        return (Feed(SUPPRESSED, frozenset({CHANNEL}), poll_interval), *topics)

    def topics(self) -> Sequence[TopicId]:
        return [topic.id for topic in self.mapping.all]

    def oldest_since(self) -> datetime | None:
        return None

    def rows_of(self, feed: str, topic: TopicId, rows: Sequence[ServiceRow]) -> Iterable[ServiceRow]:
        """The newest one only: the feeds show the present state, and since when."""
        wanted = CHANNEL if feed == SUPPRESSED else TopicId(feed.removeprefix(_OPT_INS))
        if topic != wanted:
            return ()
        now = self.history.time.now
        newest = [row for row in rows if row.visible <= now][-1:]
        return newest if topic != CHANNEL else [row for row in newest if row.reason != SUBSCRIBED]

    def page(self, feed: str, rows: Sequence[tuple[SimulatedRecord, TopicId, ServiceRow]]) -> Page:  # noqa: ARG002
        read_at = self.process.read_clock()
        views = []
        for record, topic, row in rows:
            if record.present:
                self.history.show(row.act)
                views.append(PersonView(record.address, (record.id,), {topic: observed(row, read_at)}))
        return Page(views=views)

    def observation(self, record: SimulatedRecord, topic: TopicId, read_at: datetime) -> Observation:
        row = record.shown(topic, self.history.time.now)
        if row is None and topic == CHANNEL:
            return Observation(Choice.OPTED_IN, read_at, stated=False, reason=SUBSCRIBED)
        return super().observation(record, topic, read_at)

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        return [] if hint.address is None else [self.read_one(Who(PersonId(0), hint.address))]

    def list_people(
        self,
        known: Iterable[Who],  # noqa: ARG002
        since: ListingCursor | None = None,  # noqa: ARG002
    ) -> Iterator[Page]:
        """All contacts without dates, then those that cannot be mailed with theirs."""
        read_at = self.process.read_clock()
        there = [one for one in self.records.values() if one.present]
        for at in range(0, len(there), self.page_size):
            self.call("list_people")
            yield Page(
                views=[self.view(one, read_at, listed=True) for one in there[at : at + self.page_size]]
            )
            read_at = self.process.read_clock()
        self.call("list_people")
        yield self.page(SUPPRESSED, [one for one in self._suppressed() if one[0] in there])

    def _suppressed(self) -> Iterator[tuple[SimulatedRecord, TopicId, ServiceRow]]:
        now = self.history.time.now
        for record in self.records.values():
            row = record.shown(CHANNEL, now)
            if row is not None and row.reason != SUBSCRIBED:
                yield record, CHANNEL, row

    def change(self, record: SimulatedRecord, what: ContactChange, act: PersonAct | None) -> None:
        """Something that happens to the channel and is nobody's choice, or a complaint (`act`)."""
        if what is ContactChange.RESUBSCRIBES:
            self._subscribe(record)
            return
        choice, block, reason = _STATUSES[what]
        date = self.clock() if act is None else act.date
        self.put(record, CHANNEL, choice, date, block=block, reason=reason, act=act)

    def before_send(self, record: SimulatedRecord | None, request: WriteRequest) -> None:
        """No read: a write names what it changes and nothing else."""

    def apply(self, record: SimulatedRecord | None, writes: Sequence[Write]) -> WriteResponse:
        if record is None:
            if all(isinstance(write, Withdrawal) for write in writes):
                return WriteResponse.ALREADY_SO
            raise NotFound("No contact.", side=self.side, operation="write")
        answers = {self._apply(record, write) for write in writes}
        return WriteResponse.CHALLENGED if WriteResponse.CHALLENGED in answers else WriteResponse.ACCEPTED

    def _apply(self, record: SimulatedRecord, write: Write) -> WriteResponse:
        held = record.newest(write.topic)
        if write.topic == CHANNEL:
            return self._channel(record, write, held)
        out = isinstance(write, Withdrawal)
        choice = Choice.OPTED_OUT if out else Choice.OPTED_IN
        frequency = None if isinstance(write, Withdrawal) else write.frequency
        frequencies = () if frequency is None else (frequency,)
        same = held is not None and (held.choice, held.frequencies) == (choice, frequencies)
        if same and not self.on(Switch.RESTAMPS):
            return WriteResponse.ALREADY_SO
        self.put(record, write.topic, choice, self.clock(), frequencies=frequencies)
        return WriteResponse.ACCEPTED

    def _channel(self, record: SimulatedRecord, write: Write, held: ServiceRow | None) -> WriteResponse:
        if isinstance(write, Withdrawal):
            if held is None or held.reason == SUBSCRIBED:
                self.put(record, CHANNEL, Choice.OPTED_OUT, self.clock(), reason="Unsubscribed")
            return WriteResponse.ACCEPTED
        if held is not None and held.block in (Block.COMPLAINT, Block.CONTROLLER):
            raise Refused("It cannot be resubscribed.", side=self.side, operation="write")
        if isinstance(write, Raise) and write.how is Resubscribe.CHALLENGE:
            return WriteResponse.CHALLENGED
        self._subscribe(record)
        return WriteResponse.ACCEPTED

    def _subscribe(self, record: SimulatedRecord) -> None:
        self.put(record, CHANNEL, Choice.OPTED_IN, None, announced=False, stated=False, reason=SUBSCRIBED)
