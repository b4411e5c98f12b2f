"""Which events the bridge needs, and which a webhook subscription lacks (MyPreferences `Create new
subscription`, `EventsExport`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bridge.core.errors import OutcomeUnknown, Refused
from bridge.core.mapping import ConsentRef, FilterRef, Mapping
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.events.types import normalised
from bridge.mypreferences.wire.events import EventInterest, Subscription

ACTIVE, PAUSED, INACTIVE = "Active", "Paused", "Inactive"

_EVERYTHING = {"Preferences": "AllFilters", "Consents": "AllConsents", "Contacts": "AllContactTypes"}
_PROFILE = ("created", "updated", "replaced", "deactivated", "reactivated", "deleted")
_CONSENT = (
    *("added", "updated", "deactivated"),
    *(f"elementassociation.{act}" for act in ("created", "updated", "deactivated")),
    # A change of the link between a consent and a preference raises no preference event.
    *(f"filterassociation.{act}" for act in ("created", "updated")),
)


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


def needs(mapping: Mapping, alternate_id_type: str | None = None) -> list[Need]:
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
