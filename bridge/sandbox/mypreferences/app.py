"""The routes of the service, and the service as an ASGI application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

from bridge.sandbox.http import ApiRoute, HttpReply, HttpRequest, RouteTable, json_reply
from bridge.sandbox.mypreferences import (
    choice_operations,
    configuration,
    exports,
    imports,
    profiles,
    search,
    webhooks,
)
from bridge.sandbox.mypreferences.auth import NO_STORE
from bridge.sandbox.mypreferences.call import Handler, MyPreferencesCall
from bridge.sandbox.mypreferences.records import WriteAuthor
from bridge.sandbox.mypreferences.refusal import FORBIDDEN, MyPreferencesRefusal
from bridge.sandbox.mypreferences.state import MyPreferencesState
from bridge.sandbox.service import ServiceMiddleware, create_service

BASE = "/Profiles/v4/{clientId}"
TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path
TOKEN_OPERATION = "token"  # noqa: S105 - an operation id
_ALTERNATE_ID = "AlternateIdType/{alternateIdType}/AlternateId/{alternateId}"

# Operation id, method and path below the base, handler.
_CONFIGURATION: tuple[tuple[str, str, Handler], ...] = (
    ("retrievePrograms", "GET Programs", configuration.programs),
    ("retrieveProgram", "GET Programs/{programId}", configuration.program),
    ("retrieveProgramsByType", "GET Programs/ProgramType/{programTypeId}", configuration.programs_by_type),
    (
        "retrieveProgramsIncludeAll",
        "GET Programs/IncludeAll",
        configuration.programs_including(matching=False),
    ),
    (
        "retrieveProgramsIncludeMatching",
        "GET Programs/IncludeMatching",
        configuration.programs_including(matching=True),
    ),
    ("retrieveProgramGroups", "GET ProgramGroups", configuration.program_groups),
    ("retrieveProgramGroup", "GET ProgramGroups/{programGroupId}", configuration.program_group),
    (
        "retrieveProgramGroupsIncludeAll",
        "GET ProgramGroups/IncludeAll",
        configuration.program_groups_including(matching=False),
    ),
    (
        "retrieveProgramGroupsIncludeMatching",
        "GET ProgramGroups/IncludeMatching",
        configuration.program_groups_including(matching=True),
    ),
    ("retrieveConsentTypes", "GET ConsentTypes", configuration.consent_types),
    ("createConsentTypes", "POST ConsentTypes", configuration.create_consent_types),
    ("updateConsentType", "PATCH ConsentType/{typeId}", configuration.update_consent_type),
    ("retrieveConsentStatus", "GET ConsentStatus", configuration.consent_statuses),
    ("retrieveEmailTypes", "GET EmailTypes", configuration.types("EmailTypes", "email_types")),
    ("retrievePhoneTypes", "GET PhoneTypes", configuration.types("PhoneTypes", "phone_types")),
    ("retrieveAddressTypes", "GET AddressTypes", configuration.types("AddressTypes", "address_types")),
    (
        "retrieveAlternateIdTypes",
        "GET AlternateIdTypes",
        configuration.types("AlternateIdTypes", "alternate_id_types"),
    ),
    ("retrieveCustomerTypes", "GET CustomerTypes", configuration.types("CustomerTypes", "customer_types")),
    ("retrieveGroupTypes", "GET GroupTypes", configuration.types("GroupTypes", "group_types")),
    ("createUser", "POST Users", configuration.create_user),
)
_PEOPLE: tuple[tuple[str, str, Handler], ...] = (
    ("createProfile", "POST Profile", profiles.create),
    ("retrieveProfilesByEmail", "GET Profile/Email", search.by_email),
    ("retrieveProfilesByPhone", "GET Profile/Phone", search.by_phone),
    ("retrieveProfilesByAddress", "GET Profile/Address", search.by_address),
    (
        "retrieveProfilesByPreferenceAttributes",
        "GET Profile/PreferenceAttributes",
        search.by_preference_attributes,
    ),
    ("retrieveGroupProfilesByEmail", "GET Profile/Group/Email", search.group_by_email),
    ("retrieveGroupProfilesByPhone", "GET Profile/Group/Phone", search.group_by_phone),
    ("retrieveGroupProfilesById", "GET Profile/Group/{profileId}", search.group_by_id),
    ("retrieveProfileByAlternateId", "GET Profile/AlternateId", profiles.retrieve_by_alternate_id),
    ("retrieveProfileByAlternateId", f"GET Profile/{_ALTERNATE_ID}", profiles.retrieve_by_alternate_id),
    ("upsertProfileByAlternateId", "POST Profile/AlternateId", profiles.upsert_by_alternate_id),
    ("upsertProfileByAlternateId", f"POST Profile/{_ALTERNATE_ID}", profiles.upsert_by_alternate_id),
    ("retrieveProfileById", "GET Profile/{profileId}", profiles.retrieve),
    ("updateProfilePost", "POST Profile/{profileId}", profiles.update),
    ("updateProfilePut", "PUT Profile/{profileId}", profiles.replace),
    ("replaceProfileByAlternateId", "PUT Profile/AlternateId", profiles.replace),
    ("replaceProfileByAlternateId", f"PUT Profile/{_ALTERNATE_ID}", profiles.replace),
    ("updateProfilePatch", "PATCH Profile/{profileId}", profiles.patch),
    ("patchProfileByAlternateId", "PATCH Profile/AlternateId", profiles.patch),
    ("patchProfileByAlternateId", f"PATCH Profile/{_ALTERNATE_ID}", profiles.patch),
    ("deleteProfile", "DELETE Profile/{profileId}", profiles.delete),
    ("activateProfile", "POST Profile/{profileId}/Activate", profiles.activate),
    ("deactivateProfile", "POST Profile/{profileId}/Deactivate", profiles.deactivate),
    ("upsertPreferences", "POST Profile/Preferences/{profileId}", profiles.update_preferences),
    ("retrievePreferences", "GET Profile/Preferences/{profileId}", profiles.retrieve_preferences),
    (
        "upsertPreferencesByAlternateId",
        f"POST Profile/Preferences/{_ALTERNATE_ID}",
        profiles.update_preferences,
    ),
    ("upsertPreferencesByAlternateId", "POST Profile/Preferences/AlternateId", profiles.update_preferences),
    (
        "archivePreferences",
        "PUT Profile/Preferences/{profileId}/Archive",
        choice_operations.archive_preferences,
    ),
    ("addConsents", "POST Consents/{profileId}", choice_operations.add_consents),
    ("retrieveConsentFilters", "GET Consents/{profileId}/Filters", choice_operations.retrieve_filters),
    ("addConsentFilters", "POST Consents/{profileId}/Filters", choice_operations.add_filters),
    (
        "removeConsentFilter",
        "DELETE Consents/{profileId}/Filter/{filterId}/Consent/{consentType}",
        choice_operations.remove_filter,
    ),
    ("historyPreferencesById", "GET Profile/History/Preferences/{profileId}", choice_operations.preferences),
    ("historyPreferencesByAlternateId", "GET Profile/History/Preferences", choice_operations.preferences),
    ("historyConsentsById", "GET Profile/History/Consents/{profileId}", choice_operations.consents),
    ("historyConsentsByAlternateId", "GET Profile/History/Consents", choice_operations.consents),
    (
        "historyCustomFieldsById",
        "GET Profile/History/CustomFields/{profileId}",
        choice_operations.custom_fields,
    ),
    ("historyCustomFieldsByAlternateId", "GET Profile/History/CustomFields", choice_operations.custom_fields),
    (
        "historyStandardFieldsById",
        "GET Profile/History/StandardFields/{profileId}",
        choice_operations.standard_fields,
    ),
    (
        "historyStandardFieldsByAlternateId",
        "GET Profile/History/StandardFields",
        choice_operations.standard_fields,
    ),
)
_EVENTS_AND_BULK: tuple[tuple[str, str, Handler], ...] = (
    ("retrieveEvents", "GET Events", webhooks.events_of_account),
    (
        "retrieveEventsBySubscription",
        "GET Events/Subscription/{subscriptionId}",
        webhooks.events_of_subscription,
    ),
    ("retrieveEventsByProfile", "GET Events/Profile/{profileId}", webhooks.events_of_profile),
    ("createSubscription", "POST Events/Subscriptions", webhooks.create_subscription),
    ("retrieveSubscriptions", "GET Events/Subscriptions", webhooks.retrieve_subscriptions),
    ("updateSubscription", "PUT Events/Subscriptions/{subscriptionId}", webhooks.update_subscription),
    ("deleteSubscription", "DELETE Events/Subscriptions/{subscriptionId}", webhooks.delete_subscription),
    ("retrieveWebhookSettings", "GET Events/Settings", webhooks.retrieve_settings),
    ("updateWebhookSettings", "PUT Events/Settings", webhooks.update_settings),
    ("retrieveEvent", "GET Events/{eventId}", webhooks.event),
    ("initiateExportSegment", "POST export/Segment/{segmentName}", exports.initiate),
    ("initiateExportSegmentGroup", "POST export/SegmentGroup/{segmentGroupName}", exports.initiate_group),
    ("exportStatus", "GET status/Token/{accessToken}", exports.status),
    ("retrieveExport", "GET export/Data/{accessToken}", exports.retrieve),
    ("retrieveExport", "GET export/Segment/{accessToken}", exports.retrieve),
    ("initiateImport", "POST Import", imports.initiate),
    ("stageImport", "POST Import/{accessToken}/Stage", imports.stage),
    ("executeImport", "POST Import/{accessToken}/Execute", imports.execute),
    ("importStatus", "GET Import/{accessToken}/Status", imports.status),
    ("importExceptions", "GET Import/{accessToken}/Exceptions", imports.exceptions),
)


_WRITTEN = ("profile", "consents", "import")


def _routes() -> Iterator[ApiRoute]:
    for operation_id, request, handler in (*_CONFIGURATION, *_PEOPLE, *_EVENTS_AND_BULK):
        method, path = request.split(" ")
        yield ApiRoute(operation_id, method, f"{BASE}/{path}", handler)


ROUTES = RouteTable(_routes())


def create_app(state: MyPreferencesState, controls: Iterable[ApiRoute] = ()) -> ServiceMiddleware:
    """The emulated service on `state`, with its control surface under /_sandbox/ and further `controls`."""
    state.lock.settlers.append(partial(imports.run_due, state))
    return create_service(
        state,
        lambda request: _serve(state, request),
        operation_of=_operation_id,
        operation_ids=ROUTES.operation_ids | {TOKEN_OPERATION},
        configure=state.admin.carry_out,
        controls=controls,
        in_thread=True,  # creating a subscription may call its receiver
    )


def _operation_id(method: str, raw_path: str) -> str:
    path = unquote(raw_path)
    return TOKEN_OPERATION if path.lower() == TOKEN_PATH else ROUTES.operation_id(method, _segments(path))


def _segments(path: str) -> list[str]:
    """The service decodes a path before it takes it apart."""
    return path.strip("/").split("/")


def _serve(state: MyPreferencesState, request: HttpRequest) -> HttpReply:
    if request.path.lower() == TOKEN_PATH:
        return _token(state, request)
    segments = _segments(request.path)
    account = segments[2] if len(segments) > 2 else ""
    if f"/{'/'.join(segments[:3])}".lower() != BASE.format(clientId=state.config.account).lower():
        raise MyPreferencesRefusal(404, None)
    user = state.access.user(request.headers.get("authorization"), account, request.received)
    match = ROUTES.find(request.method, segments)
    if match.route is None:
        if not match.allowed:
            raise MyPreferencesRefusal(404, "No HTTP resource was found that matches the request URI.")
        message = f"The requested resource does not support http method '{request.method}'."
        raise MyPreferencesRefusal(405, message, {"Allow": ", ".join(match.allowed)})
    if match.route.operation_id in state.forbidden:
        raise MyPreferencesRefusal(403, FORBIDDEN)
    if request.method != "GET" and segments[3].lower() in _WRITTEN and state.switches.refused_writes:
        raise MyPreferencesRefusal(state.switches.refused_writes, "No changes are taken at present.")
    request = replace(request, parameters=match.parameters)
    return match.route.handler(MyPreferencesCall(state, WriteAuthor(user), request))


def _token(state: MyPreferencesState, request: HttpRequest) -> HttpReply:
    if request.method != "POST":
        return HttpReply(405, headers={"Allow": "POST"})
    return json_reply(state.access.token(request), 200, NO_STORE)
