"""Dotdigital v2: preferences and subscriptions, and the few account and contact reads that go with them.

One method is one endpoint; its name is the vendor's operation id in snake case. All raise SideError.
Addresses and dates are checked before a call leaves. Reads are repeated by the transport, writes are sent
once. `since` is an instant, or a date without a time: all that the published paths promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from bridge.dotdigital.client import arguments, wire
from bridge.dotdigital.client.wire import (
    AccountInfo,
    Addressee,
    BulkSuppressed,
    ContactSubscriptions,
    ContactV2,
    Json,
    PreferenceTreeNode,
    Resubscription,
    Suppression,
    decode,
    decode_rows,
)
from bridge.transport import Response, Transport

LARGEST_SELECT = 1000  # rows a page of suppressed-since and unsubscribed-since
LARGEST_BATCH = 1000  # contacts in one bulk suppression; undocumented, the vendor's usual page


class ClientV2:
    """Thread-safe as its transport is."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    # account

    def get_account_information(self) -> AccountInfo:
        """Account id and named properties, `ApiEndpoint` among them."""
        operation = "get-account-information"
        return decode(self.transport.read(operation, "GET", "/v2/account-info"), AccountInfo, operation)

    def get_server_time(self) -> datetime:
        """The service's own clock: what watermarks are taken from."""
        operation = "get-server-time"
        answer = self.transport.read(operation, "GET", "/v2/server-time")
        try:
            return wire.parse_server_time(answer.content.decode())
        except (ValueError, OverflowError):
            raise wire.untrusted(answer, operation, is_write=False) from None

    # one contact's e-mail channel

    def unsubscribe_contact(self, *, email: str) -> Suppression:
        """Take a person off all marketing e-mail. Raises AlreadyDone where they are suppressed already."""
        operation = "unsubscribe-contact"
        body = {"email": arguments.checked_address(email, operation)}
        answer = self.transport.write(operation, "POST", "/v2/contacts/unsubscribe", json=body)
        return decode(answer, Suppression, operation, is_write=True)

    def bulk_suppress_contacts(self, contacts: Sequence[Addressee]) -> BulkSuppressed:
        """Record the controller's own block of 1 to 1,000 contacts. Raises ValueError outside that."""
        if not 0 < len(contacts) <= LARGEST_BATCH:
            raise ValueError(f"a bulk suppression takes 1 to {LARGEST_BATCH} contacts")
        operation = "bulk-suppress-contacts"
        body = [_addressed(contact, operation) for contact in contacts]
        answer = self.transport.write(operation, "PUT", "/v2/contacts/suppress-contacts", json=body)
        return decode(answer, BulkSuppressed, operation, is_write=True)

    def resubscribe_contact(
        self,
        *,
        email: str,
        data_fields: Mapping[str, str] | None = None,
        preferred_locale: str | None = None,
        return_url: str | None = None,
    ) -> Resubscription:
        """Ask an unsubscribed person by mail to confirm a resubscribe. Never repeat it."""
        operation = "resubscribe-contact"
        body: Json = {"unsubscribedContact": _unsubscribed(email, data_fields, operation)}
        if preferred_locale is not None:
            body["preferredLocale"] = preferred_locale
        if return_url is not None:
            body["returnUrlToUseIfChallenged"] = return_url
        answer = self.transport.write(operation, "POST", "/v2/contacts/resubscribe", json=body)
        return decode(answer, Resubscription, operation, is_write=True)

    def resubscribe_contact_with_no_challenge(
        self, *, email: str, data_fields: Mapping[str, str] | None = None
    ) -> Resubscription:
        """Make an unsubscribed person mailable at once; needs fresh consent."""
        operation = "resubscribe-contact-with-no-challenge"
        body = {"unsubscribedContact": _unsubscribed(email, data_fields, operation)}
        path = "/v2/contacts/resubscribe-with-no-challenge"
        answer = self.transport.write(operation, "POST", path, json=body)
        return decode(answer, Resubscription, operation, is_write=True)

    def get_contact(self, *, contact: str | int) -> ContactV2:
        """A contact with its status. By address suppressed contacts are found too, unlike in other v2 reads;
        by id only mailable ones are."""
        operation = "get-contact"
        path = f"/v2/contacts/{_contact(contact, operation)}"
        return decode(self.transport.read(operation, "GET", path), ContactV2, operation)

    def delete_contact(self, *, contact_id: int) -> None:
        """Move a contact to the recycle bin, from which it may be imported again, subscribed: suppress it
        before. Raises NotFound, and Refused where the service does not delete suppressed contacts."""
        operation = "delete-contact"
        answer = self.transport.write(
            operation, "DELETE", f"/v2/contacts/{arguments.path_id(contact_id, operation)}"
        )
        if b"<html" in answer.content[:1000].lower():
            raise wire.untrusted(answer, operation, is_write=True)

    # feeds

    def get_suppressed_contacts_since_date(
        self, *, since: date, select: int = LARGEST_SELECT, skip: int = 0
    ) -> list[Suppression]:
        """Everybody who became unmailable since the date, for whatever reason; unordered."""
        path = f"/v2/contacts/suppressed-since/{arguments.render_date(since)}"
        return self._suppressions("get-suppressed-contacts-since-date", path, select, skip)

    def get_unsubscribed_contacts_since_date(
        self, *, since: date, select: int = LARGEST_SELECT, skip: int = 0
    ) -> list[Suppression]:
        """Those of suppressed-since whose reason is Unsubscribed."""
        path = f"/v2/contacts/unsubscribed-since/{arguments.render_date(since)}"
        return self._suppressions("get-unsubscribed-contacts-since-date", path, select, skip)

    def _suppressions(self, operation: str, path: str, select: int, skip: int) -> list[Suppression]:
        if not 0 < select <= LARGEST_SELECT or skip < 0:
            raise ValueError(f"select lies in 1 to {LARGEST_SELECT}, skip is not negative")
        answer = self.transport.read(operation, "GET", path, params={"select": select, "skip": skip})
        return decode_rows(answer, Suppression, operation)

    def get_contacts_opted_into_a_preference(
        self, *, preference_id: int, min_contact_id: int = 0
    ) -> list[ContactV2]:
        """Who is opted in to a preference, by contact id upwards; no times."""
        operation = "get-contacts-opted-into-a-preference"
        path = f"/v2/contacts/with-preference/{arguments.path_id(preference_id, operation)}"
        answer = self.transport.read(operation, "GET", path, params={"minContactID": min_contact_id})
        return decode_rows(answer, ContactV2, operation)

    def get_contacts_with_modified_preference_opt_in_since_date(
        self, *, preference_id: int, since: date, min_contact_id: int = 0
    ) -> list[ContactSubscriptions]:
        """Whose opt-in to a preference changed since the date, both ways; by contact id upwards. Rows of
        other preferences may be among them."""
        operation = "get-contacts-with-modified-preference-opt-in-since-date"
        preference = arguments.path_id(preference_id, operation)
        path = f"/v2/contacts/with-preference/{preference}/opt-ins-since/{arguments.render_date(since)}"
        answer = self.transport.read(operation, "GET", path, params={"minContactID": min_contact_id})
        return decode_rows(answer, ContactSubscriptions, operation)

    # one contact's preferences

    def get_subscriptions_for_contact(self, *, email: str) -> ContactSubscriptions:
        """One person's opt-in rows with their times: the only source of times."""
        operation = "get-subscriptions-for-contact"
        path = f"/v2/contacts/{arguments.path_address(email, operation)}/subscriptions"
        return decode(self.transport.read(operation, "GET", path), ContactSubscriptions, operation)

    def get_preferences_for_contact(self, *, contact: str | int) -> list[PreferenceTreeNode]:
        """The account's whole tree with one contact's `isOptedIn`; "never asked" and "refused" look the
        same."""
        operation = "get-preferences-for-contact"
        path = f"/v2/contacts/{_contact(contact, operation)}/preferences"
        return decode(self.transport.read(operation, "GET", path), list[PreferenceTreeNode], operation)

    def set_preferences_for_contact(self, *, contact: str | int, tree: Sequence[Json]) -> None:
        """Set one contact's opt-ins. `tree` must be the full known tree
        (`bridge.dotdigital.preference_tree`): whether the service merges or replaces is not documented. The
        answer does not show the new state."""
        operation = "set-preferences-for-contact"
        path = f"/v2/contacts/{_contact(contact, operation)}/preferences"
        answer = self.transport.write(operation, "PUT", path, json=list(tree))
        if decode(answer, object, operation, is_write=True) is None:
            raise wire.untrusted(answer, operation, is_write=True)

    # preference definitions

    def get_preferences(self) -> list[PreferenceTreeNode]:
        """The account's preference tree."""
        operation = "get-preferences"
        return decode(
            self.transport.read(operation, "GET", "/v2/preferences"), list[PreferenceTreeNode], operation
        )

    def get_modified_preferences_since_date(self, *, since: date) -> list[PreferenceTreeNode]:
        """Changed definitions; deletions do not show."""
        operation = "get-modified-preferences-since-date"
        path = f"/v2/preferences/modified-since/{arguments.render_date(since)}"
        return decode(self.transport.read(operation, "GET", path), list[PreferenceTreeNode], operation)

    def create_preference(
        self,
        *,
        public_name: str,
        private_name: str,
        is_preference: bool,
        is_public: bool = True,
        order: int | str | None = None,
        category_id: int | None = None,
    ) -> PreferenceTreeNode | None:
        """Define a preference, or with `is_preference=False` a category. None where the answer is the text
        that the documents show: then read the tree."""
        body = _definition(public_name, private_name, is_preference, is_public, order, category_id)
        operation = "create-preference"
        answer = self.transport.write(operation, "POST", "/v2/preferences", json=body)
        return _defined(answer, operation)

    def update_preference(
        self,
        *,
        preference_id: int,
        public_name: str,
        private_name: str,
        is_preference: bool,
        is_public: bool,
        order: int | str | None = None,
        category_id: int | None = None,
    ) -> PreferenceTreeNode | None:
        """Change a definition. `is_preference` must be what it is now: its default makes a category."""
        operation = "update-preference"
        path = f"/v2/preferences/{arguments.path_id(preference_id, operation)}"
        body = _definition(public_name, private_name, is_preference, is_public, order, category_id)
        answer = self.transport.write(operation, "PUT", path, json={"id": preference_id, **body})
        return _defined(answer, operation)

    def delete_preference(self, *, preference_id: int) -> None:
        """Delete a definition, a category with its leaves. No run does."""
        operation = "delete-preference"
        path = f"/v2/preferences/{arguments.path_id(preference_id, operation)}"
        answer = self.transport.write(operation, "DELETE", path)
        if b"<html" in answer.content[:1000].lower():
            raise wire.untrusted(answer, operation, is_write=True)


def _defined(answer: Response, operation: str) -> PreferenceTreeNode | None:
    """The documents show a text where an object is meant: then only the success is known."""
    if answer.content.lstrip().startswith(b'"'):
        decode(answer, str, operation, is_write=True)
        return None
    return decode(answer, PreferenceTreeNode, operation, is_write=True)


def _addressed(contact: Addressee, operation: str) -> Mapping[str, str | int]:
    if contact.id:
        return {"id": int(arguments.path_id(contact.id, operation))}
    return {"email": arguments.checked_address(contact.email or "", operation)}


def _unsubscribed(email: str, data_fields: Mapping[str, str] | None, operation: str) -> Json:
    contact: Json = {"email": arguments.checked_address(email, operation)}
    if data_fields:
        contact["dataFields"] = [{"key": key, "value": value} for key, value in data_fields.items()]
    return contact


def _contact(contact: str | int, operation: str) -> str:
    if isinstance(contact, int):
        return arguments.path_id(contact, operation)
    return arguments.path_address(contact, operation)


def _definition(
    public_name: str,
    private_name: str,
    is_preference: bool,
    is_public: bool,
    order: int | str | None,
    category_id: int | None,
) -> Json:
    body: Json = {
        "publicName": public_name,
        "privateName": private_name,
        "isPreference": is_preference,
        "isPublic": is_public,
    }
    if order is not None:
        body["order"] = str(order)  # a position too: the published schema knows strings only
    if category_id is not None:
        body["categoryId"] = category_id
    return body
