"""Webhook subscriptions and their deliveries (MyPreferences `Create new subscription`, `EventsExport`, `Event
payload samples`).

A delivery holds events, or it is a validation request. Neither form is fully documented, so both are read
leniently. Of an event only its id, type and profile id are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge import bounds
from bridge.core.errors import FeedDeaf, OutcomeUnknown, Refused, SideError
from bridge.core.mapping import ConsentRef, FilterRef
from bridge.core.mapping import Mapping as TopicMapping
from bridge.core.ports import KeyValue
from bridge.core.store_values import WebhookEvent
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.events.types import EventRelevance, normalised, relevance_of
from bridge.mypreferences.wire.events import EventInterest, Subscription

ACTIVE, PAUSED, INACTIVE = "Active", "Paused", "Inactive"

_ACTIVE_KEY = "mypreferences.subscription_was_active"
_ASKED_EVERY = timedelta(hours=1)
_EVERYTHING = {"Preferences": "AllFilters", "Consents": "AllConsents", "Contacts": "AllContactTypes"}
_PROFILE = ("created", "updated", "replaced", "deactivated", "reactivated", "deleted")
_CONSENT = (
    *("added", "updated", "deactivated"),
    *(f"elementassociation.{act}" for act in ("created", "updated", "deactivated")),
    # A change of the link between a consent and a preference raises no preference event.
    *(f"filterassociation.{act}" for act in ("created", "updated")),
)
MOST = 5000  # messages in one delivery: the most that one cycle of the service may hold
_CODES = ("validationcode", "validationtoken", "challenge", "hub.challenge", "code", "token")
_WRAPPERS = ("events", "messages")
_NAME = re.compile(r"[A-Za-z0-9._:{}-]{1,100}")
_CODE = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class Need:
    """An event type that the bridge needs, for the filters or consents in `names`; none: for all."""

    entity: str
    event_type: str
    names: frozenset[str] = frozenset()

    @property
    def interest(self) -> EventInterest:
        """How it is subscribed to: for everything, since the mapping may grow."""
        everything = [_EVERYTHING.get(self.entity, "")]
        return EventInterest(
            entity=self.entity,
            event_type=self.event_type,
            filters=everything if self.entity == "Preferences" else None,
            consent_types=everything if self.entity == "Consents" else None,
            contact_types=everything if self.entity == "Contacts" else None,
        )

    def met_by(self, interest: EventInterest) -> bool:
        """Whether a subscription with this interest receives it."""
        if normalised(interest.event_type) != normalised(self.event_type):
            return False
        listed = {
            "Preferences": interest.filters,
            "Consents": interest.consent_types,
            "Contacts": interest.contact_types,
        }.get(self.entity)
        given = {name.casefold() for name in listed or ()}
        everything = _EVERYTHING.get(self.entity)
        if everything is None or everything.casefold() in given:
            return True
        return bool(self.names) and given.issuperset(name.casefold() for name in self.names)


def needs(mapping: TopicMapping, alternate_id_type: str | None = None) -> list[Need]:
    """The events that report every change to mapped topics and to people's identities."""
    sources = [topic.source for topic in mapping.all]
    filters = frozenset(one.filter for one in sources if isinstance(one, FilterRef))
    consents = frozenset(one.consent for one in sources if isinstance(one, ConsentRef))
    return list(_needs(filters, consents, alternate_id_type))


def _needs(
    filters: frozenset[str], consents: frozenset[str], alternate_id_type: str | None
) -> Iterator[Need]:
    for act in _PROFILE:
        yield Need("ProfileActions", f"profile.{act}")
    for act in ("added", "updated", "archived") if filters else ():
        yield Need("Preferences", f"preference.{act}", filters)
    for act in _CONSENT:
        yield Need("Consents", f"consent.{act}", consents)
    for act in ("added", "updated", "deleted"):
        yield Need("Contacts", f"contacts.email.{act}")
    for act in ("added", "updated") if alternate_id_type else ():
        yield Need("Contacts", f"contacts.alternateid.{act}")


def lacking(wanted: Iterable[Need], subscriptions: Iterable[Subscription]) -> list[str]:
    """The event types that none of these subscriptions receives."""
    interests = [one for item in subscriptions for one in item.subscriptions or ()]
    return [need.event_type for need in wanted if not any(map(need.met_by, interests))]


class SubscriptionCheck:
    """Whether a webhook subscription still collects the events that are polled, asked now and then. `only`:
    the one that is read (None: all). Whether a paused one collects is not documented (MyPreferences 2.7): it
    counts as deaf only where one was active before. `clock` gives aware UTC."""

    def __init__(
        self,
        client: MyPreferencesClient,
        only: int | None,
        memory: KeyValue | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._client, self._only, self._memory, self._clock = client, only, memory, clock
        self._was_active = False
        self._asked_at: datetime | None = None
        self._problem: FeedDeaf | None = None

    def problem(self) -> FeedDeaf | None:
        """What keeps events from being collected; None where nothing is known to. An error of the question
        itself changes nothing: the events are asked for right after it."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= _ASKED_EVERY or self._problem is not None:
            try:
                found = self._client.retrieve_subscriptions()
            except SideError:
                return self._problem
            self._asked_at = now
            self._problem = self._judge([one for one in found if self._only in (None, int(one.id or 0))])
        return self._problem

    def _judge(self, found: Sequence[Subscription]) -> FeedDeaf | None:
        if any(one.active for one in found):
            self._note_active()
            return None
        if found and not self._was_active and (self._memory is None or not self._memory.get(_ACTIVE_KEY)):
            return None
        state = "is active any more" if found else "exists"
        return FeedDeaf(
            f"MyPreferences keeps no events for the bridge: no webhook subscription {state}.",
            hint="See `bridge hooks list`; create or resume one. Everybody is read once after that.",
        )

    def _note_active(self) -> None:
        if not self._was_active and self._memory is not None and not self._memory.get(_ACTIVE_KEY):
            self._memory.set(_ACTIVE_KEY, "yes")
        self._was_active = True


def subscribe(client: MyPreferencesClient, wanted: Subscription) -> Subscription:
    """Create a subscription. Where its outcome is unknown, the list shows it. Raises SideError."""
    known = {str(one.id) for one in client.retrieve_subscriptions()}
    try:
        return client.create_subscription(wanted)
    except OutcomeUnknown:
        return _only(wanted, [one for one in client.retrieve_subscriptions() if str(one.id) not in known])


def _only(wanted: Subscription, fresh: Sequence[Subscription]) -> Subscription:
    made = [one for one in fresh if one.url == wanted.url]
    if len(made) != 1:
        raise Refused(
            "MyPreferences gave no complete answer, and the webhook subscription does not exist.",
            side="mypreferences",
            operation="createSubscription",
            hint="Try again; `bridge hooks list` shows what exists.",
        )
    return made[0]


def set_state(client: MyPreferencesClient, number: int, state: str) -> str:
    """Pause or resume a subscription; returns its state, read back. Raises SideError.

    The documents have two names for the state that is not active: where one is refused, the other is sent.
    """
    whole = client.retrieve_subscription(number)
    words = (PAUSED, INACTIVE) if state == PAUSED else (state,)
    for word in words:
        try:
            client.update_subscription(number, whole | {"State": word})
        except OutcomeUnknown:
            break  # read back below
        except Refused as error:
            if error.status != 400 or word == words[-1]:
                raise
        else:
            break
    return str(client.retrieve_subscription(number).get("State") or "")


def delete(client: MyPreferencesClient, number: int) -> bool:
    """Delete a subscription. Returns whether it no longer exists. Raises SideError, NotFound where there is
    none."""
    try:
        client.delete_subscription(number)
    except OutcomeUnknown:
        return all(str(one.id) != str(number) for one in client.retrieve_subscriptions())
    return True


@dataclass(frozen=True, slots=True)
class Delivery:
    """`events` counts all of them; `notices` are the relevant ones that name a profile by its id, `unnamed`
    counts relevant ones that do not."""

    events: int = 0
    notices: tuple[WebhookEvent, ...] = ()
    unnamed: int = 0
    code: tuple[str, str] | None = None

    @property
    def validates(self) -> bool:
        """Whether it holds no event: then it is a validation request."""
        return not self.events


def read_delivery(body: bytes) -> Delivery:
    """Read a body. Raises ValueError where it is neither JSON nor empty, or holds too many events."""
    if not body.strip():
        return Delivery()
    document = bounds.parse(body)
    events = [event for event in map(_members, _messages(document)) if event.get("eventtype")]
    if not events:
        return Delivery(code=_code(document))
    if len(events) > MOST:
        raise ValueError(f"it holds more than {MOST} events")
    relevant = [event for event in events if _is_relevant(event)]
    notices = [_notice(event) for event in relevant if _profile(event)]
    return Delivery(len(events), tuple(notices), len(relevant) - len(notices))


def code_in(query: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The name and value of a query's validation code."""
    return _code(dict(query))


def _messages(document: object) -> list[Any]:
    if isinstance(document, list):
        return document
    wrapped = next((value for name, value in _members(document).items() if name in _WRAPPERS), None)
    return wrapped if isinstance(wrapped, list) else [document]


def _members(value: object) -> dict[str, Any]:
    """An object's members by case-folded name; none for anything else."""
    return {name.casefold(): one for name, one in value.items()} if isinstance(value, Mapping) else {}


def _code(document: object) -> tuple[str, str] | None:
    """The first validation code, at the top, in a list, or one level down."""
    for part in document if isinstance(document, list) else [document]:
        given = part if isinstance(part, Mapping) else {}
        nested = [one for one in given.values() if isinstance(one, Mapping)]
        for place in (given, *nested):
            for name, value in place.items():
                if name.casefold() in _CODES and isinstance(value, str | int) and _CODE.fullmatch(str(value)):
                    return str(name), str(value)
    return None


def _is_relevant(event: Mapping[str, Any]) -> bool:
    return relevance_of(str(event["eventtype"])) is not EventRelevance.NONE


def _notice(event: Mapping[str, Any]) -> WebhookEvent:
    kind = re.sub(r"[^A-Za-z0-9_. -]", "?", str(event["eventtype"]))[:60]
    return WebhookEvent(_event_id(event), kind, _profile(event))


def _profile(event: Mapping[str, Any]) -> str:
    """The profile's id. An alternate id may be anything, also an address: it is not kept."""
    text = str(event.get("profileid", "")).strip()
    return text if text.isascii() and text.isdigit() and len(text) <= 20 else ""


def _event_id(event: Mapping[str, Any]) -> str:
    """Its id if it looks like one, else a hash of what identifies it."""
    given = event.get("eventid")
    if given is not None and _NAME.fullmatch(str(given)):
        return str(given)
    known = [str(given), str(event["eventtype"]), _profile(event), str(event.get("originaleventtime"))]
    return f"sha256:{hashlib.sha256(json.dumps(known).encode()).hexdigest()}"
