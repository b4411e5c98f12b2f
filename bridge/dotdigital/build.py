"""Builds this side's parts from its settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import httpx

from bridge.core.mapping import Mapping
from bridge.core.ports import KeyValue
from bridge.dotdigital.bulk.importer import ImportRunner
from bridge.dotdigital.bulk.jobs import JobStore
from bridge.dotdigital.client.access import DISCOVERY_URL, V3Access, basic_auth, check_base_url, discover
from bridge.dotdigital.client.errors import to_error
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import LARGEST_LIMIT, ClientV3
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.polling.capabilities import OwnWrites
from bridge.dotdigital.polling.contact_listing import ContactListing
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.profile_links import ProfileLinker
from bridge.dotdigital.reader import DotdigitalReader
from bridge.settings import V3, Dotdigital
from bridge.transport import ErrorMapper, Throttle, Transport

Clock = Callable[[], datetime]
Sleep = Callable[[float], None]
Connect = Callable[[str, httpx.Auth, Throttle, ErrorMapper], Transport]
"""Opens a transport: base URL, credentials, limits, and what turns a refusal into an error."""
R = TypeVar("R", bound=DotdigitalReader)


def rate_limiter(settings: Dotdigital, clock: Clock, sleep: Sleep) -> RateLimiter:
    return RateLimiter(clock=clock, sleep=sleep, share=settings.share_left)


def connect(settings: Dotdigital, limits: RateLimiter, transport: Connect) -> ClientV2:
    """The v2 API at the account's region, which is discovered where the settings name none. Raises
    ConfigError and SideError."""
    password = "" if settings.password is None else settings.password.get_secret_value()
    auth = basic_auth(settings.username or "", password)

    def at(base_url: str) -> ClientV2:
        return ClientV2(transport(base_url, auth, limits, to_error))

    base_url = discover(at(DISCOVERY_URL)) if settings.base_url is None else settings.base_url
    client = at(check_base_url(base_url))
    limits.ask = client.get_account_information
    return client


def v3_access(settings: Dotdigital, v2: ClientV2) -> V3Access:
    """The v3 contacts API, as far as the settings and the account allow it."""
    client = None if settings.v3 is V3.NEVER else ClientV3(v2.transport)
    return V3Access(client, required=settings.v3 is V3.ALWAYS)


def events_export(settings: Dotdigital, v2: ClientV2, memory: KeyValue) -> EventsExport | None:
    """The events export, where the settings ask for it."""
    return EventsExport(ClientV3(v2.transport), settings.events_name, memory) if settings.events else None


def replica(
    kind: type[R],
    settings: Dotdigital,
    *,
    v2: ClientV2,
    v3: V3Access,
    mapping: Mapping,
    memory: KeyValue,
    events: EventsExport | None,
    limits: RateLimiter,
    own_writes: OwnWrites,
    import_poll: float,
    clock: Clock,
    sleep: Sleep,
) -> R:
    """The side as the engine sees it: a DotdigitalReader, or a DotdigitalReplica that also writes."""
    return kind(
        v2,
        v3,
        mapping,
        clock,
        memory=memory,
        events=events,
        budget=limits,
        own_writes=own_writes,
        sleep=sleep,
        profile_identifier=settings.profile_identifier,
        import_poll=import_poll,
    )


def profile_linker(
    identifier: str, *, v2: ClientV2, memory: KeyValue, clock: Clock, sleep: Sleep
) -> ProfileLinker:
    """What names profiles at contacts, by the custom identifier of this name."""
    v3 = ClientV3(v2.transport)
    importer = ImportRunner(v3, JobStore(memory, clock), clock, sleep)
    return ProfileLinker(ContactListing(v3, LARGEST_LIMIT, memory), importer, identifier)
