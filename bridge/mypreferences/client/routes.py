"""Every path of the MyPreferences API the bridge calls, in one table: the documents do not print them all,
so each can be overridden by a file."""

from __future__ import annotations

import difflib
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bridge.core.errors import ConfigError

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


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
        """The path with values put in, percent-encoded. Values it does not take are passed over."""
        return self.template.format_map({name: quote(str(values[name]), safe="") for name in self.fields})


Routes = Mapping[str, Route]


def builtin_routes() -> dict[str, Route]:
    """Operation -> route, as far as documents and the vendor's older help pages tell."""
    table = {
        "programs": "GET /{account}/Programs",
        "programs_by_type": "GET /{account}/Programs/ProgramType/{program_type}",
        "programs_include_all": "GET /{account}/Programs/IncludeAll",
        "programs_include_matching": "GET /{account}/Programs/IncludeMatching",
        "program": "GET /{account}/Programs/{program_id}",
        "program_groups": "GET /{account}/ProgramGroups",
        "program_group": "GET /{account}/ProgramGroups/{program_group_id}",
        "program_groups_include_all": "GET /{account}/ProgramGroups/IncludeAll",
        "program_groups_include_matching": "GET /{account}/ProgramGroups/IncludeMatching",
        "consent_types": "GET /{account}/ConsentTypes",
        "create_consent_types": "POST /{account}/ConsentTypes",
        "update_consent_type": "PATCH /{account}/ConsentType/{type_id}",
        "consent_statuses": "GET /{account}/ConsentStatus",
        "email_types": "GET /{account}/EmailTypes",
        "phone_types": "GET /{account}/PhoneTypes",
        "address_types": "GET /{account}/AddressTypes",
        "alternate_id_types": "GET /{account}/AlternateIdTypes",
        "customer_types": "GET /{account}/CustomerTypes",
        "group_types": "GET /{account}/GroupTypes",
        "profile_by_id": "GET /{account}/Profile/{profile_id}",
        "profile_by_alternate_id": "GET /{account}/Profile/AlternateId",
        "profiles_by_email": "GET /{account}/Profile/Email",
        "profiles_by_phone": "GET /{account}/Profile/Phone",
        "profiles_by_address": "GET /{account}/Profile/Address",
        "profiles_by_preference_attributes": "GET /{account}/Profile/PreferenceAttributes",
        "group_members": "GET /{account}/Profile/Group/{profile_id}",
        "group_members_by_email": "GET /{account}/Profile/Group/Email",
        "group_members_by_phone": "GET /{account}/Profile/Group/Phone",
        "create_user": "POST /{account}/Users",
        "create_profile": "POST /{account}/Profile",
        "update_profile": "POST /{account}/Profile/{profile_id}",
        "create_or_update_by_alternate_id": "POST /{account}/Profile/AlternateId",
        "replace_profile": "PUT /{account}/Profile/{profile_id}",
        "replace_profile_by_alternate_id": "PUT /{account}/Profile/AlternateId",
        "patch_profile": "PATCH /{account}/Profile/{profile_id}",
        "patch_profile_by_alternate_id": "PATCH /{account}/Profile/AlternateId",
        "activate_profile": "POST /{account}/Profile/{profile_id}/Activate",
        "deactivate_profile": "POST /{account}/Profile/{profile_id}/Deactivate",
        "delete_profile": "DELETE /{account}/Profile/{profile_id}",
        "update_preferences": "POST /{account}/Profile/Preferences/{profile_id}",
        "update_preferences_by_alternate_id": (
            "POST /{account}/Profile/Preferences"
            "/AlternateIdType/{alternate_id_type}/AlternateId/{alternate_id}"
        ),
        "preferences": "GET /{account}/Profile/Preferences/{profile_id}",
        "archive_preferences": "PUT /{account}/Profile/Preferences/{profile_id}/Archive",
        "add_consents": "POST /{account}/Consents/{profile_id}",
        "add_element_consents": "POST /{account}/Profile/{profile_id}",
        "consent_filters": "GET /{account}/Consents/{profile_id}/Filters",
        "add_consent_filters": "POST /{account}/Consents/{profile_id}/Filters",
        "remove_consent_filter": (
            "DELETE /{account}/Consents/{profile_id}/Filter/{filter_id}/Consent/{consent_type}"
        ),
        "preference_history": "GET /{account}/Profile/History/Preferences/{profile_id}",
        "preference_history_by_alternate_id": "GET /{account}/Profile/History/Preferences",
        "consent_history": "GET /{account}/Profile/History/Consents/{profile_id}",
        "consent_history_by_alternate_id": "GET /{account}/Profile/History/Consents",
        "custom_field_history": "GET /{account}/Profile/History/CustomFields/{profile_id}",
        "custom_field_history_by_alternate_id": "GET /{account}/Profile/History/CustomFields",
        "standard_field_history": "GET /{account}/Profile/History/StandardFields/{profile_id}",
        "standard_field_history_by_alternate_id": "GET /{account}/Profile/History/StandardFields",
        "events_by_account": "GET /{account}/Events",
        "events_by_subscription": "GET /{account}/Events/Subscription/{subscription_id}",
        "events_by_profile": "GET /{account}/Events/Profile/{profile_id}",
        "event_by_id": "GET /{account}/Events/{event_id}",
        "subscriptions": "GET /{account}/Events/Subscriptions",
        "create_subscription": "POST /{account}/Events/Subscriptions",
        "update_subscription": "PUT /{account}/Events/Subscriptions/{subscription_id}",
        "delete_subscription": "DELETE /{account}/Events/Subscriptions/{subscription_id}",
        "webhook_settings": "GET /{account}/Events/Settings",
        "update_webhook_settings": "PUT /{account}/Events/Settings",
        "export_initiate": "POST /{account}/export/Segment/{segment}",
        "export_initiate_group": "POST /{account}/export/SegmentGroup/{group}",
        "export_status": "GET /{account}/status/Token/{access_token}",
        "export_retrieve": "GET /{account}/export/Segment/{access_token}",
        "import_initiate": "POST /{account}/Import",
        "import_stage": "POST /{account}/Import/{access_token}/Stage",
        "import_execute": "POST /{account}/Import/{access_token}/Execute",
        "import_status": "GET /{account}/Import/{access_token}/Status",
        "import_exceptions": "GET /{account}/Import/{access_token}/Exceptions",
    }
    return {operation: _parse(line) for operation, line in table.items()}


# What stands in the path or in the query: the documents have it both ways.
_EITHER = frozenset({"alternate_id", "alternate_id_type"})


def load_routes(path: Path | None) -> dict[str, Route]:
    """The built-in table, overlaid with a TOML file of `operation = "METHOD /path"` lines.
    Raises ConfigError naming every bad line."""
    routes = builtin_routes()
    if path is None:
        return routes
    try:
        lines = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(
            "The routes file cannot be read.", hint="Check BRIDGE_MYPREFERENCES__ROUTES_FILE."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("The routes file is not TOML.", problems=(str(error),)) from None
    problems = []
    for operation, line in lines.items():
        problem = _problem(operation, line, routes)
        if problem:
            problems.append(problem)
        else:
            routes[operation] = _parse(line)
    if problems:
        raise ConfigError(
            "The routes file holds lines that cannot be used.",
            problems=tuple(problems),
            hint='Write them as: profiles_by_email = "GET /{account}/Profile/Email".',
        )
    return routes


def _parse(line: str) -> Route:
    method, _, template = line.partition(" ")
    return Route(method.upper(), template.strip())


def _problem(operation: str, line: object, routes: Routes) -> str:
    known = builtin_routes().get(operation)
    if known is None:
        near = difflib.get_close_matches(operation, routes, n=1, cutoff=0.4)
        return f"unknown operation '{operation}'" + (f"; did you mean '{near[0]}'?" if near else "")
    if not isinstance(line, str):
        return f"{operation}: the route is not a text"
    route = _parse(line)
    if route.method not in _METHODS or not route.template.startswith("/"):
        return f"{operation}: not of the form 'METHOD /path'"
    try:
        fields = route.fields
    except ValueError:
        return f"{operation}: the braces do not match"
    either = _EITHER if operation.endswith("by_alternate_id") else frozenset()
    missing = known.fields - fields - (either if not either & fields else frozenset())
    if missing or (either & fields and either - fields):
        return f"{operation}: lacks {_braced(missing or either - fields)}"
    if extra := fields - known.fields - either:
        return f"{operation}: takes no {_braced(extra)}"
    return ""


def _braced(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))
