"""Bulk export of profiles, bulk import of withdrawals.

Sources: MyPreferences `Segment: Initiate`, `Segment group: Initiate`, `Retrieve status`, `Segment: Retrieve
data`; import `Initiate`, `Stage`, `Retrieve status` and `exceptions`.

An import that could do harm cannot be built here: a record without the id of a profile that was read would
create a person; one that gives consent could be applied long after the person withdrew it, or to a person
erased meanwhile; a refresh would remove what is not sent.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge import bounds
from bridge.mypreferences.wire.codec import Number
from bridge.mypreferences.wire.profiles import (
    DENIED,
    OPT_OUT,
    REVOKED,
    Consent,
    Email,
    Preference,
    Profile,
)


class ExportRequest(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """Which of a segment's rows to export: by default all of them.

    `last_date_time` leaves out rows that did not change since. `match_criteria` is ProfileId, AlternateId,
    PhoneNumber or EmailAddress, and `values` are its wanted values; `match_type` names the type of alternate
    id (required then), customer, phone or e-mail address. All are ANDed with the segment's own rules.
    """

    last_date_time: str | None = None
    match_criteria: str | None = None
    match_type: str | None = None
    values: list[str] | None = None


class ExportToken(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    access_token: Number


class ExportStatus(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """The status of an export; `row_count` is None until it is complete."""

    status: str
    row_count: int | None = None


class ExportAnswer(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A page of an export as it comes."""

    user_profile_preferences: msgspec.Raw
    count: int | None = None
    has_more: bool | None = None
    total_results: int | None = None


class ExportPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of an export, each row read by itself (see `Profile.of_malformed`). The row of a deleted
    profile holds only its id."""

    user_profile_preferences: list[Profile]
    count: int | None = None
    has_more: bool | None = None
    total_results: int | None = None

    @classmethod
    def of(cls, answer: ExportAnswer) -> ExportPage:
        """Raises `bounds.Malformed` where there is no list."""
        rows = bounds.rows(bytes(answer.user_profile_preferences), Profile, Profile.of_malformed)
        return cls(
            user_profile_preferences=rows,
            count=answer.count,
            has_more=answer.has_more,
            total_results=answer.total_results,
        )


class ImportRequest(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """An import that adds to profiles named by their ids and removes nothing. Consents in an older version
    are withdrawn too."""

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
            raise ValueError("an import record needs a withdrawal")
        given = any(item.kind != OPT_OUT for item in preferences)
        if given or any(item.kind not in (DENIED, REVOKED) for item in consents):
            raise ValueError("an import record gives no consent")

    @classmethod
    def of(cls, read: Profile, change: Profile) -> ImportRecord:
        """The change to a profile that was just read. Raises ValueError where the profile has no id."""
        if not read.id.isascii() or not read.id.isdigit():
            raise ValueError("an import record names a profile that was read")
        return cls(
            profile_id=int(read.id),
            emails=change.emails,
            profile_preferences=change.profile_preferences,
            consents=change.consents,
        )


class ImportStatus(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """The status of an import. Counts are None where the answer does not hold them."""

    access_token: Number | None = None
    status: str = ""
    expires: str | None = None
    validation_failed: int | None = None
    exceptions: int | None = None
    not_honored: int | None = None

    @property
    def stage(self) -> str:
        """The status, case-folded: the documents write both "Complete" and "Completed"."""
        word = self.status.strip().casefold()
        return "completed" if word.startswith("complete") else word


class ImportException(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A record that failed. Its reasons are not read: their form is not documented, and they may quote an
    address."""

    profile_id: Number | None = None
    sequence_number: int | None = None


class ImportExceptions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of records that failed. It has no total: the documented one is capped at the limit."""

    rows: list[ImportException]
    has_more: bool
