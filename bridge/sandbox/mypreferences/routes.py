"""The route table: operation id, method, path, handler. Paths are matched without regard to case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.sandbox.mypreferences import handle_account as account
from bridge.sandbox.mypreferences import handle_config as config
from bridge.sandbox.mypreferences import handle_consents as consents
from bridge.sandbox.mypreferences import handle_events as events
from bridge.sandbox.mypreferences import handle_history as history
from bridge.sandbox.mypreferences import handle_import as imports
from bridge.sandbox.mypreferences import handle_profiles as profiles
from bridge.sandbox.mypreferences import handle_search as search
from bridge.sandbox.mypreferences import handle_users as users
from bridge.sandbox.mypreferences.call import Handler

BASE = "/Profiles/v4/{clientId}"
TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path
TOKEN_OPERATION = "token"  # noqa: S105 - an operation id
UNKNOWN_OPERATION = "unknown"
_BY_ALTERNATE = "AlternateIdType/{alternateIdType}/AlternateId/{alternateId}"


@dataclass(frozen=True)
class Operation:
    """One row of the table; `path` is below the base. Several rows may share an operation id."""

    name: str
    method: str
    path: str
    handler: Handler


def _history(what: str, handler: Handler) -> tuple[Operation, Operation]:
    """The twins of a history: by profile id in the path, by alternate id in the query."""
    path = f"Profile/History/{what}"
    return (
        Operation(f"history{what}ById", "GET", f"{path}/{{profileId}}", handler),
        Operation(f"history{what}ByAlternateId", "GET", path, handler),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation("retrievePrograms", "GET", "Programs", config.programs),
    Operation("retrieveProgram", "GET", "Programs/{programId}", config.program),
    Operation(
        "retrieveProgramsByType", "GET", "Programs/ProgramType/{programTypeId}", config.programs_by_type
    ),
    Operation("retrieveProgramsIncludeAll", "GET", "Programs/IncludeAll", config.programs_include_all),
    Operation(
        "retrieveProgramsIncludeMatching", "GET", "Programs/IncludeMatching", config.programs_include_matching
    ),
    Operation("retrieveProgramGroups", "GET", "ProgramGroups", config.program_groups),
    Operation("retrieveProgramGroup", "GET", "ProgramGroups/{programGroupId}", config.program_group),
    Operation(
        "retrieveProgramGroupsIncludeAll",
        "GET",
        "ProgramGroups/IncludeAll",
        config.program_groups_include_all,
    ),
    Operation(
        "retrieveProgramGroupsIncludeMatching",
        "GET",
        "ProgramGroups/IncludeMatching",
        config.program_groups_include_matching,
    ),
    Operation("retrieveConsentTypes", "GET", "ConsentTypes", config.consent_types),
    Operation("createConsentTypes", "POST", "ConsentTypes", config.create_consent_types),
    Operation("updateConsentType", "PATCH", "ConsentType/{typeId}", config.update_consent_type),
    Operation("retrieveConsentStatus", "GET", "ConsentStatus", config.consent_status),
    Operation("retrieveEmailTypes", "GET", "EmailTypes", config.email_types),
    Operation("retrievePhoneTypes", "GET", "PhoneTypes", config.phone_types),
    Operation("retrieveAddressTypes", "GET", "AddressTypes", config.address_types),
    Operation("retrieveAlternateIdTypes", "GET", "AlternateIdTypes", config.alternate_id_types),
    Operation("retrieveCustomerTypes", "GET", "CustomerTypes", config.customer_types),
    Operation("retrieveGroupTypes", "GET", "GroupTypes", config.group_types),
    Operation("createUser", "POST", "Users", users.create),
    Operation("createProfile", "POST", "Profile", profiles.create),
    Operation("retrieveProfilesByEmail", "GET", "Profile/Email", search.by_email),
    Operation("retrieveProfilesByPhone", "GET", "Profile/Phone", search.by_phone),
    Operation("retrieveProfilesByAddress", "GET", "Profile/Address", search.by_address),
    Operation(
        "retrieveProfilesByPreferenceAttributes",
        "GET",
        "Profile/PreferenceAttributes",
        search.by_preference_attributes,
    ),
    Operation("retrieveGroupProfilesByEmail", "GET", "Profile/Group/Email", search.group_by_email),
    Operation("retrieveGroupProfilesByPhone", "GET", "Profile/Group/Phone", search.group_by_phone),
    Operation("retrieveGroupProfilesById", "GET", "Profile/Group/{profileId}", search.group_by_id),
    Operation("retrieveProfileByAlternateId", "GET", "Profile/AlternateId", profiles.by_alternate_id),
    Operation("retrieveProfileByAlternateId", "GET", f"Profile/{_BY_ALTERNATE}", profiles.by_alternate_id),
    Operation("upsertProfileByAlternateId", "POST", "Profile/AlternateId", profiles.upsert_by_alternate_id),
    Operation(
        "upsertProfileByAlternateId", "POST", f"Profile/{_BY_ALTERNATE}", profiles.upsert_by_alternate_id
    ),
    Operation("retrieveProfileById", "GET", "Profile/{profileId}", profiles.by_id),
    Operation("updateProfilePost", "POST", "Profile/{profileId}", profiles.update),
    Operation("updateProfilePut", "PUT", "Profile/{profileId}", profiles.replace),
    Operation("replaceProfileByAlternateId", "PUT", "Profile/AlternateId", profiles.replace_by_alternate_id),
    Operation(
        "replaceProfileByAlternateId", "PUT", f"Profile/{_BY_ALTERNATE}", profiles.replace_by_alternate_id
    ),
    Operation("updateProfilePatch", "PATCH", "Profile/{profileId}", profiles.patch),
    Operation("patchProfileByAlternateId", "PATCH", "Profile/AlternateId", profiles.patch_by_alternate_id),
    Operation(
        "patchProfileByAlternateId", "PATCH", f"Profile/{_BY_ALTERNATE}", profiles.patch_by_alternate_id
    ),
    Operation("deleteProfile", "DELETE", "Profile/{profileId}", profiles.delete),
    Operation("activateProfile", "POST", "Profile/{profileId}/Activate", profiles.activate),
    Operation("deactivateProfile", "POST", "Profile/{profileId}/Deactivate", profiles.deactivate),
    Operation("upsertPreferences", "POST", "Profile/Preferences/{profileId}", profiles.put_preferences),
    Operation("retrievePreferences", "GET", "Profile/Preferences/{profileId}", profiles.preferences),
    Operation(
        "upsertPreferencesByAlternateId",
        "POST",
        f"Profile/Preferences/{_BY_ALTERNATE}",
        profiles.put_preferences_by_alternate_id,
    ),
    Operation(
        "upsertPreferencesByAlternateId",
        "POST",
        "Profile/Preferences/AlternateId",
        profiles.put_preferences_by_alternate_id,
    ),
    Operation("archivePreferences", "PUT", "Profile/Preferences/{profileId}/Archive", profiles.archive),
    Operation("addConsents", "POST", "Consents/{profileId}", consents.add),
    Operation("retrieveConsentFilters", "GET", "Consents/{profileId}/Filters", consents.filters),
    Operation("addConsentFilters", "POST", "Consents/{profileId}/Filters", consents.add_filters),
    Operation(
        "removeConsentFilter",
        "DELETE",
        "Consents/{profileId}/Filter/{filterId}/Consent/{consentType}",
        consents.remove_filter,
    ),
    *_history("Preferences", history.preferences),
    *_history("Consents", history.consents),
    *_history("CustomFields", history.custom_fields),
    *_history("StandardFields", history.standard_fields),
    Operation("retrieveEvents", "GET", "Events", events.by_account),
    Operation(
        "retrieveEventsBySubscription", "GET", "Events/Subscription/{subscriptionId}", events.by_subscription
    ),
    Operation("retrieveEventsByProfile", "GET", "Events/Profile/{profileId}", events.by_profile),
    Operation("createSubscription", "POST", "Events/Subscriptions", events.create_subscription),
    Operation("retrieveSubscriptions", "GET", "Events/Subscriptions", events.list_subscriptions),
    Operation(
        "updateSubscription", "PUT", "Events/Subscriptions/{subscriptionId}", events.replace_subscription
    ),
    Operation(
        "deleteSubscription", "DELETE", "Events/Subscriptions/{subscriptionId}", events.delete_subscription
    ),
    Operation("retrieveWebhookSettings", "GET", "Events/Settings", events.webhook_settings),
    Operation("updateWebhookSettings", "PUT", "Events/Settings", events.update_webhook_settings),
    Operation("retrieveEvent", "GET", "Events/{eventId}", events.by_id),
    Operation("initiateExportSegment", "POST", "export/Segment/{segmentName}", account.initiate_export),
    Operation(
        "initiateExportSegmentGroup",
        "POST",
        "export/SegmentGroup/{segmentGroupName}",
        account.initiate_group_export,
    ),
    Operation("initiateImport", "POST", "Import", imports.initiate),
    Operation("stageImport", "POST", "Import/{accessToken}/Stage", imports.stage),
    Operation("executeImport", "POST", "Import/{accessToken}/Execute", imports.execute),
    Operation("importStatus", "GET", "Import/{accessToken}/Status", imports.status),
    Operation("importExceptions", "GET", "Import/{accessToken}/Exceptions", imports.exceptions),
    Operation("exportStatus", "GET", "status/Token/{accessToken}", account.export_status),
    Operation("retrieveExport", "GET", "export/Data/{accessToken}", account.retrieve_export),
    Operation("retrieveExport", "GET", "export/Segment/{accessToken}", account.retrieve_export),
)


@dataclass(frozen=True)
class Match:
    """A route that was found and the parameters in its path."""

    operation: Operation
    params: Mapping[str, str]


class Router:
    """Finds the operation of a request; literal segments go before parameters."""

    def __init__(self, operations: Iterable[Operation] = OPERATIONS) -> None:
        self._routes: dict[int, list[tuple[re.Pattern[str], Operation]]] = {}
        for operation in sorted(operations, key=lambda item: item.path.count("{")):
            path = f"{BASE}/{operation.path}"
            self._routes.setdefault(path.count("/"), []).append((_pattern(path), operation))

    def find(self, method: str, path: str) -> Match | None:
        """The route for method and path, or None."""
        for match in self._on_path(path):
            if match.operation.method == method:
                return match
        return None

    def allowed(self, path: str) -> list[str]:
        """Methods that are served on a path."""
        return sorted({match.operation.method for match in self._on_path(path)})

    def operation_of(self, method: str, path: str) -> str:
        """The operation id for counting and faults."""
        if path.lower() == TOKEN_PATH:
            return TOKEN_OPERATION
        match = self.find(method, path)
        return match.operation.name if match else UNKNOWN_OPERATION

    def _on_path(self, path: str) -> Iterable[Match]:
        path = path.rstrip("/")
        for pattern, operation in self._routes.get(path.count("/"), []):
            found = pattern.fullmatch(path)
            if found is not None:
                yield Match(operation, found.groupdict())


def names() -> frozenset[str]:
    """All operation ids, that of the token call too."""
    return frozenset(operation.name for operation in OPERATIONS) | {TOKEN_OPERATION}


def account_in(path: str) -> str | None:
    """The clientId segment of a path below the base, or None."""
    found = re.match(r"/profiles/v4/([^/]+)", path, re.IGNORECASE)
    return found.group(1) if found else None


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", path)
    text = "".join(
        f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
    )
    return re.compile(text, re.IGNORECASE)
