"""Dotdigital v3: contacts, their bulk jobs, and the events export.

One method is one endpoint; its name is the vendor's operation id in snake case. All raise SideError. There is
no way here to send a status other than unsubscribed, to address a change by e-mail (that would create a
contact, subscribed) or to replace a contact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import msgspec

from bridge.core.errors import Refused
from bridge.core.model import Side
from bridge.dotdigital.client import arguments, wire
from bridge.dotdigital.client.wire import (
    ConsentRecordV3,
    ContactsPage,
    ContactV3,
    CustomIdentifier,
    DeleteAccepted,
    DeleteReport,
    EventSubscription,
    EventSubscriptions,
    ExportedEvents,
    ImportAccepted,
    ImportReport,
    decode,
    decode_page,
)
from bridge.transport import Transport

LARGEST_LIMIT = 5000  # contacts or events of one page
CHOICES = ("channelProperties", "preferences")
LARGEST_BUNDLE = 5000  # contacts in one import: undocumented; few enough to read a report of
LARGEST_DELETION = 5000  # contacts in one deletion
MOST_RECORDS = 5  # consent records of one contact in one call
_JOB_ID = re.compile(r"[-A-Za-z0-9_.]{1,100}")
_SUBSCRIPTIONS = "/events/v3/export/subscriptions"
_IDENTIFIER = re.compile(r"[-A-Za-z0-9_]{1,50}")
_BUILT_IN = frozenset({"contactid", "email", "mobilenumber"})


@dataclass(frozen=True, slots=True)
class ImportChange:
    """One contact's part of an import. It names the contact by its id, which cannot create anybody, and can
    do three things: unsubscribe from e-mail, set preferences, and give a custom identifier. None can be built
    that subscribes anybody, changes an address, or leaves a choice to the service's defaults. Raises
    ValueError for a change that changes nothing, or an impossible id."""

    contact_id: int
    preferences: Mapping[int, bool] = field(default_factory=dict)
    unsubscribes: bool = False
    identifiers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.contact_id <= 0 or not (self.preferences or self.unsubscribes or self.identifiers):
            raise ValueError("a change names a contact and what is to change")
        if _BUILT_IN & {name.casefold() for name in self.identifiers}:
            raise ValueError("a change cannot set an address, number or id")

    @property
    def body(self) -> wire.Json:
        """As the service takes it. A status is sent only to unsubscribe; empty lists are refused."""
        body: wire.Json = {
            "matchIdentifier": "contactId",
            "identifiers": {"contactId": self.contact_id, **self.identifiers},
        }
        if self.unsubscribes:
            body["channelProperties"] = {"email": {"status": "unsubscribed"}}
        if self.preferences:
            body["preferences"] = [
                {"id": number, "isOptedIn": state} for number, state in self.preferences.items()
            ]
        return body


class ClientV3:
    """Thread-safe as its transport is."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def get_contacts(
        self,
        *,
        marker: str | None = None,
        limit: int = LARGEST_LIMIT,
        modified_since: datetime | None = None,
        include: Sequence[str] = CHOICES,
    ) -> ContactsPage:
        """One page of all contacts, or of those modified since. Continue with `next_marker`, never by
        link."""
        if not 0 < limit <= LARGEST_LIMIT:
            raise ValueError(f"limit lies in 1 to {LARGEST_LIMIT}")
        operation = "getContacts"
        params = {
            "limit": limit,
            "marker": marker,
            "include": "|".join(include) or None,
            "~modified": None if modified_since is None else f"gte::{arguments.render_date(modified_since)}",
        }
        answer = self.transport.read(operation, "GET", "/contacts/v3", params=params)
        return decode_page(answer, operation)

    def get_contact(self, *, identifier: str, value: str | int) -> ContactV3:
        """One contact by `contactId`, `email`, or the name of another identifier."""
        operation = "getContact"
        text = str(value).strip()
        if _IDENTIFIER.fullmatch(identifier) is None or not 0 < len(text) <= arguments.LONGEST_VALUE:
            raise Refused(
                "An identifier cannot be sent to Dotdigital: it is empty or too long.",
                side=Side.DOTDIGITAL, operation=operation,
                hint="Correct the person's address at MyPreferences.",
            )  # fmt: skip
        if identifier == "email":
            text = arguments.checked_address(text, operation)
        path = f"/contacts/v3/{identifier}/{quote(text, safe='')}"
        return decode(self.transport.read(operation, "GET", path), ContactV3, operation)

    def import_contact(
        self,
        *,
        contact_id: int,
        preferences: Mapping[int, bool] | None = None,
        records: Sequence[ConsentRecordV3] = (),
    ) -> ContactV3:
        """Set some preferences of an existing contact, or add 1 to 5 consent records to it, and nothing else
        (`Patch contact`). Works for suppressed contacts too.

        It restores a contact from the recycle bin: read its status first. Records are never replaced: sent
        twice, they are there twice. Raises ValueError for an empty change, too many records or an impossible
        id.
        """
        if not (preferences or records) or len(records) > MOST_RECORDS or contact_id <= 0:
            raise ValueError(f"a change names a contact and preferences, or 1 to {MOST_RECORDS} records")
        operation = "importContact"
        body: wire.Json = {}
        if preferences:
            body["preferences"] = [{"id": number, "isOptedIn": on} for number, on in preferences.items()]
        if records:
            body["consentRecords"] = msgspec.to_builtins(list(records))
        answer = self.transport.write(operation, "PATCH", f"/contacts/v3/contactId/{contact_id}", json=body)
        contact = decode(answer, ContactV3, operation, is_write=True)
        if contact.contact_id != contact_id:
            raise wire.untrusted(answer, operation, is_write=True)
        return contact

    def import_contacts(self, changes: Sequence[ImportChange]) -> str:
        """Change existing contacts in bulk (`Bulk create and update contacts`). Returns the import's id: it
        was accepted, and nothing is done before `get_import_status` says so. Raises Throttled where too many
        imports are active, and ValueError for none or too many changes."""
        if not 0 < len(changes) <= LARGEST_BUNDLE:
            raise ValueError(f"an import takes 1 to {LARGEST_BUNDLE} contacts")
        operation = "importContacts"
        body = {"contacts": [change.body for change in changes]}
        answer = self.transport.write(operation, "PUT", "/contacts/v3/import", json=body)
        import_id = decode(answer, ImportAccepted, operation, is_write=True).import_id
        if _JOB_ID.fullmatch(import_id) is None:
            raise wire.untrusted(answer, operation, is_write=True)
        return import_id

    def get_import_status(self, import_id: str) -> ImportReport:
        """The state of an import (`Get import status`), and once it has ended the result of each contact."""
        operation = "getImportStatus"
        path = f"/contacts/v3/import/{quote(import_id, safe='')}"
        return decode(self.transport.read(operation, "GET", path), ImportReport, operation)

    def delete_contacts(self, contact_ids: Sequence[int]) -> str:
        """Move contacts to the recycle bin (`Bulk delete contacts`). Returns the job's id: nothing is done
        before `get_delete_status` says so. Raises ValueError for none or more than 5,000."""
        if not 0 < len(contact_ids) <= LARGEST_DELETION:
            raise ValueError(f"a deletion takes 1 to {LARGEST_DELETION} contacts")
        operation = "deleteContacts"
        body = [{"contactId": number} for number in contact_ids]
        answer = self.transport.write(operation, "POST", "/contacts/v3/delete", json=body)
        delete_id = decode(answer, DeleteAccepted, operation, is_write=True).delete_id
        if _JOB_ID.fullmatch(delete_id) is None:
            raise wire.untrusted(answer, operation, is_write=True)
        return delete_id

    def get_delete_status(self, delete_id: str) -> DeleteReport:
        """The state of a deletion (`Get bulk delete status`), and which contacts it left out."""
        operation = "getDeleteStatus"
        path = f"/contacts/v3/delete/{quote(delete_id, safe='')}"
        return decode(self.transport.read(operation, "GET", path), DeleteReport, operation)

    def get_custom_identifiers(self) -> list[str]:
        """The names of the account's custom identifiers (`Get all custom identifiers`)."""
        operation = "getCustomIdentifiers"
        answer = self.transport.read(operation, "GET", "/configuration/v3/customIdentifiers")
        return [one.name for one in decode(answer, list[CustomIdentifier], operation)]

    # events export

    def list_subscriptions(self) -> list[EventSubscription]:
        """All event exports of the account (`List subscriptions`), at most five."""
        operation = "listSubscriptions"
        answer = self.transport.read(operation, "GET", _SUBSCRIPTIONS)
        return decode(answer, EventSubscriptions, operation).items

    def create_subscription(self, *, name: str, types: Sequence[str]) -> EventSubscription:
        """Collect events of these types from now on (`Create subscription`). Raises Refused where the name is
        in use."""
        operation = "createSubscription"
        answer = self.transport.write(operation, "POST", _SUBSCRIPTIONS, json=_subscription(name, types))
        return decode(answer, EventSubscription, operation, is_write=True)

    def update_subscription(self, *, subscription: int, name: str, types: Sequence[str]) -> EventSubscription:
        """Reactivate an export (`Update subscription`)."""
        operation = "updateSubscription"
        path = f"{_SUBSCRIPTIONS}/{subscription}"
        answer = self.transport.write(operation, "PUT", path, json=_subscription(name, types))
        return decode(answer, EventSubscription, operation, is_write=True)

    def export_events(
        self, *, subscription: int, check_point: str | None = None, limit: int = LARGEST_LIMIT
    ) -> ExportedEvents:
        """One page of events (`Export events`); an empty one is the last. `check_point` tells the service
        that the page that named it is stored: that page is not sent again."""
        operation = "exportEvents"
        params = {"limit": limit, "checkPoint": check_point}
        answer = self.transport.read(operation, "GET", f"/events/v3/export/{subscription}", params=params)
        return decode(answer, ExportedEvents, operation)


def _subscription(name: str, types: Sequence[str]) -> wire.Json:
    return {
        "name": name,
        "status": "active",
        "subscribedEventTypes": [{"eventType": one} for one in types],
        "alertsConfiguration": {"alertChannels": "none"},
    }
