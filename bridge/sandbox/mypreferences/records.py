"""What the service keeps: people, their contact elements, and what they chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

GRANTED, DENIED, REVOKED, NOT_SET = 1, 2, 3, 4
CONSENT_STATUS = {GRANTED: "Granted", DENIED: "Denied", REVOKED: "Revoked", NOT_SET: "NotSet"}


@dataclass(frozen=True, slots=True)
class User:
    """An API user: the author of what it writes. `source_id` is its source group."""

    user_id: str
    source_id: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and whether the act is quiet (raises no events: only for filling the sandbox)."""

    user: User
    quiet: bool = False


@dataclass(slots=True)
class Preference:
    """One choice for one filter. `customer_date` is when it was made, `modified` when it was stored."""

    filter_id: str
    opted_in: bool
    customer_date: datetime
    modified: datetime
    user: User
    frequency: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    archived: bool = False


@dataclass(slots=True)
class Consent:
    """A consent's state; one that is not `active` is history."""

    consent_type: str
    version: str
    locale: str
    status: int
    date: datetime
    created: datetime
    modified: datetime
    user: User
    active: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of contact element, and the names its documents use (MyPreferences `EmailPreference`, twins).

    `event` is its word in event types.
    """

    name: str
    collection: str
    type_field: str
    value_field: str
    preferences_field: str
    event: str
    channels: tuple[str, ...]


EMAIL = Kind("Email", "Emails", "EmailAddressType", "EmailAddress", "EmailPreferences", "email", ("email",))
PHONE = Kind(
    "Phone", "PhoneNumbers", "PhoneType", "PhoneNumber", "PhonePreferences", "phone", ("phone", "text", "fax")
)
ADDRESS = Kind("Address", "Addresses", "AddressType", "Address1", "AddressPreferences", "address", ("mail",))
KINDS = (EMAIL, PHONE, ADDRESS)
POSTAL = (
    "Address1",
    "Address2",
    "City",
    "StateProvince",
    "PostalCode",
    "CountryCode_Numeric",
    "CountryCode_Alpha2",
    "CountryCode_Alpha3",
)


@dataclass(slots=True)
class Element:
    """An e-mail address, phone or postal address on a profile, with what hangs on it.

    `details` are the fields beside type and value: IsMobile of a phone, the lines of a postal address.
    """

    kind: Kind
    type_name: str
    value: str
    created: datetime
    modified: datetime
    user: User
    is_default: bool = False
    is_active: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    preferences: dict[str, Preference] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What makes two values the same."""
        return element_key(self.kind, self.value, self.details)


def element_key(kind: Kind, value: str, details: Mapping[str, Any]) -> str:
    """The value as it is compared: an e-mail address trimmed and in any case, a phone by its digits, a postal
    address by all of its lines."""
    if kind is PHONE:
        return "".join(letter for letter in value if letter.isdigit())
    if kind is ADDRESS:
        return "|".join(str(details.get(name) or "").strip().lower() for name in POSTAL[:5])
    return value.strip().lower()


@dataclass(slots=True)
class Former:
    """What a profile held before: superseded preferences, and fields as they were from a time on."""

    preferences: list[tuple[Element | None, Preference]] = field(default_factory=list)
    custom_fields: list[tuple[datetime, User, dict[str, Any]]] = field(default_factory=list)
    standard_fields: list[tuple[datetime, User, dict[str, Any]]] = field(default_factory=list)


@dataclass(slots=True)
class Profile:
    """One profile. `extras` are collections kept as they were sent (custom fields, groups, tags)."""

    profile_id: int
    created: datetime
    modified: datetime
    created_by: User
    modified_by: User
    customer_type: str
    locale: str
    is_active: bool = True
    registration_confirmed: bool = False
    preserve_consents: bool = True
    preserve_preferences: bool = True
    reason_code: str = ""
    name: dict[str, str] = field(default_factory=dict)
    alternate_ids: dict[str, str] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    preferences: dict[str, Preference] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)
    associations: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(consent type, filter id, element or customer type) -> the status last told"""
    untied: set[tuple[str, str]] = field(default_factory=set)
    """(consent type, filter id) that were taken apart, whatever the configuration couples"""
    extras: dict[str, Any] = field(default_factory=dict)
    former: Former = field(default_factory=Former)

    def of_kind(self, kind: Kind) -> list[Element]:
        """Elements of one kind, those that are no longer active too."""
        return [item for item in self.elements if item.kind is kind]

    @property
    def emails(self) -> list[Element]:
        """The e-mail elements, those that are no longer active too."""
        return self.of_kind(EMAIL)

    def element(self, kind: Kind, key: str, type_name: str | None = None) -> Element | None:
        """The active element of that key (and type, when given)."""
        for item in self.of_kind(kind):
            same_type = type_name is None or item.type_name.lower() == type_name.lower()
            if item.is_active and same_type and item.key == key:
                return item
        return None

    def email(self, address: str, email_type: str | None = None) -> Element | None:
        """The active e-mail element with that address (and type, when given)."""
        return self.element(EMAIL, element_key(EMAIL, address, {}), email_type)

    def default(self, kind: Kind) -> Element | None:
        """The default element of a kind, else the first active one."""
        active = [item for item in self.of_kind(kind) if item.is_active]
        return next((item for item in active if item.is_default), active[0] if active else None)

    def held(self, element: Element | None) -> dict[str, Preference]:
        """The preferences of an element, of the profile itself for None."""
        return self.preferences if element is None else element.preferences

    def live(self, filter_id: str) -> Iterator[tuple[Element | None, Preference]]:
        """Every preference for a filter that is not archived, with the element it hangs on."""
        for holder, preference in self.all_preferences():
            if preference.filter_id.lower() == filter_id.lower() and not preference.archived:
                yield holder, preference

    def all_preferences(self) -> Iterator[tuple[Element | None, Preference]]:
        """Every preference, archived ones too, with the element it hangs on (None: the profile)."""
        for preference in list(self.preferences.values()):
            yield None, preference
        for element in self.elements:
            for preference in list(element.preferences.values()):
                yield element, preference

    def consent(self, consent_type: str) -> Consent | None:
        """The active profile-level consent of a type that was stored last."""
        active = [item for item in self.consents if item.active and item.consent_type == consent_type]
        return max(active, key=lambda item: item.modified, default=None)
