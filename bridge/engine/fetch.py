"""Reading single people, a few at a time, and storing what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from bridge.core.decision import Rule
from bridge.core.errors import SideError, Verdict
from bridge.core.latch import hold_ground
from bridge.core.model import PersonId, Side, Who, address_key
from bridge.core.ports import DATA_ERRORS, Hint, PersonView, batched, read_person, unexpected
from bridge.core.priority import keep_priority
from bridge.core.store_values import PendingEvent, RecordResult, Settlement
from bridge.engine.context import RunContext
from bridge.engine.feed_watch import due_reads, note_reads, with_earlier_claims

T = TypeVar("T")

_AT_A_TIME = 100  # people or hints


@dataclass(frozen=True, slots=True)
class Visited:
    """What one read has led to already: two people whom a side shows with one record must not lead from one
    to the other for ever."""

    records: frozenset[str] = frozenset()
    people: frozenset[PersonId] = frozenset()


NOTHING_READ = Visited()


def record(
    run: RunContext,
    side: Side,
    views: Sequence[PersonView],
    *,
    visited: Visited = NOTHING_READ,
    feed: str | None = None,
    watermark: datetime | None = None,
    followed: Sequence[str] = (),
    cursor: str | None = None,
) -> None:
    """Store what was read, in one transaction with the progress of the feed it came by. Then read people of
    whom only a part was seen, and records that people have no more: their addresses may have changed."""
    if not views and feed is None:
        return

    def store(some: Sequence[PersonView], **progress: Any) -> RecordResult:
        whole = run.mapping.unsubscribe_withdraws_topics
        return run.state.observations.record(
            some, side, run=run.id, unsubscribe_withdraws_topics=whole, **progress
        )

    progress: dict[str, Any] = {"feed": feed, "followed": followed, "cursor": cursor}
    try:
        mark = None if side in run.health.unstored else watermark
        stored = [store(views, watermark=mark, **progress)]
    except DATA_ERRORS:
        stored = list(_record_each(run, side, views, store))
        if feed is not None:
            mark = None if side in run.health.unstored else watermark
            stored.append(store((), watermark=mark, **progress))
    run.observed[side] += len(views)
    run.note_other_versions(views)
    read_again = [person for one in stored for person in one.read_again if person not in visited.people]
    if read_again:
        read_people(run, side, read_again, visited=visited)
    left = [Hint(record) for one in stored for record in one.left if record not in visited.records]
    if left:
        read_hints(run, side, left, visited=visited)


def _record_each(
    run: RunContext, side: Side, views: Sequence[PersonView], store: Callable[..., RecordResult]
) -> Iterator[RecordResult]:
    """Store a page's views one by one, since one of them cannot be: that is about its person alone. Of whom
    not even a read can be kept, the feed that brought them has to tell again."""
    for view in views:
        try:
            yield store([view])
        except DATA_ERRORS as error:
            failed = unexpected(side, error)
            try:
                _keep_unstored(run, side, view, failed)
            except DATA_ERRORS:
                run.health.unstored.add(side)
                run.health.warn(f"{side}: a person was left out ({failed}); will retry")
                run.health.failures.append(failed)


def _keep_unstored(run: RunContext, side: Side, view: PersonView, failed: SideError) -> None:
    """Whom it is about has failed; a record or an address that nobody is known to have is read again until
    that can be stored."""
    people = {who.person: who for one in view.ids for who in run.state.people.of_record(side, one)}
    if not people and (who := run.state.people.find(view.address)) is not None:
        people[who.person] = who
    for who in people.values():
        person_failed(run, side, who, failed)
    if not people:
        hint = Hint(view.ids[0]) if view.ids else Hint(address=view.address)
        _hint_failed(run, side, hint, failed)


def read_people(
    run: RunContext, side: Side, people: Sequence[PersonId], *, visited: Visited = NOTHING_READ
) -> int:
    """Read each of these people at `side`, with dates, and store what is seen. Returns how many could be
    read."""
    reader, unread = run.readers[side], run.health.unread_people[side]

    def read(who: Who) -> list[PersonView]:
        view = read_person(reader, who)
        unread.discard(who.person)
        return [view]

    done = 0
    for some in batched(people, _AT_A_TIME):
        views = _each(run, side, run.state.people.get_many(some), read, person_failed)
        record(run, side, views, visited=Visited(visited.records, visited.people | frozenset(some)))
        done += len(views)
        run.heartbeat()
        if side in run.health.down:
            break
    return done


def read_hints(
    run: RunContext,
    side: Side,
    hints: Sequence[Hint],
    *,
    noticing: bool = False,
    visited: Visited = NOTHING_READ,
) -> int:
    """Read what hints name, and the people who were bound to a named record but no longer are. People whom
    only the other side knows, under a record's former address, are read there: what they said there still
    counts. `noticing`: a feed brought them, so that their withdrawals need not wait for the run's own."""
    done = 0
    lagging: list[Hint] = []

    def read(hint: Hint) -> Sequence[PersonView]:
        views = run.readers[side].read_hint(hint)
        if any(view.lags for view in views):
            lagging.append(hint)
        else:
            shown_again.add(hint.id or "")
        return views

    shown_again: set[str] = set()
    for some in batched(with_earlier_claims(run, hints), _AT_A_TIME):
        named = [hint for hint in some if hint.id is not None]
        elsewhere = [
            person
            for hint in named
            if hint.former
            for person in run.state.observations.record_former_addresses(side, hint.id or "", hint.former)
        ]
        bound = _bound(run, side, some)
        lagging.clear()
        shown_again.clear()
        views = _each(run, side, some, read, _hint_failed)
        records = visited.records | {hint.id or "" for hint in named}
        visited = Visited(records, visited.people)
        record(run, side, views, visited=visited)
        note_reads(run, side, lagging, shown_again)
        shown = {address_key(view.address) for view in views}
        missing = [who.person for who in bound if address_key(who.address) not in shown]
        left = [person for person in missing if person not in visited.people]
        if noticing:
            run.noticed.update(view.address for view in views)
            run.noticed.update(who.address for who in bound)
        done += len(views) + read_people(run, side, left, visited=visited)
        read_people(run, side.other, elsewhere)
        run.heartbeat()
        if side in run.health.down:
            break
    return done


def retry_failed_reads(run: RunContext, side: Side) -> None:
    """Read again what could not be read in earlier runs."""
    for kept in run.state.retry_queue.of(side):
        if kept.person is None:
            done = read_hints(run, side, [kept.hint])
        else:
            done = read_people(run, side, [kept.person])
        if done or side not in run.health.down:
            run.state.retry_queue.drop(kept.id)
        if side in run.health.down:
            return


def read_lagging(run: RunContext, side: Side) -> None:
    """Read again records that did not show yet what events said about them, and are due."""
    if side not in run.health.down:
        read_hints(run, side, due_reads(run, side), noticing=True)


def read_webhook_events(run: RunContext, side: Side) -> None:
    """Read the people whom webhooks named. They are hints like any feed's, and mostly the feed has brought
    the same already; what counts is what the read shows. Records that nobody is known to have come last, and
    a few in each run: a delivery may name any number of them."""
    waiting = run.state.webhooks.pending(side)
    if not waiting or side in run.health.down:
        return
    known: list[PendingEvent] = []
    unknown: list[PendingEvent] = []
    for one in waiting:
        at_hand = one.followed or run.state.people.of_record(side, one.hint.id or "")
        (known if at_hand else unknown).append(one)
    some = unknown[: run.unknown_left]
    run.unknown_left -= len(some)
    for events in (known, some):
        hints = list(dict.fromkeys(one.hint for one in events if not one.followed))
        read_hints(run, side, hints, noticing=True)
        if side in run.health.down:
            return
        run.state.webhooks.mark_processed([one.id for one in events])


def _bound(run: RunContext, side: Side, hints: Sequence[Hint]) -> list[Who]:
    return [who for hint in hints if hint.id is not None for who in run.state.people.of_record(side, hint.id)]


def _each(
    run: RunContext,
    side: Side,
    items: Sequence[T],
    read: Callable[[T], Sequence[PersonView]],
    failed: Callable[[RunContext, Side, T, SideError], None],
) -> list[PersonView]:
    """Read each item. What one person's read fails with never stops the others'."""
    views: list[PersonView] = []
    with ThreadPoolExecutor(run.tuning.workers) as pool:
        futures = [pool.submit(keep_priority(read), item) for item in items]
        for item, future in zip(items, futures, strict=True):
            try:
                views.extend(future.result())
                run.health.reached(side)
            except SideError as error:
                if run.health.missed(side, error):
                    pool.shutdown(cancel_futures=True)
                    break
                failed(run, side, item, error)
            except DATA_ERRORS as error:
                failed(run, side, item, unexpected(side, error))
    return views


def _hint_failed(run: RunContext, side: Side, hint: Hint, error: SideError) -> None:
    run.health.unread_people[side].update(who.person for who in _bound(run, side, [hint]))
    run.health.warn(f"{side}: a person could not be read ({error}); will retry")
    run.state.retry_queue.add(side, hint=hint, error=str(error))


def person_failed(run: RunContext, side: Side, who: Who, error: SideError) -> None:
    """Read again in the next run, or held where that cannot help: an operator has to look. A cell that
    is held already stays held for its own reason. Of whom nothing is stored yet nothing can be held."""
    person = who.person
    run.health.unread_people[side].add(person)
    cells = run.state.cells.of(person)
    if error.verdict is not Verdict.HOLD or not cells:
        run.health.warn(f"{side}: a person could not be read ({error}); will retry")
        run.state.retry_queue.add(side, person=person, error=str(error))
        return
    run.health.warn(f"{side}: a person cannot be read ({error})")
    for cell in cells:
        run.state.holds.open(
            run.id,
            person,
            cell.topic,
            reason=Rule.UNREADABLE,
            why=f"{side}: {error}",
            ground=hold_ground(cell),
        )
        if side not in cell.seen or cell.seen[side].unlisted:  # nothing to decide before it is resolved
            run.state.cells.settle(run.id, [Settlement(person, cell.topic, cell.ground)])
