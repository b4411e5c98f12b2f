"""Observation: reading the feeds of both sides into the state DB, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime

from bridge.core.brakes import burst_minutes
from bridge.core.errors import DrainIncomplete, SideError
from bridge.core.mapping import CHANNEL
from bridge.core.model import Choice, Observation, RunId, Side, TopicId
from bridge.core.ports import Hint, Page
from bridge.core.watermark import advance, is_stale, read_window
from bridge.engine.context import RunHealth, Services
from bridge.engine.fetch import Fetcher

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class FeedPoller:
    """Reads what changed. A watermark moves with the last page of a proven drain, in its transaction."""

    def __init__(self, services: Services, run: RunId, health: RunHealth, fetcher: Fetcher) -> None:
        self._services = services
        self._run = run
        self._health = health
        self._fetcher = fetcher
        self._minutes: Counter[datetime] = Counter()

    def feeds(self, *, first: bool) -> frozenset[Side]:
        """Read every feed of both sides. Returns the sides whose feeds cannot reach back far enough: only a
        sweep finds what happened there in between."""
        readers = self._services.readers
        poll = self._services.tuning.poll
        return frozenset(
            side
            for side in Side
            if self._some(side, [feed.name for feed in readers[side].feeds(poll)], first=first)
        )

    def turns(self) -> frozenset[Side]:
        """Read those feeds of both sides whose turn it is. Returns the same."""
        return frozenset(side for side in Side if self._turns_of(side))

    @property
    def bursts(self) -> frozenset[datetime]:
        """Minutes of this run in which suspiciously many people were unsubscribed at once."""
        most = self._services.tuning.limits.burst_max
        return burst_minutes(self._minutes.elements(), most)

    def covering(self, side: Side, topics: Set[TopicId], *, first: bool) -> None:
        """Read all feeds of one side that speak of these topics, or of the channel that they go out by."""
        wanted = {*topics, CHANNEL}
        feeds = self._services.readers[side].feeds(self._services.tuning.poll)
        self._some(side, [feed.name for feed in feeds if feed.topics & wanted], first=first)
        self._health.unread_this_run[side] -= topics

    def _some(self, side: Side, feeds: Iterable[str], *, first: bool) -> bool:
        """Read these feeds; whether one cannot reach back far enough."""
        gap = False
        for feed in feeds:
            if side in self._health.down:
                self._doubt(side, feed)
                continue
            gap = self._feed(side, feed, first=first) or gap
        return gap

    def _turns_of(self, side: Side) -> bool:
        reader, state = self._services.readers[side], self._services.state
        read: set[str] = set()
        gap = False
        for feed in reader.feeds_due(state.feeds.watermarks(), self._services.tuning.poll):
            if side in self._health.down:
                break
            gap = self._feed(side, feed, first=False) or gap
            read.add(feed)
        self._left_out(side, read)
        return gap

    def _left_out(self, side: Side, read: Set[str]) -> None:
        """Feeds that were not read: in doubt where that is not just for want of a turn."""
        reader, tuning = self._services.readers[side], self._services.tuning
        marks = self._services.state.feeds.watermarks()
        feeds = reader.feeds(tuning.poll)
        newest = max((marks[feed.name] for feed in feeds if feed.name in marks), default=None)
        for feed in feeds:
            if feed.name in read:
                continue
            if side in self._health.down or is_stale(
                marks.get(feed.name), newest, turn=feed.period, overlap=tuning.overlap
            ):
                self._doubt(side, feed.name)
            self._health.unread_this_run[side] |= feed.topics

    def _feed(self, side: Side, feed: str, *, first: bool) -> bool:
        reader, state = self._services.readers[side], self._services.state
        watermark = state.feeds.watermark(feed)
        try:
            oldest = reader.oldest_since()
            start = self._services.clock() if first else oldest or BEGINNING
            overlap = self._services.tuning.overlap
            there = read_window(watermark, overlap=overlap, oldest=oldest, start=start - overlap)
            if there.gap:  # noted before the watermark leaps over it
                state.facts.sweep_due = feed
            for number, page in enumerate(reader.read_feed(feed, there.since), 1):
                self._page(side, feed, page, watermark)
                self._services.progress(f"reading {feed}", number)
        except DrainIncomplete as error:
            self._doubt(side, feed)
            self._health.warn(f"{feed}: {error}")
            return False
        except SideError as error:
            self._doubt(side, feed)
            self._health.failed(side, feed, error)
            return False
        return there.gap

    def _page(self, side: Side, feed: str, page: Page, watermark: datetime | None) -> None:
        """Store a page. Hints are followed before its watermark moves: until then they are not stored."""
        self._fetcher.follow(side, self._unsettled(feed, page.hints))
        if side in self._health.down:
            raise self._health.down[side]
        mark = None if page.watermark is None else advance(watermark, page.watermark)
        unsubscribe_withdraws_topics = self._services.mapping.unsubscribe_withdraws_topics
        state = self._services.state
        recorded = state.observations.record(
            page.views,
            side,
            run=self._run,
            feed=feed,
            watermark=mark,
            unsubscribe_withdraws_topics=unsubscribe_withdraws_topics,
            followed=[*(key for hint in page.hints for key in hint.keys), *page.repeated],
            cursor=page.cursor,
        )
        self._fetcher.observed[side] += len(page.views)
        self._fetcher.read_related(side, recorded)
        self._count_unsubscribes(page)
        self._report(feed, page)
        self._services.heartbeat()

    def _unsettled(self, feed: str, hints: Sequence[Hint]) -> list[Hint]:
        """The hints that still tell something: overlapping reads bring the same ones again and again."""
        keys = [key for hint in hints for key in hint.keys]
        settling = self._services.tuning.settling
        settled = self._services.state.feeds.settled_keys(feed, keys, settling) if keys else frozenset()
        fresh = [hint for hint in hints if not hint.keys or not settled.issuperset(hint.keys)]
        return list(dict.fromkeys(fresh))

    def _report(self, feed: str, page: Page) -> None:
        for warning in page.warnings:
            self._health.warn(f"{feed}: {warning}")
        if page.skipped:
            self._health.warn(f"{feed}: {page.skipped} rows without an address were left out")

    def _count_unsubscribes(self, page: Page) -> None:
        for view in page.views:
            seen = view.topics.get(CHANNEL)
            if seen is not None and _is_unsubscribe(seen) and seen.changed_at is not None:
                self._minutes[seen.changed_at.replace(second=0, microsecond=0)] += 1

    def _doubt(self, side: Side, feed: str) -> None:
        feeds = self._services.readers[side].feeds(self._services.tuning.poll)
        covered = next((known.topics for known in feeds if known.name == feed), frozenset())
        self._health.untrusted_topics |= covered
        if CHANNEL in covered and self._services.mapping.unsubscribe_withdraws_topics:
            self._health.untrusted_topics |= {topic.id for topic in self._services.mapping.all}


def _is_unsubscribe(seen: Observation) -> bool:
    return seen.choice is Choice.OPTED_OUT and seen.block is None
