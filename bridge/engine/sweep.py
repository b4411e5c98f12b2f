"""The sweep: every person of both sides, to find what feeds cannot tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from bridge.core.brakes import vanished_reason
from bridge.core.errors import DrainIncomplete, SideError
from bridge.core.model import Side, Who, address_key
from bridge.core.ports import Hint, ListingCursor, Page, PersonView
from bridge.core.priority import Priority, with_priority
from bridge.engine.context import RunContext
from bridge.engine.fetch import person_failed, read_hints, read_people, record


def sweep(run: RunContext) -> bool:
    """Read everybody at both sides. Returns whether both were read to a proven end. Dotdigital comes first:
    it can list its people, and a side without a listing is asked for those. A listing that was cut short
    goes on where it stopped, as far as the side can still do so."""
    began = run.now()
    with with_priority(Priority.SWEEP):
        complete = [_sweep_side(run, side, began) for side in (Side.DOTDIGITAL, Side.MYPREFERENCES)]
        _read_unresolved_links(run)
    return all(complete)


def _read_unresolved_links(run: RunContext) -> None:
    """Read profiles that contacts name: their addresses may be in neither listing."""
    after = ""
    while page := run.state.people.unresolved_profile_links(after, run.tuning.page):
        if Side.MYPREFERENCES in run.health.down:
            return
        read_hints(run, Side.MYPREFERENCES, [Hint(profile) for profile in page])
        after = page[-1]


def _sweep_side(run: RunContext, side: Side, began: datetime) -> bool:
    if side in run.health.down:
        return False
    bookmark = _Bookmark(run, side)
    try:
        unread, listed_at = _list(run, side, bookmark)
    except DrainIncomplete as error:
        bookmark.drop()
        _note_incomplete(run, side, str(error))
        return False
    except SideError as error:
        run.health.failed(side, side, error)
        _note_incomplete(run, side, "some people could not be read")
        return False
    bookmark.drop()
    if _have_vanished(run, side, listed_at or began):
        return False
    _read_missing(run, side, listed_at or began, unread=unread)
    return side not in run.health.down


def _have_vanished(run: RunContext, side: Side, began: datetime) -> bool:
    """Whether so many people are gone that nothing is concluded from it. That is kept until a sweep shows
    them again, or an operator says that they are gone."""
    before = dict(run.state.facts.vanished or {})
    gone, known = run.state.people.count_unseen(side, began)
    reason = vanished_reason(side, "people", gone, known, run.tuning.limits)
    if reason is None or run.approve_vanished:
        if before.pop(side, None) is not None:
            run.state.facts.vanished = before
        return False
    run.state.facts.vanished = before | {side: reason}
    return True


def _not_vanished(run: RunContext, side: Side, views: Sequence[PersonView]) -> list[PersonView]:
    """The views without those that show a known person as gone: how many these are is weighed when all
    were read."""
    absent = [view for view in views if view.topics and not any(one.present for one in view.topics.values())]
    if not absent:
        return list(views)
    there = run.state.people.known_there(side, [view.address for view in absent])
    return [view for view in views if view not in absent or address_key(view.address) not in there]


def _list(run: RunContext, side: Side, bookmark: _Bookmark) -> tuple[int, datetime | None]:
    """Read and store everybody. Returns how many of those read one by one failed, and when the listing was
    made, where the side makes one."""
    done = skipped = 0
    unread = Counter[str]()
    listed_at = None
    known = (who for page in run.state.people.known() for who in page)
    for page in run.readers[side].list_people(known, bookmark.kept()):
        record(run, side, _not_vanished(run, side, page.views))
        read_hints(run, side, page.hints)
        if side in run.health.down:
            raise run.health.down[side]
        for warning in page.warnings:
            run.health.warn(f"{side}: {warning}")
        if page.bookmark is not None:
            listed_at = page.bookmark.began
            bookmark.keep(page.bookmark)
        done += len(page.views)
        skipped += page.skipped
        for who, error in _unreadable(page):
            person_failed(run, side, who, error)
            unread[type(error).__name__] += 1
        run.progress(f"reading everybody at {side}", done if page.done is None else page.done, page.total)
        run.heartbeat()
    if skipped:
        run.health.warn(f"{side}: records without an address, skipped in the sweep: {skipped}")
    for name, count in sorted(unread.items()):
        run.health.warn(f"{side}: {count} people could not be read: {name}")
    return unread.total(), listed_at


def _unreadable(page: Page) -> Iterator[tuple[Who, SideError]]:
    """Who of this page could not be read, and why. Raises what is not about them alone."""
    for who, error in page.failures:
        if error.stops_side:
            raise error
        yield who, error


def _read_missing(run: RunContext, side: Side, began: datetime, *, unread: int) -> None:
    """People the sweep did not show: those never seen there are absent, unless a read failed; the others are
    read one by one."""
    read = 0
    for page in run.state.people.unseen_since(side, began):
        read_people(run, side, [who.person for who in page])
        read += len(page)
        run.progress(f"reading people whom the listing of {side} left out", read)
        if side in run.health.down:
            return
    if not unread:
        run.state.observations.mark_absent(
            side, [topic.id for topic in run.mapping.all], run=run.id, read_at=began
        )


def _note_incomplete(run: RunContext, side: Side, why: str) -> None:
    run.health.incomplete[f"the sweep of {side}"] = None
    run.health.untrusted_topics |= {topic.id for topic in run.mapping.all}
    run.health.warn(f"{side}: the sweep is incomplete ({why}); opt-ins are suspended for this run")


class _Bookmark:
    """How far the listing of one side was read, kept until it was read to its end."""

    def __init__(self, run: RunContext, side: Side) -> None:
        self._facts, self._side, self._mapping = run.state.facts, side, run.mapping.digest

    def kept(self) -> ListingCursor | None:
        """Where an earlier process stopped; None where what it stored was read by another mapping."""
        return self._facts.listing(self._side, self._mapping)

    def keep(self, cursor: ListingCursor) -> None:
        """Note it, after the page before it was stored."""
        self._facts.set_listing(self._side, cursor, self._mapping)

    def drop(self) -> None:
        """The listing was read to its end, or is of no more use."""
        self._facts.set_listing(self._side, None, self._mapping)
