"""What the account stores of people: profiles, contact points, preferences and consents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

GRANTED, DENIED, REVOKED, NOT_SET = 1, 2, 3, 4
CONSENT_STATUS = {GRANTED: "Granted", DENIED: "Denied", REVOKED: "Revoked", NOT_SET: "NotSet"}


@dataclass(frozen=True, slots=True)
class AccountUser:
    """An API user: the author of what it writes. `source_id` is its source group."""

    user_id: str
    source_id: str = ""


@dataclass(frozen=True, slots=True)
class WriteAuthor:
    """Who writes. A `quiet` write raises no events: only for filling the sandbox."""

    user: AccountUser
    quiet: bool = False


@dataclass(slots=True)
class StoredPreference:
    """One choice for one filter. `customer_date` is when it was made, `modified` when it was stored."""

    filter_id: str
    opted_in: bool
    customer_date: datetime
    modified: datetime
    user: AccountUser
    frequency: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    archived: bool = False


@dataclass(slots=True)
class StoredConsent:
    """A consent's state; one that is not `active` is history."""

    consent_type: str
    version: str
    locale: str
    status: int
    date: datetime
    created: datetime
    modified: datetime
    user: AccountUser
    active: bool = True


@dataclass(frozen=True, slots=True)
class ContactKind:
    """One kind of contact point, and the names that documents use for it and its parts.

    `event` stands in event types; `details` are the fields beside type and value.
    """

    name: str
    collection: str
    type_field: str
    value_field: str
    preferences_field: str
    event: str
    channels: tuple[str, ...]
    details: tuple[str, ...] = ()


EMAIL = ContactKind(
    "Email", "Emails", "EmailAddressType", "EmailAddress", "EmailPreferences", "email", ("email",)
)
PHONE = ContactKind(
    name="Phone",
    collection="PhoneNumbers",
    type_field="PhoneType",
    value_field="PhoneNumber",
    preferences_field="PhonePreferences",
    event="phone",
    channels=("phone", "text", "fax"),
    details=("IsMobile",),
)
_ADDRESS_LINES = ("Address1", "Address2", "City", "StateProvince", "PostalCode")
ADDRESS = ContactKind(
    name="Address",
    collection="Addresses",
    type_field="AddressType",
    value_field="Address1",
    preferences_field="AddressPreferences",
    event="address",
    channels=("mail",),
    details=(*_ADDRESS_LINES, "CountryCode_Numeric", "CountryCode_Alpha2", "CountryCode_Alpha3"),
)
KINDS = (EMAIL, PHONE, ADDRESS)


@dataclass(slots=True)
class StoredContactPoint:
    """An e-mail address, phone or postal address of a profile, with the choices made for it.

    `details` are the fields beside type and value: IsMobile of a phone, the lines of a postal address.
    """

    kind: ContactKind
    type_name: str
    value: str
    created: datetime
    modified: datetime
    user: AccountUser
    is_default: bool = False
    is_active: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    preferences: dict[str, StoredPreference] = field(default_factory=dict)
    superseded: list[StoredPreference] = field(default_factory=list)
    consents: list[StoredConsent] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Equal for two values that are the same."""
        return contact_key(self.kind, self.value, self.details)


def contact_key(kind: ContactKind, value: str, details: Mapping[str, Any] | None = None) -> str:
    """The value as it is compared: an e-mail address trimmed and in any case, a phone by its digits, a postal
    address by all of its lines."""
    if kind is PHONE:
        return "".join(letter for letter in value if letter.isdigit())
    if kind is ADDRESS:
        return "|".join(str((details or {}).get(name) or "").strip().lower() for name in _ADDRESS_LINES)
    return value.strip().lower()


FieldHistory = list[tuple[datetime, AccountUser, dict[str, Any]]]
"""Fields as they were from a time on, and who set them."""


@dataclass(slots=True)
class StoredProfile:
    """One profile. `extras` are collections kept as they were sent (custom fields, groups, tags)."""

    profile_id: int
    created: datetime
    modified: datetime
    created_by: AccountUser
    modified_by: AccountUser
    customer_type: str
    locale: str
    is_active: bool = True
    registration_confirmed: bool = False
    preserve_consents: bool = True
    preserve_preferences: bool = True
    reason_code: str = ""
    name: dict[str, str] = field(default_factory=dict)
    alternate_ids: dict[str, str] = field(default_factory=dict)
    points: list[StoredContactPoint] = field(default_factory=list)
    preferences: dict[str, StoredPreference] = field(default_factory=dict)
    superseded: list[StoredPreference] = field(default_factory=list)
    consents: list[StoredConsent] = field(default_factory=list)
    associations: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(consent type, filter id, contact or customer type) -> the status that was last reported"""
    dissociated: set[tuple[str, str]] = field(default_factory=set)
    """(consent type, filter id) that were separated, whatever the configuration couples"""
    extras: dict[str, Any] = field(default_factory=dict)
    custom_field_history: FieldHistory = field(default_factory=list)
    standard_field_history: FieldHistory = field(default_factory=list)

    @property
    def type_name(self) -> str:
        """The customer type: the type for which a profile-level choice is associated with consents."""
        return self.customer_type

    @property
    def standard_fields(self) -> dict[str, Any]:
        """The fields that every account has (MyPreferences `Retrieve historical standard fields`)."""
        return {
            "CustomerName": dict(self.name),
            "DefaultLocale": self.locale,
            "CustomerType": self.customer_type,
            "RegistrationConfirmed": self.registration_confirmed,
        }

    @property
    def holders(self) -> list[Holder]:
        """Everything that holds preferences and consents: the profile, then its contact points."""
        return [self, *self.points]

    def of_kind(self, kind: ContactKind) -> list[StoredContactPoint]:
        """Contact points of one kind, those that are no longer active too."""
        return [point for point in self.points if point.kind is kind]

    def point(self, kind: ContactKind, key: str, type_name: str | None = None) -> StoredContactPoint | None:
        """The active contact point of that key (and type, when given)."""
        for point in self.of_kind(kind):
            same_type = type_name is None or point.type_name.lower() == type_name.lower()
            if point.is_active and same_type and point.key == key:
                return point
        return None

    def default(self, kind: ContactKind) -> StoredContactPoint | None:
        """The default contact point of a kind, else the first active one."""
        active = [point for point in self.of_kind(kind) if point.is_active]
        return next((point for point in active if point.is_default), active[0] if active else None)

    def all_preferences(self) -> Iterator[tuple[Holder, StoredPreference]]:
        """Every preference, archived ones too, with what holds it."""
        for holder in self.holders:
            for preference in list(holder.preferences.values()):
                yield holder, preference

    def live_preferences(self, filter_id: str) -> Iterator[tuple[Holder, StoredPreference]]:
        """Every preference for a filter that is not archived, with what holds it."""
        for holder, preference in self.all_preferences():
            if preference.filter_id.lower() == filter_id.lower() and not preference.archived:
                yield holder, preference

    def consent(self, consent_type: str) -> StoredConsent | None:
        """The active profile-level consent of a type that was stored last."""
        active = [item for item in self.consents if item.active and item.consent_type == consent_type]
        return max(active, key=lambda item: item.modified, default=None)

    def copy(self) -> StoredProfile:
        """A copy that later changes do not reach: preferences are shared, as none is changed in place."""
        points = [
            replace(
                point,
                details=dict(point.details),
                preferences=dict(point.preferences),
                consents=[replace(consent) for consent in point.consents],
            )
            for point in self.points
        ]
        return replace(
            self,
            name=dict(self.name),
            alternate_ids=dict(self.alternate_ids),
            points=points,
            preferences=dict(self.preferences),
            consents=[replace(consent) for consent in self.consents],
            associations=dict(self.associations),
            extras=dict(self.extras),
        )


Holder = StoredProfile | StoredContactPoint
"""What holds preferences and consents."""
