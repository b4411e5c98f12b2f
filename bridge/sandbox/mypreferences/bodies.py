"""Request bodies about people, as they are sent."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bridge.sandbox.http import BodyError, read_document
from bridge.sandbox.mypreferences.records import ADDRESS, EMAIL, PHONE, ContactKind
from bridge.sandbox.mypreferences.refusal import invalid

BodyT = TypeVar("BodyT")
_FILLED = r"\S"
FilledText = Annotated[str, Meta(pattern=_FILLED)]
Text15 = Annotated[str, Meta(max_length=15, pattern=_FILLED)]
Text50 = Annotated[str, Meta(max_length=50, pattern=_FILLED)]
Text100 = Annotated[str, Meta(max_length=100, pattern=_FILLED)]
Text256 = Annotated[str, Meta(max_length=256)]


class AttributeBody(Struct, rename="pascal"):
    """A preference attribute."""

    key: Text256
    value: Any = None


class PreferenceBody(Struct, rename="pascal"):
    """A CreateProfilePreference."""

    filter_id: Text50
    preference_type: int | str
    frequency_id: str | None = None
    customer_date: str | None = None
    preference_attributes: list[AttributeBody] | None = None


class ConsentBody(Struct, rename="pascal"):
    """A CreateCustomerConsent."""

    consent_type: Text100
    consent_version: Text50
    locale: Text15
    consent_status: int | str
    consent_date: str | None = None


class AlternateIdBody(Struct, rename="pascal"):
    """An alternate id; older pages name its parts TypeName and Value."""

    alternate_id_type: str | None = None
    alternate_id: str | None = None
    type_name: str | None = None
    value: str | None = None


class ContactPointBody(Struct, rename="pascal", kw_only=True):
    """What the kinds of contact point have in common. Filter and reason code are sent to archive only."""

    kind: ClassVar[ContactKind]
    type_name: str | None = None
    value: Text256 | None = None
    preferences: list[PreferenceBody] | None = None
    is_default: bool | None = None
    consents: list[ConsentBody] | None = None
    filter_id: str | None = None
    reason_code: str | None = msgspec.field(name="Reason_Code", default=None)
    index: int | None = msgspec.field(name="$index", default=None)
    """Where the profile has it: never sent, but kept in a document that is patched"""

    @property
    def details(self) -> dict[str, Any]:
        """What was sent beside type and value, under the names of the documents."""
        sent = msgspec.to_builtins(self)
        return {name: sent[name] for name in self.kind.details if sent[name] is not None}


class EmailBody(ContactPointBody, kw_only=True):
    """An e-mail address."""

    kind = EMAIL
    type_name: str | None = msgspec.field(name="EmailAddressType", default=None)
    value: Text256 | None = msgspec.field(name="EmailAddress", default=None)
    preferences: list[PreferenceBody] | None = msgspec.field(name="EmailPreferences", default=None)


class PhoneBody(ContactPointBody, kw_only=True):
    """A phone number. Some pages call its preferences PhoneNumberPreferences."""

    kind = PHONE
    type_name: str | None = msgspec.field(name="PhoneType", default=None)
    value: Text256 | None = msgspec.field(name="PhoneNumber", default=None)
    preferences: list[PreferenceBody] | None = msgspec.field(name="PhonePreferences", default=None)
    phone_number_preferences: list[PreferenceBody] | None = None
    is_mobile: bool | None = None

    def __post_init__(self) -> None:
        self.preferences = self.preferences or self.phone_number_preferences


class AddressBody(ContactPointBody, kw_only=True):
    """A postal address."""

    kind = ADDRESS
    type_name: str | None = msgspec.field(name="AddressType", default=None)
    value: Text256 | None = msgspec.field(name="Address1", default=None)
    preferences: list[PreferenceBody] | None = msgspec.field(name="AddressPreferences", default=None)
    address2: str | None = None
    city: str | None = None
    state_province: str | None = None
    postal_code: str | None = None
    country_code_numeric: str | None = msgspec.field(name="CountryCode_Numeric", default=None)
    country_code_alpha2: str | None = msgspec.field(name="CountryCode_Alpha2", default=None)
    country_code_alpha3: str | None = msgspec.field(name="CountryCode_Alpha3", default=None)


class ContactPointsBody(Struct, rename="pascal", kw_only=True):
    """The collections of contact points."""

    emails: list[EmailBody] | None = None
    phone_numbers: list[PhoneBody] | None = None
    addresses: list[AddressBody] | None = None

    @property
    def points(self) -> list[ContactPointBody]:
        """All of them."""
        return [*(self.emails or ()), *(self.phone_numbers or ()), *(self.addresses or ())]


class PreferencesBody(ContactPointsBody, kw_only=True):
    """Preferences alone (MyPreferences add or update preferences)."""

    profile_preferences: list[PreferenceBody] | None = None


class ProfileBody(PreferencesBody, kw_only=True):
    """A Profile (MyPreferences create and update profile)."""

    profile_id: int | None = None
    registration_confirmed: bool | None = None
    preserve_consents: bool | None = None
    preserve_preferences: bool | None = None
    customer_type: Text100 | None = None
    default_locale: Text15 | None = None
    customer_name: dict[str, Any] | None = None
    alternate_ids: list[AlternateIdBody] | None = None
    consents: list[ConsentBody] | None = None
    custom_fields: list[dict[str, Any]] | UnsetType | None = UNSET
    groups: list[dict[str, Any]] | UnsetType | None = UNSET
    profile_tags: list[Any] | UnsetType | None = UNSET


def read(document: Any, kind: type[BodyT]) -> BodyT:
    """A JSON document as a body, its property names in any case. Raises MyPreferencesRefusal 400."""
    try:
        return read_document(document, kind, any_case=True)
    except BodyError as error:
        raise invalid(_message(error)) from None


def _message(error: BodyError) -> str:
    if not error.field:
        return "The request is invalid."
    if error.missing or "matching regex" in str(error):
        return f"The {error.field} field is required."
    if longest := re.search(r"of length <= (\d+)", str(error)):
        return f"The field {error.field} must be a string with a maximum length of {longest[1]}."
    return f"The value for {error.field} is not valid."


_STRUCTS = (ProfileBody, EmailBody, PhoneBody, AddressBody, PreferenceBody, AttributeBody, ConsentBody)
_NAMES = (
    *(item.encode_name for struct in (*_STRUCTS, AlternateIdBody) for item in msgspec.structs.fields(struct)),
    *("IsActive", "Status", "Edited", "Name", "GroupType", "GroupName", "IsPrimary"),
    *("Prefix", "FirstName", "MiddleName", "LastName", "Suffix"),
)
_SPELLING = {name.lower(): name for name in _NAMES}


def spelled(name: str) -> str:
    """A property name in its documented spelling; others as they are."""
    return _SPELLING.get(name.lower(), name)


def spelled_throughout(document: Any) -> Any:
    """A document with all known property names in their documented spelling."""
    if isinstance(document, list):
        return [spelled_throughout(item) for item in document]
    if isinstance(document, dict):
        return {spelled(name): spelled_throughout(value) for name, value in document.items()}
    return document
