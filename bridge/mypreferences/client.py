"""The MyPreferences API, one method an endpoint. Every method raises SideError."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from bridge.core.errors import NotFound
from bridge.mypreferences import wire
from bridge.mypreferences.moments import render_moment
from bridge.mypreferences.routes import Routes
from bridge.transport import Answer, Transport

# Both default to true at the service: inherited and former choices would look like stated ones.
_STATED_ONLY = {"implied": False, "includeConsentHistory": False}


@dataclass(frozen=True, slots=True)
class EventSlice:
    """Events of one window, in no order, and the server's time when it answered."""

    events: Sequence[wire.Event]
    server_time: datetime | None


class MyPreferencesClient:
    """Calls as one account. Thread-safe as far as its transport is."""

    def __init__(self, transport: Transport, *, account: str, routes: Routes) -> None:
        self._transport, self._account, self._routes = transport, account, routes

    @property
    def calls(self) -> int:
        """Requests sent so far, sign-ins and repetitions included."""
        return self._transport.calls

    @property
    def account(self) -> str:
        """The account and where it is served: staging and production share names."""
        return f"{self._account} at {self._transport.base_url}"

    def close(self) -> None:
        self._transport.close()

    def programs(self) -> list[wire.Program]:
        """All programs with their filters (MyPreferences `Retrieve programs`)."""
        answer = self._read("programs")
        return _items("programs", answer, "Programs", wire.Program)

    def consent_types(self) -> list[wire.ConsentType]:
        """All consents people may give (MyPreferences `Retrieve consents`)."""
        answer = self._read("consent_types")
        return _items("consent_types", answer, "ConsentTypes", wire.ConsentType)

    def profile_by_id(self, profile_id: str) -> wire.Profile:
        """One profile, also inactive (MyPreferences `Retrieve profile by profile id`). Raises NotFound."""
        operation = "profile_by_id"
        answer = self._read(operation, params=_STATED_ONLY, profile_id=profile_id)
        profile = _one(operation, answer)
        if profile is None or profile.id != str(profile_id):
            raise wire.bad_answer(operation)
        return profile

    def profiles_by_email(self, address: str) -> list[wire.Profile]:
        """Active profiles with an address, or none (MyPreferences `Retrieve profiles by email`). Raises
        Ambiguous for more than 50."""
        operation = "profiles_by_email"
        params = {"emailAddress": address, "includeInactive": False, **_STATED_ONLY}
        try:
            answer = self._read(operation, params=params)
        except NotFound:
            return []
        profiles: list[wire.Profile] = _items(operation, answer, "Profiles", wire.Profile)
        if not all(profile.id for profile in profiles):
            raise wire.bad_answer(operation)
        return profiles

    def update_profile(self, profile_id: str, change: wire.Profile) -> wire.Profile | None:
        """Change what `change` names and leave the rest (MyPreferences `Update profile (POST)`). None where
        the service accepts without showing the profile."""
        operation = "update_profile"
        return _one(
            operation, self._write(operation, wire.encode(change), profile_id=profile_id), is_write=True
        )

    def create_or_update_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, change: wire.Profile
    ) -> wire.Profile | None:
        """Change the profile with that alternate id, or create it (MyPreferences `Update profile by alternate
        id (POST)`). Repeating it ends at one profile."""
        operation = "create_or_update_by_alternate_id"
        values = {"alternate_id_type": alternate_id_type, "alternate_id": alternate_id}
        query = {"alternateIdType": alternate_id_type, "alternateId": alternate_id}
        params = None if "alternate_id" in self._routes[operation].fields else query
        answer = self._write(operation, wire.encode(change), params=params, **values)
        return _one(operation, answer, is_write=True)

    def events_by_account(self, *, start_at: datetime, end_at: datetime) -> EventSlice:
        """Events of all webhook subscriptions, both ends inclusive, at most 15 days back (MyPreferences
        `Retrieve events`)."""
        return self._events("events_by_account", start_at, end_at)

    def events_by_subscription(
        self, subscription_id: int, *, start_at: datetime, end_at: datetime
    ) -> EventSlice:
        """Events of one webhook subscription (MyPreferences `Retrieve events by subscription id`)."""
        return self._events("events_by_subscription", start_at, end_at, subscription_id=subscription_id)

    def subscriptions(self) -> list[wire.Subscription]:
        """All webhook subscriptions, paused ones too (MyPreferences `Retrieve subscriptions`)."""
        answer = self._read("subscriptions")
        return _items("subscriptions", answer, "Subscriptions", wire.Subscription)

    def create_subscription(self, wanted: wire.Subscription) -> wire.Subscription:
        """Subscribe (MyPreferences `Create new subscription`): Paused unless `state` says Active. Raises
        Refused where the same URL has the same event already."""
        operation = "create_subscription"
        answer = self._write(operation, wire.encode(wanted))
        made: wire.Subscription = wire.decode(
            wire.Subscription, answer.content, operation=operation, is_write=True
        )
        return made

    def export_initiate(self, segment: str) -> str:
        """Start an export of a segment; the token to ask for it by (MyPreferences `Segment: Initiate`). Sent
        like a read: an export begun twice changes nobody."""
        operation = "export_initiate"
        answer = self._read(operation, json={}, segment=segment)
        token: wire.ExportToken = wire.decode(wire.ExportToken, answer.content, operation=operation)
        return str(token.access_token)

    def export_status(self, token: str) -> wire.ExportStatus:
        """Where an export stands (MyPreferences `Retrieve status`). Raises NotFound once it is gone."""
        operation = "export_status"
        answer = self._read(operation, access_token=token)
        status: wire.ExportStatus = wire.decode(wire.ExportStatus, answer.content, operation=operation)
        return status

    def export_retrieve(
        self, token: str, *, offset: int, limit: int = 1000, keep_alive: bool = True
    ) -> wire.ExportPage:
        """One block of an export, `offset` counting from 1 (MyPreferences `Segment: Retrieve data`). Without
        `keep_alive` the token dies with the last block, and a lost answer with it. Raises NotFound."""
        operation = "export_retrieve"
        params = {"limit": limit, "offset": offset, "keepAlive": keep_alive}
        answer = self._read(operation, params=params, access_token=token)
        page: wire.ExportPage = wire.decode(wire.ExportPage, answer.content, operation=operation)
        return page

    def _events(self, operation: str, start_at: datetime, end_at: datetime, **path: str | int) -> EventSlice:
        params = {"startAt": render_moment(start_at), "endAt": render_moment(end_at, up=True)}
        answer = self._read(operation, params=params, **path)
        return EventSlice(_items(operation, answer, "Events", wire.Event), answer.server_time)

    def _read(
        self, operation: str, *, params: dict[str, Any] | None = None, json: object = None, **path: str | int
    ) -> Answer:
        route = self._routes[operation]
        target = route.path({"account": self._account, **path})
        return self._transport.read(operation, route.method, target, params=_plain(params), json=json)

    def _write(
        self, operation: str, body: Any, *, params: dict[str, Any] | None = None, **path: str | int
    ) -> Answer:
        route = self._routes[operation]
        target = route.path({"account": self._account, **path})
        return self._transport.write(operation, route.method, target, params=_plain(params), json=body)


def _plain(params: dict[str, Any] | None) -> dict[str, Any] | None:
    if params is None:
        return None
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}


def _items(operation: str, answer: Answer, name: str, kind: type[wire.T]) -> list[wire.T]:
    """A list, bare or under `name`, whichever the service sends: the documents leave it open."""
    raw: msgspec.Raw = wire.decode(msgspec.Raw, answer.content, operation=operation)
    content = bytes(raw).lstrip()
    if content[:1] == b"{":
        wrapped: dict[str, msgspec.Raw] = wire.decode(dict[str, msgspec.Raw], content, operation=operation)
        if name not in wrapped:
            raise wire.bad_answer(operation)
        content = bytes(wrapped[name])
    items: list[wire.T] = wire.decode(list[kind], content, operation=operation)  # type: ignore[valid-type]
    return items


def _one(operation: str, answer: Answer, *, is_write: bool = False) -> wire.Profile | None:
    """A profile, or the only one of a list: the documents leave it open."""
    if is_write and answer.status == 204:
        return None
    content = answer.content.strip()
    kind: Any = list[wire.Profile] if content[:1] == b"[" else wire.Profile
    found = wire.decode(kind, content, operation=operation, is_write=is_write)
    profiles: list[wire.Profile] = found if isinstance(found, list) else [found]
    if len(profiles) != 1 or not profiles[0].id:
        raise wire.bad_answer(operation, is_write=is_write)
    return profiles[0]
