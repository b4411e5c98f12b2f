"""Bulk import of withdrawals (MyPreferences import: `Initiate`, `Stage`, `Retrieve status` and `exceptions`).

What could harm cannot be written down here: a record without the id of a profile that was read would create
somebody; one that gives consent could be carried out long after the person took it back, or upon somebody
whom the account has forgotten meanwhile; a refresh would take away what is not sent.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.mypreferences.wire.codec import Number
from bridge.mypreferences.wire.people import DENIED, OPT_OUT, REVOKED, Consent, Email, Preference, Profile


class ImportRequest(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """What an import does: it adds to profiles that are named by their ids, and takes nothing away. A consent
    in an older version is withdrawn too."""

    name: str
    data_stage_duration: int = 1  # days
    import_action: Literal["Add"] = "Add"
    allow_prior_consents: Literal[True] = True
    refresh_alternate_ids: Literal[False] = False
    refresh_contacts: Literal[False] = False
    refresh_custom_fields: Literal[False] = False
    refresh_groups: Literal[False] = False
    refresh_tags: Literal[False] = False


class ImportRecord(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """One profile's withdrawals. Raises ValueError for anything else."""

    profile_id: int
    emails: list[Email] | None = None
    profile_preferences: list[Preference] | None = None
    consents: list[Consent] | None = None

    def __post_init__(self) -> None:
        emails = self.emails or ()
        preferences = [item for email in emails for item in email.email_preferences or ()]
        consents = [item for email in emails for item in email.consents or ()]
        preferences += self.profile_preferences or ()
        consents += self.consents or ()
        if not preferences and not consents:
            raise ValueError("an import record withdraws something")
        given = any(item.kind != OPT_OUT for item in preferences)
        if given or any(item.kind not in (DENIED, REVOKED) for item in consents):
            raise ValueError("an import record gives no consent")

    @classmethod
    def of(cls, read: Profile, change: Profile) -> ImportRecord:
        """The change to a profile that was just read. Raises ValueError where that has no id of its own."""
        if not read.id.isascii() or not read.id.isdigit():
            raise ValueError("an import record names a profile that was read")
        return cls(
            profile_id=int(read.id),
            emails=change.emails,
            profile_preferences=change.profile_preferences,
            consents=change.consents,
        )


class ImportStatus(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Where an import stands. Counts are None where they are not told."""

    access_token: Number | None = None
    status: str = ""
    expires: str | None = None
    validation_failed: int | None = None
    exceptions: int | None = None
    not_honored: int | None = None

    @property
    def stage(self) -> str:
        """Its state as one of these words: prose and enum differ in "Complete" and "Completed"."""
        word = self.status.strip().casefold()
        return "completed" if word.startswith("complete") else word


class ImportException(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A record that failed. Its reasons are not read: their form is not documented, and they may quote an
    address."""

    profile_id: Number | None = None
    sequence_number: int | None = None


class ImportExceptions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of records that failed. There is no true total: the documented one is capped at the limit."""

    rows: list[ImportException]
    has_more: bool
