"""Events and webhook subscriptions (MyPreferences `Retrieve events`, `Create new subscription`)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.mypreferences.moments import parse_moment
from bridge.mypreferences.wire.codec import Number


class Event(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Something happened to a profile. `Data` is not read: the profile itself is."""

    event_id: Number | None = None
    event_type: str = ""
    profile_id: Number | None = None
    original_event_time: str | None = None
    recorded_time: str | None = None

    @property
    def earliest(self) -> datetime | None:
        """The earlier of its times: which of them a query filters by is not documented."""
        times = (parse_moment(self.original_event_time), parse_moment(self.recorded_time))
        return min((item for item in times if item is not None), default=None)


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
        """Whether its events are delivered. They are kept to be read either way."""
        return (self.state or "").casefold() == "active"


CONCURRENT, PAUSE = (50, 5000), (1, 300)  # what the documents allow


class WebhookSettings(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """Deliveries come in cycles: `max_concurrent_requests` messages, then `duration` seconds of rest."""

    max_concurrent_requests: int
    duration: int

    def check(self) -> None:
        """Raises ValueError for what the documents do not allow."""
        for name, value, (least, most) in (
            ("MaxConcurrentRequests", self.max_concurrent_requests, CONCURRENT),
            ("Duration", self.duration, PAUSE),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} is a number from {least} to {most}")


class SettingsAnswer(msgspec.Struct, rename="pascal", frozen=True, kw_only=True):
    """The settings as they are answered, beside who edited them."""

    settings: WebhookSettings
