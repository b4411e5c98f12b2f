"""Operations on the configuration and on API users: the Experience API.

The children of programs and groups are not documented: they follow the vocabulary of the pages about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences.bodies import FilledText, Text50, Text100, read
from bridge.sandbox.mypreferences.call import Handler, MyPreferencesCall
from bridge.sandbox.mypreferences.config import (
    AccountConfig,
    ConsentTypeConfig,
    ConsentVersionConfig,
    FilterConfig,
    Pairs,
    ProgramConfig,
    ProgramGroupConfig,
)
from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.records import CONSENT_STATUS, AccountUser
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal, invalid, not_found

Wanted = Callable[[Pairs], bool]
"""Whether something with these custom properties is asked for."""


class LocalizedBody(Struct, rename="pascal"):
    """The text of a consent version in one locale; only the locale counts here."""

    locale: Text50


class ConsentVersionBody(Struct, rename="pascal"):
    """A consent version to be created."""

    consent_version: Text50
    localized_fields: Annotated[list[LocalizedBody], Meta(min_length=1)]
    expiration_in_days: int | None = None
    is_active: bool | None = None


class ConsentTypeBody(Struct, rename="pascal"):
    """A consent type to be created."""

    type_name: Text100
    versions: Annotated[list[ConsentVersionBody], Meta(min_length=1)]
    is_active: bool | None = None


class ConsentTypesBody(Struct, rename="pascal"):
    """Consent types to be created."""

    consent_types: Annotated[list[ConsentTypeBody], Meta(min_length=1)]


class ConsentTypeChangeBody(Struct):
    """One operation of a patch of a consent type."""

    op: str
    path: str
    value: Any = None


class UserBody(Struct, rename="pascal"):
    """An API user to be created."""

    user_name: FilledText
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    description: str | None = None
    user_groups: list[Any] | None = None
    default_landing_page: Literal["", "Dashboard", "ProfileSearch", "DataExport"] | None = None
    source_group_id: str | None = None


@dataclass(frozen=True)
class _View:
    """The configuration as one call sees it: in one locale, or in all for None; of what is inside of programs
    and groups, only what is `wanted`."""

    config: AccountConfig
    locale: str | None
    wanted: Wanted

    def programs(self, items: Iterable[ProgramConfig]) -> list[dict[str, Any]]:
        """Programs the API user may see, with their filters."""
        return [
            {
                "ProgramId": item.program_id,
                "ProgramType": item.program_type,
                "IsActive": item.active,
                "TextTags": self._text_tags(item.name, item.names),
                "CustomProperties": _properties(item.properties),
                "Filters": [
                    _filter(one)
                    for one in item.filters
                    if self.config.shown(one.filter_id) and self.wanted(one.properties)
                ],
            }
            for item in items
            if self.config.shown(item.program_id)
        ]

    def groups(self, items: Iterable[ProgramGroupConfig]) -> list[dict[str, Any]]:
        """Groups with their groups, programs and filters."""
        return [
            {
                "ProgramGroupId": item.group_id,
                "TextTags": self._text_tags(item.name, item.names),
                "CustomProperties": _properties(item.properties),
                "ProgramGroups": self.groups(one for one in item.groups if self.wanted(one.properties)),
                "Programs": self.programs(
                    found
                    for name in item.programs
                    if (found := self.config.program(name)) is not None and self.wanted(found.properties)
                ),
            }
            for item in items
        ]

    def consent_types(self, items: Iterable[ConsentTypeConfig]) -> list[dict[str, Any]]:
        """Consent types the API user may see."""
        return [_consent_type_document(item) for item in items if self.config.shown(item.type_name)]

    def contact_types(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Contact types, each with its consents."""
        return [
            {
                "TypeName": name,
                "IsActive": True,
                "Consents": self.consent_types(
                    found
                    for type_name, consent in self.config.type_consents
                    if type_name == name and (found := self.config.consent_type(consent)) is not None
                ),
            }
            for name in names
        ]

    def _text_tags(self, name: str, names: Pairs) -> list[dict[str, Any]]:
        """The names of something; it always has one in the account's locale."""
        default = self.config.default_locale
        if self.locale is None:
            own = () if default in dict(names) else ((default, name),)
            return [_text_tag(locale, text) for locale, text in (*own, *names)]
        found = (text for locale, text in names if locale.lower() == (self.locale or "").lower())
        return [_text_tag(self.locale, next(found, "") or name)]


def programs(call: MyPreferencesCall) -> HttpReply:
    """Retrieve programs with their filters and frequencies."""
    return _programs(_view(call), call.account.config.programs)


def program(call: MyPreferencesCall) -> HttpReply:
    """Retrieve a program: still a collection."""
    found = call.account.config.program(call.parameter("programId"))
    if found is None or not call.account.config.shown(found.program_id):
        raise not_found("The program")
    return _programs(_view(call), [found])


def programs_by_type(call: MyPreferencesCall) -> HttpReply:
    """Retrieve programs by Program Type."""
    wanted = call.parameter("programTypeId").lower()
    found = [one for one in call.account.config.programs if one.program_type.lower() == wanted]
    return _programs(_view(call), found)


def programs_all(call: MyPreferencesCall, *, matching: bool = False) -> HttpReply:
    """Retrieve programs (Include All): a program that matches comes with all its filters; or (Include
    Matching) only with the filters that match."""
    wanted = _wanted(call)
    found = [one for one in call.account.config.programs if wanted(one.properties)]
    return _programs(_view(call, wanted if matching else _everything), found)


programs_matching = partial(programs_all, matching=True)


def program_groups(call: MyPreferencesCall) -> HttpReply:
    """Retrieve program groups, the nested ones inside theirs."""
    return _groups(_view(call), call.account.config.program_groups)


def program_group(call: MyPreferencesCall) -> HttpReply:
    """Retrieve a program group, wherever it is nested: still a collection."""
    wanted = call.parameter("programGroupId").lower()
    found = [one for one in _flat(call.account.config.program_groups) if one.group_id.lower() == wanted]
    if not found:
        raise not_found("The program group")
    return _groups(_view(call), found)


def groups_all(call: MyPreferencesCall, *, matching: bool = False) -> HttpReply:
    """Retrieve program groups (Include All): a group that matches comes with all that is in it; or (Include
    Matching) only with the groups, programs and filters that match."""
    wanted = _wanted(call)
    found = [one for one in call.account.config.program_groups if wanted(one.properties)]
    return _groups(_view(call, wanted if matching else _everything), found)


groups_matching = partial(groups_all, matching=True)


def consent_types(call: MyPreferencesCall) -> HttpReply:
    """Retrieve consents."""
    return json_reply({"ConsentTypes": _view(call).consent_types(call.account.config.consent_types)})


def create_consent_types(call: MyPreferencesCall) -> HttpReply:
    """Create consent types. 409 where one of them exists; then none is created."""
    made = [
        ConsentTypeConfig(
            item.type_name, tuple(_version(one) for one in item.versions), item.is_active is not False
        )
        for item in call.body(ConsentTypesBody).consent_types
    ]
    config = call.account.config
    if any(config.consent_type(item.type_name) is not None for item in made):
        raise MyPreferencesRefusal(409, "The consent type already exists.")
    config.change(consent_types=(*config.consent_types, *made))
    return json_reply({"ConsentTypes": _view(call).consent_types(made)}, 201)


def update_consent_type(call: MyPreferencesCall) -> HttpReply:
    """Update a consent type by a JSON patch: replaces `/IsActive`, adds `/Versions/-`."""
    config = call.account.config
    known = config.consent_type(call.parameter("typeId"))
    if known is None:
        raise not_found("The consent type")
    changes = call.body(list[ConsentTypeChangeBody])
    if not changes:
        raise invalid("A patch is a list of operations.")
    changed = known
    for change in changes:
        changed = _changed(changed, change)
    config.change(consent_types=tuple(changed if one is known else one for one in config.consent_types))
    return json_reply(_view(call).consent_types([changed])[0])


def consent_statuses(_: MyPreferencesCall) -> HttpReply:
    """Retrieve consent statuses with their numbers."""
    statuses = [{"Id": number, "Name": name} for number, name in CONSENT_STATUS.items()]
    return json_reply({"ConsentStatus": statuses})


def types(name: str, field: str) -> Handler:
    """The operation that retrieves one of the lists of types, with the consents of each."""

    def handler(call: MyPreferencesCall) -> HttpReply:
        return json_reply({name: _view(call).contact_types(getattr(call.account.config, field))})

    return handler


def create_user(call: MyPreferencesCall) -> HttpReply:
    """Create user: a new one, or an inactive one of that name made active again."""
    body = call.body(UserBody)
    if not (body.email or "").strip() and call.account.switches.user_needs_email:
        raise invalid("Email is required.")
    user = AccountUser(body.user_name.strip(), (body.source_group_id or "").strip())
    number = call.account.access.create_user(user)
    return json_reply({"UserId": number, "SubmittedTime": write_moment(call.account.now())}, 201)


def _everything(_: Pairs) -> bool:
    return True


def _view(call: MyPreferencesCall, wanted: Wanted = _everything) -> _View:
    config, locale = call.account.config, call.text("locale")
    if locale is None and not call.account.switches.all_locales_answered:
        locale = config.default_locale
    return _View(config, locale, wanted)


def _programs(view: _View, found: Iterable[ProgramConfig]) -> HttpReply:
    return json_reply({"Programs": view.programs(found)})


def _groups(view: _View, found: Iterable[ProgramGroupConfig]) -> HttpReply:
    return json_reply({"ProgramGroups": view.groups(found)})


def _flat(groups: Iterable[ProgramGroupConfig]) -> Iterator[ProgramGroupConfig]:
    for group in groups:
        yield group
        yield from _flat(group.groups)


def _wanted(call: MyPreferencesCall) -> Wanted:
    """By the query: every property must be there, with its value where one is given."""
    asked = [(key, value.lower()) for key, value in call.request.query if key != "locale"]
    if not asked:
        raise invalid("A custom property is required.")

    def wanted(properties: Pairs) -> bool:
        held = {key.lower(): value.lower() for key, value in properties}
        return all(key in held and value in ("", held[key]) for key, value in asked)

    return wanted


def _version(body: ConsentVersionBody) -> ConsentVersionConfig:
    locales = tuple(item.locale for item in body.localized_fields)
    return ConsentVersionConfig(
        body.consent_version, locales, body.expiration_in_days, body.is_active is not False
    )


def _changed(known: ConsentTypeConfig, change: ConsentTypeChangeBody) -> ConsentTypeConfig:
    match change.op, change.path, change.value:
        case "add" | "replace", "/IsActive", bool(active):
            return replace(known, active=active)
        case "add", "/Versions/-", document:
            return replace(known, versions=(*known.versions, _version(read(document, ConsentVersionBody))))
    raise invalid(f"The operation '{change.op}' on '{change.path}' is not supported.")


def _consent_type_document(item: ConsentTypeConfig) -> dict[str, Any]:
    return {
        "TypeName": item.type_name,
        "IsActive": item.active,
        "Versions": [_version_document(item.type_name, version) for version in item.versions],
    }


def _version_document(name: str, version: ConsentVersionConfig) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ConsentVersion": version.version,
        "LocalizedFields": [
            {"ConsentLanguage": "", "Locale": locale, "Name": name, "Description": ""}
            for locale in version.locales
        ],
        "IsActive": version.active,
        "IsAssociatedWithProfiles": True,
    }
    if version.expiration_in_days is not None:
        document["ExpirationInDays"] = version.expiration_in_days
    return document


def _filter(item: FilterConfig) -> dict[str, Any]:
    document: dict[str, Any] = {
        "FilterId": item.filter_id,
        "ChannelId": item.channel,
        "IsActive": item.active,
        "Frequencies": [{"FrequencyId": name} for name in item.frequencies],
        "PreferenceAttributes": [{"Key": name} for name in item.attributes],
        "CustomProperties": _properties(item.properties),
    }
    if item.default_frequency is not None:
        document["DefaultFrequencyId"] = item.default_frequency
    if item.parent is not None:
        document["ParentFilterId"] = item.parent
    return document


def _text_tag(locale: str, text: str) -> dict[str, Any]:
    return {"Locale": locale, "Name": text, "Description": ""}


def _properties(pairs: Pairs) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs]
