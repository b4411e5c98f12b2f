"""The v2 feeds, which have dates: suppressed-since, who cannot be mailed, since when and why, with
unsubscribed-since beside it as a check; and opt-ins-since, whose opt-in to a preference changed, when and
how, one feed for each mapped preference."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bridge.core.mapping import Mapping, Topic
from bridge.core.ports import Hint, Page, PersonView
from bridge.dotdigital import views
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import ContactSubscriptions, ContactV2, OptInRow, Suppression
from bridge.dotdigital.polling import drains

PREFIX = "dotdigital.opt_ins."
SUPPRESSED = "dotdigital.suppressed"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_CHECKED_BACK = timedelta(days=30)
_LATE = timedelta(minutes=15)  # a row may come to one feed before the other, and clocks may differ
Fetch = Callable[[int, int], Sequence[Suppression]]


class OptIns:
    """`feeds`: by name, the topics that each reports. `clock` gives aware UTC."""

    def __init__(self, v2: ClientV2, mapping: Mapping, clock: Callable[[], datetime]) -> None:
        self._v2, self._clock = v2, clock
        self._topics = {
            number: [topic for topic in mapping.topics if number in topic.preferences.values()]
            for number in mapping.preference_ids
        }
        self.feeds = {
            f"{PREFIX}{number}": frozenset(topic.id for topic in topics)
            for number, topics in self._topics.items()
        }

    def since(self, feed: str, since: datetime) -> Iterator[Page]:
        """Dated views of topics that one preference decides alone; a hint for each contact that has to be
        read, since a frequency needs all preferences of its topic, and a status its date and reason."""
        preference = int(feed.removeprefix(PREFIX))

        def fetch(min_id: int) -> Sequence[ContactSubscriptions]:
            return self._v2.get_contacts_with_modified_preference_opt_in_since_date(
                preference_id=preference, since=since, min_contact_id=min_id
            )

        read_at, bounds = self._clock(), drains.DrainBounds()
        for rows in drains.drain_min_id(fetch, _id_of, _key, bounds=bounds):
            bounds.note_unnamed(sum(_is_lost(row.contact) for row in rows if row.unreadable))
            yield _page(preference, self._topics[preference], rows, read_at)
        bounds.check()


def _page(
    preference: int, topics: Sequence[Topic], rows: Sequence[ContactSubscriptions], read_at: datetime
) -> Page:
    found: list[PersonView] = []
    unreadable = (hint_of(row.contact, "") for row in rows if row.unreadable)
    hints = dict.fromkeys(replace(hint, keys=()) for hint in unreadable if hint is not None)
    skipped = 0
    for contact, opt_ins in _by_contact(rows):
        newest = views.newest_rows(row for row in opt_ins if row.marketing_preference_id == preference)
        if not newest:
            continue  # only rows of other preferences, which their own feeds bring
        said = newest[preference]
        hint = hint_of(contact, f"{said.is_opted_in} {said.changed_at}")
        if hint is None:
            skipped += 1
            continue
        if said.is_opted_in is None:
            hints[replace(hint, keys=())] = None
            continue
        seen: views.Topics = {}
        is_whole = contact.address is not None and views.is_subscribed(contact.status)
        for topic in topics:
            if topic.has_frequencies:
                is_whole = False
            else:
                seen[topic.id] = views.from_rows(topic, newest, read_at)
        if seen and contact.address is not None and not views.is_gone(contact.status):
            found.append(PersonView(contact.address, views.ids_of(contact.contact_id), seen))
        if not is_whole:
            hints[hint] = None
    return Page(views=found, hints=tuple(hints), skipped=skipped)


def _by_contact(rows: Sequence[ContactSubscriptions]) -> Iterator[tuple[ContactV2, list[OptInRow]]]:
    """Rows of one contact together: the service may send one row per list."""
    grouped: dict[Hashable, tuple[ContactV2, list[OptInRow]]] = {}
    for row in rows:
        if row.unreadable:
            continue
        contact = row.contact or ContactV2()
        _, known = grouped.setdefault(contact.contact_id or contact.address, (contact, []))
        known.extend(row.rows)
    yield from grouped.values()


def _id_of(row: ContactSubscriptions) -> int | None:
    return row.contact.contact_id if row.contact else None


def _key(row: ContactSubscriptions) -> Hashable:
    who = None if row.contact is None else row.contact.contact_id or row.contact.address
    states = ((one.marketing_preference_id, one.is_opted_in, one.changed_at) for one in row.rows)
    return who, tuple(states)


class Suppressions:
    """`clock` gives aware UTC."""

    def __init__(self, v2: ClientV2, clock: Callable[[], datetime]) -> None:
        self._v2, self._clock = v2, clock

    def since(self, since: datetime) -> Iterator[Page]:
        """Everybody who became unmailable since then, dated, with the reason."""

        def fetch(skip: int, select: int) -> Sequence[Suppression]:
            return self._v2.get_suppressed_contacts_since_date(since=since, select=select, skip=skip)

        read_at, bounds = self._clock(), drains.DrainBounds()
        for rows in drains.drain_skip(fetch, _suppression_key, bounds=bounds):
            bounds.note_unnamed(sum(_is_lost(row.suppressed_contact) for row in rows if row.unreadable))
            yield _suppressed_page(rows, read_at)
        bounds.check()

    def whole(self, ids: set[str]) -> Iterator[Page]:
        """Everybody unmailable, whose ids are added to `ids`; then the rows of the last 30 days that
        unsubscribed-since has and this feed lacks. They should never differ: where they do, the withdrawal
        counts."""
        began = self._clock()
        for page in self.since(BEGINNING):
            ids.update(number for view in page.views for number in view.ids)
            ids.update(hint.id for hint in page.hints if hint.id is not None)
            yield page
        yield from self._lacking(ids, began)

    def _lacking(self, ids: set[str], began: datetime) -> Iterator[Page]:
        def fetch(skip: int, select: int) -> Sequence[Suppression]:
            since = began - _CHECKED_BACK
            return self._v2.get_unsubscribed_contacts_since_date(since=since, select=select, skip=skip)

        read_at = self._clock()
        for rows in drains.drain_skip(fetch, _suppression_key):
            lacking = [row for row in rows if not ids.issuperset(_suppressed_ids(row))]
            old = sum(row.removed_at is None or row.removed_at < began - _LATE for row in lacking)
            page = _suppressed_page(lacking, read_at)
            words = (
                f"unsubscribed-since shows {old} people whom suppressed-since does not; they count as "
                "unsubscribed. Report this to Dotdigital support"
            )
            yield Page(page.views, page.hints, warnings=(words,) if old else (), skipped=page.skipped)
            ids.update(number for row in lacking for number in _suppressed_ids(row))


def hint_of(contact: ContactV2 | None, what: str) -> Hint | None:
    """Whom a row names; None where it names nobody. `what` it states tells it from the next row about the
    same contact."""
    if contact is None or (contact.address is None and contact.contact_id is None):
        return None
    number = next(iter(views.ids_of(contact.contact_id)), None)
    # a key holds no address: the person of a row that has nothing else is read each time
    keys = () if number is None else (f"{number} {what}",)
    return Hint(number, contact.address, keys)


def _suppressed_page(rows: Sequence[Suppression], read_at: datetime) -> Page:
    found: list[PersonView] = []
    hints: list[Hint] = []
    skipped = 0
    for row in rows:
        named = hint_of(row.suppressed_contact, f"{row.status} {row.removed_at}")
        if row.unreadable:
            hints += [] if named is None else [replace(named, keys=())]
            continue
        view = views.from_suppression(row, read_at)
        # A contact that may be mailed by its own status may be suppressed on another channel only: it is
        # read to tell (Dotdigital 12, N8).
        mailed = views.is_subscribed(row.contact_status) and not views.is_subscribed(row.status)
        if view is not None and not (mailed or views.is_gone(row.status)):
            found.append(view)
        elif named is not None:  # no address to bind it to, or deleted: then every topic has to be read
            hints.append(named)
        else:
            skipped += 1
    return Page(views=found, hints=hints, skipped=skipped)


def _suppressed_ids(row: Suppression) -> tuple[str, ...]:
    contact = row.suppressed_contact
    return () if contact is None else views.ids_of(contact.contact_id)


def _suppression_key(row: Suppression) -> Hashable:
    contact = row.suppressed_contact
    who = None if contact is None else contact.contact_id or contact.address
    return who, row.removed_at, row.reason


def _is_lost(contact: ContactV2 | None) -> bool:
    """Whether a row that cannot be read names nobody either."""
    return contact is None or (contact.contact_id is None and contact.address is None)
