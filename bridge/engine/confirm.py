"""The last look before an opt-in: whoever said no meanwhile is not raised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from bridge.core.decision import Act, Decision, raises, writes_of
from bridge.core.errors import SideError
from bridge.core.model import PersonId, Side, TopicId, address_key
from bridge.core.ports import PersonView
from bridge.engine.books import Errand
from bridge.engine.judge import Judge, Judged
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Weather

Reread = Callable[[Side, Set[TopicId]], None]


class Confirmer:
    """Looks at the targets again, decides again, and keeps what still is an opt-in. So it looks at a side
    that said the opt-in, where a feed that would tell of its withdrawal had no turn in this run. `reread`
    reads those of a side's feeds once more that speak of some topics."""

    def __init__(self, eyes: Eyes, weather: Weather, judge: Judge, looker: Looker, reread: Reread) -> None:
        self._eyes = eyes
        self._weather = weather
        self._judge = judge
        self._looker = looker
        self._reread = reread

    def may_raise(self, one: Judged) -> bool:
        """Whether an opt-in could go as things stand in this run."""
        unsure = one.topic.id in self._weather.unsure
        return raises(one.decision) and not unsure and can_write(self._weather, one.decision)

    def one(self, judged: Sequence[Judged]) -> list[Judged]:
        """What still stands of one person's opt-ins."""
        person = judged[0].cell.person
        if self._looker.unread(person):
            return []  # something happened there that could not be read: it may be a withdrawal
        who = self._eyes.state.who(person)
        topics = {one.topic.id for one in judged}
        for side in self._sides(judged, topics):
            try:
                view = self._eyes.readers[side].look(who)
            except SideError as error:
                self._wait(side, error)
                return []
            self._looker.record(side, [view])
        again = self._judge.person(self._eyes.state.cells(person))
        return [one for one in again if one.topic.id in topics and raises(one.decision)]

    def many(self, side: Side, errands: Sequence[Errand]) -> list[Errand]:
        """What still stands of many people's opt-ins to one side. Where its read of many has no dates, its
        feeds are read once more: only a date tells whether somebody's no is newer than their yes."""
        wanted = {errand.who.person: {one.topic.id for one, _ in errand.acts} for errand in errands}
        topics = set[TopicId]().union(*wanted.values())
        try:
            read = self._look(side, errands)
        except SideError as error:
            self._wait(side, error)
            return []
        if any(_undated(read.get(_key(errand)), wanted[errand.who.person]) for errand in errands):
            self._reread(side, topics)
        if side.other not in self._weather.down and topics & self._weather.behind[side.other]:
            self._reread(side.other, topics)
        there = [
            errand
            for errand in errands
            if _key(errand) in read and not self._looker.unread(errand.who.person)
        ]
        return [] if side in self._weather.down else self._still(there, wanted)

    def _sides(self, judged: Sequence[Judged], topics: Set[TopicId]) -> list[Side]:
        written = {write.side for one in judged for write in writes_of(one.decision)}
        return [side for side in Side if side in written or topics & self._weather.behind[side]]

    def _look(self, side: Side, errands: Sequence[Errand]) -> dict[str, PersonView]:
        read: dict[str, PersonView] = {}
        for page in self._eyes.readers[side].look_many([errand.who for errand in errands]):
            self._looker.record(side, page.views)
            read |= {address_key(view.address): view for view in page.views}
            self._eyes.heartbeat()
        return read

    def _still(self, errands: Iterable[Errand], wanted: Mapping[PersonId, Set[TopicId]]) -> list[Errand]:
        """Decided again on what is known now."""
        whose = {errand.who.person: errand.who for errand in errands}
        found = []
        for person, cells in self._eyes.state.cells_of(list(whose)).items():
            again = [
                one
                for one in self._judge.person(cells)
                if one.topic.id in wanted[person] and self.may_raise(one)
            ]
            if again:
                found.append(Errand.of(whose[person], again))
        return found

    def _wait(self, side: Side, error: SideError) -> None:
        self._weather.warn(f"{side}: an opt-in waits, since its target could not be read ({error})")


def can_write(weather: Weather, decision: Decision) -> bool:
    """Whether a side that it would write to is there: one that is down keeps nothing from the other."""
    return isinstance(decision, Act) and any(write.side not in weather.down for write in decision.writes)


def _key(errand: Errand) -> str:
    return address_key(errand.who.address)


def _undated(view: PersonView | None, topics: Set[TopicId]) -> bool:
    return view is not None and any(view.topics[topic].shallow for topic in topics if topic in view.topics)
