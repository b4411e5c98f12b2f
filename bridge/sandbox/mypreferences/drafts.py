"""Request bodies, read whole and checked before anything is applied: a refused request changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from bridge.sandbox.mypreferences.config import Config, Filter
from bridge.sandbox.mypreferences.dates import read_choice_date
from bridge.sandbox.mypreferences.records import (
    ADDRESS,
    CONSENT_STATUS,
    EMAIL,
    GRANTED,
    KINDS,
    PHONE,
    POSTAL,
    Kind,
    element_key,
)
from bridge.sandbox.mypreferences.refusal import Refused, invalid, not_found

_NAMES = (
    "ProfileId",
    "IsActive",
    "RegistrationConfirmed",
    "CustomerType",
    "PreserveConsents",
    "PreservePreferences",
    "CustomerName",
    "DefaultLocale",
    "ReasonCode",
    "AlternateIds",
    "Addresses",
    "Emails",
    "PhoneNumbers",
    "ProfilePreferences",
    "Consents",
    "CustomFields",
    "Groups",
    "Tags",
    "ProfileTags",
    "EmailAddressType",
    "EmailAddress",
    "IsDefault",
    "EmailPreferences",
    "PhoneType",
    "PhoneNumber",
    "IsMobile",
    "PhonePreferences",
    "PhoneNumberPreferences",
    "AddressType",
    *POSTAL,
    "AddressPreferences",
    "Operations",
    "GroupType",
    "GroupName",
    "IsPrimary",
    "FilterId",
    "PreferenceType",
    "FrequencyId",
    "PreferenceAttributes",
    "CustomerDate",
    "Key",
    "Value",
    "ConsentType",
    "ConsentVersion",
    "Locale",
    "ConsentStatus",
    "ConsentDate",
    "AlternateIdType",
    "AlternateId",
    "TypeName",
    "Prefix",
    "FirstName",
    "MiddleName",
    "LastName",
    "Suffix",
    "GlobalDeactivate",
    "Reason_Code",
    "Reason",
    "Name",
    "Description",
    "LocaleId",
    "Url",
    "State",
    "IsMinimized",
    "CatchUpOnResume",
    "Subscriptions",
    "Entity",
    "EventType",
    "Filters",
    "ConsentTypes",
    "ContactTypes",
    "LastDateTime",
    "MatchCriteria",
    "MatchType",
    "Values",
    "CallbackURL",
    "DataStageDuration",
    "ImportAction",
    "MatchValue",
    "AllowPriorConsents",
    "RefreshAlternateIds",
    "RefreshContacts",
    "RefreshCustomFields",
    "RefreshGroups",
    "RefreshTags",
    "UserProfilePreferences",
    "Settings",
    "MaxConcurrentRequests",
    "Duration",
)
_SPELLING = {name.lower(): name for name in _NAMES}
_FLAGS = {
    "RegistrationConfirmed": "registration_confirmed",
    "PreserveConsents": "preserve_consents",
    "PreservePreferences": "preserve_preferences",
}
_EXTRAS = ("CustomFields", "Groups", "ProfileTags")
_T = TypeVar("_T")


@dataclass(frozen=True)
class PreferenceDraft:
    """A submitted preference; `frequency` is already the filter's default when none was sent."""

    filter: Filter
    opted_in: bool
    date: datetime
    frequency: str | None
    attributes: dict[str, str] | None


@dataclass(frozen=True)
class ConsentDraft:
    """A submitted consent."""

    consent_type: str
    version: str
    locale: str
    status: int
    date: datetime


@dataclass(frozen=True)
class ElementDraft:
    """A submitted contact element; `type_name` None means the element as it already stands."""

    value: str
    type_name: str | None = None
    is_default: bool | None = None
    preferences: tuple[PreferenceDraft, ...] = ()
    consents: tuple[ConsentDraft, ...] = ()
    kind: Kind = EMAIL
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes two values the same."""
        return element_key(self.kind, self.value, self.details)


@dataclass
class ProfileDraft:
    """A submitted profile or part of one; what was not sent is absent."""

    fields: dict[str, Any] = field(default_factory=dict)
    name: dict[str, str] = field(default_factory=dict)
    alternate_ids: dict[str, str] = field(default_factory=dict)
    elements: list[ElementDraft] = field(default_factory=list)
    preferences: list[PreferenceDraft] = field(default_factory=list)
    consents: list[ConsentDraft] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)


def canonical(document: Any) -> Any:
    """Give known property names their documented spelling: input is bound without regard to case."""
    if isinstance(document, list):
        return [canonical(item) for item in document]
    if isinstance(document, dict):
        return {spelled(name): canonical(value) for name, value in document.items()}
    return document


def spelled(name: str) -> str:
    """A property name in its documented spelling; others as they are."""
    return _SPELLING.get(name.lower(), name)


class Reader:
    """Reads bodies against one account's configuration. Every method raises Refused."""

    def __init__(self, config: Config, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now

    def profile(self, body: Any) -> ProfileDraft:
        """A Profile (MyPreferences create and update profile)."""
        body = as_object(body)
        draft = ProfileDraft()
        for name, attribute in _FLAGS.items():
            if body.get(name) is not None:
                draft.fields[attribute] = _of_type(body, name, bool)
        if body.get("CustomerType") is not None:
            draft.fields["customer_type"] = self._customer_type(_text(body, "CustomerType", 100))
        if body.get("DefaultLocale") is not None:
            draft.fields["locale"] = _text(body, "DefaultLocale", 15)
        draft.name = {name: str(text) for name, text in (body.get("CustomerName") or {}).items()}
        draft.alternate_ids = dict(self._alternate_id(item) for item in _items(body, "AlternateIds"))
        draft.extras = {name: body[name] for name in _EXTRAS if name in body}
        self._choices(body, draft)
        draft.consents = [self.consent(item) for item in _items(body, "Consents")]
        return draft

    def submission(self, body: Any) -> ProfileDraft:
        """Preferences alone (MyPreferences add or update preferences)."""
        draft = ProfileDraft()
        self._choices(as_object(body), draft)
        return draft

    def consents(self, body: Any) -> list[ConsentDraft]:
        """`{"Consents": [...]}` (MyPreferences add consents to profile)."""
        found = [self.consent(item) for item in _items(as_object(body), "Consents")]
        if not found:
            raise invalid("Consents is required.")
        return found

    def preference(self, item: Any, kind: Kind | None) -> PreferenceDraft:
        """One CreateProfilePreference of a kind of contact element, or of the profile (None)."""
        item = as_object(item)
        wanted = self._config.filter(_text(item, "FilterId", 50))
        if wanted is None:
            raise invalid(f"The FilterId '{item['FilterId']}' is not valid.")
        if wanted.kind is not kind:
            raise invalid(f"The FilterId '{wanted.filter_id}' does not belong to this collection.")
        opted_in = _preference_type(item)
        return PreferenceDraft(
            wanted,
            opted_in,
            self._date(item, "CustomerDate", opted_in),
            self._frequency(wanted, item),
            _attributes(item),
        )

    def consent(self, item: Any) -> ConsentDraft:
        """One CreateCustomerConsent."""
        item = as_object(item)
        known = self._config.consent_type(_text(item, "ConsentType", 100))
        version, locale = _text(item, "ConsentVersion", 50), _text(item, "Locale", 15)
        if known is None:
            raise invalid(f"The ConsentType '{item['ConsentType']}' is not valid.")
        for candidate in known.versions:
            if candidate.version == version:
                spelled = {name.lower(): name for name in candidate.locales}.get(locale.lower())
                if spelled is None:
                    raise invalid(f"The Locale '{locale}' is not valid for this consent.")
                status = _consent_status(item)
                date = self._date(item, "ConsentDate", status == GRANTED)
                return ConsentDraft(known.type_name, version, spelled, status, date)
        raise invalid(f"The ConsentVersion '{version}' is not valid.")

    def alternate_id(self, type_name: str, value: str) -> tuple[str, str]:
        """An alternate id from query or path; an unknown type is a 404."""
        spelled = self._config.alternate_id_type(type_name)
        if spelled is None:
            raise not_found(f"The AlternateIdType '{type_name}'")
        if not value.strip():
            raise invalid("alternateId is required.")
        return spelled, value.strip()

    def element(self, item: Any, kind: Kind) -> ElementDraft:
        """One contact element; an unknown type is a 404."""
        item = as_object(item)
        type_name: str | None = None
        if item.get(kind.type_field):
            type_name = self._config.element_type(kind, _text(item, kind.type_field, 100))
            if type_name is None:
                raise not_found(f"The {kind.type_field} '{item[kind.type_field]}'")
        entries = _items(item, kind.preferences_field)
        if kind is PHONE:
            entries = entries or _items(item, "PhoneNumberPreferences")
        return ElementDraft(
            _value(item, kind),
            type_name,
            _of_type(item, "IsDefault", bool) if item.get("IsDefault") is not None else None,
            tuple(self.preference(entry, kind) for entry in entries),
            tuple(self.consent(entry) for entry in _items(item, "Consents")),
            kind,
            _details(item, kind),
        )

    def _choices(self, body: dict[str, Any], draft: ProfileDraft) -> None:
        draft.elements = [
            self.element(item, kind) for kind in KINDS for item in _items(body, kind.collection)
        ]
        draft.preferences = [self.preference(item, None) for item in _items(body, "ProfilePreferences")]

    def _alternate_id(self, item: Any) -> tuple[str, str]:
        item = as_object(item)
        type_name = item.get("AlternateIdType") or item.get("TypeName")
        value = item.get("AlternateId") or item.get("Value")
        if not isinstance(type_name, str) or not isinstance(value, str):
            raise invalid("AlternateIdType and AlternateId are required.")
        return self.alternate_id(type_name, value)

    def _customer_type(self, name: str) -> str:
        spelled = self._config.customer_type(name)
        if spelled is None:
            raise not_found(f"The CustomerType '{name}'")
        return spelled

    def _frequency(self, wanted: Filter, item: dict[str, Any]) -> str | None:
        if item.get("FrequencyId") in (None, ""):
            return wanted.default_frequency
        sent = _text(item, "FrequencyId", 20)
        for known in wanted.frequencies:
            if known.lower() == sent.lower():
                return known
        raise invalid(f"The FrequencyId '{sent}' is not valid for FilterId '{wanted.filter_id}'.")

    def _date(self, item: dict[str, Any], name: str, opted_in: bool) -> datetime:
        if item.get(name) in (None, ""):
            return self._now()
        try:
            return read_choice_date(_text(item, name, 40), opted_in)
        except (ValueError, OverflowError):
            raise invalid(f"The {name} is not a valid date.") from None


def as_object(body: Any) -> dict[str, Any]:
    """The body as an object. Raises Refused (400)."""
    if not isinstance(body, dict):
        raise Refused(400, "The request is invalid.")
    return body


def _items(body: dict[str, Any], name: str) -> list[Any]:
    items = body.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise invalid(f"{name} must be an array.")
    return items


def _text(body: dict[str, Any], name: str, longest: int) -> str:
    text = _of_type(body, name, str)
    if not text.strip():
        raise invalid(f"The {name} field is required.")
    if len(text) > longest:
        raise invalid(f"The field {name} must be a string with a maximum length of {longest}.")
    return text


def _of_type(body: dict[str, Any], name: str, kind: type[_T]) -> _T:
    value = body.get(name)
    if value is None:
        raise invalid(f"The {name} field is required.")
    if not isinstance(value, kind):
        raise invalid(f"The value for {name} is not valid.")
    return value


def _value(item: dict[str, Any], kind: Kind) -> str:
    value = _text(item, kind.value_field, 256).strip()
    if kind is EMAIL and "@" not in value:
        raise invalid("The EmailAddress is not valid.")
    if kind is PHONE and not element_key(PHONE, value, {}):
        raise invalid("The PhoneNumber is not valid.")
    return value


def _details(item: dict[str, Any], kind: Kind) -> dict[str, Any]:
    if kind is PHONE and item.get("IsMobile") is not None:
        return {"IsMobile": _of_type(item, "IsMobile", bool)}
    if kind is ADDRESS:
        return {name: _of_type(item, name, str) for name in POSTAL if item.get(name) is not None}
    return {}


def _preference_type(item: dict[str, Any]) -> bool:
    sent = item.get("PreferenceType")
    known = {"1": True, "optin": True, "opt-in": True, "2": False, "optout": False, "opt-out": False}
    chosen = known.get(str(sent).lower()) if not isinstance(sent, bool) else None
    if chosen is None:
        raise invalid("The PreferenceType field is required: 1 (Opt-In) or 2 (Opt-Out).")
    return chosen


def _consent_status(item: dict[str, Any]) -> int:
    sent = item.get("ConsentStatus")
    for number, name in CONSENT_STATUS.items():
        if not isinstance(sent, bool) and str(sent).lower() in (str(number), name.lower()):
            return number
    raise invalid("The ConsentStatus field is required: 1 Granted, 2 Denied, 3 Revoked or 4 NotSet.")


def _attributes(item: dict[str, Any]) -> dict[str, str] | None:
    if item.get("PreferenceAttributes") is None:
        return None
    pairs = [as_object(entry) for entry in _items(item, "PreferenceAttributes")]
    return {_text(entry, "Key", 256): str(entry.get("Value") or "") for entry in pairs}
