"""Builds this side's parts from its settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TypeVar

import httpx

from bridge.core.mapping import Mapping
from bridge.core.ports import KeyValue
from bridge.dotdigital.client.access import DISCOVERY_URL, ApiUserAuth, V3Access, check_base_url, discover
from bridge.dotdigital.client.errors import to_error
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import LARGEST_LIMIT, ClientV3
from bridge.dotdigital.eraser import DotdigitalEraser
from bridge.dotdigital.importer import ImportRunner, JobStore
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.people import ContactListing
from bridge.dotdigital.polling.capabilities import OwnWrites
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.profile_links import ProfileLinker
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.settings import V3, Dotdigital
from bridge.transport import ErrorMapper, Throttle, Transport

Clock = Callable[[], datetime]
Sleep = Callable[[float], None]
Connect = Callable[[str, httpx.Auth, Throttle, ErrorMapper], Transport]
"""Opens a transport: base URL, credentials, limits, and what turns a refusal into an error."""
R = TypeVar("R", bound=DotdigitalReader)


class DotdigitalParts:
    """The parts of this side in one process. Each is built on first use. `connect` opens a transport,
    `mapping` and `memory` give the mapping and the state DB's memory for this side when they are needed,
    `read_clock` dates reads, and never goes back,
    `own_writes` tells the bridge's own writes, `import_poll` is seconds before the first status call for an
    import."""

    def __init__(
        self,
        settings: Dotdigital,
        *,
        connect: Connect,
        mapping: Callable[[], Mapping],
        memory: Callable[[], KeyValue],
        own_writes: OwnWrites,
        clock: Clock,
        read_clock: Clock,
        sleep: Sleep,
        import_poll: float,
    ) -> None:
        self._settings, self._connect = settings, connect
        self._mapping, self._memory, self._own_writes = mapping, memory, own_writes
        self._clock, self._read_clock = clock, read_clock
        self._sleep, self._import_poll = sleep, import_poll

    @cached_property
    def limits(self) -> RateLimiter:
        """The account's rate limits, as its answers state them."""
        return RateLimiter(clock=self._clock, sleep=self._sleep, share=self._settings.share_left)

    @cached_property
    def v2(self) -> ClientV2:
        """The v2 API at the account's region, which is discovered where the settings name none. Raises
        ConfigError and SideError."""
        settings = self._settings
        password = "" if settings.password is None else settings.password.get_secret_value()
        token = settings.integration_token
        auth = ApiUserAuth(
            settings.username or "", password, None if token is None else token.get_secret_value()
        )

        def at(base_url: str) -> ClientV2:
            return ClientV2(self._connect(base_url, auth, self.limits, to_error))

        base_url = discover(at(DISCOVERY_URL)) if settings.base_url is None else settings.base_url
        client = at(check_base_url(base_url))
        self.limits.ask = client.get_account_information
        return client

    @cached_property
    def v3(self) -> V3Access:
        """The v3 contacts API, as far as the settings and the account allow it."""
        client = None if self._settings.v3 is V3.NEVER else ClientV3(self.v2.transport)
        return V3Access(client, required=self._settings.v3 is V3.ALWAYS)

    @cached_property
    def events(self) -> EventsExport | None:
        """The events export, where the settings ask for it."""
        if not self._settings.events:
            return None
        return EventsExport(ClientV3(self.v2.transport), self._settings.events_name, self._memory())

    @cached_property
    def reader(self) -> DotdigitalReader:
        """The side, with no way to write to it."""
        return self._side(DotdigitalReader)

    @cached_property
    def replica(self) -> DotdigitalReplica:
        """The side, to be read and written."""
        return self._side(DotdigitalReplica)

    @cached_property
    def eraser(self) -> DotdigitalEraser:
        """What erases people at this side."""
        return DotdigitalEraser(self.v2, self.v3, self._clock, self._sleep)

    def _side(self, kind: type[R]) -> R:
        return kind(
            self.v2,
            self.v3,
            self._mapping(),
            self._clock,
            read_clock=self._read_clock,
            memory=self._memory(),
            events=self.events,
            budget=self.limits,
            own_writes=self._own_writes,
            sleep=self._sleep,
            profile_identifier=self._settings.profile_identifier,
            import_poll=self._import_poll,
        )


def profile_linker(
    identifier: str, *, v2: ClientV2, memory: KeyValue, clock: Clock, sleep: Sleep
) -> ProfileLinker:
    """What names profiles at contacts, by the custom identifier of this name."""
    v3 = ClientV3(v2.transport)
    importer = ImportRunner(v3, JobStore(memory, clock), clock, sleep)
    return ProfileLinker(ContactListing(v3, LARGEST_LIMIT, memory), importer, identifier)
