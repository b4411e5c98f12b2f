"""Dotdigital as the engine reads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from bridge.core.catalogue import Catalogue
from bridge.core.mapping import Mapping
from bridge.core.model import CHANNEL, ConsentRecord, PersonId, Side, TopicId, Who, address_key
from bridge.core.ports import Feed, Hint, KeyValue, ListingCursor, Page, PersonView, Watermarks, read_each
from bridge.core.writes import Raise, Write
from bridge.dotdigital import views
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import LARGEST_LIMIT, ClientV3
from bridge.dotdigital.client.wire import ContactV3
from bridge.dotdigital.importer import PAUSE, InMemoryKeyValue, JobStore, has_running_imports
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.people import ContactListing, PersonReader, V2Listing, pages_in
from bridge.dotdigital.polling import events, feed_rotation, v2_feeds
from bridge.dotdigital.polling.capabilities import CapabilityProbe, OwnWrites, no_writes
from bridge.dotdigital.polling.drains import DrainBounds
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.polling.feed_rotation import FeedRotation, ModifiedFeed, RateBudget
from bridge.dotdigital.polling.stored import ChangeType
from bridge.dotdigital.polling.v2_feeds import OptIns, Suppressions
from bridge.dotdigital.preference_tree import catalogue_of
from bridge.dotdigital.views import ids_of
from bridge.dotdigital.write_batches import estimate

_VIEWS_A_PAGE = 500  # of the thousands in one answer: what is stored at a time is held whole
_TIME_SERVES = timedelta(seconds=30)
_UNKNOWN_PERSON = PersonId(0)  # known to this side only, so that the store has no id for them yet


class DotdigitalReader:
    """Fills `bridge.core.ports.ReadReplica`. `v3=None` does without the v3 API. `clock` gives aware UTC;
    `budget` None: the smallest package's rate limits; `own_writes` tells the bridge's own writes apart;
    `import_poll` is seconds before the first question about an import; `read_clock` dates reads (None:
    `clock`)."""

    side = Side.DOTDIGITAL

    def __init__(
        self,
        v2: ClientV2,
        v3: ClientV3 | V3Access | None,
        mapping: Mapping,
        clock: Callable[[], datetime],
        *,
        memory: KeyValue | None = None,
        events: EventsExport | None = None,
        budget: RateBudget | None = None,
        own_writes: OwnWrites = no_writes,
        sleep: Callable[[float], None] = time.sleep,
        listing_page: int = LARGEST_LIMIT,
        profile_identifier: str | None = None,
        import_poll: float = PAUSE,
        read_clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._v2, self._mapping, self._clock, self._sleep = v2, mapping, clock, sleep
        self._access = v3 if isinstance(v3, V3Access) else V3Access(v3)
        self._memory = memory or InMemoryKeyValue()
        self._jobs = JobStore(self._memory, clock)
        self._listing_page, self._identifier, self._import_poll = (
            listing_page,
            profile_identifier,
            import_poll,
        )
        self._listing: ContactListing | None = None
        self._read_clock = read_clock or clock
        self._person = PersonReader(v2, self._access, mapping, self._read_clock)
        self._suppressions = Suppressions(v2, self._read_clock)
        self._opt_ins = OptIns(v2, mapping, self._read_clock)
        self._modified = ModifiedFeed(self._access, most=len(self._opt_ins.feeds))
        self._events = events
        self._probe = CapabilityProbe(self._access, self._memory, clock, own_writes)
        budget = budget or RateLimiter(clock=clock, sleep=sleep)
        feeds = tuple(self._opt_ins.feeds)
        self._rotation = FeedRotation(feeds, budget, self._probe, self._modified, self._memory)
        self._account: str | None = None
        self._service_time: tuple[datetime, datetime] | None = None  # when it was asked, and the answer

    @property
    def _contacts(self) -> ContactListing | None:
        """The v3 listing, where it may be used."""
        v3 = self._access.client()
        if v3 is not None and self._listing is None:
            self._listing = ContactListing(v3, self._listing_page, self._memory)
        return self._listing

    @property
    def _pages(self) -> int | None:
        """How many pages the listing has, where it was ever read. Costs no call."""
        return pages_in(self._memory)

    @property
    def calls(self) -> int:
        return self._v2.transport.calls  # both APIs use the same one

    def account(self) -> str:
        """The account's number, which stays when users and regions change."""
        if self._account is None:
            self._account = str(self._v2.get_account_information().id)
        return self._account

    def catalogue(self) -> Catalogue:
        """The preference tree, by one call."""
        return catalogue_of(self._v2.get_preferences())

    # feeds

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        """The suppressions, a feed for each preference, and the events, which only hint."""
        period = self._rotation.period(poll_interval)
        preferences = (Feed(name, topics, period) for name, topics in self._opt_ins.feeds.items())
        hints = () if self._events is None else (Feed(events.FEED, frozenset(), poll_interval),)
        return (Feed(v2_feeds.SUPPRESSED, frozenset({CHANNEL}), poll_interval), *preferences, *hints)

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:
        """The suppressions each time, and those preferences that are due."""
        yield v2_feeds.SUPPRESSED
        yield from self._rotation.feeds_due(watermarks, poll_interval)
        if self._events is not None:
            yield events.FEED

    def probe_capabilities(self) -> Sequence[str]:
        """What the v3 listing may be trusted with, about once a day, by what this process has read."""
        return () if self._service_time is None else self._probe.run(self._service_time[1])

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        """The last page has the service's own time from before the first row was asked for as its watermark.
        Raises DrainIncomplete instead of that page where the feed's end cannot be proven; ValueError for a
        feed that is not this side's."""
        if feed == events.FEED and self._events is not None:
            yield from self._events.pages()
            return
        suppressed = feed == v2_feeds.SUPPRESSED
        if not suppressed and feed != feed_rotation.MODIFIED and feed not in self._opt_ins.feeds:
            raise ValueError(f"not a feed of Dotdigital: {feed}")
        until = self._server_time()
        if feed == feed_rotation.MODIFIED:
            yield from self._modified.pages(until)
            return
        pages = self._suppressions.since(since) if suppressed else self._opt_ins.since(feed, since)
        for page in pages:
            self._probe.saw(ChangeType.SUPPRESSION if suppressed else ChangeType.PREFERENCE, page)
            yield page
        yield Page(watermark=until)

    def oldest_since(self) -> datetime | None:
        """None: the feeds show who is in a state now, and since when; no bound is documented."""
        return None

    def _server_time(self) -> datetime:
        """The service's own time. One answer serves all feeds that are read within half a minute: a time
        before a read's start only makes the next read longer."""
        now = self._clock()
        if self._service_time is None or now - self._service_time[0] > _TIME_SERVES:
            self._service_time = (now, self._v2.get_server_time())
        return self._service_time[1]

    # people

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:  # noqa: ARG002
        """By the v3 listing, then all suppressed contacts, with dates and reasons, since it is not documented
        that the listing shows them. Without v3 as `V2Listing` does."""
        listing = self._contacts
        if self._access.warning is not None:
            yield Page(warnings=[self._access.warning])
        if listing is None:
            by_v2 = V2Listing(self._v2, self._mapping, self._read_clock, self._suppressions, self._person)
            yield from by_v2.everybody(known)
            return
        bounds = DrainBounds()
        for part, read_at in self._parts(listing.everybody()):
            readable = [contact for contact in part if not contact.unreadable]
            named = [
                Hint(one, contact.address)
                for contact in part
                if contact.unreadable
                for one in ids_of(contact.contact_id)
            ]
            bounds.note_unnamed(len(part) - len(readable) - len(named))
            found = [self._listed_view(contact, read_at) for contact in readable]
            there = [view for view in found if view is not None]
            yield Page(views=there, hints=named, skipped=len(found) - len(there))
        yield from self._suppressions.whole(set())
        bounds.check()

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        """By the v3 listing where that takes fewer calls, without dates; those whom it does not show, or all
        of them, one at a time with dates."""
        left = list(people)
        listing = self._contacts if len(left) > 1 else None
        if listing is not None and listing.is_cheaper(len(people)):
            asked = {address_key(who.address): who for who in people}
            for part, read_at in self._parts(listing.some(asked.keys())):
                yield Page(views=self._asked_views(part, asked, read_at))
            left = list(asked.values())
        yield from read_each(Side.DOTDIGITAL, self._person.read, left)

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        address = hint.address
        if address is None and hint.id is not None and hint.id.isascii() and hint.id.isdigit():
            address = self._person.address_of(int(hint.id))
        return [] if address is None else [self._person.read(Who(_UNKNOWN_PERSON, address))]

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:  # noqa: ARG002
        """None: no choice made here tells how it was made."""
        return ()

    def _parts(self, pages: Iterable[Sequence[ContactV3]]) -> Iterator[tuple[Sequence[ContactV3], datetime]]:
        """Pages of the listing in parts to be stored, each with the time from before its page was asked
        for."""
        read_at = self._read_clock()
        for contacts in pages:
            for start in range(0, len(contacts), _VIEWS_A_PAGE):
                yield contacts[start : start + _VIEWS_A_PAGE], read_at
            read_at = self._read_clock()

    def _asked_views(
        self, contacts: Sequence[ContactV3], asked: dict[str, Who], read_at: datetime
    ) -> list[PersonView]:
        """Views of the people in `asked`, who are then taken out of it."""
        found = (self._listed_view(contact, read_at) for contact in contacts if not contact.unreadable)
        return [view for view in found if view and asked.pop(address_key(view.address), None) is not None]

    def _listed_view(self, contact: ContactV3, read_at: datetime) -> PersonView | None:
        return views.from_listing(contact, self._mapping, read_at, self._identifier)

    # jobs and costs

    def has_running_jobs(self) -> bool:
        """Asks about each import that is not known to have ended."""
        return has_running_imports(self._access.client(), self._jobs)

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        """One at a time: a read before a change of topics, and a read back of each person; or by import."""
        with_record = {topic.id for topic in self._mapping.topics if topic.record is not None}
        recorded = sum(
            any(isinstance(one, Raise) and one.topic in with_record for one in writes) for writes in people
        )
        return estimate(people, recorded=recorded, pages=self._pages, v3=self._access.presumed())
