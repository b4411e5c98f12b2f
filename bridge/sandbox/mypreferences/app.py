"""The routes of the service, and the service as an ASGI application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

from bridge.sandbox.http import ApiRoute, HttpReply, HttpRequest, RouteTable, json_reply
from bridge.sandbox.mypreferences import (
    configuration,
    exports,
    imports,
    profiles,
    search,
    statements,
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

_CONSENT_FILTER = "Consents/{profileId}/Filter/{filterId}/Consent/{consentType}"
_TYPES = {
    "EmailTypes": "email_types",
    "PhoneTypes": "phone_types",
    "AddressTypes": "address_types",
    "AlternateIdTypes": "alternate_id_types",
    "CustomerTypes": "customer_types",
    "GroupTypes": "group_types",
}

# Operation id, method and path below the base: handler.
_CONFIGURATION: dict[str, Handler] = {
    "retrievePrograms GET Programs": configuration.programs,
    "retrieveProgram GET Programs/{programId}": configuration.program,
    "retrieveProgramsByType GET Programs/ProgramType/{programTypeId}": configuration.programs_by_type,
    "retrieveProgramsIncludeAll GET Programs/IncludeAll": configuration.programs_all,
    "retrieveProgramsIncludeMatching GET Programs/IncludeMatching": configuration.programs_matching,
    "retrieveProgramGroups GET ProgramGroups": configuration.program_groups,
    "retrieveProgramGroup GET ProgramGroups/{programGroupId}": configuration.program_group,
    "retrieveProgramGroupsIncludeAll GET ProgramGroups/IncludeAll": configuration.groups_all,
    "retrieveProgramGroupsIncludeMatching GET ProgramGroups/IncludeMatching": configuration.groups_matching,
    "retrieveConsentTypes GET ConsentTypes": configuration.consent_types,
    "createConsentTypes POST ConsentTypes": configuration.create_consent_types,
    "updateConsentType PATCH ConsentType/{typeId}": configuration.update_consent_type,
    "retrieveConsentStatus GET ConsentStatus": configuration.consent_statuses,
    "createUser POST Users": configuration.create_user,
    **{f"retrieve{name} GET {name}": configuration.types(name, field) for name, field in _TYPES.items()},
}
_PEOPLE: dict[str, Handler] = {
    "createProfile POST Profile": profiles.create,
    "retrieveProfilesByEmail GET Profile/Email": search.by_email,
    "retrieveProfilesByPhone GET Profile/Phone": search.by_phone,
    "retrieveProfilesByAddress GET Profile/Address": search.by_address,
    "retrieveProfilesByPreferenceAttributes GET Profile/PreferenceAttributes": search.by_attributes,
    "retrieveGroupProfilesByEmail GET Profile/Group/Email": search.group_by_email,
    "retrieveGroupProfilesByPhone GET Profile/Group/Phone": search.group_by_phone,
    "retrieveGroupProfilesById GET Profile/Group/{profileId}": search.group_by_id,
    "retrieveProfileByAlternateId GET Profile/AlternateId": profiles.retrieve_by_alternate_id,
    f"retrieveProfileByAlternateId GET Profile/{_ALTERNATE_ID}": profiles.retrieve_by_alternate_id,
    "upsertProfileByAlternateId POST Profile/AlternateId": profiles.upsert_by_alternate_id,
    f"upsertProfileByAlternateId POST Profile/{_ALTERNATE_ID}": profiles.upsert_by_alternate_id,
    "retrieveProfileById GET Profile/{profileId}": profiles.retrieve,
    "updateProfilePost POST Profile/{profileId}": profiles.update,
    "updateProfilePut PUT Profile/{profileId}": profiles.replace,
    "replaceProfileByAlternateId PUT Profile/AlternateId": profiles.replace,
    f"replaceProfileByAlternateId PUT Profile/{_ALTERNATE_ID}": profiles.replace,
    "updateProfilePatch PATCH Profile/{profileId}": profiles.patch,
    "patchProfileByAlternateId PATCH Profile/AlternateId": profiles.patch,
    f"patchProfileByAlternateId PATCH Profile/{_ALTERNATE_ID}": profiles.patch,
    "deleteProfile DELETE Profile/{profileId}": profiles.delete,
    "activateProfile POST Profile/{profileId}/Activate": profiles.activate,
    "deactivateProfile POST Profile/{profileId}/Deactivate": profiles.deactivate,
    "upsertPreferences POST Profile/Preferences/{profileId}": profiles.update_preferences,
    "retrievePreferences GET Profile/Preferences/{profileId}": profiles.retrieve_preferences,
    f"upsertPreferencesByAlternateId POST Profile/Preferences/{_ALTERNATE_ID}": profiles.update_preferences,
    "upsertPreferencesByAlternateId POST Profile/Preferences/AlternateId": profiles.update_preferences,
    "archivePreferences PUT Profile/Preferences/{profileId}/Archive": statements.archive_preferences,
    "addConsents POST Consents/{profileId}": statements.add_consents,
    "retrieveConsentFilters GET Consents/{profileId}/Filters": statements.retrieve_filters,
    "addConsentFilters POST Consents/{profileId}/Filters": statements.add_filters,
    f"removeConsentFilter DELETE {_CONSENT_FILTER}": statements.remove_filter,
    "historyPreferencesById GET Profile/History/Preferences/{profileId}": statements.preferences,
    "historyPreferencesByAlternateId GET Profile/History/Preferences": statements.preferences,
    "historyConsentsById GET Profile/History/Consents/{profileId}": statements.consents,
    "historyConsentsByAlternateId GET Profile/History/Consents": statements.consents,
    "historyCustomFieldsById GET Profile/History/CustomFields/{profileId}": statements.custom_fields,
    "historyCustomFieldsByAlternateId GET Profile/History/CustomFields": statements.custom_fields,
    "historyStandardFieldsById GET Profile/History/StandardFields/{profileId}": statements.standard_fields,
    "historyStandardFieldsByAlternateId GET Profile/History/StandardFields": statements.standard_fields,
}
_EVENTS_AND_BULK: dict[str, Handler] = {
    "retrieveEvents GET Events": webhooks.events_of_account,
    "retrieveEventsBySubscription GET Events/Subscription/{subscriptionId}": webhooks.events_of_subscription,
    "retrieveEventsByProfile GET Events/Profile/{profileId}": webhooks.events_of_profile,
    "createSubscription POST Events/Subscriptions": webhooks.create_subscription,
    "retrieveSubscriptions GET Events/Subscriptions": webhooks.retrieve_subscriptions,
    "updateSubscription PUT Events/Subscriptions/{subscriptionId}": webhooks.update_subscription,
    "deleteSubscription DELETE Events/Subscriptions/{subscriptionId}": webhooks.delete_subscription,
    "retrieveWebhookSettings GET Events/Settings": webhooks.retrieve_settings,
    "updateWebhookSettings PUT Events/Settings": webhooks.update_settings,
    "retrieveEvent GET Events/{eventId}": webhooks.event,
    "initiateExportSegment POST export/Segment/{segmentName}": exports.initiate,
    "initiateExportSegmentGroup POST export/SegmentGroup/{segmentGroupName}": exports.initiate_group,
    "exportStatus GET status/Token/{accessToken}": exports.status,
    "retrieveExport GET export/Data/{accessToken}": exports.retrieve,
    "retrieveExport GET export/Segment/{accessToken}": exports.retrieve,
    "initiateImport POST Import": imports.initiate,
    "stageImport POST Import/{accessToken}/Stage": imports.stage,
    "executeImport POST Import/{accessToken}/Execute": imports.execute,
    "importStatus GET Import/{accessToken}/Status": imports.status,
    "importExceptions GET Import/{accessToken}/Exceptions": imports.exceptions,
}


_SURPLUS = {"retrieveAddressTypes", "retrieveGroupTypes", "retrieveProgramGroups"}
"""Reads that a consent bridge has no use for."""
_WRITTEN = ("profile", "consents", "import")


def _routes() -> Iterator[ApiRoute]:
    for row, handler in (_CONFIGURATION | _PEOPLE | _EVENTS_AND_BULK).items():
        operation_id, method, path = row.split(" ")
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
    operation = match.route.operation_id
    if operation in state.forbidden or (operation in _SURPLUS and not state.switches.surplus_rights):
        raise MyPreferencesRefusal(403, FORBIDDEN)
    if request.method != "GET" and segments[3].lower() in _WRITTEN and state.switches.refused_writes:
        raise MyPreferencesRefusal(state.switches.refused_writes, "No changes are taken at present.")
    request = replace(request, parameters=match.parameters)
    return match.route.handler(MyPreferencesCall(state, WriteAuthor(user), request))


def _token(state: MyPreferencesState, request: HttpRequest) -> HttpReply:
    if request.method != "POST":
        return HttpReply(405, headers={"Allow": "POST"})
    return json_reply(state.access.token(request), 200, NO_STORE)
