"""Dotdigital's events export: early hints at who may have changed. The v2 feeds stay the authority.

A failure here makes nothing unsure. A page is acknowledged to the service by asking for the next one with its
checkpoint, and only a stored checkpoint is ever sent: after a crash in between the same events come again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from bridge import bounds
from bridge.core.errors import InvalidResponse, SideError
from bridge.core.model import Side
from bridge.core.ports import Hint, KeyValue, Page, cursor_key
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import ExportedEvent, ExportedEvents

FEED = "dotdigital.events"
TYPES = (
    "contact.created",
    "contact.updated",
    "contact.removed",
    "contact.preferenceUpdated",
    "interaction.unsubscribe",
    "email.doubleOptIn",
)
MOST_PAGES = 20  # in one run; the next run reads on
_PAGE = 500
_INACTIVE = "events:inactiveSubscription"
_GONE = "events:subscriptionNotFound"
_BAD_CHECKPOINT = "events:invalidCheckpoint"
NO_EVENTS = (
    "Dotdigital's events export is unavailable for this account or API user; polling still finds every "
    "change. Have it enabled, or unset BRIDGE_DOTDIGITAL__EVENTS."
)
_WAS_INACTIVE = (
    "Dotdigital's event subscription was inactive, so events were not collected; polling still finds every "
    "change."
)


class EventsExport:
    """One durable subscription, found by its name. `memory` is where the cursors of pages are stored."""

    def __init__(self, client: ClientV3, name: str, memory: KeyValue) -> None:
        self._client, self._name, self._memory = client, name, memory
        self._number: int | None = None
        self._may_subscribe = False
        self._missing = False

    def permit(self) -> None:
        """From now on a subscription may be created or reactivated: both are writes, which no dry run
        makes."""
        self._may_subscribe = True

    def pages(self) -> Iterator[Page]:
        """Pages of hints until none are left, each with the cursor to store with it. Raises no SideError: a
        failure is a warning."""
        if self._missing:
            return
        try:
            yield from self._drain()
        except SideError as error:
            yield Page(warnings=[self._explain(error)])

    def _drain(self) -> Iterator[Page]:
        number = self._subscription()
        if number is None:
            return
        for _ in range(MOST_PAGES):
            stored = self._memory.get(cursor_key(FEED)) or None
            found = self._fetch(number, stored if bounds.is_cursor(stored) else None)
            if not found.events:
                return
            if not bounds.is_cursor(found.check_point):
                raise InvalidResponse(
                    "Dotdigital gave a checkpoint that no URL can hold.",
                    side=Side.DOTDIGITAL, operation="exportEvents",
                    hint="Nothing of this page is used; it is read again in the next run.",
                )  # fmt: skip
            yield _page(found)
            if found.check_point == stored or self._memory.get(cursor_key(FEED)) != found.check_point:
                return  # the checkpoint did not move, or the page was not stored: nothing is acknowledged

    def _fetch(self, number: int, stored: str | None) -> ExportedEvents:
        try:
            return self._client.export_events(subscription=number, check_point=stored, limit=_PAGE)
        except SideError as error:
            if error.code != _BAD_CHECKPOINT or stored is None:
                raise
        return self._client.export_events(subscription=number, limit=_PAGE)

    def _subscription(self) -> int | None:
        """The subscription's number; None where there is none and none may be created."""
        if self._number is not None:
            return self._number
        found = next((one for one in self._client.list_subscriptions() if one.name == self._name), None)
        if found is not None:
            self._number = found.id
        elif self._may_subscribe:
            self._number = self._client.create_subscription(name=self._name, types=TYPES).id
        return self._number

    def _explain(self, error: SideError) -> str:
        if error.code == _INACTIVE:
            return self._reactivate()
        if error.code == _GONE:
            self._number = None  # created again in the next run
        elif error.status in (403, 404):
            self._missing = True
            logging.getLogger("bridge.dotdigital").warning(NO_EVENTS)
            return NO_EVENTS
        return f"events could not be read; polling still finds every change: {error}"

    def _reactivate(self) -> str:
        if not self._may_subscribe or self._number is None:
            return f"{_WAS_INACTIVE} The next run reactivates it."
        try:
            self._client.update_subscription(subscription=self._number, name=self._name, types=TYPES)
        except SideError as error:
            return f"{_WAS_INACTIVE} It could not be reactivated: {error}"
        return f"{_WAS_INACTIVE} It is active again."


def _page(found: ExportedEvents) -> Page:
    hints = [hint for event in found.events if (hint := hint_of(event)) is not None]
    return Page(
        hints=tuple(dict.fromkeys(hints)), cursor=found.check_point, skipped=len(found.events) - len(hints)
    )


def hint_of(event: ExportedEvent) -> Hint | None:
    """Whom an event is about. Its data is documented for one type only, so the id is looked for first and
    then the address, in the data itself and in a contact inside it."""
    data = event.data if isinstance(event.data, dict) else {}
    inside = (data.get(key) for key in ("contact", "identifiers"))
    places = [data, *(inner for inner in inside if isinstance(inner, dict))]
    number = next((found for place in places if (found := _number(place.get("contactId")))), None)
    if number is not None:
        return Hint(id=number)
    address = next((found for place in places if (found := _address(place.get("email")))), None)
    return None if address is None else Hint(address=address)


def _number(value: Any) -> str | None:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdigit() and bounds.number(int(text[:20])) else None


def _address(value: Any) -> str | None:
    return bounds.address(value)
