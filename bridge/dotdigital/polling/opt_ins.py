"""Whose opt-in to a preference changed, when and how: opt-ins-since, one feed for each mapped preference."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime

from bridge.core.mapping import Mapping, Topic
from bridge.core.ports import Hint, Page, PersonView
from bridge.dotdigital import status, views
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import ContactSubscriptions, ContactV2, OptInRow
from bridge.dotdigital.polling import drains
from bridge.dotdigital.polling.suppressions import hint as hint_of

PREFIX = "dotdigital.opt_ins."


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

        read_at = self._clock()
        for rows in drains.drain_min_id(fetch, _id_of, _key):
            yield _page(preference, self._topics[preference], rows, read_at)


def _page(
    preference: int, topics: Sequence[Topic], rows: Sequence[ContactSubscriptions], read_at: datetime
) -> Page:
    found: list[PersonView] = []
    hints: dict[Hint, None] = {}
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
        if contact.address is not None and not status.is_gone(contact.status):
            found.extend(_dated_views(contact, topics, newest, read_at))
        if contact.address is None or _has_to_be_read(contact, topics):
            hints[hint] = None
    return Page(views=found, hints=tuple(hints), skipped=skipped)


def _by_contact(rows: Sequence[ContactSubscriptions]) -> Iterator[tuple[ContactV2, list[OptInRow]]]:
    """Rows of one contact together: the service may send one row per list."""
    grouped: dict[Hashable, tuple[ContactV2, list[OptInRow]]] = {}
    for row in rows:
        contact = row.contact or ContactV2()
        _, known = grouped.setdefault(contact.contact_id or contact.address, (contact, []))
        known.extend(row.rows)
    yield from grouped.values()


def _dated_views(
    contact: ContactV2, topics: Sequence[Topic], newest: dict[int, OptInRow], read_at: datetime
) -> Iterator[PersonView]:
    """What the rows say of topics that this preference decides alone."""
    said = {
        topic.id: views.from_rows(topic, newest, read_at) for topic in topics if not topic.has_frequencies
    }
    if said and contact.address is not None:
        yield PersonView(contact.address, views.ids_of(contact.contact_id), said)


def _has_to_be_read(contact: ContactV2, topics: Sequence[Topic]) -> bool:
    return not status.is_subscribed(contact.status) or any(topic.has_frequencies for topic in topics)


def _id_of(row: ContactSubscriptions) -> int | None:
    return row.contact.contact_id if row.contact else None


def _key(row: ContactSubscriptions) -> Hashable:
    who = None if row.contact is None else row.contact.contact_id or row.contact.address
    states = ((one.marketing_preference_id, one.is_opted_in, one.changed_at) for one in row.rows)
    return who, tuple(states)
