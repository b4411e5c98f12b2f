"""What the service keeps: people, their contact elements, and what they chose."""

from __future__ import annotations

from collections.abc import Iterator
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


@dataclass(slots=True)
class Email:
    """An e-mail address on a profile, with the preferences and consents that hang on it."""

    email_type: str
    address: str
    created: datetime
    modified: datetime
    user: User
    is_default: bool = False
    is_active: bool = True
    preferences: dict[str, Preference] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)


@dataclass(slots=True)
class Profile:
    """One profile. `extras` are collections kept as they were sent (phones, custom fields and such)."""

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
    emails: list[Email] = field(default_factory=list)
    preferences: dict[str, Preference] = field(default_factory=dict)
    consents: list[Consent] = field(default_factory=list)
    associations: dict[tuple[str, str], int] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    def email(self, address: str, email_type: str | None = None) -> Email | None:
        """The active element with that address (and type, when given)."""
        for item in self.emails:
            same_type = email_type is None or item.email_type.lower() == email_type.lower()
            if item.is_active and same_type and item.address.lower() == address.strip().lower():
                return item
        return None

    def default_email(self) -> Email | None:
        """The default address, else the first active one."""
        active = [item for item in self.emails if item.is_active]
        return next((item for item in active if item.is_default), active[0] if active else None)

    def live(self, filter_id: str) -> Iterator[tuple[Email | None, Preference]]:
        """Every preference for a filter that is not archived, with the address it hangs on."""
        for holder, preference in self.all_preferences():
            if preference.filter_id.lower() == filter_id.lower() and not preference.archived:
                yield holder, preference

    def all_preferences(self) -> Iterator[tuple[Email | None, Preference]]:
        """Every preference, archived ones too, with the address it hangs on (None: the profile)."""
        for preference in list(self.preferences.values()):
            yield None, preference
        for email in self.emails:
            for preference in list(email.preferences.values()):
                yield email, preference

    def consent(self, consent_type: str) -> Consent | None:
        """The active profile-level consent of a type that was stored last."""
        active = [item for item in self.consents if item.active and item.consent_type == consent_type]
        return max(active, key=lambda item: item.modified, default=None)
