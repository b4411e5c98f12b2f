"""Webhook subscriptions: what the account wants to be notified of. Events are kept only for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from bridge.sandbox.mypreferences.bodies import FilledText, read
from bridge.sandbox.mypreferences.config import spelled_as
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal, invalid, not_found
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LISTS = {"preferences": "Filters", "consents": "ConsentTypes", "contacts": "ContactTypes"}
_ALL = frozenset({"allfilters", "allconsents", "allcontacttypes"})


class SubscribedTypeBody(Struct, rename="pascal", omit_defaults=True):
    """One event type of a subscription, for some filters, consents or contact types, or for all."""

    entity: str
    event_type: str
    filters: list[str] | None = None
    consent_types: list[str] | None = None
    contact_types: list[str] | None = None

    @property
    def instances(self) -> frozenset[str]:
        """The names that are listed for its entity, in lower case."""
        listed = {"preferences": self.filters, "consents": self.consent_types, "contacts": self.contact_types}
        return frozenset(item.lower() for item in listed.get(self.entity.lower()) or ())

    def covers(self, entity: str, event_type: str, instance: str) -> bool:
        """Whether an event belongs to it."""
        if (self.entity.lower(), self.event_type.lower()) != (entity.lower(), event_type.lower()):
            return False
        instances = self.instances
        return self.entity.lower() not in _LISTS or instance.lower() in instances or bool(_ALL & instances)


class SubscriptionBody(Struct, rename="pascal"):
    """A subscription as it is submitted."""

    name: FilledText
    url: str
    subscriptions: Annotated[list[SubscribedTypeBody], Meta(min_length=1)]
    description: str | None = None
    locale_id: str | None = None
    state: str | None = None
    is_minimized: bool | str | None = None
    is_active: bool | None = None
    catch_up_on_resume: bool | None = None
    alternate_id_type: str | None = None


class _Pace(Struct, rename="pascal"):
    max_concurrent_requests: Annotated[int, Meta(ge=50, le=5000)]
    duration: Annotated[int, Meta(ge=1, le=300)]


class _SettingsBody(Struct, rename="pascal"):
    settings: _Pace


@dataclass
class StoredSubscription:
    """A subscription; `document` is what is answered. `validated`: its receiver has answered the validation
    request. `catches_up`: what was generated during a pause is delivered afterwards."""

    subscription_id: int
    url: str
    state: str
    types: list[SubscribedTypeBody]
    alternate_id_type: str | None
    is_minimized: bool
    catches_up: bool
    document: dict[str, Any]
    validated: bool = False

    @property
    def is_active(self) -> bool:
        """Whether events are delivered to it."""
        return self.state == "Active"


class DeliverySettings:
    """How fast webhooks are delivered, for the whole account (MyPreferences "Update webhook settings")."""

    def __init__(self) -> None:
        self.batch_size = 500
        self.pause_seconds = 1
        self._edited_by = ""

    @property
    def document(self) -> dict[str, Any]:
        """As it is answered."""
        return {
            "Settings": {"MaxConcurrentRequests": self.batch_size, "Duration": self.pause_seconds},
            "Edited": {"UserId": self._edited_by},
        }

    def update(self, document: Any, user_id: str) -> None:
        """Set both numbers. Raises MyPreferencesRefusal 400 for what is out of bounds."""
        pace = read(document, _SettingsBody).settings
        self.batch_size, self.pause_seconds = pace.max_concurrent_requests, pace.duration
        self._edited_by = user_id


class SubscriptionRegistry:
    """All subscriptions of the account. Not thread-safe: the account's lock guards it."""

    def __init__(self, switches: MyPreferencesSwitches) -> None:
        self.settings = DeliverySettings()
        self._switches = switches
        self._items: dict[int, StoredSubscription] = {}
        self._next_id = 1

    def __iter__(self) -> Iterator[StoredSubscription]:
        return iter(list(self._items.values()))

    def __contains__(self, subscription_id: int) -> bool:
        return subscription_id in self._items

    def create(self, document: Any) -> StoredSubscription:
        """Store a new one (MyPreferences `Create new subscription`). Raises MyPreferencesRefusal 400, 409."""
        made = _checked(self._next_id, read(document, SubscriptionBody))
        self._refuse_duplicate(made)
        self._items[made.subscription_id] = made
        self._next_id += 1
        return made

    def replace(self, subscription_id: int, document: Any) -> StoredSubscription:
        """Replace one whole; IsActive false deletes it. Raises MyPreferencesRefusal 400, 404 or 409."""
        before = self.get(subscription_id)
        body = read(document, SubscriptionBody)
        if body.is_active is None and self._switches.empty_is_active_deletes:
            body.is_active = False
        if str(body.state).lower() == "paused" and not self._switches.update_takes_paused:
            raise invalid("The State 'Paused' is not valid.")
        made = _checked(subscription_id, body)
        self._refuse_duplicate(made)
        made.validated = before.validated and before.url == made.url
        self._items[subscription_id] = made
        if body.is_active is False:
            self.delete(subscription_id)
        return made

    def delete(self, subscription_id: int) -> None:
        """Remove one. Raises MyPreferencesRefusal 404."""
        self.get(subscription_id)
        del self._items[subscription_id]

    def get(self, subscription_id: int) -> StoredSubscription:
        """One by id. Raises MyPreferencesRefusal 404."""
        found = self._items.get(subscription_id)
        if found is None:
            raise not_found(f"Subscription {subscription_id}")
        return found

    def matching(self, entity: str, event_type: str, instance: str) -> list[StoredSubscription]:
        """Subscriptions an event belongs to."""
        paused_too = self._switches.paused_keeps_events
        return [
            item
            for item in self._items.values()
            if (paused_too or item.is_active)
            and any(one.covers(entity, event_type, instance) for one in item.types)
        ]

    def _refuse_duplicate(self, made: StoredSubscription) -> None:
        wanted = _types(made)
        for other in self._items.values():
            same_url = other.url.lower() == made.url.lower()
            if other.subscription_id != made.subscription_id and same_url and wanted & _types(other):
                raise MyPreferencesRefusal(
                    409, "A subscription with the same Url and event type already exists."
                )


def _types(subscription: StoredSubscription) -> set[tuple[str, str]]:
    return {(item.entity.lower(), item.event_type.lower()) for item in subscription.types}


def _checked(subscription_id: int, body: SubscriptionBody) -> StoredSubscription:
    for item in body.subscriptions:
        needed = _LISTS.get(item.entity.lower())
        if needed is not None and not item.instances:
            raise invalid(f"{needed} is required for the entity {item.entity}.")
    state = spelled_as(body.state or "Paused", ("Active", "Paused", "Inactive"))
    if state is None:
        raise invalid(f"The State '{body.state}' is not valid.")
    _check_url(body.url)
    is_minimized, catches_up = str(body.is_minimized).lower() == "true", body.catch_up_on_resume is True
    document = {
        "Id": subscription_id,
        "Name": body.name,
        "Description": body.description or "",
        "LocaleId": body.locale_id or "en_US",
        "Url": body.url,
        "State": state,
        "IsMinimized": is_minimized,
        "IsActive": body.is_active is not False,
        "CatchUpOnResume": catches_up,
        "Subscriptions": msgspec.to_builtins(body.subscriptions),
    }
    alternate_id_type = body.alternate_id_type or None
    if alternate_id_type is not None:
        document["AlternateIdType"] = alternate_id_type
    return StoredSubscription(
        subscription_id,
        body.url,
        state,
        body.subscriptions,
        alternate_id_type,
        is_minimized,
        catches_up,
        document,
    )


def _check_url(url: str) -> None:
    """HTTPS only; the sandbox also takes plain HTTP to this machine, where a receiver under test listens."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise invalid("The Url field is required.")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise invalid("The Url must use https.")
