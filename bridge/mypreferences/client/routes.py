"""Every path of the MyPreferences API that the bridge calls, in one table: the documents do not print them
all, so a file can override each."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bridge.core.errors import ConfigError
from bridge.similarity import did_you_mean

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# Operation id, its name in routes files of the first version, method and path below /{account}/. The ids
# are the vendor's, or follow its pattern where it has none. Methods and paths are from its pages, as far
# as they print them, and its older help. addElementConsents has the page of updateProfilePost, a row of its
# own: the pages leave open whether elements' consents have a path of their own.
_TABLE = (
    ("retrievePrograms", "programs", "GET Programs"),
    ("retrieveProgramsByType", "programs_by_type", "GET Programs/ProgramType/{program_type}"),
    ("retrieveProgramsIncludeAll", "programs_include_all", "GET Programs/IncludeAll"),
    ("retrieveProgramsIncludeMatching", "programs_include_matching", "GET Programs/IncludeMatching"),
    ("retrieveProgram", "program", "GET Programs/{program_id}"),
    ("retrieveProgramGroups", "program_groups", "GET ProgramGroups"),
    ("retrieveProgramGroup", "program_group", "GET ProgramGroups/{program_group_id}"),
    ("retrieveProgramGroupsIncludeAll", "program_groups_include_all", "GET ProgramGroups/IncludeAll"),
    (
        "retrieveProgramGroupsIncludeMatching",
        "program_groups_include_matching",
        "GET ProgramGroups/IncludeMatching",
    ),
    ("retrieveConsentTypes", "consent_types", "GET ConsentTypes"),
    ("createConsentTypes", "create_consent_types", "POST ConsentTypes"),
    ("updateConsentType", "update_consent_type", "PATCH ConsentType/{type_id}"),
    ("retrieveConsentStatus", "consent_statuses", "GET ConsentStatus"),
    ("retrieveEmailTypes", "email_types", "GET EmailTypes"),
    ("retrievePhoneTypes", "phone_types", "GET PhoneTypes"),
    ("retrieveAddressTypes", "address_types", "GET AddressTypes"),
    ("retrieveAlternateIdTypes", "alternate_id_types", "GET AlternateIdTypes"),
    ("retrieveCustomerTypes", "customer_types", "GET CustomerTypes"),
    ("retrieveGroupTypes", "group_types", "GET GroupTypes"),
    ("retrieveProfileById", "profile_by_id", "GET Profile/{profile_id}"),
    ("retrieveProfileByAlternateId", "profile_by_alternate_id", "GET Profile/AlternateId"),
    ("retrieveProfilesByEmail", "profiles_by_email", "GET Profile/Email"),
    ("retrieveProfilesByPhone", "profiles_by_phone", "GET Profile/Phone"),
    ("retrieveProfilesByAddress", "profiles_by_address", "GET Profile/Address"),
    (
        "retrieveProfilesByPreferenceAttributes",
        "profiles_by_preference_attributes",
        "GET Profile/PreferenceAttributes",
    ),
    ("retrieveGroupProfilesById", "group_members", "GET Profile/Group/{profile_id}"),
    ("retrieveGroupProfilesByEmail", "group_members_by_email", "GET Profile/Group/Email"),
    ("retrieveGroupProfilesByPhone", "group_members_by_phone", "GET Profile/Group/Phone"),
    ("createUser", "create_user", "POST Users"),
    ("createProfile", "create_profile", "POST Profile"),
    ("updateProfilePost", "update_profile", "POST Profile/{profile_id}"),
    ("upsertProfileByAlternateId", "create_or_update_by_alternate_id", "POST Profile/AlternateId"),
    ("updateProfilePut", "replace_profile", "PUT Profile/{profile_id}"),
    ("replaceProfileByAlternateId", "replace_profile_by_alternate_id", "PUT Profile/AlternateId"),
    ("updateProfilePatch", "patch_profile", "PATCH Profile/{profile_id}"),
    ("patchProfileByAlternateId", "patch_profile_by_alternate_id", "PATCH Profile/AlternateId"),
    ("activateProfile", "activate_profile", "POST Profile/{profile_id}/Activate"),
    ("deactivateProfile", "deactivate_profile", "POST Profile/{profile_id}/Deactivate"),
    ("deleteProfile", "delete_profile", "DELETE Profile/{profile_id}"),
    ("upsertPreferences", "update_preferences", "POST Profile/Preferences/{profile_id}"),
    (
        "upsertPreferencesByAlternateId",
        "update_preferences_by_alternate_id",
        "POST Profile/Preferences/AlternateIdType/{alternate_id_type}/AlternateId/{alternate_id}",
    ),
    ("retrievePreferences", "preferences", "GET Profile/Preferences/{profile_id}"),
    ("archivePreferences", "archive_preferences", "PUT Profile/Preferences/{profile_id}/Archive"),
    ("addConsents", "add_consents", "POST Consents/{profile_id}"),
    ("addElementConsents", "add_element_consents", "POST Profile/{profile_id}"),
    ("retrieveConsentFilters", "consent_filters", "GET Consents/{profile_id}/Filters"),
    ("addConsentFilters", "add_consent_filters", "POST Consents/{profile_id}/Filters"),
    (
        "removeConsentFilter",
        "remove_consent_filter",
        "DELETE Consents/{profile_id}/Filter/{filter_id}/Consent/{consent_type}",
    ),
    ("historyPreferencesById", "preference_history", "GET Profile/History/Preferences/{profile_id}"),
    (
        "historyPreferencesByAlternateId",
        "preference_history_by_alternate_id",
        "GET Profile/History/Preferences",
    ),
    ("historyConsentsById", "consent_history", "GET Profile/History/Consents/{profile_id}"),
    ("historyConsentsByAlternateId", "consent_history_by_alternate_id", "GET Profile/History/Consents"),
    ("historyCustomFieldsById", "custom_field_history", "GET Profile/History/CustomFields/{profile_id}"),
    (
        "historyCustomFieldsByAlternateId",
        "custom_field_history_by_alternate_id",
        "GET Profile/History/CustomFields",
    ),
    (
        "historyStandardFieldsById",
        "standard_field_history",
        "GET Profile/History/StandardFields/{profile_id}",
    ),
    (
        "historyStandardFieldsByAlternateId",
        "standard_field_history_by_alternate_id",
        "GET Profile/History/StandardFields",
    ),
    ("retrieveEvents", "events_by_account", "GET Events"),
    ("retrieveEventsBySubscription", "events_by_subscription", "GET Events/Subscription/{subscription_id}"),
    ("retrieveEventsByProfile", "events_by_profile", "GET Events/Profile/{profile_id}"),
    ("retrieveEvent", "event_by_id", "GET Events/{event_id}"),
    ("retrieveSubscriptions", "subscriptions", "GET Events/Subscriptions"),
    ("createSubscription", "create_subscription", "POST Events/Subscriptions"),
    ("updateSubscription", "update_subscription", "PUT Events/Subscriptions/{subscription_id}"),
    ("deleteSubscription", "delete_subscription", "DELETE Events/Subscriptions/{subscription_id}"),
    ("retrieveWebhookSettings", "webhook_settings", "GET Events/Settings"),
    ("updateWebhookSettings", "update_webhook_settings", "PUT Events/Settings"),
    ("initiateExportSegment", "export_initiate", "POST export/Segment/{segment}"),
    ("initiateExportSegmentGroup", "export_initiate_group", "POST export/SegmentGroup/{group}"),
    ("exportStatus", "export_status", "GET status/Token/{access_token}"),
    ("retrieveExport", "export_retrieve", "GET export/Segment/{access_token}"),
    ("initiateImport", "import_initiate", "POST Import"),
    ("stageImport", "import_stage", "POST Import/{access_token}/Stage"),
    ("executeImport", "import_execute", "POST Import/{access_token}/Execute"),
    ("importStatus", "import_status", "GET Import/{access_token}/Status"),
    ("importExceptions", "import_exceptions", "GET Import/{access_token}/Exceptions"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """Method and path template, relative to the base URL."""

    method: str
    template: str

    @property
    def fields(self) -> frozenset[str]:
        """Names of the values the path takes."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.template) if name)

    def path(self, values: Mapping[str, str | int]) -> str:
        """The path with values put in, percent-encoded. Values it does not take are ignored."""
        return self.template.format_map({name: quote(str(value), safe="") for name, value in values.items()})


Routes = Mapping[str, Route]


def builtin_routes() -> dict[str, Route]:
    """Routes by operation id."""
    return {operation: _parse(line.replace(" ", " /{account}/", 1)) for operation, _, line in _TABLE}


def former_names() -> dict[str, str]:
    """What routes files of the first version call an operation, by its id."""
    return {operation: former for operation, former, _ in _TABLE}


# In the path or in the query: the documents have both.
_EITHER = frozenset({"alternate_id", "alternate_id_type"})


def load_routes(path: Path | None) -> dict[str, Route]:
    """The built-in table, overlaid with a TOML file of `operation = "METHOD /path"` lines.
    Raises ConfigError naming every bad line."""
    routes = builtin_routes()
    if path is None:
        return routes
    ids = {former: operation for operation, former in former_names().items()}
    keys: dict[str, str] = {}
    problems = []
    for key, line in _lines(path).items():
        operation = ids.get(key, key)
        if operation in keys:
            problem = f"{keys[operation]} and {key} are the same operation: keep one of the two lines"
        elif operation in routes:
            problem = _problem(key, operation, line)
        else:
            problem = f"unknown operation '{key}'. {did_you_mean(key, (*routes, *ids))}".rstrip()
        if problem:
            problems.append(problem)
            continue
        keys[operation] = key
        routes[operation] = _parse(str(line))
    if problems:
        raise ConfigError(
            "The routes file has lines that cannot be used.",
            problems=tuple(problems),
            hint='Write them as: retrieveProfilesByEmail = "GET /{account}/Profile/Email".',
        )
    return routes


def _lines(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(
            "The routes file cannot be read.", hint="Check BRIDGE_MYPREFERENCES__ROUTES_FILE."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("The routes file is not TOML.", problems=(str(error),)) from None


def _parse(line: str) -> Route:
    method, _, template = line.partition(" ")
    return Route(method.upper(), template.strip())


def _problem(key: str, operation: str, line: object) -> str:
    if not isinstance(line, str):
        return f"{key}: the route is not a text"
    route = _parse(line)
    if route.method not in _METHODS or not route.template.startswith("/"):
        return f"{key}: not of the form 'METHOD /path'"
    try:
        fields = route.fields
    except ValueError:
        return f"{key}: the braces do not match"
    either = _EITHER if operation.endswith("ByAlternateId") else frozenset()
    known = builtin_routes()[operation]
    missing = known.fields - fields - (either if not either & fields else frozenset())
    if missing or (either & fields and either - fields):
        return f"{key}: lacks {_braced(missing or either - fields)}"
    if extra := fields - known.fields - either:
        return f"{key}: takes no {_braced(extra)}"
    return ""


def _braced(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))
