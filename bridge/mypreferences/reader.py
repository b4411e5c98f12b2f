"""MyPreferences, read only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bridge.core.catalogue import Catalogue
from bridge.core.errors import InvalidResponse, MappingStale, SideError, Verdict
from bridge.core.mapping import Mapping, Topic
from bridge.core.mapping_check import kinds_used
from bridge.core.model import ConsentRecord, Side, TopicId, Who, address_key
from bridge.core.ports import Feed, Hint, KeyValue, ListingCursor, Page, PersonView, Watermarks, batched
from bridge.core.writes import Withdrawal, Write
from bridge.mypreferences import views
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.bulk.segment_export import (
    FILTERED_MIN,
    ExportCursor,
    FilteredExport,
    SegmentExport,
    SegmentPage,
    SegmentRef,
)
from bridge.mypreferences.bulk.withdrawals import estimate_calls
from bridge.mypreferences.catalogue import read_catalogue
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.events import EventSlice
from bridge.mypreferences.events.claims import claims_of, shows
from bridge.mypreferences.events.drain import drain_events
from bridge.mypreferences.events.webhooks import SubscriptionCheck
from bridge.mypreferences.profile_lookup import ProfileFinder, read_in_parallel
from bridge.mypreferences.wire.profiles import Profile

EVENTS = "mypreferences.events"
HISTORY = timedelta(days=15)  # MyPreferences `Retrieve events`: MaxEventHistoryDays
_HISTORY_MARGIN = timedelta(hours=1)
_PAGE = 100  # people


class MyPreferencesReader:
    """Fills `ReadReplica`. `clock` gives the bridge's aware UTC; `segment` holds everybody (None: people are
    read one by one); `poll_interval` is the longest time between two questions for an export, in seconds;
    `event_window` is how much of the event history one call reads; `importer` runs imports (None: there are
    none); `read_clock` dates reads (None: `clock`); `memory` keeps whether events were ever collected (None:
    as long as the process lasts)."""

    side = Side.MYPREFERENCES

    def __init__(
        self,
        client: MyPreferencesClient,
        mapping: Mapping,
        clock: Callable[[], datetime],
        *,
        segment: SegmentRef | None = None,
        subscription_id: int | None = None,
        alternate_id_type: str | None = None,
        event_window: timedelta = timedelta(hours=1),
        poll_interval: float = 15.0,
        sleep: Callable[[float], None] = time.sleep,
        importer: Importer | None = None,
        read_clock: Callable[[], datetime] | None = None,
        memory: KeyValue | None = None,
    ) -> None:
        self._client, self._mapping, self._clock = client, mapping, clock
        self._read_clock = read_clock or clock
        self._segment, self._subscription_id = segment, subscription_id
        self._finder = ProfileFinder(client, alternate_id_type)
        self._event_window = event_window
        self._export = SegmentExport(client, clock=self._read_clock, poll_interval=poll_interval, sleep=sleep)
        self._importer = importer
        self._subscriptions = SubscriptionCheck(client, subscription_id, memory, clock)

    @property
    def calls(self) -> int:
        """Requests sent so far, sign-ins included."""
        return self._client.calls

    def account(self) -> str:
        """The clientId and its host, as the settings name them."""
        return self._client.account

    def catalogue(self) -> Catalogue:
        """Filters, consents and e-mail types, each kind by one call where the mapping names one."""
        return read_catalogue(self._client, kinds_used(Side.MYPREFERENCES, self._mapping))

    # feeds

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        """One feed, which every polling run reads and which reports all mapped topics."""
        topics = frozenset(topic.id for topic in self._mapping.all if topic.source is not None)
        return (Feed(EVENTS, topics, poll_interval),)

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:  # noqa: ARG002
        """The one feed, each time."""
        yield EVENTS

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        """Hints at changed profiles; what changed is found by reading them. Raises FeedDeaf where no webhook
        subscription collects events (MyPreferences 2.6: only subscribed events are kept)."""
        if feed != EVENTS:
            raise ValueError(f"MyPreferences has no feed called {feed}")
        deaf = self._subscriptions.problem()
        pages = drain_events(
            self._events,
            since,
            window=self._event_window,
            clock=self._clock,
            claims_of=lambda events: claims_of(events, self._mapping),
        )
        for page in pages:
            yield page if deaf is None else replace(page, watermark=None)
        if deaf is not None:
            raise deaf

    def oldest_since(self) -> datetime | None:
        """The service keeps 15 days of events; the margin covers a wrong clock and a slow drain."""
        return self._clock() - HISTORY + _HISTORY_MARGIN

    def probe_capabilities(self) -> Sequence[str]:
        """Nothing to find out: the one feed hints, and the profiles are read."""
        return ()

    # people

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        """A few one by one. Many by exports that are filtered by their addresses, where a segment is set; a
        person whom an export does not show completely is read alone."""
        if self._segment is None or len(people) < FILTERED_MIN:
            yield from self._read_each(people)
            return
        export = FilteredExport(self._export, self._segment, self._mapping)
        for read, rest in export.read(people, self._read_clock()):
            yield Page(views=read)
            yield from self._read_each(rest)

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:
        """The whole segment, or without one each of `known`. What stops the side stops the sweep."""
        if self._segment is None:
            return self._read_each(known)
        cursor = None if since is None else ExportCursor.load(since.place)
        return map(self._listed, self._export.read_all(self._segment, cursor))

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        """By id: one view for each active address of the profile, which other profiles may share. By
        address: everybody who has it."""
        found: dict[str, PersonView] = {}
        read_at = self._read_clock()
        profile = None if hint.id is None else self._finder.by_id(hint.id)
        if profile is not None and profile.active:
            lags = not shows(profile, hint.claims)
            held = views.addresses(profile)
            if not held and any(one.email_address for one in profile.emails or ()):
                raise InvalidResponse(
                    "A profile has addresses that cannot be used only: too long, or none at all.",
                    side=self.side, operation="retrieveProfileById",
                    hint="Correct the profile in MyPreferences.",
                )  # fmt: skip
            for address in held:
                view = views.view(address, [profile], self._mapping, read_at, complete=False)
                found[address_key(address)] = replace(view, lags=lags)
        if hint.address is not None:
            read_at = self._read_clock()
            profiles = self._finder.by_address(hint.address, () if hint.id is None else (hint.id,))
            view = views.view(hint.address, profiles, self._mapping, read_at, complete=True)
            found[address_key(hint.address)] = view
        return list(found.values())

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        """From the attributes of the preferences on the person's one profile: of several profiles that share
        an address, only one that names the contact tells how this person consented."""
        profile = self._finder.find(who).certain
        wanted = [topic for topic in self._mapping.topics if topic.id in topics]
        return [] if profile is None else views.consent_records(profile, who.address, wanted)

    # bulk jobs

    def has_running_jobs(self) -> bool:
        """Whether an import may still be running."""
        return self._importer is not None and self._importer.has_running_jobs()

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        """One by one, or withdrawals by import."""
        raised = sum(not isinstance(write, Withdrawal) for writes in people for write in writes[:1])
        return estimate_calls(
            [self._kinds(writes) for writes in people],
            raised=raised,
            exports=self._segment is not None,
            may_start=self._may_import,
        )

    def _may_import(self, count: int) -> bool:
        return self._importer is not None and self._importer.may_start(count)

    def _kinds(self, writes: Sequence[Write]) -> frozenset[object]:
        """The kinds of places (filters, consents) of these withdrawals: each takes a body of its own."""
        topics = (self._mapping.topic(one.topic) for one in writes if isinstance(one, Withdrawal))
        return frozenset(type(one.source) for one in topics if one is not None and one.source is not None)

    def _topic(self, write: Write) -> Topic:
        topic = self._mapping.topic(write.topic)
        if topic is None or topic.source is None:
            raise MappingStale(
                "A write names a topic that is not mapped to MyPreferences.",
                side=Side.MYPREFERENCES,
                operation="updateProfilePost",
                hint="Run `bridge mapping check`.",
            )
        return topic

    def _events(self, start: datetime, end: datetime) -> EventSlice:
        if self._subscription_id is None:
            return self._client.retrieve_events(start_at=start, end_at=end)
        return self._client.retrieve_events_by_subscription(self._subscription_id, start_at=start, end_at=end)

    def _listed(self, page: SegmentPage) -> Page:
        sharing: dict[str, list[Profile]] = {}
        spelled: dict[str, str] = {}
        skipped = 0
        unreadable = [Hint(row.id) for row in page.rows if row.is_unreadable]
        for row in page.rows:
            if row.is_unreadable:
                continue
            held = views.addresses(row) if row.active else []
            skipped += not held
            for address in held:
                key = address_key(address)
                spelled.setdefault(key, address)
                sharing.setdefault(key, []).append(row)
        began = page.cursor.began
        read = [
            views.view(spelled[key], profiles, self._mapping, began, complete=False, exported=True)
            for key, profiles in sharing.items()
        ]
        return Page(
            views=read,
            hints=unreadable,
            skipped=skipped,
            bookmark=ListingCursor(page.cursor.dump(), began),
            done=page.cursor.rows,
            total=page.total,
        )

    def _read_each(self, people: Iterable[Who]) -> Iterator[Page]:
        """A person who cannot be read does not keep others from being read; what stops the side is raised."""
        for some in batched(people, _PAGE):
            read: list[PersonView] = []
            failures: list[tuple[Who, SideError]] = []
            for who, result in zip(some, read_in_parallel(self._read_person, some), strict=True):
                if isinstance(result, PersonView):
                    read.append(result)
                elif result.stops_side:
                    raise result
                else:
                    failures.append((who, result))
            for _, error in failures:
                if error.verdict is not Verdict.HOLD and not read:
                    raise error  # a side that serves none of a page's people is down
            yield Page(views=read, failures=failures)

    def _read_person(self, who: Who) -> PersonView:
        """By every active profile with the address, or linked to the person. Raises Ambiguous where too many
        have the address."""
        read_at = self._read_clock()
        match = self._finder.find(who)
        view = views.view(who.address, match.profiles, self._mapping, read_at, complete=True)
        if match.linked:
            return views.with_linked(view, match.linked, self._mapping, read_at)
        return views.with_one_target(view) if match.named and len(match.profiles) > 1 else view
