"""Who cannot be mailed, since when and why: suppressed-since, and beside it unsubscribed-since as a check."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bridge.core.ports import Hint, Page, PersonView
from bridge.dotdigital import status, views
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import ContactV2, Suppression
from bridge.dotdigital.polling import drains

FEED = "dotdigital.suppressed"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_CHECKED_BACK = timedelta(days=30)
_LATE = timedelta(minutes=15)  # a row may come to one feed before the other, and clocks may differ

Fetch = Callable[[int, int], Sequence[Suppression]]


class Suppressions:
    """`clock` gives aware UTC."""

    def __init__(self, v2: ClientV2, clock: Callable[[], datetime]) -> None:
        self._v2, self._clock = v2, clock

    def since(self, since: datetime) -> Iterator[Page]:
        """Everybody who became unmailable since then, dated, with the reason."""

        def fetch(skip: int, select: int) -> Sequence[Suppression]:
            return self._v2.get_suppressed_contacts_since_date(since=since, select=select, skip=skip)

        read_at = self._clock()
        for rows in drains.drain_skip(fetch, _key):
            yield _page(rows, read_at)

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
        for rows in drains.drain_skip(fetch, _key):
            lacking = [row for row in rows if not ids.issuperset(_ids(row))]
            old = sum(row.removed_at is None or row.removed_at < began - _LATE for row in lacking)
            page = _page(lacking, read_at)
            words = (
                f"unsubscribed-since shows {old} people whom suppressed-since does not; they count as "
                "unsubscribed. Report this to Dotdigital support"
            )
            yield Page(page.views, page.hints, warnings=(words,) if old else (), skipped=page.skipped)
            ids.update(number for row in lacking for number in _ids(row))


def hint(contact: ContactV2 | None, what: str) -> Hint | None:
    """Whom a row names; None where it names nobody. `what` it states tells it from the next row about the
    same contact."""
    if contact is None or (contact.address is None and contact.contact_id is None):
        return None
    number = next(iter(views.ids_of(contact.contact_id)), None)
    # a key holds no address: the person of a row that has nothing else is read each time
    keys = () if number is None else (f"{number} {what}",)
    return Hint(number, contact.address, keys)


def _page(rows: Sequence[Suppression], read_at: datetime) -> Page:
    found: list[PersonView] = []
    hints: list[Hint] = []
    skipped = 0
    for row in rows:
        named = hint(row.suppressed_contact, f"{row.status} {row.date_removed}")
        view = views.from_suppression(row, read_at)
        if view is not None and not status.is_gone(row.status):
            found.append(view)
        elif named is not None:  # no address to bind it to, or deleted: then every topic has to be read
            hints.append(named)
        else:
            skipped += 1
    return Page(views=found, hints=hints, skipped=skipped)


def _ids(row: Suppression) -> tuple[str, ...]:
    contact = row.suppressed_contact
    return () if contact is None else views.ids_of(contact.contact_id)


def _key(row: Suppression) -> Hashable:
    contact = row.suppressed_contact
    who = None if contact is None else contact.contact_id or contact.address
    return who, row.date_removed, row.reason
