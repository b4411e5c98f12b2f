"""The route table. A handler has the name of its operation, which is the vendor's own operation id."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.sandbox.dotdigital import (
    deletions,
    events,
    feeds,
    imports,
    v2_contacts,
    v2_preferences,
    v3_contacts,
)
from bridge.sandbox.dotdigital.limits import HIGH, LOW, MEDIUM, UNLIMITED
from bridge.sandbox.http import ApiRoute, Handler, RouteTable, split_path

V3_SERVICES = ("/contacts/v3", "/events/v3", "/configuration/v3")
ACCOUNT_INFO = "get-account-information"


@dataclass(frozen=True)
class TieredRoute(ApiRoute):
    """Tiers are not published per operation; these follow the rule of thumb."""

    tier: str

    @property
    def is_v3(self) -> bool:
        """Whether the operation belongs to the v3 framework."""
        return self.path.startswith(V3_SERVICES)


def _v2(method: str, path: str, tier: str, handler: Handler) -> TieredRoute:
    return TieredRoute(handler.__name__.replace("_", "-"), method, f"/v2{path}", handler, tier)


def _v3(method: str, path: str, tier: str, handler: Handler) -> TieredRoute:
    first, *others = handler.__name__.split("_")
    return TieredRoute(first + "".join(map(str.capitalize, others)), method, path, handler, tier)


_SINCE = "/contacts/with-preference/{preferenceId}/opt-ins-since/{date}"
_CHOICES = "/contacts/{contactIdentifier}/preferences"
_CHOICES_SINGULAR = "/contact/{contactIdentifier}/preferences"
_CONTACT = "/contacts/v3/{identifier}/{value}"
_EXPORTS = "/events/v3/export/subscriptions"

ROUTES = RouteTable(
    [
        _v2("GET", "/account-info", HIGH, v2_contacts.get_account_information),
        _v2("GET", "/server-time", HIGH, v2_contacts.get_server_time),
        _v2("POST", "/contacts/unsubscribe", MEDIUM, v2_contacts.unsubscribe_contact),
        _v2("PUT", "/contacts/suppress-contacts", LOW, v2_contacts.bulk_suppress_contacts),
        _v2("POST", "/contacts/resubscribe", MEDIUM, v2_contacts.resubscribe_contact),
        _v2(
            "POST",
            "/contacts/resubscribe-with-no-challenge",
            MEDIUM,
            v2_contacts.resubscribe_contact_with_no_challenge,
        ),
        _v2("GET", "/contacts/suppressed-since/{date}", LOW, feeds.get_suppressed_contacts_since_date),
        _v2("GET", "/contacts/unsubscribed-since/{date}", LOW, feeds.get_unsubscribed_contacts_since_date),
        _v2(
            "GET", "/contacts/with-preference/{preferenceId}", LOW, feeds.get_contacts_opted_into_a_preference
        ),
        _v2("GET", _SINCE, LOW, feeds.get_contacts_with_modified_preference_opt_in_since_date),
        _v2("GET", "/contacts/{email}/subscriptions", HIGH, v2_preferences.get_subscriptions_for_contact),
        _v2("POST", "/preferences", MEDIUM, v2_preferences.create_preference),
        _v2("GET", "/preferences", MEDIUM, v2_preferences.get_preferences),
        _v2(
            "GET",
            "/preferences/modified-since/{date}",
            MEDIUM,
            v2_preferences.get_modified_preferences_since_date,
        ),
        _v2("PUT", "/preferences/{id}", MEDIUM, v2_preferences.update_preference),
        _v2("DELETE", "/preferences/{id}", MEDIUM, v2_preferences.delete_preference),
        _v2("PUT", _CHOICES, MEDIUM, v2_preferences.set_preferences_for_contact),
        _v2("GET", _CHOICES, HIGH, v2_preferences.get_preferences_for_contact),
        _v2("PUT", _CHOICES_SINGULAR, MEDIUM, v2_preferences.set_preferences_for_contact),
        _v2("GET", _CHOICES_SINGULAR, HIGH, v2_preferences.get_preferences_for_contact),
        _v2("GET", "/contacts/{contactIdentifier}", HIGH, v2_contacts.get_contact),
        _v2("DELETE", "/contacts/{contactIdentifier}", MEDIUM, v2_contacts.delete_contact),
        _v3("GET", "/contacts/v3", LOW, v3_contacts.get_contacts),
        _v3("POST", "/contacts/v3", MEDIUM, v3_contacts.create_contact),
        _v3("PUT", "/contacts/v3/import", LOW, imports.import_contacts),
        _v3("GET", "/contacts/v3/import/{importId}", UNLIMITED, imports.get_import_status),
        _v3("POST", "/contacts/v3/delete", LOW, deletions.delete_contacts),
        _v3("GET", "/contacts/v3/delete/{deleteId}", UNLIMITED, deletions.get_delete_status),
        _v3("GET", _CONTACT, HIGH, v3_contacts.get_contact),
        _v3("PATCH", _CONTACT, MEDIUM, v3_contacts.import_contact),
        _v3("PUT", _CONTACT, MEDIUM, v3_contacts.replace_contact),
        _v3("DELETE", _CONTACT, MEDIUM, v3_contacts.delete_contact),
        _v3("GET", "/configuration/v3/customIdentifiers", MEDIUM, v3_contacts.get_custom_identifiers),
        _v3("POST", _EXPORTS, MEDIUM, events.create_subscription),
        _v3("GET", _EXPORTS, MEDIUM, events.list_subscriptions),
        _v3("PUT", f"{_EXPORTS}/{{subscriptionId}}", MEDIUM, events.update_subscription),
        _v3("GET", "/events/v3/export/{subscriptionId}", LOW, events.export_events),
    ]
)


def operation_of(method: str, raw_path: str) -> str:
    """The operation id of a request, for counting and faults."""
    return ROUTES.operation_id(method, split_path(raw_path))
