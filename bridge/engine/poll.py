"""Polling: reading the feeds of both sides into the state DB, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime

from bridge.core.brakes import burst_minutes
from bridge.core.double_opt_in import CHECK_INTERVAL_MIN, next_check
from bridge.core.errors import DrainIncomplete, FeedDeaf, SideError
from bridge.core.model import CHANNEL, Challenge, PersonId, Side, TopicId, address_key
from bridge.core.ports import Feed, Hint, Page
from bridge.core.store_values import RunKind
from bridge.core.watermark import advance, clock_fault, is_ahead, is_stale, read_window
from bridge.engine.context import RunContext
from bridge.engine.feed_watch import NAMING, is_deaf, note_deaf, note_hearing
from bridge.engine.fetch import read_hints, record

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = "Check both clocks with `bridge doctor`."
_DEAF = (
    "it did not bring what the bridge itself wrote. Opt-ins are suspended. Check the webhook subscription "
    "with `bridge hooks list`."
)


class FeedPoller:
    """Reads what changed. A watermark moves with the last page of a proven drain, in its transaction. `first`
    says that this is the first run: feeds without a watermark start now."""

    def __init__(self, run: RunContext, *, first: bool) -> None:
        self._run = run
        self._first = first
        self._minutes: Counter[datetime] = Counter()
        self._bursts: tuple[int, frozenset[datetime]] = (0, frozenset())  # as of so many unsubscribes

    def read_all(self) -> set[Side]:
        """Read every feed of both sides. Returns the sides whose feeds cannot reach back far enough: only a
        sweep finds what happened there in between."""
        gaps: set[Side] = set()
        for side in Side:
            for feed in self._feeds(side):
                if self._read(side, feed.name):
                    gaps.add(side)
        return gaps

    def read_due(self) -> set[Side]:
        """Read those feeds of both sides that are due. Returns the same."""
        run, gaps = self._run, set[Side]()
        for side in Side:
            read: set[str] = set()
            for feed in run.readers[side].feeds_due(run.state.feeds.watermarks(), run.tuning.poll):
                if side in run.health.down:
                    break
                if self._read(side, feed):
                    gaps.add(side)
                read.add(feed)
            self._note_unread(side, read)
        return gaps

    def read_covering(self, side: Side, topics: Set[TopicId]) -> None:
        """Read all feeds of one side that report these topics, or the channel that they are sent by."""
        for feed in self._feeds(side):
            if feed.topics & {*topics, CHANNEL}:
                self._read(side, feed.name)

    def bursts(self) -> frozenset[datetime]:
        """Minutes of this run in which suspiciously many people were unsubscribed at once."""
        if self._first:
            return frozenset()  # an old suppression list is no burst
        if self._bursts[0] != (known := self._minutes.total()):
            minutes = burst_minutes(self._minutes.elements(), self._run.tuning.limits.unsubscribe_burst)
            self._bursts = (known, minutes)
        return self._bursts[1]

    def _feeds(self, side: Side) -> Sequence[Feed]:
        return self._run.readers[side].feeds(self._run.tuning.poll)

    def _note_unread(self, side: Side, read: Set[str]) -> None:
        """Feeds that were not read. They are distrusted where that is not only because they were not due."""
        run, marks, feeds = self._run, self._run.state.feeds.watermarks(), self._feeds(side)
        newest = max((marks[feed.name] for feed in feeds if feed.name in marks), default=None)
        for feed in feeds:
            if feed.name in read:
                continue
            stale = is_stale(marks.get(feed.name), newest, turn=feed.period, overlap=run.tuning.overlap)
            if stale or side in run.health.down:
                self._distrust(side, feed.name)

    def _read(self, side: Side, feed: str) -> bool:
        """Read one feed; whether it cannot reach back far enough."""
        run, reader = self._run, self._run.readers[side]
        if side in run.health.down:
            self._distrust(side, feed)
            return False
        watermark, overlap = self._watermark(side, feed), run.tuning.overlap
        try:
            oldest = reader.oldest_since()
            start = run.clock() if self._first else oldest or BEGINNING
            window = read_window(watermark, overlap=overlap, oldest=oldest, start=start - overlap)
            if window.gap:  # noted before the watermark moves past it
                run.state.facts.sweep_due = feed
            named: dict[str, datetime] = {}
            for number, page in enumerate(reader.read_feed(feed, window.since), 1):
                named |= {one: max(at, named.get(one, at)) for one, at in page.named.items()}
                self._store(side, feed, page, watermark)
                run.progress(f"reading {feed}", number)
        except DrainIncomplete as error:
            self._distrust(side, feed)
            run.health.warn(f"{feed}: {error}")
            if isinstance(error, FeedDeaf):
                note_deaf(run, side, feed)
            return False
        except SideError as error:
            self._distrust(side, feed)
            run.health.failed(side, feed, error)
            return False
        if side is NAMING:
            self._listen(side, feed, named)
        return window.gap

    def _watermark(self, side: Side, feed: str) -> datetime | None:
        """How far a feed was read. A watermark in the future is moved back, and everybody is read: from when
        on it was wrong is not known."""
        run, now = self._run, self._run.clock()
        mark = run.state.feeds.watermark(feed)
        if not is_ahead(mark, now):
            return mark
        self._doubt_clock(side, feed, "its watermark lies in the future", now)
        return now

    def _doubt_clock(self, side: Side, feed: str, why: str, back_to: datetime) -> None:
        run = self._run
        self._distrust(side, feed)
        run.state.facts.sweep_due = feed
        run.state.feeds.move_back(feed, back_to)
        run.health.warn(f"{feed}: {why}. Opt-ins are suspended and everybody is read. {_CLOCK}")

    def _mark(self, side: Side, feed: str, page: Page, watermark: datetime | None) -> datetime | None:
        """Where a page moves the watermark to; None: it stays."""
        if page.watermark is None:
            return None
        fault = clock_fault(watermark, page.watermark, self._run.clock())
        if fault is None:
            return advance(watermark, page.watermark)
        if is_ahead(page.watermark, self._run.clock()):
            self._distrust(side, feed)
            self._run.health.warn(f"{feed}: {fault}. Opt-ins are suspended. {_CLOCK}")
        else:
            self._doubt_clock(side, feed, fault, page.watermark)
        return None

    def _listen(self, side: Side, feed: str, named: Mapping[str, datetime]) -> None:
        """Whether the feed brought what we wrote."""
        deaf = is_deaf(self._run, side, named)
        note_hearing(self._run, feed, deaf=deaf)
        if deaf:
            self._distrust(side, feed)
            self._run.health.warn(f"{feed}: {_DEAF}")

    def _store(self, side: Side, feed: str, page: Page, watermark: datetime | None) -> None:
        """Store a page. Its hints are read before its watermark moves: until then they are not stored."""
        run = self._run
        keys = list(page.repeated)
        if page.hints:
            keys = [*(key for hint in page.hints for key in hint.keys), *keys]
            read_hints(run, side, self._unread_hints(feed, page.hints, keys), noticing=True)
        if side in run.health.down:
            raise run.health.down[side]
        dry = run.kind is RunKind.PLAN  # it leaves no feed behind, and may follow another mapping
        mark = None if dry else self._mark(side, feed, page, watermark)
        run.noticed.update(view.address for view in page.views)
        record(run, side, page.views, feed=feed, watermark=mark, followed=keys, cursor=page.cursor)
        self._count_unsubscribes(page)
        for warning in page.warnings:
            run.health.warn(f"{feed}: {warning}")
        if page.skipped:
            run.health.warn(f"{feed}: rows without an address, skipped: {page.skipped}")
        run.heartbeat()

    def _unread_hints(self, feed: str, hints: Sequence[Hint], keys: Sequence[str]) -> list[Hint]:
        """The hints that still tell something: overlapping reads bring the same ones again and again."""
        settled = (
            self._run.state.feeds.settled_keys(feed, keys, self._run.tuning.settling) if keys else frozenset()
        )
        return list(dict.fromkeys(one for one in hints if not one.keys or not settled.issuperset(one.keys)))

    def _count_unsubscribes(self, page: Page) -> None:
        for view in page.views:
            seen = view.topics.get(CHANNEL)
            if seen is not None and seen.opted_out and seen.block is None and seen.changed_at is not None:
                self._minutes[seen.changed_at.replace(second=0, microsecond=0)] += 1

    def _distrust(self, side: Side, feed: str) -> None:
        """Nothing that this feed reports is raised in this run."""
        run = self._run
        run.health.incomplete[feed] = None
        covered = next((known.topics for known in self._feeds(side) if known.name == feed), frozenset())
        run.health.untrusted_topics |= covered
        if CHANNEL in covered and run.mapping.unsubscribe_withdraws_topics:
            run.health.untrusted_topics |= {topic.id for topic in run.mapping.all}


def check_confirmations(run: RunContext) -> None:
    """Read those who were asked by mail to confirm and are due: no feed reports a click. A person who could
    not be read is read again, and no wait ends before a last read."""
    now = run.clock()
    while Side.DOTDIGITAL not in run.health.down:
        due = run.state.confirmations.due(now, run.tuning.page)
        if not due or not _check_page(run, due, now):
            return


def _check_page(run: RunContext, due: Mapping[PersonId, Challenge], now: datetime) -> bool:
    people = {address_key(who.address): who for who in run.state.people.get_many(list(due))}
    seen: set[PersonId] = set()
    try:
        for page in run.readers[Side.DOTDIGITAL].read_people(list(people.values())):
            record(run, Side.DOTDIGITAL, page.views)
            seen |= {people[address_key(view.address)].person for view in page.views}
            for _, error in page.failures:
                run.health.warn(f"{Side.DOTDIGITAL}: a person could not be read ({error}); will retry")
            run.heartbeat()
    except SideError as error:
        run.health.failed(Side.DOTDIGITAL, "confirmations by mail", error)
        return False
    checks = {
        person: next_check(challenge.sent_at, now, run.tuning.challenge_wait)
        if person in seen
        else now + CHECK_INTERVAL_MIN
        for person, challenge in due.items()
    }
    run.state.confirmations.schedule(checks, [person for person in seen if checks[person] is None])
    return True
