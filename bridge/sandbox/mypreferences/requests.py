"""Request bodies about people, checked against the account's configuration.

A body is checked whole before anything is applied: a refused request changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec import UNSET

from bridge.sandbox.mypreferences.bodies import (
    AlternateIdBody,
    ConsentBody,
    ContactPointBody,
    PreferenceBody,
    PreferencesBody,
    ProfileBody,
    spelled,
    spelled_throughout,
)
from bridge.sandbox.mypreferences.config import AccountConfig, FilterConfig, spelled_as
from bridge.sandbox.mypreferences.dates import read_choice_date
from bridge.sandbox.mypreferences.records import CONSENT_STATUS, EMAIL, GRANTED, ContactKind, contact_key
from bridge.sandbox.mypreferences.refusal import invalid, not_found

_OPTED_IN = {"1": True, "optin": True, "opt-in": True, "2": False, "optout": False, "opt-out": False}


@dataclass(frozen=True)
class PreferenceRequest:
    """A submitted preference; `frequency` is already the filter's default when none was sent."""

    filter: FilterConfig
    opted_in: bool
    date: datetime
    frequency: str | None
    attributes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ConsentRequest:
    """A submitted consent."""

    consent_type: str
    version: str
    locale: str
    status: int
    date: datetime


@dataclass(frozen=True)
class ContactPointRequest:
    """A submitted contact point; without `type_name`, the one of that value whatever its type."""

    value: str
    type_name: str | None = None
    is_default: bool | None = None
    preferences: tuple[PreferenceRequest, ...] = ()
    consents: tuple[ConsentRequest, ...] = ()
    kind: ContactKind = EMAIL
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for two values that are the same."""
        return contact_key(self.kind, self.value, self.details)


@dataclass
class ProfileRequest:
    """A submitted profile or part of one; what was not sent is absent."""

    fields: dict[str, Any] = field(default_factory=dict)
    name: dict[str, str] = field(default_factory=dict)
    alternate_ids: dict[str, str] = field(default_factory=dict)
    points: list[ContactPointRequest] = field(default_factory=list)
    preferences: list[PreferenceRequest] = field(default_factory=list)
    consents: list[ConsentRequest] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)


class RequestChecker:
    """Checks bodies against one account's configuration. Every method raises MyPreferencesRefusal: 404 for an
    unknown type of contact, customer or alternate id, 400 for the rest."""

    def __init__(self, config: AccountConfig, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now

    def profile(self, body: ProfileBody) -> ProfileRequest:
        """A profile (MyPreferences create and update profile)."""
        request = self.preferences(body)
        for name in ("registration_confirmed", "preserve_consents", "preserve_preferences"):
            if (flag := getattr(body, name)) is not None:
                request.fields[name] = flag
        if body.customer_type is not None:
            known = self._config.customer_types
            request.fields["customer_type"] = _known(body.customer_type, known, "CustomerType")
        if body.default_locale is not None:
            request.fields["locale"] = body.default_locale
        request.name = {spelled(name): str(text) for name, text in (body.customer_name or {}).items()}
        request.alternate_ids = dict(self._alternate_id(item) for item in body.alternate_ids or ())
        request.consents = [self.consent(item) for item in body.consents or ()]
        extras = {"CustomFields": body.custom_fields, "Groups": body.groups, "ProfileTags": body.profile_tags}
        request.extras = {
            name: spelled_throughout(value or []) for name, value in extras.items() if value is not UNSET
        }
        return request

    def preferences(self, body: PreferencesBody) -> ProfileRequest:
        """Preferences alone (MyPreferences add or update preferences)."""
        return ProfileRequest(
            points=[self.contact_point(item) for item in body.points],
            preferences=[self.preference(item, None) for item in body.profile_preferences or ()],
        )

    def preference(self, body: PreferenceBody, kind: ContactKind | None) -> PreferenceRequest:
        """One preference of a kind of contact point, or of the profile (None)."""
        wanted = self.filter(body.filter_id)
        if wanted.kind is not kind:
            raise invalid(f"The FilterId '{wanted.filter_id}' does not belong to this collection.")
        opted_in = _OPTED_IN.get(str(body.preference_type).lower())
        if opted_in is None:
            raise invalid("The PreferenceType field is required: 1 (Opt-In) or 2 (Opt-Out).")
        attributes = body.preference_attributes
        return PreferenceRequest(
            wanted,
            opted_in,
            self._date(body.customer_date, "CustomerDate", opted_in),
            _frequency(wanted, body.frequency_id),
            None if attributes is None else {item.key: str(item.value or "") for item in attributes},
        )

    def consent(self, body: ConsentBody) -> ConsentRequest:
        """One consent."""
        known = self._config.consent_type(body.consent_type)
        if known is None:
            raise invalid(f"The ConsentType '{body.consent_type}' is not valid.")
        version = next((item for item in known.versions if item.version == body.consent_version), None)
        if version is None:
            raise invalid(f"The ConsentVersion '{body.consent_version}' is not valid.")
        locale = spelled_as(body.locale, version.locales)
        if locale is None:
            raise invalid(f"The Locale '{body.locale}' is not valid for this consent.")
        status = consent_status(body.consent_status)
        if status is None:
            raise invalid("The ConsentStatus field is required: 1 Granted, 2 Denied, 3 Revoked or 4 NotSet.")
        date = self._date(body.consent_date, "ConsentDate", status == GRANTED)
        return ConsentRequest(known.type_name, version.version, locale, status, date)

    def contact_point(self, body: ContactPointBody) -> ContactPointRequest:
        """One contact point with what was chosen for it."""
        kind, value, details = body.kind, (body.value or "").strip(), body.details
        type_name = self.contact_type(kind, body.type_name) if body.type_name else None
        if not value:
            raise invalid(f"The {kind.value_field} field is required.")
        if (kind is EMAIL and "@" not in value) or not contact_key(kind, value, details):
            raise invalid(f"The {kind.value_field} is not valid.")
        preferences = tuple(self.preference(item, kind) for item in body.preferences or ())
        consents = tuple(self.consent(item) for item in body.consents or ())
        return ContactPointRequest(value, type_name, body.is_default, preferences, consents, kind, details)

    def contact_type(self, kind: ContactKind, name: str) -> str:
        """A type of contact point in its configured spelling."""
        return _known(name, self._config.types_of(kind), kind.type_field)

    def alternate_id(self, type_name: str, value: str) -> tuple[str, str]:
        """An alternate id, its type in the configured spelling."""
        type_name = _known(type_name, self._config.alternate_id_types, "AlternateIdType")
        if not value.strip():
            raise invalid("alternateId is required.")
        return type_name, value.strip()

    def filter(self, filter_id: str) -> FilterConfig:
        """A configured filter."""
        found = self._config.filter(filter_id)
        if found is None:
            raise invalid(f"The FilterId '{filter_id}' is not valid.")
        return found

    def _alternate_id(self, body: AlternateIdBody) -> tuple[str, str]:
        type_name, value = body.alternate_id_type or body.type_name, body.alternate_id or body.value
        if type_name is None or value is None:
            raise invalid("AlternateIdType and AlternateId are required.")
        return self.alternate_id(type_name, value)

    def _date(self, text: str | None, name: str, opted_in: bool) -> datetime:
        if not text:
            return self._now()
        try:
            return read_choice_date(text, opted_in)
        except (ValueError, OverflowError):
            raise invalid(f"The {name} is not a valid date.") from None


def consent_status(sent: int | str) -> int | None:
    """The number of a consent status, given by number or name; None for any other."""
    wanted = str(sent).lower()
    return next((n for n, name in CONSENT_STATUS.items() if wanted in (str(n), name.lower())), None)


def _known(name: str, known: Iterable[str], what: str) -> str:
    found = spelled_as(name, known)
    if found is None:
        raise not_found(f"The {what} '{name}'")
    return found


def _frequency(wanted: FilterConfig, sent: str | None) -> str | None:
    if not sent:
        return wanted.default_frequency
    found = spelled_as(sent, wanted.frequencies)
    if found is None:
        raise invalid(f"The FrequencyId '{sent}' is not valid for FilterId '{wanted.filter_id}'.")
    return found
