"""What the emulated account holds, as data: contacts, their opt-ins, preferences, jobs and event exports."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.dotdigital import wire

EXPORT_UNREAD = timedelta(days=30)
"""An event subscription that is not read for so long is made inactive."""
NOT_STARTED, NOT_FINISHED, FINISHED = "NotStarted", "NotFinished", "Finished"
CONTACT_ID, EMAIL, MOBILE = "contactId", "email", "mobileNumber"
"""Identifiers of contacts beside those that the account defines."""
_PATTERNS = 97  # a prime: pages do not repeat themselves
_WHEN = '"2026-01-01T00:00:00.000Z"'


@dataclass(slots=True)
class StoredOptIn:
    """A contact's present choice on one preference. `recorded` is when the service learnt it."""

    preference_id: int
    opted_in: bool
    modified: datetime
    recorded: datetime
    address_book_id: int


@dataclass(slots=True)
class StoredContact:
    """A person in the account. `status` is that of the e-mail channel, by its v2 name.

    The `*_changed` times are when the service learnt of a change; together they make v3's `updated`.
    """

    id: int
    created: datetime
    status: str = wire.SUBSCRIBED
    date_removed: datetime | None = None
    opt_in_type: str = "Unknown"
    email_type: str = "Html"
    data_fields: dict[str, Any] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)
    lists: set[int] = field(default_factory=set)
    consent_records: list[dict[str, Any]] = field(default_factory=list)
    opt_ins: dict[int, StoredOptIn] = field(default_factory=dict)
    binned_at: datetime | None = None
    sms_removed: datetime | None = None  # when the number was suppressed
    data_changed: datetime = field(init=False)
    preferences_changed: datetime = field(init=False)
    suppression_changed: datetime = field(init=False)
    shuffle: int = field(init=False)

    def __post_init__(self) -> None:
        self.data_changed = self.preferences_changed = self.suppression_changed = self.created
        # A fixed scramble: feeds promise no order, and a repeatable one keeps tests repeatable.
        self.shuffle = zlib.crc32(f"contact {self.id}".encode())

    @property
    def email(self) -> str | None:
        """The e-mail address."""
        return self.identifiers.get(EMAIL)

    @property
    def mobile(self) -> str | None:
        """The mobile number, without a plus sign."""
        return self.identifiers.get(MOBILE)

    @property
    def binned(self) -> bool:
        """In the recycle bin."""
        return self.binned_at is not None

    @property
    def suppressed(self) -> bool:
        """Cannot be mailed, and is not merely waiting for a confirmation."""
        return self.status not in wire.MAILABLE_OR_WAITING


@dataclass(slots=True)
class PreferenceNode:
    """A marketing preference (leaf) or a category of them; both share one id space."""

    id: int
    public_name: str
    private_name: str
    is_leaf: bool
    order: int
    is_public: bool
    category_id: int
    created: datetime
    last_modified: datetime


@dataclass
class BulkJob:
    """A job on many contacts. It has no effect before it ends. `outcome` is empty while it runs."""

    id: str
    submitted: datetime
    contacts: list[Any]
    polls: int = 0
    outcome: str = ""

    @property
    def active(self) -> bool:
        """Still running."""
        return not self.outcome

    def is_due(self, now: datetime, polls: int, seconds: float) -> bool:
        """Whether it runs and is to end: after so many status calls or this time; without `polls` at once."""
        patience = timedelta(seconds=seconds)
        return self.active and (not polls or self.polls > polls or now - self.submitted >= patience)


@dataclass
class BulkImport(BulkJob):
    """One bulk import, of contacts as they were sent, by the merge option `merge`."""

    merge: str = "overwrite"
    created: list[dict[str, Any]] = field(default_factory=list)
    updated: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


@dataclass
class BulkDeletion(BulkJob):
    """One bulk deletion, of contacts by one identifier each. Failures: (contact, code, description)."""

    deleted: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[dict[str, Any], str, str]] = field(default_factory=list)


@dataclass
class EventExport:
    """One event export. `events` are all that it ever collected, of which the first `acknowledged` are gone.

    `collects_from` is None while it is inactive.
    """

    id: int
    body: dict[str, Any]
    created: datetime
    updated: datetime
    collects_from: datetime | None
    last_read: datetime
    acknowledged: int = 0
    happened: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def types(self) -> set[str]:
        """The event types that it collects."""
        return {entry["eventType"] for entry in self.body["subscribedEventTypes"]}

    def is_active(self, now: datetime) -> bool:
        """Whether it collects. Ends it where it was not read for too long."""
        if self.collects_from is not None and now - self.last_read > EXPORT_UNREAD:
            self.collects_from = None
        return self.collects_from is not None

    def shown(self, now: datetime) -> dict[str, Any]:
        """As answers show it."""
        status = "active" if self.is_active(now) else "inactive"
        times = {"created": wire.render(self.created), "updated": wire.render(self.updated)}
        return {"id": self.id, **times, **self.body, "status": status}


@dataclass(frozen=True)
class GeneratedContacts:
    """`people` contacts, numbered from 1, each opted in to about a quarter of `preferences`."""

    people: int
    preferences: Sequence[int]
    _opt_ins: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opt_ins", [self._pattern(number) for number in range(_PATTERNS)])

    def page(self, after: int, limit: int) -> tuple[str, int | None]:
        """Up to `limit` contacts behind number `after` as a JSON list, and the last one's number while there
        are more."""
        last = min(after + limit, self.people)
        rows = ",".join(self._row(number) for number in range(after + 1, last + 1))
        return f"[{rows}]", (last if last < self.people else None)

    def _row(self, number: int) -> str:
        return (
            f'{{"contactId":{number},"status":"subscribed","created":{_WHEN},"updated":{_WHEN},'
            f'"identifiers":{{"email":"m{number}@example.com"}},"channelProperties":{{"email":'
            '{"emailType":"Html","optInType":"Single","status":"subscribed"}}'
            f"{self._opt_ins[number % _PATTERNS]}}}"
        )

    def _pattern(self, number: int) -> str:
        chosen = [one for at, one in enumerate(self.preferences) if (at + number) % 4 == 0]
        rows = ",".join(
            f'{{"id":{one},"isOptedIn":true,"publicName":"Preference {one}","privateName":"P{one}"}}'
            for one in chosen
        )
        return f',"preferences":[{rows}]' if rows else ""
