"""MyPreferences as the engine looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from bridge.core.catalogue import Catalogue
from bridge.core.errors import MappingStale, SideError, Verdict
from bridge.core.mapping import Mapping, Topic
from bridge.core.mapping_check import kinds_used
from bridge.core.model import (
    ConsentRecord,
    Side,
    TopicId,
    Who,
    Withdrawal,
    Write,
    address_key,
)
from bridge.core.ports import Hint, ListingCursor, Page, PersonView, Watermarks
from bridge.mypreferences import views, wire
from bridge.mypreferences.bulk.filtered_export import FilteredExport
from bridge.mypreferences.bulk.pricing import WORTH_AN_EXPORT, price_of
from bridge.mypreferences.bulk.segment_export import ExportCursor, ExportPage, SegmentExport, SegmentRef
from bridge.mypreferences.catalogue import read_catalogue
from bridge.mypreferences.client import EventSlice, MyPreferencesClient
from bridge.mypreferences.events.drain import drain_events
from bridge.mypreferences.profile_lookup import ProfileFinder

EVENTS = "mypreferences.events"
HISTORY = timedelta(days=15)  # MyPreferences `Retrieve events`: MaxEventHistoryDays
_HISTORY_MARGIN = timedelta(hours=1)
_PAGE = 100
_AT_ONCE = 4


class MyPreferencesReader:
    """Fills `ReadReplica`. `clock` gives the bridge's aware UTC; `roll` is what holds everybody (None: people
    are read one by one); `export_poll` is seconds between questions for an export; `has_running_jobs` tells
    whether an import is at work, `may_import` whether so many more may be begun."""

    def __init__(
        self,
        client: MyPreferencesClient,
        mapping: Mapping,
        clock: Callable[[], datetime],
        *,
        roll: SegmentRef | None = None,
        subscription_id: int | None = None,
        alternate_id_type: str | None = None,
        poll_window: timedelta = timedelta(hours=1),
        export_poll: float = 15.0,
        sleep: Callable[[float], None] = time.sleep,
        has_running_jobs: Callable[[], bool] = lambda: False,
        may_import: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._has_running_jobs, self._may_import = has_running_jobs, may_import
        self._client, self._mapping, self._clock = client, mapping, clock
        self._roll, self._subscription_id = roll, subscription_id
        self._binder = ProfileFinder(client, alternate_id_type)
        self._poll_window = poll_window
        self._listing = SegmentExport(client, clock=clock, pause=export_poll, sleep=sleep)

    @property
    def side(self) -> Side:
        return Side.MYPREFERENCES

    @property
    def calls(self) -> int:
        """Requests sent so far, sign-ins included."""
        return self._client.calls

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        """The one feed, which each round reads, reports every topic that has a place here."""
        topics = frozenset(topic.id for topic in self._mapping.all if topic.source is not None)
        return (Feed(EVENTS, topics, poll_interval),)

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:  # noqa: ARG002
        """The one feed, each time."""
        yield EVENTS

    def probe_capabilities(self) -> Sequence[str]:
        """Nothing: its one feed hints, and the profiles are read."""
        return ()

    def account(self) -> str:
        """The clientId and its host, as the settings name them."""
        return self._client.account

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        """Hints at whose profiles something happened; what happened is found by reading them."""
        if feed != EVENTS:
            raise ValueError(f"MyPreferences has no feed called {feed}")
        return drain_events(self._events, since, window=self._poll_window, clock=self._clock)

    def catalogue(self) -> Catalogue:
        """Filters where the mapping names one, and consents likewise: one call each."""
        return read_catalogue(self._client, kinds_used(Side.MYPREFERENCES, self._mapping))

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        """Singly, or withdrawals by import."""
        raised = sum(not isinstance(write, Withdrawal) for writes in people for write in writes[:1])
        kinds = [
            {type(self._topic(write).source) for write in writes if isinstance(write, Withdrawal)}
            for writes in people
        ]
        exports = self._roll is not None
        return price_of(kinds, raised=raised, exports=exports, may_begin=self._may_import)

    def oldest_since(self) -> datetime | None:
        """The service keeps 15 days of events; the margin covers a clock that is off and a slow drain."""
        return self._clock() - HISTORY + _HISTORY_MARGIN

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:
        """The whole roll, or without one each of `known`. Whatever stops the side stops the sweep."""
        if self._roll is not None:
            place = None if since is None else ExportCursor.read(since.place)
            return map(self._page, self._listing.everybody(self._roll, place))
        return self._one_by_one(known)

    def _read_person(self, who: Who) -> PersonView:
        """Read every active profile with the address, or pinned to the person. Raises Ambiguous where those
        with the address are too many."""
        read_at = self._clock()
        bound = self._binder.bound(who)
        shown = views.view(who.address, bound.here, self._mapping, read_at, complete=True)
        if bound.elsewhere:
            return views.with_linked(shown, bound.elsewhere, self._mapping, read_at)
        return views.with_one_target(shown) if bound.pinned is not None and len(bound.here) > 1 else shown

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        """A few by a look at each. Many by exports that are narrowed to their addresses, where a roll is
        set: whoever is not wholly there is looked at."""
        if self._roll is None or len(people) < WORTH_AN_EXPORT:
            return self._one_by_one(people)
        return self._chosen(self._roll, people)

    def has_running_jobs(self) -> bool:
        """Whether an import may still be at work."""
        return self._has_running_jobs()

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        """What a hint names: by id, one view for each active address of that profile (others may share it);
        by address, everybody who has it."""
        found: dict[str, PersonView] = {}
        if hint.id is not None:
            found = {address_key(item.address): item for item in self._by_id(hint.id)}
        if hint.address is not None:
            read_at = self._clock()
            profiles = self._binder.here(hint.address, () if hint.id is None else (hint.id,))
            closer = views.view(hint.address, profiles, self._mapping, read_at, complete=True)
            found[address_key(hint.address)] = closer
        return list(found.values())

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        """By the attributes of the preferences on the one profile that is theirs: of several profiles that
        share an address only a pinned one tells how this person consented."""
        mine = self._binder.bound(who).mine
        wanted = [topic for topic in self._mapping.topics if topic.id in topics]
        return [] if mine is None else views.consent_records(mine, who.address, wanted)

    def _topic(self, write: Write) -> Topic:
        topic = self._mapping.topic(write.topic)
        if topic is None or topic.source is None:
            raise MappingStale(
                "A write speaks of a topic that MyPreferences has no place for.",
                side=Side.MYPREFERENCES,
                operation="updateProfilePost",
                hint="Run `bridge mapping check`.",
            )
        return topic

    def _events(self, start: datetime, end: datetime) -> EventSlice:
        if self._subscription_id is None:
            return self._client.retrieve_events(start_at=start, end_at=end)
        return self._client.retrieve_events_by_subscription(self._subscription_id, start_at=start, end_at=end)

    def _by_id(self, profile_id: str) -> list[PersonView]:
        read_at = self._clock()
        profile = self._binder.profile(profile_id)
        if profile is None or not profile.active:
            return []
        return [
            views.view(address, [profile], self._mapping, read_at, complete=False)
            for address in views.addresses(profile)
        ]

    def _page(self, block: ExportPage) -> Page:
        sharing: dict[str, list[wire.Profile]] = {}
        spelled: dict[str, str] = {}
        skipped = 0
        for row in block.rows:
            held = views.addresses(row) if row.active else []
            skipped += not held
            for address in held:
                key = address_key(address)
                spelled.setdefault(key, address)
                sharing.setdefault(key, []).append(row)
        began = block.place.began
        seen = [
            views.view(spelled[key], profiles, self._mapping, began, complete=False)
            for key, profiles in sharing.items()
        ]
        return Page(
            views=seen,
            skipped=skipped,
            bookmark=ListingCursor(block.place.written(), began),
            done=block.place.rows,
            total=block.total,
        )

    def _chosen(self, roll: SegmentRef, people: Sequence[Who]) -> Iterator[Page]:
        for seen, rest in FilteredExport(self._listing, roll, self._mapping).shown(people, self._clock()):
            yield Page(views=seen)
            yield from self._one_by_one(rest)

    def _one_by_one(self, known: Iterable[Who]) -> Iterator[Page]:
        for batch in batched(known, _PAGE):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                results = list(pool.map(self._read_or_error, batch))
            found = [item for item in results if isinstance(item, PersonView)]
            failures = [
                (who, item) for who, item in zip(batch, results, strict=True) if isinstance(item, SideError)
            ]
            for _, error in failures:
                if error.verdict is not Verdict.HOLD and not found:
                    raise error  # a side that serves none of a page's people is down
            yield Page(views=found, failures=failures)

    def _read_or_error(self, who: Who) -> PersonView | SideError:
        """One person who cannot be read keeps no other from being read."""
        try:
            return self._read_person(who)
        except SideError as error:
            if error.stops_side:
                raise
            return error
