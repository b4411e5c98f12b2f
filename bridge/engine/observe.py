"""Observation: reading the feeds of both sides into the state DB, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime

from bridge.core.brakes import bursts
from bridge.core.errors import DrainIncomplete, SideError
from bridge.core.mapping import CHANNEL
from bridge.core.model import Choice, Observation, RunId, Side, TopicId
from bridge.core.ports import Hint, Page
from bridge.core.watermark import advance, is_stale, reach
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Weather
from bridge.engine.sweep import OWED

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Observer:
    """Reads what changed. A watermark moves with the last page of a proven drain, in its transaction."""

    def __init__(self, eyes: Eyes, run: RunId, weather: Weather, looker: Looker) -> None:
        self._eyes = eyes
        self._run = run
        self._weather = weather
        self._looker = looker
        self._minutes: Counter[datetime] = Counter()

    def feeds(self, *, first: bool) -> frozenset[Side]:
        """Read every feed of both sides. Returns the sides whose feeds cannot reach back far enough: only a
        sweep finds what happened there in between."""
        readers = self._eyes.readers
        return frozenset(side for side in Side if self._some(side, readers[side].feeds, first=first))

    def turns(self) -> frozenset[Side]:
        """Read those feeds of both sides whose turn it is. Returns the same."""
        return frozenset(side for side in Side if self._turns_of(side))

    @property
    def bursts(self) -> frozenset[datetime]:
        """Minutes of this run in which suspiciously many people were unsubscribed at once."""
        most = self._eyes.tuning.limits.burst_max
        return bursts(self._minutes.elements(), most)

    def covering(self, side: Side, topics: Set[TopicId], *, first: bool) -> None:
        """Read all feeds of one side that speak of these topics, or of the channel that they go out by."""
        reader = self._eyes.readers[side]
        wanted = {*topics, CHANNEL}
        self._some(side, [feed for feed in reader.feeds if reader.covers(feed) & wanted], first=first)
        self._weather.behind[side] -= topics

    def _some(self, side: Side, feeds: Iterable[str], *, first: bool) -> bool:
        """Read these feeds; whether one cannot reach back far enough."""
        gap = False
        for feed in feeds:
            if side in self._weather.down:
                self._doubt(side, feed)
                continue
            gap = self._feed(side, feed, first=first) or gap
        return gap

    def _turns_of(self, side: Side) -> bool:
        reader, state = self._eyes.readers[side], self._eyes.state
        read: set[str] = set()
        gap = False
        for feed in reader.turns(state.watermarks(), self._eyes.tuning.poll):
            if side in self._weather.down:
                break
            gap = self._feed(side, feed, first=False) or gap
            read.add(feed)
        self._left_out(side, [feed for feed in reader.feeds if feed not in read])
        return gap

    def _left_out(self, side: Side, feeds: Sequence[str]) -> None:
        """Feeds that were not read: in doubt where that is not just for want of a turn."""
        reader, tuning = self._eyes.readers[side], self._eyes.tuning
        marks = self._eyes.state.watermarks()
        newest = max((marks[feed] for feed in reader.feeds if feed in marks), default=None)
        for feed in feeds:
            turn = reader.turn_of(feed, tuning.poll)
            if side in self._weather.down or is_stale(
                marks.get(feed), newest, turn=turn, overlap=tuning.overlap
            ):
                self._doubt(side, feed)
            self._weather.behind[side] |= reader.covers(feed)

    def _feed(self, side: Side, feed: str, *, first: bool) -> bool:
        reader, state = self._eyes.readers[side], self._eyes.state
        watermark = state.watermark(feed)
        try:
            oldest = reader.oldest_since()
            start = self._eyes.clock() if first else oldest or BEGINNING
            overlap = self._eyes.tuning.overlap
            there = reach(watermark, overlap=overlap, oldest=oldest, start=start - overlap)
            if there.gap:  # noted before the watermark leaps over it
                state.set_meta(OWED, feed)
            for number, page in enumerate(reader.changes(feed, there.since), 1):
                self._page(side, feed, page, watermark)
                self._eyes.progress(f"reading {feed}", number)
        except DrainIncomplete as error:
            self._doubt(side, feed)
            self._weather.warn(f"{feed}: {error}")
            return False
        except SideError as error:
            self._doubt(side, feed)
            self._weather.failed(side, feed, error)
            return False
        return there.gap

    def _page(self, side: Side, feed: str, page: Page, watermark: datetime | None) -> None:
        """Store a page. Hints are followed before its watermark moves: until then they are not stored."""
        self._looker.follow(side, self._unsettled(feed, page.hints))
        if side in self._weather.down:
            raise self._weather.down[side]
        mark = None if page.watermark is None else advance(watermark, page.watermark)
        spreads = self._eyes.mapping.spreads
        state = self._eyes.state
        recorded = state.record(
            page.views,
            side,
            run=self._run,
            feed=feed,
            watermark=mark,
            spreads=spreads,
            followed=[*(key for hint in page.hints for key in hint.keys), *page.repeated],
            cursor=page.cursor,
        )
        self._looker.observed[side] += len(page.views)
        self._looker.pursue(side, recorded)
        self._count_unsubscribes(page)
        self._report(feed, page)
        self._eyes.heartbeat()

    def _unsettled(self, feed: str, hints: Sequence[Hint]) -> list[Hint]:
        """The hints that still tell something: overlapping reads bring the same ones again and again."""
        keys = [key for hint in hints for key in hint.keys]
        settling = self._eyes.tuning.settling
        settled = self._eyes.state.settled_keys(feed, keys, settling) if keys else frozenset()
        fresh = [hint for hint in hints if not hint.keys or not settled.issuperset(hint.keys)]
        return list(dict.fromkeys(fresh))

    def _report(self, feed: str, page: Page) -> None:
        for warning in page.warnings:
            self._weather.warn(f"{feed}: {warning}")
        if page.skipped:
            self._weather.warn(f"{feed}: {page.skipped} rows without an address were left out")

    def _count_unsubscribes(self, page: Page) -> None:
        for view in page.views:
            seen = view.topics.get(CHANNEL)
            if seen is not None and _is_unsubscribe(seen) and seen.changed_at is not None:
                self._minutes[seen.changed_at.replace(second=0, microsecond=0)] += 1

    def _doubt(self, side: Side, feed: str) -> None:
        covered = self._eyes.readers[side].covers(feed)
        self._weather.unsure |= covered
        if CHANNEL in covered and self._eyes.mapping.spreads:
            self._weather.unsure |= {topic.id for topic in self._eyes.mapping.all}


def _is_unsubscribe(seen: Observation) -> bool:
    return seen.choice is Choice.OPTED_OUT and seen.block is None
