"""What the emulated account holds: contacts, their opt-ins, and the preferences defined."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bridge.sandbox.dotdigital import vocabulary


@dataclass(slots=True)
class OptIn:
    """A contact's last word on one preference. `recorded` is when the service learnt it."""

    preference_id: int
    opted_in: bool
    modified: datetime
    recorded: datetime
    address_book_id: int


@dataclass(slots=True)
class Contact:
    """A person in the account. `status` speaks of the e-mail channel, in v2 words.

    The `*_changed` times are when the service learnt of a change; together they make v3's `updated`.
    """

    id: int
    email: str | None
    created: datetime
    mobile: str | None = None
    status: str = vocabulary.SUBSCRIBED
    date_removed: datetime | None = None
    opt_in_type: str = "Unknown"
    email_type: str = "Html"
    data_fields: dict[str, Any] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)
    lists: set[int] = field(default_factory=set)
    consent_records: list[dict[str, Any]] = field(default_factory=list)
    opt_ins: dict[int, OptIn] = field(default_factory=dict)
    binned_at: datetime | None = None
    data_changed: datetime = field(init=False)
    preferences_changed: datetime = field(init=False)
    suppression_changed: datetime = field(init=False)
    shuffle: int = field(init=False)

    def __post_init__(self) -> None:
        self.data_changed = self.preferences_changed = self.suppression_changed = self.created
        # A fixed scramble: feeds promise no order, and a repeatable one keeps tests repeatable.
        self.shuffle = zlib.crc32(f"contact {self.id}".encode())

    @property
    def binned(self) -> bool:
        """In the recycle bin."""
        return self.binned_at is not None

    @property
    def suppressed(self) -> bool:
        """Cannot be mailed, and is not merely waiting for a confirmation."""
        return self.status not in vocabulary.MAILABLE_OR_WAITING

    def copy(self) -> Contact:
        """A snapshot that later changes of the account leave alone."""
        twin = replace(
            self,
            data_fields=dict(self.data_fields),
            identifiers=dict(self.identifiers),
            lists=set(self.lists),
            consent_records=list(self.consent_records),
            opt_ins={key: replace(row) for key, row in self.opt_ins.items()},
        )
        twin.data_changed = self.data_changed
        twin.preferences_changed = self.preferences_changed
        twin.suppression_changed = self.suppression_changed
        return twin


@dataclass(slots=True)
class Preference:
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
