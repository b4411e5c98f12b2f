"""Events and webhook subscriptions (MyPreferences `Retrieve events`, `Create new subscription`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from bridge import bounds
from bridge.core.model import address_key
from bridge.mypreferences.wire.codec import Number, parse_moment

UNREADABLE = "\x00unreadable"  # the type of an event that cannot be read: no answer can hold it


class Event(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """A change of a profile. Its data is not used, since the profile itself is read, except for the address
    that the profile had before, which no read shows any more, and for what changed when: a read may lag."""

    event_id: Number | None = None
    event_type: str = ""
    profile_id: Number | None = None
    original_event_time: str | None = None
    recorded_time: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    previous_data: msgspec.Raw = msgspec.Raw(b"null")

    @classmethod
    def of_malformed(cls, value: Any) -> Event:
        """What of a malformed event names the profile: it is read, whatever the event was."""
        given = value if isinstance(value, dict) else {}
        number = given.get("ProfileId")
        known = isinstance(number, int | str) and not isinstance(number, bool) and bounds.is_id(str(number))
        return cls(event_type=UNREADABLE, profile_id=number if known else None)

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be read, and names no profile."""
        return self.event_type == UNREADABLE and self.profile_id is None

    def __repr__(self) -> str:
        """Without the data, which hold addresses."""
        return f"Event(event_id={self.event_id!r}, event_type={self.event_type!r})"

    @property
    def former_address(self) -> str | None:
        """The address before the change, where the address changed. `PreviousData` is documented beside
        `Data`, but not among the attributes of the read: it is looked for inside `Data` too (MyPreferences
        `Event payload samples`)."""
        data = _members(self.data)
        before = _members(self.previous_data) or _members(data.get("previousdata"))
        former, present = (bounds.address(_text(part.get("emailaddress"))) for part in (before, data))
        same = former is not None and present is not None and address_key(former) == address_key(present)
        return None if same else former

    @property
    def members(self) -> dict[str, str | None]:
        """The texts of its data, by case-folded name."""
        return {name: _text(value) for name, value in _members(self.data).items()}

    def moment(self, name: str) -> datetime | None:
        """A time of its data, by case-folded name."""
        return parse_moment(self.members.get(name))

    @property
    def earliest(self) -> datetime | None:
        """The earlier of its two times: which of them a query filters by is not documented."""
        times = (parse_moment(self.original_event_time), parse_moment(self.recorded_time))
        return min((item for item in times if item is not None), default=None)


def _members(content: msgspec.Raw | bytes | None) -> dict[str, msgspec.Raw]:
    """An object's members by case-folded name; none for anything else."""
    try:
        found = bounds.decode(bytes(content or b"null"), dict[str, msgspec.Raw] | None)
    except bounds.Malformed:
        return {}  # a malformed hint does not prevent the read that follows it
    return {name.casefold(): value for name, value in (found or {}).items()}


def _text(content: msgspec.Raw | None) -> str | None:
    try:
        found: str | None = bounds.decode(bytes(content or b"null"), str | None)
    except bounds.Malformed:
        return None
    return found or None


class EventInterest(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """One event type of a webhook subscription."""

    entity: str
    event_type: str
    filters: list[str] | None = None
    consent_types: list[str] | None = None
    contact_types: list[str] | None = None


class Subscription(msgspec.Struct, rename="pascal", omit_defaults=True, frozen=True, kw_only=True):
    """A webhook subscription; events are kept only where at least one names them."""

    id: Number | None = None
    name: str
    url: str
    description: str | None = None
    locale_id: str | None = None
    state: str | None = None
    is_minimized: bool | str | None = None
    catch_up_on_resume: bool | str | None = None
    alternate_id_type: str | None = None
    subscriptions: list[EventInterest] | None = None

    @property
    def active(self) -> bool:
        """Whether its events are delivered. They can be read either way."""
        return (self.state or "").casefold() == "active"


CONCURRENT, PAUSE = (50, 5000), (1, 300)  # the limits of the documents


class WebhookSettings(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Webhooks are delivered in cycles: `max_concurrent_requests` messages, then `duration` seconds pause."""

    max_concurrent_requests: int
    duration: int

    def check(self) -> None:
        """Raises ValueError for numbers that the documents do not allow."""
        for name, value, (least, most) in (
            ("MaxConcurrentRequests", self.max_concurrent_requests, CONCURRENT),
            ("Duration", self.duration, PAUSE),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} must be a number from {least} to {most}")


class SettingsAnswer(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """The settings, as the answer wraps them."""

    settings: WebhookSettings
