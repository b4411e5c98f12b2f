"""The sandbox of MyPreferences and the project's client and replica for it, over real HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import PersonId, Side, TopicId, Who
from bridge.core.writes import Evidence, Raise, Withdrawal
from bridge.mypreferences.auth import SignIn
from bridge.mypreferences.auth.oauth import ClientCredentials
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.base import RateLimit
from bridge.mypreferences.client.errors import error_mapper
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.replica import MyPreferencesReplica
from bridge.mypreferences.wire.events import EventInterest, Subscription
from bridge.sandbox.mypreferences import MyPreferencesState
from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET
from bridge.transport import Transport

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
ADDRESS = "ann@example.com"
CHANNEL = Topic(TopicId("email"), ConsentRef("EmailMarketing", "1.0", "en_US"), {})
NEWS = Topic(TopicId("news"), FilterRef("NEWS_EMAIL"), {"": 1002})
OFFERS = Topic(TopicId("offers"), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004})
PROFILING = Topic(TopicId("profiling"), ConsentRef("profiling", "1.0", "en_US"), {"": 1010})


def a_mapping(*topics: Topic, channel: Topic = CHANNEL) -> Mapping:
    return Mapping(topics or (NEWS, OFFERS, PROFILING), channel, OnUnsubscribe.CHANNEL, "digest")


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def who(address: str = ADDRESS, ids: MappingOf[Side, tuple[str, ...]] | None = None) -> Who:
    return Who(PersonId(1), address, ids or {})


def withdrawal(topic: Topic = NEWS, at: datetime | None = None) -> Withdrawal:
    return Withdrawal(Side.MYPREFERENCES, topic.id, at, at or NOON)


def raising(topic: Topic = NEWS, at: datetime | None = None, frequency: str | None = None) -> Raise:
    evidence = Evidence(Side.DOTDIGITAL, at or NOON, NOON, "v")
    return Raise(Side.MYPREFERENCES, topic.id, evidence, frequency)


class Memory:
    """A `KeyValue` of this process alone."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def set(self, key: str, value: str) -> None:
        self._values[key] = value


class World:
    """One sandbox and everything that calls it. `pauses` holds the seconds anything slept."""

    def __init__(self, state: MyPreferencesState, url: str) -> None:
        self.state, self.url = state, url
        self.pauses: list[float] = []
        self._opened: list[Transport] = []
        self.transport = self._transport(self.auth())
        self.client = self.client_of(state.config.account)

    def _transport(self, auth: SignIn, clock: Callable[[], datetime] | None = None) -> Transport:
        made = Transport(
            side=Side.MYPREFERENCES,
            base_url=f"{self.url}/Profiles/v4",
            auth=auth,
            throttle=RateLimit(None),
            to_error=error_mapper(auth, clock or self.state.clock.now),
            sleep=self.pauses.append,
            jitter=random.Random(1),
            read_timeout=120.0,
        )
        self._opened.append(made)
        return made

    def close(self) -> None:
        for transport in self._opened:
            transport.close()

    def signed_in(self, **options: Any) -> MyPreferencesClient:
        """A client of its own, signed in otherwise."""
        return self.signed_by(self.auth(**options))

    def signed_by(self, auth: SignIn, clock: Callable[[], datetime] | None = None) -> MyPreferencesClient:
        """A client of its own with another way of signing in; `clock` is the bridge's where that differs."""
        transport = self._transport(auth, clock)
        return MyPreferencesClient(transport, account=self.state.config.account, routes=load_routes(None))

    def auth(
        self, secret: str = CLIENT_SECRET, user: str = "bridge", in_body: bool = False
    ) -> ClientCredentials:
        return ClientCredentials(
            token_url=f"{self.url}/oauth2/v1/token",
            client_id=CLIENT_ID,
            client_secret=secret,
            scope=f"{self.state.config.account}/{user}",
            clock=self.state.clock.now,
            in_body=in_body,
        )

    def client_of(self, account: str) -> MyPreferencesClient:
        return MyPreferencesClient(self.transport, account=account, routes=load_routes(None))

    def replica(self, mapping: Mapping | None = None, **options: Any) -> MyPreferencesReplica:
        settings: dict[str, Any] = {"sleep": self.pauses.append, "poll_interval": 3.0} | options
        return MyPreferencesReplica(self.client, mapping or a_mapping(), self.state.clock.now, **settings)

    def subscribe(self) -> None:
        """Events are kept for subscriptions only."""
        interests = [
            *[
                ("ProfileActions", f"profile.{kind}")
                for kind in ("created", "updated", "deactivated", "deleted")
            ],
            *[("Preferences", f"preference.{kind}") for kind in ("added", "updated", "archived")],
            *[("Consents", f"consent.{kind}") for kind in ("added", "updated")],
        ]
        self.client.create_subscription(
            Subscription(
                name="bridge",
                url="https://bridge.example.com/hook",
                state="Active",
                subscriptions=[
                    EventInterest(
                        entity=entity, event_type=kind, filters=["AllFilters"], consent_types=["AllConsents"]
                    )
                    for entity, kind in interests
                ],
            )
        )

    def add(self, address: str = ADDRESS, **more: Any) -> str:
        return str(self.state.add_profile([("Primary", address)], **more))

    def calls(self, operation: str) -> int:
        return self.state.calls.count(operation)


def with_type(topic: Topic, email_type: str) -> Topic:
    source = topic.source
    if not isinstance(source, FilterRef):
        raise TypeError("only a filter has an e-mail type")
    return replace(topic, source=replace(source, email_type=email_type))
