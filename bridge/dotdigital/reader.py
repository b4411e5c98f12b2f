"""Dotdigital as the engine looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from bridge.core.catalogue import Catalogue
from bridge.core.errors import InvalidResponse, NotFound, Refused
from bridge.core.mapping import CHANNEL, Mapping, Topic
from bridge.core.model import ConsentRecord, PersonId, Raise, Side, TopicId, Who, Write, address_key
from bridge.core.ports import Feed, Hint, KeyValue, ListingCursor, Page, PersonView, Watermarks, read_each
from bridge.dotdigital import status, views
from bridge.dotdigital.bulk.importer import PAUSE, has_running_imports
from bridge.dotdigital.bulk.jobs import InMemoryKeyValue, JobStore
from bridge.dotdigital.catalogue import read_catalogue
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import LARGEST_LIMIT, ClientV3
from bridge.dotdigital.client.v3_access import V3Access
from bridge.dotdigital.client.wire import Contact, ContactV3, OptIn, Subscriptions
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.polling import drains
from bridge.dotdigital.polling.capabilities import ChangeType
from bridge.dotdigital.polling.contact_listing import ContactListing, pages_in
from bridge.dotdigital.polling.events import FEED as EVENTS
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.polling.feed_scheduler import FeedScheduler
from bridge.dotdigital.polling.modified import FEED as MODIFIED
from bridge.dotdigital.polling.modified import ModifiedFeed
from bridge.dotdigital.polling.probe import CapabilityProbe, Ours, nobody
from bridge.dotdigital.polling.rotation import RateBudget
from bridge.dotdigital.polling.suppressions import Suppressions
from bridge.dotdigital.polling.suppressions import hint as hint_of
from bridge.dotdigital.polling.v2_listing import V2Listing
from bridge.dotdigital.preference_tree import opt_ins
from bridge.dotdigital.pricing import price_of

SUPPRESSED = "dotdigital.suppressed"
OPT_INS = "dotdigital.opt_ins."
_VIEWS_A_PAGE = 500  # of the thousands that one answer lists: what is stored at a time is held whole
_TIME_SERVES = timedelta(seconds=30)
_NOBODY = PersonId(0)  # a person met at this side only, whom the store has not named yet


class DotdigitalReader:
    """Fills `bridge.core.ports.ReadReplica`. `v3=None` does without the v3 API. `clock` gives aware UTC;
    `pace` None goes by the smallest package's allowance; `ours` tells the bridge's own writes; `import_poll`
    is seconds before the first question for an import's end."""

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
        pace: RateBudget | None = None,
        ours: Ours = nobody,
        sleep: Callable[[float], None] = time.sleep,
        listing_page: int = LARGEST_LIMIT,
        profile_identifier: str | None = None,
        import_poll: float = PAUSE,
    ) -> None:
        self._import_poll = import_poll
        self._v2 = v2
        self._access = v3 if isinstance(v3, V3Access) else V3Access(v3)
        self._listing_page, self._identifier = listing_page, profile_identifier
        self._listing: ContactListing | None = None
        self._memory = memory or InMemoryKeyValue()
        self._jobs = JobStore(self._memory, clock)
        self._mapping, self._clock, self._sleep = mapping, clock, sleep
        self._events = events
        self._probe = CapabilityProbe(self._access, self._memory, clock, ours)
        self._preferences = {  # by feed: the topics that it reports
            f"{OPT_INS}{number}": frozenset(topic.id for topic in self._topics_of(number))
            for number in mapping.preference_ids
        }
        self._modified = ModifiedFeed(self._access, most=len(self._preferences))
        paced = pace or RateLimiter(clock=clock, sleep=sleep)
        self._polling = FeedScheduler([*self._preferences], paced, self._probe, self._modified, self._memory)
        self._account: str | None = None
        self._suppressions = Suppressions(v2, clock)
        self._told: tuple[datetime, datetime] | None = None  # when the service told its time, and which

    @property
    def _v3(self) -> ClientV3 | None:
        return self._access.client()

    @property
    def _roster(self) -> ContactListing | None:
        v3 = self._v3
        if v3 is not None and self._listing is None:
            self._listing = ContactListing(v3, self._listing_page, self._memory)
        return self._listing

    @property
    def _pages(self) -> int | None:
        """How many pages the listing has, where it was ever read. Costs no call."""
        return pages_in(self._memory)

    @property
    def calls(self) -> int:
        return self._v2.transport.calls  # both APIs go by the same one

    def feeds(self, poll_interval: timedelta) -> Sequence[Feed]:
        """Suppressions, a feed for each preference, and the events, which only hint. The period of a
        preference's feed follows from what is known of the allowance now."""
        period = self._polling.whole_turn(poll_interval)
        return (
            Feed(SUPPRESSED, frozenset({CHANNEL}), poll_interval),
            *(Feed(name, topics, period) for name, topics in self._preferences.items()),
            *(() if self._events is None else (Feed(EVENTS, frozenset(), poll_interval),)),
        )

    def feeds_due(self, watermarks: Watermarks, poll_interval: timedelta) -> Iterator[str]:
        """Suppressions each time, and those preferences whose turn it is."""
        yield SUPPRESSED
        yield from self._polling.turns(watermarks, poll_interval)
        if self._events is not None:
            yield EVENTS

    def probe_capabilities(self) -> Sequence[str]:
        """What the v3 listing may be trusted with, about once a day, by what this process has read."""
        return () if self._told is None else self._probe.run(self._told[1])

    def account(self) -> str:
        """The account's number, as the service tells it: users and regions may change, it does not."""
        if self._account is None:
            self._account = str(self._v2.get_account_information().id)
        return self._account

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        """The last page carries the service's own time from before the first row was asked for. Raises
        DrainIncomplete instead of that page where the feed's end cannot be proven; ValueError for a feed
        that is not this side's."""
        if feed == EVENTS and self._events is not None:
            yield from self._events.pages()
            return
        if feed not in (SUPPRESSED, MODIFIED, *self._preferences):
            raise ValueError(f"not a feed of Dotdigital: {feed}")
        until = self._server_time()
        if feed == MODIFIED:
            yield from self._modified.pages(until)
            return
        for page in self._dated(feed, since):
            self._probe.saw(ChangeType.SUPPRESSION if feed == SUPPRESSED else ChangeType.PREFERENCE, page)
            yield page
        yield Page(watermark=until)

    def _dated(self, feed: str, since: datetime) -> Iterator[Page]:
        if feed == SUPPRESSED:
            return self._suppressions.since(since)
        return self._opt_ins(int(feed.removeprefix(OPT_INS)), since)

    def catalogue(self) -> Catalogue:
        """The preference tree, by one call."""
        return read_catalogue(self._v2)

    def estimate_calls(self, people: Sequence[Sequence[Write]]) -> int:
        """Singly: the tree before a change of topics, and a read back of each unit; or by import."""
        by_import = self._access.presumed()
        spoken = {*(write.topic for writes in people for write in writes)}
        feeds = 1 + sum(bool(topics & spoken) for topics in self._preferences.values())  # and suppressions
        kept = {topic.id for topic in self._mapping.topics if topic.record is not None}
        recorded = sum(
            any(isinstance(one, Raise) and one.topic in kept for one in writes) for writes in people
        )
        return price_of(people, recorded=recorded, pages=self._pages, feeds=feeds, by_import=by_import)

    def _server_time(self) -> datetime:
        """The service's own time. One answer serves all feeds that are read within half a minute: a time that
        is older than a read's start only makes the next read longer."""
        now = self._clock()
        if self._told is None or now - self._told[0] > _TIME_SERVES:
            self._told = (now, self._v2.get_server_time())
        return self._told[1]

    def oldest_since(self) -> datetime | None:
        """None: the feeds show who is in a state now, and since when; no bound is documented."""
        return None

    def list_people(self, known: Iterable[Who], since: ListingCursor | None = None) -> Iterator[Page]:  # noqa: ARG002
        """By the v3 listing, then everybody suppressed, with dates and reasons, since nobody promises that
        the listing shows them. Without v3 by those who cannot be mailed, those who are opted in to anything
        mapped, and a look at each of `known` who is among neither."""
        roster = self._roster
        if self._access.warning is not None:
            yield Page(warnings=[self._access.warning])
        if roster is None:
            yield from self._without_listing(known)
            return
        yield from self._listed(roster)
        yield from self._suppressions.whole(set())

    def _read_person(self, who: Who) -> PersonView:
        """By `subscriptions`, which has the dates. A status has none: an undated observation of the channel
        keeps the date that the suppression feed gave (see the store)."""
        read_at = self._clock()
        try:
            found = self._v2.get_subscriptions_for_contact(email=who.address)
        except NotFound:
            return self._look_at_hidden(who, read_at)
        contact = self._checked(found.contact, who)
        if status.is_gone(contact.status):
            return self._absent(who, read_at)
        rows = views.newest_rows(found.rows)
        topics: views.Topics = {CHANNEL: status.observe(contact.status, read_at=read_at)}
        for topic in self._mapping.topics:
            topics[topic.id] = views.from_rows(topic, rows, read_at)
        return PersonView(who.address, views.ids_of(contact.contact_id), topics, complete=True)

    def read_people(self, people: Sequence[Who]) -> Iterator[Page]:
        """By the v3 listing where that takes fewer calls, without dates; whoever it does not show, or
        everybody, by a look at each."""
        left = list(people)
        roster = self._roster if len(left) > 1 else None
        if roster is not None and roster.is_cheaper(len(people)):
            asked = {address_key(who.address): who for who in people}
            read_at = self._clock()
            for contacts in roster.some(asked.keys()):
                for part in _parts(contacts):
                    yield Page(views=self._shown(part, asked, read_at))
                read_at = self._clock()
            left = list(asked.values())
        yield from read_each(self._read_person, left)

    def has_running_jobs(self) -> bool:
        """Asks after each import that is not known to have ended."""
        return has_running_imports(self._v3, self._jobs)

    def consent_records(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:  # noqa: ARG002
        """None: no choice made here tells how it was made."""
        return ()

    def read_hint(self, hint: Hint) -> Sequence[PersonView]:
        address = hint.address
        if address is None and hint.id is not None and hint.id.isascii() and hint.id.isdigit():
            address = self._address_of(int(hint.id))
        return [] if address is None else [self._read_person(Who(_NOBODY, address))]

    # feeds

    def _opt_ins(self, preference: int, since: datetime) -> Iterator[Page]:
        def fetch(min_id: int) -> Sequence[Subscriptions]:
            return self._v2.get_contacts_with_modified_preference_opt_in_since_date(
                preference_id=preference, since=since, min_contact_id=min_id
            )

        read_at = self._clock()
        for rows in drains.drain_min_id(fetch, _id_of, _opt_in_key):
            yield self._opt_in_page(preference, rows, read_at)

    def _opt_in_page(self, preference: int, rows: Sequence[Subscriptions], read_at: datetime) -> Page:
        topics = self._topics_of(preference)
        found: list[PersonView] = []
        hints: dict[Hint, None] = {}
        skipped = 0
        for contact, opt_in_rows in _by_contact(rows):
            newest = views.newest_rows(
                row for row in opt_in_rows if row.marketing_preference_id == preference
            )
            if not newest:
                continue  # only rows of other preferences, which their own feeds bring
            said = newest[preference]
            hint = hint_of(contact, f"{said.is_opted_in} {said.changed_at}")
            if hint is None:
                skipped += 1
                continue
            if contact.address is not None and not status.is_gone(contact.status):
                found.extend(_dated_views(contact, topics, newest, read_at))
            if contact.address is None or _wants_a_look(contact, topics):
                hints[hint] = None
        return Page(views=found, hints=tuple(hints), skipped=skipped)

    def _topics_of(self, preference: int) -> list[Topic]:
        return [topic for topic in self._mapping.topics if preference in topic.preferences.values()]

    # sweeps

    def _listed(self, roster: ContactListing) -> Iterator[Page]:
        read_at = self._clock()
        for contacts in roster.everybody():
            for part in _parts(contacts):
                found = [self._listed_view(contact, read_at) for contact in part]
                there = [view for view in found if view is not None]
                yield Page(views=there, skipped=len(found) - len(there))
            read_at = self._clock()

    def _listed_view(self, contact: ContactV3, read_at: datetime) -> PersonView | None:
        return views.from_listing(contact, self._mapping, read_at, self._identifier)

    def _shown(
        self, contacts: Sequence[ContactV3], asked: dict[str, Who], read_at: datetime
    ) -> list[PersonView]:
        """What the listing shows of those who were asked for, who are then asked for no more."""
        found = []
        for contact in contacts:
            view = self._listed_view(contact, read_at)
            who = None if view is None else asked.pop(address_key(view.address), None)
            if view is not None and who is not None:
                found.append(view)
        return found

    def _without_listing(self, known: Iterable[Who]) -> Iterator[Page]:
        unmailable: set[str] = set()
        yield from self._suppressions.whole(unmailable)
        listed: set[int] = set()  # fewer bytes than the addresses themselves
        for page in V2Listing(self._v2, self._mapping, self._clock).people(unmailable):
            listed.update(hash(address_key(view.address)) for view in page.views)
            yield page
        left = (who for who in known if hash(address_key(who.address)) not in listed)
        yield from read_each(self._read_person, left)

    # one person

    def _look_at_hidden(self, who: Who, read_at: datetime) -> PersonView:
        """`subscriptions` does not know them: nobody, or suppressed and hidden from it."""
        try:
            contact = self._checked(self._v2.get_contact(contact=who.address), who)
        except NotFound:
            return self._absent(who, read_at)
        if status.is_gone(contact.status):
            return self._absent(who, read_at)
        states = self._states_of_hidden(contact)
        topics: views.Topics = {CHANNEL: status.observe(contact.status, read_at=read_at)}
        for topic in self._mapping.topics:
            if states is None or any(number in states for number in topic.preferences.values()):
                topics[topic.id] = views.from_states(topic, states or {}, read_at, listed=False)
        return PersonView(who.address, views.ids_of(contact.contact_id), topics, complete=True)

    def _states_of_hidden(self, contact: Contact) -> dict[int, bool | None] | None:
        """The contact's preferences; None where no call shows them."""
        if contact.contact_id is None:
            return None
        try:
            return opt_ins(self._v2.get_preferences_for_contact(contact=contact.contact_id))
        except (NotFound, Refused):
            if self._v3 is None:
                return None
        try:
            listed = self._v3.get_contact(identifier="contactId", value=contact.contact_id).preferences or ()
        except (NotFound, Refused):
            return None
        # v3 names only what is opted in to: what it leaves out is not gone, it is not in.
        shown: dict[int, bool | None] = dict.fromkeys(self._mapping.preference_ids, False)
        return shown | {one.id: one.is_opted_in for one in listed}

    def _checked(self, contact: Contact | None, who: Who) -> Contact:
        """The contact, if it is the one asked for: what one person chose must never be told of another."""
        if contact is None or (contact.address and address_key(contact.address) != address_key(who.address)):
            raise InvalidResponse(
                "Dotdigital answered with nobody, or with another contact than was asked for.",
                side=self.side, operation="get-subscriptions-for-contact",
                hint="A proxy may change addresses in URLs; check with `bridge doctor`.",
            )  # fmt: skip
        return contact

    def _absent(self, who: Who, read_at: datetime) -> PersonView:
        return PersonView(who.address, (), views.absent(self._mapping, read_at), complete=True)

    def _address_of(self, contact_id: int) -> str | None:
        try:
            if self._v3 is not None:
                return self._v3.get_contact(identifier="contactId", value=contact_id).address
            return self._v2.get_contact(contact=contact_id).address
        except (NotFound, Refused):
            return None


def _parts(contacts: Sequence[ContactV3]) -> Iterator[Sequence[ContactV3]]:
    for start in range(0, len(contacts), _VIEWS_A_PAGE):
        yield contacts[start : start + _VIEWS_A_PAGE]


def _id_of(row: Subscriptions) -> int | None:
    return row.contact.contact_id if row.contact else None


def _opt_in_key(row: Subscriptions) -> Hashable:
    who = None if row.contact is None else row.contact.contact_id or row.contact.address
    states = ((one.marketing_preference_id, one.is_opted_in, one.changed_at) for one in row.rows)
    return who, tuple(states)


def _by_contact(rows: Sequence[Subscriptions]) -> Iterator[tuple[Contact, list[OptIn]]]:
    """Rows of one contact together: the service may send one row per list."""
    grouped: dict[Hashable, tuple[Contact, list[OptIn]]] = {}
    for row in rows:
        contact = row.contact or Contact()
        _, known = grouped.setdefault(contact.contact_id or contact.address, (contact, []))
        known.extend(row.rows)
    yield from grouped.values()


def _dated_views(
    contact: Contact, topics: Sequence[Topic], newest: dict[int, OptIn], read_at: datetime
) -> Iterator[PersonView]:
    """What the rows say of topics that hang on this preference alone."""
    said = {
        topic.id: views.from_rows(topic, newest, read_at) for topic in topics if not topic.has_frequencies
    }
    if said and contact.address is not None:
        yield PersonView(contact.address, views.ids_of(contact.contact_id), said)


def _wants_a_look(contact: Contact, topics: Sequence[Topic]) -> bool:
    """A frequency needs all preferences of its topic; a row's status needs its date and its reason."""
    return not status.is_subscribed(contact.status) or any(topic.has_frequencies for topic in topics)
