"""Closer looks: reading single people, a few at a time, and recording what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.core.decision import Rule
from bridge.core.errors import SideError, Verdict
from bridge.core.model import PersonId, RunId, Side, Who, address_key
from bridge.core.ports import Hint, PersonView, batched, read_person
from bridge.core.priority import keep_priority
from bridge.core.store_port import RecordResult, Settlement
from bridge.engine.context import RunHealth, Services

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visited:
    """What one look led to has read already: two people whom a side shows with one record must not lead from
    one to the other for ever."""

    records: frozenset[str] = frozenset()
    people: frozenset[PersonId] = frozenset()

    def and_people(self, people: Iterable[PersonId]) -> Visited:
        return replace(self, people=self.people | frozenset(people))


NOTHING_READ = Visited()


class Fetcher:
    """Reads people of a side closely. What one person's read refuses never stops the others'."""

    def __init__(self, services: Services, run: RunId, health: RunHealth) -> None:
        self._services = services
        self._run = run
        self._health = health
        self.observed = dict.fromkeys(Side, 0)
        self._unread: dict[Side, set[PersonId]] = {side: set() for side in Side}

    def unread(self, person: PersonId) -> bool:
        """Whether a read of this person failed in this run, and none went well since."""
        return any(person in people for people in self._unread.values())

    def retry(self, side: Side) -> None:
        """Read what could not be read in earlier rounds."""
        state = self._services.state
        for kept in state.retry_queue.of(side):
            done = self.follow(side, [kept.hint]) if kept.person is None else self.look(side, [kept.person])
            if done or side not in self._health.down:
                state.retry_queue.drop(kept.id)
            if side in self._health.down:
                return

    def mark_processed(self, side: Side) -> None:
        """Look at those whom webhooks named. They are hints like any feed's, and mostly the feed has brought
        the same already; what they find is what the read shows."""
        waiting = self._services.state.webhooks.pending(side)
        if not waiting or side in self._health.down:
            return
        self.follow(side, list(dict.fromkeys(one.hint for one in waiting if not one.followed)))
        if side not in self._health.down:
            self._services.state.webhooks.mark_processed([one.id for one in waiting])

    def look(self, side: Side, people: Sequence[PersonId], *, after: Visited = NOTHING_READ) -> int:
        """Read these people at `side` and record what is seen. Returns how many could be read. Records that
        they turn out to have no more are looked for, but for those that were read just before."""
        reader, state = self._services.readers[side], self._services.state

        def look(who: Who) -> list[PersonView]:
            view = read_person(reader, who)
            self._unread[side].discard(who.person)
            return [view]

        done = 0
        for batch in batched(people, 100):
            views = self._each(side, state.people.get_many(batch), look, self._miss_person)
            done += self.record(side, views, after=after.and_people(batch))
            self._services.heartbeat()
            if side in self._health.down:
                break
        return done

    def follow(self, side: Side, hints: Sequence[Hint]) -> int:
        """Read what hints name, and the people who were bound to a named record but no longer are."""
        reader = self._services.readers[side]
        done = 0
        for batch in batched(hints, 100):
            unmet = self._note_former(side, batch)
            bound = self._bound(side, batch)
            views = self._each(side, batch, reader.read_hint, self._miss_hint)
            trail = Visited(records=frozenset(hint.id for hint in batch if hint.id is not None))
            done += self.record(side, views, after=trail)
            shown = {address_key(view.address) for view in views}
            left = [who.person for who in bound if address_key(who.address) not in shown]
            done += self.look(side, left, after=trail)
            self.look(side.other, unmet)
            self._services.heartbeat()
            if side in self._health.down:
                break
        return done

    def record(self, side: Side, views: Sequence[PersonView], *, after: Visited = NOTHING_READ) -> int:
        """Store views that were read outside a feed."""
        if not views:
            return 0
        unsubscribe_withdraws_topics = self._services.mapping.unsubscribe_withdraws_topics
        recorded = self._services.state.observations.record(
            views, side, run=self._run, unsubscribe_withdraws_topics=unsubscribe_withdraws_topics
        )
        self.observed[side] += len(views)
        self.read_related(side, recorded, after=after)
        return len(views)

    def read_related(self, side: Side, recorded: RecordResult, *, after: Visited = NOTHING_READ) -> None:
        """Look at whom a page leaves in doubt, and for the records that its people have no more: their
        addresses may have changed."""
        if unsure := [one for one in recorded.read_again if one not in after.people]:
            self.look(side, unsure, after=after)
        if lost := [one for one in recorded.left if one not in after.records]:
            self.follow(side, [Hint(one) for one in lost])

    def _note_former(self, side: Side, hints: Sequence[Hint]) -> list[PersonId]:
        """Keep in mind which addresses these records had. Returns people whom only the other side knows: what
        they said there goes along."""
        note = self._services.state.observations.record_former_addresses
        return [
            person
            for hint in hints
            if hint.id is not None and hint.former
            for person in note(side, hint.id, hint.former)
        ]

    def _bound(self, side: Side, hints: Sequence[Hint]) -> list[Who]:
        state = self._services.state
        return [who for hint in hints if hint.id is not None for who in state.people.of_record(side, hint.id)]

    def _each(
        self,
        side: Side,
        items: Sequence[T],
        read: Callable[[T], Sequence[PersonView]],
        miss: Callable[[Side, T, SideError], None],
    ) -> list[PersonView]:
        views: list[PersonView] = []
        with ThreadPoolExecutor(self._services.tuning.workers) as pool:
            futures = [pool.submit(keep_priority(read), item) for item in items]
            for item, future in zip(items, futures, strict=True):
                try:
                    views.extend(future.result())
                    self._health.reached(side)
                except SideError as error:
                    if self._health.missed(side, error):
                        pool.shutdown(cancel_futures=True)
                        break
                    miss(side, item, error)
        return views

    def _miss_hint(self, side: Side, hint: Hint, error: SideError) -> None:
        self._unread[side].update(who.person for who in self._bound(side, [hint]))
        self._health.warn(f"{side}: somebody could not be read ({error}); tried again next time")
        self._services.state.retry_queue.add(side, hint=hint, error=str(error))

    def _miss_person(self, side: Side, who: Who, error: SideError) -> None:
        self._unread[side].add(who.person)
        if error.verdict is Verdict.HOLD:
            self._hold(side, error, who.person)
        else:
            self._health.warn(f"{side}: somebody could not be read ({error}); tried again next time")
            self._services.state.retry_queue.add(side, person=who.person, error=str(error))

    def _hold(self, side: Side, error: SideError, person: PersonId) -> None:
        """This person cannot be read at that side: a person at the desk has to know."""
        state = self._services.state
        for cell in state.cells.of(person):
            state.holds.open(
                self._run,
                person,
                cell.topic,
                reason=Rule.UNREADABLE,
                why=f"{side}: {error}",
                ground=cell.ground,
            )
            unknown = side not in cell.seen or cell.seen[side].unlisted
            if unknown:  # there is nothing to decide before somebody has looked into it
                state.cells.settle(self._run, [Settlement(person, cell.topic, cell.ground)])
