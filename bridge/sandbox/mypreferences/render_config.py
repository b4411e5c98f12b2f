"""The configuration as the documents the service answers with.

The children of programs and groups are not documented: they follow the vocabulary of the pages about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bridge.sandbox.mypreferences.config import (
    Config,
    ConsentType,
    ConsentVersion,
    Filter,
    Pairs,
    Program,
    ProgramGroup,
)
from bridge.sandbox.mypreferences.records import CONSENT_STATUS

Chosen = Callable[[Pairs], bool]
"""Whether something with these custom properties is asked for."""


class RenderConfig:
    """Builds documents of one account's configuration, worded in one locale, or in all where `everything`."""

    def __init__(self, config: Config, locale: str | None, *, everything: bool = False) -> None:
        self._config = config
        self._locale = locale or config.default_locale
        self._everything = everything and locale is None

    def programs(self, items: Iterable[Program], chosen: Chosen | None = None) -> list[dict[str, Any]]:
        """Programs the API user may see, with their filters; only the `chosen` ones of these."""
        return [self._program(item, chosen) for item in items if self._config.shown(item.program_id)]

    def group(self, item: ProgramGroup, chosen: Chosen | None = None) -> dict[str, Any]:
        """A group with its groups, programs and filters; only the `chosen` ones of all these."""
        programs = [found for name in item.programs if (found := self._config.program(name)) is not None]
        return {
            "ProgramGroupId": item.group_id,
            "TextTags": self._tags(item.name, item.wordings, item.worded(self._locale)),
            "CustomProperties": _properties(item.properties),
            "ProgramGroups": [
                self.group(nested, chosen) for nested in item.groups if _is(nested.properties, chosen)
            ],
            "Programs": self.programs((one for one in programs if _is(one.properties, chosen)), chosen),
        }

    def consent_types(self, items: Iterable[ConsentType]) -> list[dict[str, Any]]:
        """Consent types the API user may see."""
        return [consent_type(item) for item in items if self._config.shown(item.type_name)]

    def contact_types(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Contact types, each with its consents."""
        ties = self._config.type_consents
        return [
            {
                "TypeName": name,
                "IsActive": True,
                "Consents": self.consent_types(
                    found
                    for kind, consent in ties
                    if kind == name and (found := self._config.consent_type(consent)) is not None
                ),
            }
            for name in names
        ]

    def _program(self, item: Program, chosen: Chosen | None) -> dict[str, Any]:
        return {
            "ProgramId": item.program_id,
            "ProgramType": item.program_type,
            "IsActive": item.active,
            "TextTags": self._tags(item.name, item.wordings, item.worded(self._locale)),
            "CustomProperties": _properties(item.properties),
            "Filters": [
                _filter(one)
                for one in item.filters
                if self._config.shown(one.filter_id) and _is(one.properties, chosen)
            ],
        }

    def _tags(self, name: str, wordings: Pairs, worded: str) -> list[dict[str, Any]]:
        if not self._everything:
            return [_tag(self._locale, worded)]
        own = [] if self._config.default_locale in dict(wordings) else [(self._config.default_locale, name)]
        return [_tag(locale, text) for locale, text in (*own, *wordings)]


def consent_type(item: ConsentType) -> dict[str, Any]:
    """A consent type of the configuration."""
    return {
        "TypeName": item.type_name,
        "IsActive": item.active,
        "Versions": [_version(item.type_name, one) for one in item.versions],
    }


def consent_statuses() -> list[dict[str, Any]]:
    """All consent statuses with their numbers."""
    return [{"Id": number, "Name": name} for number, name in CONSENT_STATUS.items()]


def _version(name: str, version: ConsentVersion) -> dict[str, Any]:
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


def _filter(item: Filter) -> dict[str, Any]:
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


def _is(properties: Pairs, chosen: Chosen | None) -> bool:
    return chosen is None or chosen(properties)


def _tag(locale: str, text: str) -> dict[str, Any]:
    return {"Locale": locale, "Name": text, "Description": ""}


def _properties(pairs: Pairs) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs]
