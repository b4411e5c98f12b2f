"""MyPreferences, simulated: it keeps the date that a statement carries (5, CustomerDate), may ignore older
ones (6.3), and its feed names changed profiles, which are then read (4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bridge.core.errors import NotFound, Refused
from bridge.core.guards import is_outdated
from bridge.core.model import Choice, TopicId, Who
from bridge.core.ports import (
    Feed,
    Hint,
    ListingCursor,
    Page,
    PersonView,
    WriteRequest,
    WriteResponse,
    read_each,
)
from bridge.core.writes import Withdrawal, Write
from bridge.simulation.service import ServiceRow, SimulatedRecord, SimulatedService
from bridge.simulation.steps import Switch

EVENTS = "mypreferences.events"
HISTORY = timedelta(days=14)  # how long events are kept, with a margin


class SimulatedMyPreferences(SimulatedService):
    """Fills `bridge.core.ports.Replica`."""

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        return (Feed(EVENTS, frozenset(self.topics()), poll_interval),)

    def topics(self) -> Sequence[TopicId]:
        return [topic.id for topic in self.mapping.all if topic.source is not None]

    def oldest_since(self) -> datetime | None:
        return self.process.own_clock() - HISTORY

    def rows_of(self, feed: str, topic: TopicId, rows: Sequence[ServiceRow]) -> Iterable[ServiceRow]:  # noqa: ARG002
        return rows

    def page(self, feed: str, rows: Sequence[tuple[SimulatedRecord, TopicId, ServiceRow]]) -> Page:  # noqa: ARG002
        """A hint for each profile, with what its read must show."""
        hints: dict[str, Hint] = {}
        for record, topic, row in rows:
            before = hints.get(record.id, Hint(record.id))
            claims = {**before.claims, topic: max(row.changed, before.claims.get(topic, row.changed))}
            keys = (*before.keys, f"{record.id} {topic} {row.changed}")
            hints[record.id] = replace(before, keys=keys, claims=claims)
        named = {one: max(hint.claims.values()) for one, hint in hints.items()}
        return Page(hints=list(hints.values()), named=named)

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        read_at = self.process.read_clock()
        self.call("read_hint")
        now = self.history.time.now
        for record in self.records.values():
            if record.id != hint.id or not record.present:
                continue
            shown = {topic: record.shown(TopicId(topic), now) for topic in hint.claims}
            lags = any(row is None or row.changed < hint.claims[topic] for topic, row in shown.items())
            return [replace(self.view(record, read_at), lags=lags, complete=False)]
        return []

    def list_people(
        self,
        known: Iterable[Who],
        since: ListingCursor | None = None,  # noqa: ARG002
    ) -> Iterator[Page]:
        return read_each(self.side, self.read_one, known)

    def before_send(self, record: SimulatedRecord | None, request: WriteRequest) -> None:
        """The profile is read just before it is written: an opt-out that arrived meanwhile wins."""
        read_at = self.process.read_clock()
        self.call("read_person")
        if record is None:
            raise NotFound("No profile.", side=self.side, operation="write")
        topics = self.view(record, read_at).topics
        for write in request.writes:
            if not isinstance(write, Withdrawal) and is_outdated(write, topics.get(write.topic)):
                raise Refused("A newer withdrawal.", side=self.side, operation="write")

    def apply(self, record: SimulatedRecord | None, writes: Sequence[Write]) -> WriteResponse:
        """Dates are whole seconds: those of opt-outs are rounded up."""
        if record is None:
            raise NotFound("No profile.", side=self.side, operation="write")
        for write in writes:
            held, frequencies = record.newest(write.topic), tuple[str, ...]()
            if isinstance(write, Withdrawal):
                choice, date = Choice.OPTED_OUT, _up(write.effective_at)
                if held is not None and held.choice is choice:
                    continue  # it is not sent where the profile shows it already
            else:
                choice, date = Choice.OPTED_IN, write.evidence.changed_at.replace(microsecond=0)
                frequencies = () if write.frequency is None else (write.frequency,)
            older = held is not None and held.date is not None and date < held.date
            if not older or self.on(Switch.HONOURS_OLDER):
                self.put(record, write.topic, choice, date, frequencies=frequencies)
        return WriteResponse.ACCEPTED


def _up(date: datetime) -> datetime:
    cut = date.replace(microsecond=0)
    return cut if cut == date else cut + timedelta(seconds=1)
