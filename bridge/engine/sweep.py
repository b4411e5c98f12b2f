"""The sweep: every person of both sides, to find what feeds cannot tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from bridge.core.errors import DrainIncomplete, SideError, Verdict
from bridge.core.model import RunId, Side, Who
from bridge.core.ports import Hint, ListingCursor, Page
from bridge.core.priority import Priority, with_priority
from bridge.engine.context import RunHealth, Services
from bridge.engine.fetch import Fetcher


class Sweeper:
    """Reads everybody. Dotdigital comes first: it can list its people, and whom it knows is whom a side
    without a listing is asked for. A listing that was cut short is gone on with where it stopped, as far as
    the side can still do so."""

    def __init__(self, services: Services, run: RunId, health: RunHealth, fetcher: Fetcher) -> None:
        self._services = services
        self._run = run
        self._health = health
        self._fetcher = fetcher

    def list_people(self) -> bool:
        """Sweep both sides. Returns whether both were read to a proven end."""
        began = self._services.clock()
        with with_priority(Priority.SWEEP):
            results = [self._side(side, began) for side in (Side.DOTDIGITAL, Side.MYPREFERENCES)]
            self._unmet()
        return all(results)

    def _unmet(self) -> None:
        """Look for profiles that contacts name: their addresses may be none that either listing showed."""
        after, size = "", self._services.tuning.page
        while page := self._services.state.people.unresolved_profile_links(after, size):
            if Side.MYPREFERENCES in self._health.down:
                return
            self._fetcher.follow(Side.MYPREFERENCES, [Hint(profile) for profile in page])
            after = page[-1]

    def _side(self, side: Side, began: datetime) -> bool:
        if side in self._health.down:
            return False
        marks = _Bookmarks(self._services, side)
        since = marks.kept()
        try:
            unread, listed_at = self._list(side, since, marks)
        except DrainIncomplete as error:
            marks.drop()
            self._partial(side, str(error))
            return False
        except SideError as error:
            self._health.failed(side, side, error)
            self._partial(side, "its people could not all be read")
            return False
        marks.drop()
        self._missing(side, listed_at or began, unread=unread)
        return side not in self._health.down

    def _list(
        self, side: Side, since: ListingCursor | None, marks: _Bookmarks
    ) -> tuple[int, datetime | None]:
        """Read and store everybody. Returns how many of those asked for singly could not be read, and when
        the listing was made, where the side makes one."""
        reader, state = self._services.readers[side], self._services.state
        done = skipped = 0
        unread = Counter[str]()
        listed_at = None
        for page in reader.list_people(self._known(), since):
            recorded = state.observations.record(
                page.views,
                side,
                run=self._run,
                unsubscribe_withdraws_topics=self._services.mapping.unsubscribe_withdraws_topics,
            )
            self._fetcher.observed[side] += len(page.views)
            self._fetcher.read_related(side, recorded)
            self._fetcher.follow(side, page.hints)
            if side in self._health.down:
                raise self._health.down[side]
            for warning in page.warnings:
                self._health.warn(f"{side}: {warning}")
            if page.bookmark is not None:
                listed_at = page.bookmark.began
                marks.keep(page.bookmark)
            done += len(page.views)
            skipped += page.skipped
            unread.update(type(error).__name__ for error in self._unreadable(page))
            self._tell(side, done, page)
            self._services.heartbeat()
        if skipped:
            self._health.warn(f"{side}: records without an address, left out of the sweep: {skipped}")
        for name, count in sorted(unread.items()):
            self._health.warn(f"{side}: {count} people could not be read: {name}")
        return unread.total(), listed_at

    def _unreadable(self, page: Page) -> Iterator[SideError]:
        """Why people of this page could not be read. Raises what is not about them alone."""
        for _, error in page.failures:
            if error.verdict is not Verdict.HOLD:
                raise error
            yield error

    def _tell(self, side: Side, done: int, page: Page) -> None:
        rows = done if page.done is None else page.done
        self._services.progress(f"reading everybody at {side}", rows, page.total)

    def _known(self) -> Iterator[Who]:
        for page in self._services.state.people.known():
            yield from page

    def _missing(self, side: Side, began: datetime, *, unread: int) -> None:
        """People the sweep did not show: those never seen there are not there, unless it was a read that
        failed; the others are looked for."""
        state, topics = self._services.state, [topic.id for topic in self._services.mapping.all]
        for page in state.people.unseen_since(side, began):
            self._fetcher.look(side, [who.person for who in page])
            if side in self._health.down:
                return
        if not unread:
            state.observations.mark_absent(side, topics, run=self._run, read_at=began)

    def _partial(self, side: Side, why: str) -> None:
        self._health.untrusted_topics |= {topic.id for topic in self._services.mapping.all}
        self._health.warn(f"{side}: the sweep is incomplete ({why}); no opt-in is sent in this run")


class _Bookmarks:
    """Where the listing of one side stands, kept until it was read to its end."""

    def __init__(self, services: Services, side: Side) -> None:
        self._facts, self._mapping, self._side = services.state.facts, services.mapping.digest, side

    def kept(self) -> ListingCursor | None:
        """Where an earlier process stopped; None where what it stored was read by another mapping."""
        return self._facts.listing(self._side, self._mapping)

    def keep(self, mark: ListingCursor) -> None:
        """Note it, after the page before it was stored."""
        self._facts.set_listing(self._side, mark, self._mapping)

    def drop(self) -> None:
        """The listing was read to its end, or is of no more use."""
        self._facts.set_listing(self._side, None, self._mapping)
