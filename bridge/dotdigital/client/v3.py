"""Dotdigital v3 contacts: the listing, one contact, and the changes that can be built.

There is no way here to send a status other than unsubscribed, to address a change by e-mail (that would
create a contact, subscribed) or to replace a contact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec

from bridge.core.errors import Refused
from bridge.core.model import Side
from bridge.dotdigital.bulk.import_changes import LARGEST_BUNDLE, MOST_RECORDS, ImportChange
from bridge.dotdigital.client import wire
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
)
from bridge.transport import Transport

LARGEST_LIMIT = 5000
CHOICES = ("channelProperties", "preferences")
LARGEST_DELETION = 5000  # contacts of one job
_IMPORT_ID = re.compile(r"[-A-Za-z0-9_.]{1,100}")
_SUBSCRIPTIONS = "/events/v3/export/subscriptions"
_IDENTIFIER = re.compile(r"[-A-Za-z0-9_]{1,50}")


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
        """One page of all contacts, or of those modified since. Go on with `next_marker`, never by link."""
        if not 0 < limit <= LARGEST_LIMIT:
            raise ValueError(f"limit lies in 1 to {LARGEST_LIMIT}")
        operation = "getContacts"
        params = {
            "limit": limit,
            "marker": marker,
            "include": "|".join(include) or None,
            "~modified": None if modified_since is None else f"gte::{wire.render_date(modified_since)}",
        }
        answer = self.transport.read(operation, "GET", "/contacts/v3", params=params)
        return decode(answer, ContactsPage, operation)

    def get_contact(self, *, identifier: str, value: str | int) -> ContactV3:
        """One contact by `contactId`, `email`, or the name of another identifier."""
        operation = "getContact"
        text = str(value).strip()
        if _IDENTIFIER.fullmatch(identifier) is None or not 0 < len(text) <= wire.LONGEST_VALUE:
            raise Refused(
                "An identifier cannot be sent to Dotdigital: it is empty or too long.",
                side=Side.DOTDIGITAL, operation=operation,
                hint="Correct the person's address at MyPreferences.",
            )  # fmt: skip
        if identifier == "email":
            text = wire.checked_address(text, operation)
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
        """Have existing contacts changed in bulk (`Bulk create and update contacts`). Returns the import's
        id: it was taken in, nothing is done before `import_report` says so. Raises Throttled where too many
        imports are active, and ValueError for none or too many changes."""
        if not 0 < len(changes) <= LARGEST_BUNDLE:
            raise ValueError(f"an import takes 1 to {LARGEST_BUNDLE} contacts")
        operation = "importContacts"
        body = {"contacts": [change.body for change in changes]}
        answer = self.transport.write(operation, "PUT", "/contacts/v3/import", json=body)
        import_id = decode(answer, ImportAccepted, operation, is_write=True).import_id
        if _IMPORT_ID.fullmatch(import_id) is None:
            raise wire.untrusted(answer, operation, is_write=True)
        return import_id

    def get_import_status(self, import_id: str) -> ImportReport:
        """How far an import is (`Get import status`), and once it has ended what became of each contact."""
        operation = "getImportStatus"
        path = f"/contacts/v3/import/{quote(import_id, safe='')}"
        return decode(self.transport.read(operation, "GET", path), ImportReport, operation)

    def delete_contacts(self, contact_ids: Sequence[int]) -> str:
        """Have contacts moved to the recycle bin (`Bulk delete contacts`). Returns the job's id: nothing is
        done before `delete_report` says so. Raises ValueError for none or more than 5,000."""
        if not 0 < len(contact_ids) <= LARGEST_DELETION:
            raise ValueError(f"a deletion takes 1 to {LARGEST_DELETION} contacts")
        operation = "deleteContacts"
        body = [{"contactId": number} for number in contact_ids]
        answer = self.transport.write(operation, "POST", "/contacts/v3/delete", json=body)
        delete_id = decode(answer, DeleteAccepted, operation, is_write=True).delete_id
        if _IMPORT_ID.fullmatch(delete_id) is None:
            raise wire.untrusted(answer, operation, is_write=True)
        return delete_id

    def get_delete_status(self, delete_id: str) -> DeleteReport:
        """How far a deletion is (`Get bulk delete status`), and whom it left out."""
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
        """All exports of the account (`List subscriptions`): there are never more than five."""
        operation = "listSubscriptions"
        answer = self.transport.read(operation, "GET", _SUBSCRIPTIONS)
        return decode(answer, EventSubscriptions, operation).items

    def create_subscription(self, *, name: str, types: Sequence[str]) -> EventSubscription:
        """Have events of these types collected from now on (`Create subscription`). Raises Refused where the
        name is in use."""
        operation = "createSubscription"
        answer = self.transport.write(operation, "POST", _SUBSCRIPTIONS, json=_subscription(name, types))
        return decode(answer, EventSubscription, operation, is_write=True)

    def update_subscription(self, *, subscription: int, name: str, types: Sequence[str]) -> EventSubscription:
        """Make an export active again (`Update subscription`)."""
        operation = "updateSubscription"
        path = f"{_SUBSCRIPTIONS}/{subscription}"
        answer = self.transport.write(operation, "PUT", path, json=_subscription(name, types))
        return decode(answer, EventSubscription, operation, is_write=True)

    def export_events(
        self, *, subscription: int, check_point: str | None = None, limit: int = LARGEST_LIMIT
    ) -> ExportedEvents:
        """One page of events (`Export events`); none: there are no more. `check_point` tells the service that
        the page that named it is stored: it is not given out again."""
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
