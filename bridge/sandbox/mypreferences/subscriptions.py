"""Webhook subscriptions: what the account wants to hear. Events are kept only for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bridge.sandbox.mypreferences.drafts import as_object
from bridge.sandbox.mypreferences.refusal import Refused, invalid, not_found
from bridge.sandbox.mypreferences.switches import Switches

_INSTANCES = {
    "preferences": ("Filters", "allfilters"),
    "consents": ("ConsentTypes", "allconsents"),
    "contacts": ("ContactTypes", "allcontacttypes"),
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Interest:
    """One event type of one subscription; `instances` None means all."""

    entity: str
    event_type: str
    instances: frozenset[str] | None

    def wants(self, entity: str, event_type: str, instance: str) -> bool:
        """Whether an event belongs to this interest."""
        if (self.entity, self.event_type) != (entity.lower(), event_type.lower()):
            return False
        return self.instances is None or instance.lower() in self.instances


@dataclass
class Subscription:
    """A subscription as stored: `document` is what is answered."""

    subscription_id: int
    document: dict[str, Any]
    interests: tuple[Interest, ...]
    shaken: bool = False
    """Whether its receiver has answered the validation request."""

    @property
    def url(self) -> str:
        """Where its events are delivered."""
        return str(self.document["Url"])

    @property
    def catches_up(self) -> bool:
        """Whether what was generated during a pause is delivered afterwards."""
        return bool(self.document["CatchUpOnResume"])

    @property
    def state(self) -> str:
        """Active, Paused or Inactive."""
        return str(self.document["State"])

    @property
    def alternate_id_type(self) -> str | None:
        """The type whose id replaces the profile id in this subscription's events."""
        return self.document.get("AlternateIdType") or None


@dataclass
class Throughput:
    """How fast webhooks are delivered, for the whole account (MyPreferences "Update webhook settings")."""

    most: int = 500
    """Messages in one cycle (MaxConcurrentRequests)."""
    rest: int = 1
    """Seconds between two cycles (Duration)."""
    edited_by: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """As it is answered."""
        return {
            "Settings": {"MaxConcurrentRequests": self.most, "Duration": self.rest},
            "Edited": {"UserId": self.edited_by},
        }

    def update(self, body: Any, user_id: str) -> None:
        """Set both numbers. Raises Refused 400 outside of 50 to 5000 messages and 1 to 300 seconds."""
        given = as_object(as_object(body).get("Settings"))
        most = _whole(given, "MaxConcurrentRequests", 50, 5000)
        rest = _whole(given, "Duration", 1, 300)
        self.most, self.rest, self.edited_by = most, rest, user_id


class Subscriptions:
    """All subscriptions of the account. Not thread-safe: the state's lock guards it."""

    def __init__(self, switches: Switches) -> None:
        self.throughput = Throughput()
        self._switches = switches
        self._items: dict[int, Subscription] = {}
        self._next = 1

    def create(self, body: Any) -> Subscription:
        """Store a new one (MyPreferences "Create new subscription"). Raises Refused 400 or 409."""
        made = self._read(self._next, as_object(body))
        self._refuse_twin(made)
        self._items[made.subscription_id] = made
        self._next += 1
        return made

    def replace(self, subscription_id: int, body: Any) -> Subscription:
        """Replace one whole; IsActive false deletes it. Raises Refused 400, 404 or 409."""
        self.get(subscription_id)
        body = as_object(body)
        if body.get("IsActive") is None and self._switches.empty_is_active_deletes:
            body = {**body, "IsActive": False}
        if str(body.get("State")).lower() == "paused" and not self._switches.update_takes_paused:
            raise invalid("The State 'Paused' is not valid.")
        made = self._read(subscription_id, body)
        self._refuse_twin(made)
        before = self._items[subscription_id]
        made.shaken = before.shaken and before.url == made.url
        self._items[subscription_id] = made
        if made.document["IsActive"] is False:
            del self._items[subscription_id]
        return made

    def delete(self, subscription_id: int) -> None:
        """Remove one. Raises Refused 404."""
        self.get(subscription_id)
        del self._items[subscription_id]

    def get(self, subscription_id: int) -> Subscription:
        """One by id. Raises Refused 404."""
        found = self._items.get(subscription_id)
        if found is None:
            raise not_found(f"Subscription {subscription_id}")
        return found

    def all(self) -> list[Subscription]:
        """All of them, paused ones too."""
        return list(self._items.values())

    def exists(self, subscription_id: int) -> bool:
        """Whether that subscription is still there."""
        return subscription_id in self._items

    def matching(self, entity: str, event_type: str, instance: str, paused_too: bool) -> list[Subscription]:
        """Subscriptions an event belongs to."""
        return [
            item
            for item in self._items.values()
            if (paused_too or item.state == "Active")
            and any(interest.wants(entity, event_type, instance) for interest in item.interests)
        ]

    def _refuse_twin(self, made: Subscription) -> None:
        wanted = {(item.entity, item.event_type) for item in made.interests}
        for other in self._items.values():
            taken = {(item.entity, item.event_type) for item in other.interests}
            same_url = other.document["Url"].lower() == made.document["Url"].lower()
            if other.subscription_id != made.subscription_id and same_url and wanted & taken:
                raise Refused(409, "A subscription with the same Url and event type already exists.")

    def _read(self, subscription_id: int, body: dict[str, Any]) -> Subscription:
        if not isinstance(body.get("Name"), str) or not body["Name"].strip():
            raise invalid("The Name field is required.")
        entries = body.get("Subscriptions")
        if not isinstance(entries, list) or not entries:
            raise invalid("The Subscriptions field is required.")
        document = {
            "Id": subscription_id,
            "Name": body["Name"],
            "Description": body.get("Description") or "",
            "LocaleId": body.get("LocaleId") or "en_US",
            "Url": _url(body),
            "State": _state(body),
            "IsMinimized": str(body.get("IsMinimized", False)).lower() == "true",
            "IsActive": body.get("IsActive") is not False,
            "CatchUpOnResume": body.get("CatchUpOnResume") is True,
            "Subscriptions": entries,
        }
        if body.get("AlternateIdType"):
            document["AlternateIdType"] = body["AlternateIdType"]
        return Subscription(subscription_id, document, tuple(_interest(item) for item in entries))


def _whole(given: dict[str, Any], name: str, least: int, most: int) -> int:
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(f"{name} must be between {least} and {most}.")
    return value


def _url(body: dict[str, Any]) -> str:
    """HTTPS only; the sandbox also takes plain HTTP to this machine, where a receiver under test listens."""
    url = body.get("Url")
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not parts.hostname:
        raise invalid("The Url field is required.")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise invalid("The Url must use https.")
    return str(url)


def _state(body: dict[str, Any]) -> str:
    sent = str(body.get("State") or "Paused")
    for known in ("Active", "Paused", "Inactive"):
        if sent.lower() == known.lower():
            return known
    raise invalid(f"The State '{sent}' is not valid.")


def _interest(entry: Any) -> Interest:
    entry = as_object(entry)
    entity, event_type = entry.get("Entity"), entry.get("EventType")
    if not isinstance(entity, str) or not isinstance(event_type, str):
        raise invalid("Entity and EventType are required.")
    name, everything = _INSTANCES.get(entity.lower(), (None, ""))
    if name is None:
        return Interest(entity.lower(), event_type.lower(), None)
    listed = entry.get(name)
    if not isinstance(listed, list) or not listed:
        raise invalid(f"{name} is required for the entity {entity}.")
    wanted = frozenset(str(item).lower() for item in listed)
    return Interest(entity.lower(), event_type.lower(), None if everything in wanted else wanted)
