"""The last look before an opt-in: whoever said no meanwhile is not raised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from bridge.core.decision import Act, Decision, is_raise, writes_of
from bridge.core.errors import SideError
from bridge.core.model import PersonId, Side, TopicId, address_key
from bridge.core.ports import PersonView, read_person
from bridge.engine.attempts import PersonWrites
from bridge.engine.context import RunHealth, Services
from bridge.engine.deciding import CellDecision, Decider
from bridge.engine.fetch import Fetcher

Reread = Callable[[Side, Set[TopicId]], None]


class PreRaiseCheck:
    """Looks at the targets again, decides again, and keeps what still is an opt-in. So it looks at a side
    that said the opt-in, where a feed that would tell of its withdrawal had no turn in this run. `reread`
    reads those of a side's feeds once more that speak of some topics."""

    def __init__(
        self, services: Services, health: RunHealth, decider: Decider, fetcher: Fetcher, reread: Reread
    ) -> None:
        self._services = services
        self._health = health
        self._decider = decider
        self._fetcher = fetcher
        self._reread = reread

    def may_raise(self, one: CellDecision) -> bool:
        """Whether an opt-in could go as things stand in this run."""
        unsure = one.topic.id in self._health.untrusted_topics
        return is_raise(one.decision) and not unsure and can_write(self._health, one.decision)

    def one(self, decisions: Sequence[CellDecision]) -> list[CellDecision]:
        """What still stands of one person's opt-ins."""
        person = decisions[0].cell.person
        if self._fetcher.unread(person):
            return []  # something happened there that could not be read: it may be a withdrawal
        who = self._services.state.people.get(person)
        topics = {one.topic.id for one in decisions}
        for side in self._sides(decisions, topics):
            try:
                view = read_person(self._services.readers[side], who)
            except SideError as error:
                self._wait(side, error)
                return []
            self._fetcher.record(side, [view])
        again = self._decider.person(self._services.state.cells.of(person))
        return [one for one in again if one.topic.id in topics and is_raise(one.decision)]

    def many(self, side: Side, work: Sequence[PersonWrites]) -> list[PersonWrites]:
        """What still stands of many people's opt-ins to one side. Where its read of many has no dates, its
        feeds are read once more: only a date tells whether somebody's no is newer than their yes."""
        wanted = {
            person_writes.who.person: {one.topic.id for one, _ in person_writes.acts}
            for person_writes in work
        }
        topics = set[TopicId]().union(*wanted.values())
        try:
            read = self._look(side, work)
        except SideError as error:
            self._wait(side, error)
            return []
        if any(
            _undated(read.get(_key(person_writes)), wanted[person_writes.who.person])
            for person_writes in work
        ):
            self._reread(side, topics)
        if side.other not in self._health.down and topics & self._health.unread_this_run[side.other]:
            self._reread(side.other, topics)
        there = [
            person_writes
            for person_writes in work
            if _key(person_writes) in read and not self._fetcher.unread(person_writes.who.person)
        ]
        return [] if side in self._health.down else self._still(there, wanted)

    def _sides(self, decisions: Sequence[CellDecision], topics: Set[TopicId]) -> list[Side]:
        written = {write.side for one in decisions for write in writes_of(one.decision)}
        return [side for side in Side if side in written or topics & self._health.unread_this_run[side]]

    def _look(self, side: Side, work: Sequence[PersonWrites]) -> dict[str, PersonView]:
        read: dict[str, PersonView] = {}
        for page in self._services.readers[side].read_people([person_writes.who for person_writes in work]):
            self._fetcher.record(side, page.views)
            read |= {address_key(view.address): view for view in page.views}
            self._services.heartbeat()
        return read

    def _still(
        self, work: Iterable[PersonWrites], wanted: Mapping[PersonId, Set[TopicId]]
    ) -> list[PersonWrites]:
        """Decided again on what is known now."""
        whose = {person_writes.who.person: person_writes.who for person_writes in work}
        found = []
        for person, cells in self._services.state.cells.of_many(list(whose)).items():
            again = [
                one
                for one in self._decider.person(cells)
                if one.topic.id in wanted[person] and self.may_raise(one)
            ]
            if again:
                found.append(PersonWrites.of(whose[person], again))
        return found

    def _wait(self, side: Side, error: SideError) -> None:
        self._health.warn(f"{side}: an opt-in waits, since its target could not be read ({error})")


def can_write(health: RunHealth, decision: Decision) -> bool:
    """Whether a side that it would write to is there: one that is down keeps nothing from the other."""
    return isinstance(decision, Act) and any(write.side not in health.down for write in decision.writes)


def _key(person_writes: PersonWrites) -> str:
    return address_key(person_writes.who.address)


def _undated(view: PersonView | None, topics: Set[TopicId]) -> bool:
    return view is not None and any(view.topics[topic].undated for topic in topics if topic in view.topics)
