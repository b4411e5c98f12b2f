"""Operation id -> method, path, tier, handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from bridge.sandbox.dotdigital import (
    configuration,
    deleting,
    events,
    feeds,
    v2_contacts,
    v2_preferences,
    v3,
    v3_whole,
)
from bridge.sandbox.dotdigital.exchange import Answer, Call
from bridge.sandbox.dotdigital.limits import HIGH, LOW, MEDIUM, UNLIMITED
from bridge.sandbox.dotdigital.state import State

UNKNOWN = "unknown"
ACCOUNT_INFO = "get-account-information"


@dataclass(frozen=True)
class Operation:
    """One row of the table. Tiers are not published per operation; these follow the rule of thumb."""

    id: str
    method: str
    path: str
    tier: str
    handler: Callable[[State, Call], Answer]

    @property
    def is_v3(self) -> bool:
        """Whether the operation belongs to the v3 framework."""
        return self.path.startswith(("/contacts/v3", "/events/v3", "/configuration/v3"))

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The path's parameters when `segments` fit, else None. Fixed segments ignore case."""
        wanted = self.path.split("/")[1:]
        if len(wanted) != len(segments):
            return None
        found: dict[str, str] = {}
        for want, got in zip(wanted, segments, strict=True):
            if want.startswith("{"):
                found[want[1:-1]] = unquote(got)
            elif want.lower() != got.lower():
                return None
        return found if all(found.values()) else None


_PREFERENCES = "/v2/contacts/{contactIdentifier}/preferences"
_SINGULAR = "/v2/contact/{contactIdentifier}/preferences"
_EXPORTS = "/events/v3/export/subscriptions"
_SINCE = "/v2/contacts/with-preference/{preferenceId}/opt-ins-since/{date}"

# Fixed paths stand before those with a parameter in the same place.
OPERATIONS: tuple[Operation, ...] = (
    Operation(ACCOUNT_INFO, "GET", "/v2/account-info", HIGH, v2_contacts.account_info),
    Operation("get-server-time", "GET", "/v2/server-time", HIGH, v2_contacts.server_time),
    Operation("unsubscribe-contact", "POST", "/v2/contacts/unsubscribe", MEDIUM, v2_contacts.unsubscribe),
    Operation(
        "bulk-suppress-contacts", "PUT", "/v2/contacts/suppress-contacts", LOW, v2_contacts.bulk_suppress
    ),
    Operation("resubscribe-contact", "POST", "/v2/contacts/resubscribe", MEDIUM, v2_contacts.resubscribe),
    Operation(
        "resubscribe-contact-with-no-challenge",
        "POST",
        "/v2/contacts/resubscribe-with-no-challenge",
        MEDIUM,
        v2_contacts.resubscribe_with_no_challenge,
    ),
    Operation(
        "get-suppressed-contacts-since-date",
        "GET",
        "/v2/contacts/suppressed-since/{date}",
        LOW,
        feeds.suppressed_since,
    ),
    Operation(
        "get-unsubscribed-contacts-since-date",
        "GET",
        "/v2/contacts/unsubscribed-since/{date}",
        LOW,
        feeds.unsubscribed_since,
    ),
    Operation(
        "get-contacts-opted-into-a-preference",
        "GET",
        "/v2/contacts/with-preference/{preferenceId}",
        LOW,
        feeds.with_preference,
    ),
    Operation(
        "get-contacts-with-modified-preference-opt-in-since-date", "GET", _SINCE, LOW, feeds.opt_ins_since
    ),
    Operation(
        "get-subscriptions-for-contact",
        "GET",
        "/v2/contacts/{email}/subscriptions",
        HIGH,
        v2_preferences.subscriptions,
    ),
    Operation("create-preference", "POST", "/v2/preferences", MEDIUM, v2_preferences.create_preference),
    Operation("get-preferences", "GET", "/v2/preferences", MEDIUM, v2_preferences.list_preferences),
    Operation(
        "get-modified-preferences-since-date",
        "GET",
        "/v2/preferences/modified-since/{date}",
        MEDIUM,
        v2_preferences.modified_since,
    ),
    Operation("update-preference", "PUT", "/v2/preferences/{id}", MEDIUM, v2_preferences.update_preference),
    Operation(
        "delete-preference", "DELETE", "/v2/preferences/{id}", MEDIUM, v2_preferences.delete_preference
    ),
    Operation(
        "set-preferences-for-contact", "PUT", _PREFERENCES, MEDIUM, v2_preferences.set_contact_preferences
    ),
    Operation("get-preferences-for-contact", "GET", _PREFERENCES, HIGH, v2_preferences.contact_preferences),
    Operation(
        "set-preferences-for-contact", "PUT", _SINGULAR, MEDIUM, v2_preferences.set_contact_preferences
    ),
    Operation("get-preferences-for-contact", "GET", _SINGULAR, HIGH, v2_preferences.contact_preferences),
    Operation("get-contact", "GET", "/v2/contacts/{contactIdentifier}", HIGH, v2_contacts.get_contact),
    Operation("delete-contact", "DELETE", "/v2/contacts/{contactIdentifier}", MEDIUM, deleting.delete_by_v2),
    Operation("getContacts", "GET", "/contacts/v3", LOW, v3.list_contacts),
    Operation("createContact", "POST", "/contacts/v3", MEDIUM, v3_whole.create),
    Operation("importContacts", "PUT", "/contacts/v3/import", LOW, v3.start_import),
    Operation("getImportStatus", "GET", "/contacts/v3/import/{importId}", UNLIMITED, v3.import_status),
    Operation("deleteContacts", "POST", "/contacts/v3/delete", LOW, deleting.start),
    Operation("getDeleteStatus", "GET", "/contacts/v3/delete/{deleteId}", UNLIMITED, deleting.status),
    Operation("getContact", "GET", "/contacts/v3/{identifier}/{value}", HIGH, v3.get_contact),
    Operation("importContact", "PATCH", "/contacts/v3/{identifier}/{value}", MEDIUM, v3.patch_contact),
    Operation("replaceContact", "PUT", "/contacts/v3/{identifier}/{value}", MEDIUM, v3_whole.replace),
    Operation("deleteContact", "DELETE", "/contacts/v3/{identifier}/{value}", MEDIUM, deleting.delete_by_v3),
    Operation(
        "getCustomIdentifiers",
        "GET",
        "/configuration/v3/customIdentifiers",
        MEDIUM,
        configuration.list_identifiers,
    ),
    Operation("createSubscription", "POST", _EXPORTS, MEDIUM, events.create_subscription),
    Operation("listSubscriptions", "GET", _EXPORTS, MEDIUM, events.list_subscriptions),
    Operation(
        "updateSubscription", "PUT", f"{_EXPORTS}/{{subscriptionId}}", MEDIUM, events.update_subscription
    ),
    Operation("exportEvents", "GET", "/events/v3/export/{subscriptionId}", LOW, events.export_events),
)


def find(method: str, raw_path: str) -> tuple[Operation | None, dict[str, str], list[str]]:
    """The operation, its path parameters, and where there is none the methods that the path does have.

    `raw_path` is still percent-encoded, so that an encoded slash stays inside its segment.
    """
    segments = raw_path.strip("/").split("/")
    path: str | None = None
    others: list[str] = []
    for operation in OPERATIONS:
        found = operation.match(segments)
        if found is None or path not in (None, operation.path):
            continue  # the first path that fits has the word: no contact is called "unsubscribe"
        path = operation.path
        if operation.method == method:
            return operation, found, []
        others.append(operation.method)
    return None, {}, sorted(others)


def names() -> frozenset[str]:
    """All operation ids."""
    return frozenset(operation.id for operation in OPERATIONS)


def operation_of(method: str, path: str) -> str:
    """The operation id of a request, for counting and faults."""
    operation, _, _ = find(method, path)
    return operation.id if operation is not None else UNKNOWN
