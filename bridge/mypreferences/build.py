"""Builds the MyPreferences side from its settings, which `Settings.require_mypreferences` has checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Protocol, TypeVar

from bridge.core.errors import ConfigError
from bridge.core.mapping import Mapping
from bridge.core.ports import KeyValue
from bridge.mypreferences.auth import SignIn
from bridge.mypreferences.auth.oauth import ClientCredentials, MtlsTokenClient
from bridge.mypreferences.auth.pnauthinfo import PnAuthInfo3
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.base import RateLimit
from bridge.mypreferences.client.errors import error_mapper
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.eraser import MyPreferencesEraser
from bridge.mypreferences.profile_lookup import ProfileFinder
from bridge.mypreferences.reader import MyPreferencesReader
from bridge.mypreferences.replica import MyPreferencesReplica
from bridge.settings import AuthScheme, MyPreferences
from bridge.transport import ErrorMapper, Throttle, Transport

Clock = Callable[[], datetime]
Sleep = Callable[[float], None]
R = TypeVar("R", bound=MyPreferencesReader)
T = TypeVar("T")


class Connect(Protocol):
    """Opens the HTTP transport of this side."""

    def __call__(
        self,
        base_url: str,
        auth: SignIn,
        throttle: Throttle,
        to_error: ErrorMapper,
        *,
        calls_beside: Callable[[], int],
    ) -> Transport: ...


def sign_in(settings: MyPreferences, clock: Clock) -> SignIn:
    """The authentication scheme of the settings. Raises ConfigError for unusable certificate files."""
    if settings.auth is AuthScheme.PNAUTHINFO3:
        return PnAuthInfo3(
            account=_given(settings.account),
            user_id=_given(settings.user_id),
            key=_given(settings.private_key),
            clock=clock,
            digest=settings.hash,
            keyed=settings.keyed,
        )
    token_url, secret, token_client = _given(settings.token_url), settings.client_secret, None
    if settings.auth is AuthScheme.CERTIFICATE:
        certificate = _given(settings.certificate_file)
        secret, token_client = None, MtlsTokenClient(token_url, certificate, settings.certificate_key_file)
    return ClientCredentials(
        token_url=token_url,
        client_id=_given(settings.client_id),
        client_secret=secret,
        token_client=token_client,
        in_body=settings.client_credentials == "body",
        scope=f"{settings.account}/{settings.user_id}",
        clock=clock,
    )


class MyPreferencesParts:
    """The parts of this side in one process. Each is built on first use. `connect` opens the transport,
    `mapping` and `memory` give the mapping and the state DB's memory for this side when they are needed,
    `read_clock` dates reads and never goes back, `monotonic` gives seconds that pass as `sleep` sleeps,
    `poll_interval` is seconds between status calls for a bulk job."""

    def __init__(
        self,
        settings: MyPreferences,
        *,
        connect: Connect,
        mapping: Callable[[], Mapping],
        memory: Callable[[], KeyValue],
        clock: Clock,
        read_clock: Clock,
        sleep: Sleep,
        monotonic: Callable[[], float],
        poll_interval: float,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._mapping, self._memory = mapping, memory
        self._clock, self._read_clock = clock, read_clock
        self._sleep, self._monotonic, self._poll_interval = sleep, monotonic, poll_interval

    @cached_property
    def sign_in(self) -> SignIn:
        """How the bridge signs in. Raises ConfigError for unusable certificate files."""
        return sign_in(self._settings, self._clock)

    def close(self) -> None:
        """Close what the sign-in opened."""
        if "sign_in" in self.__dict__:
            self.sign_in.close()

    @cached_property
    def client(self) -> MyPreferencesClient:
        """The API client. Raises ConfigError for a routes file that cannot be used."""
        auth, settings = self.sign_in, self._settings
        transport = self._connect(
            _given(settings.base_url),
            auth,
            RateLimit(settings.rate, sleep=self._sleep, monotonic=self._monotonic),
            error_mapper(auth, self._clock),
            calls_beside=lambda: auth.calls,
        )
        return MyPreferencesClient(
            transport,
            account=_given(settings.account),
            routes=load_routes(settings.routes_file),
            patch_envelope=settings.patch_envelope.value,
        )

    @cached_property
    def importer(self) -> Importer:
        """Bulk imports, one at a time, for the reader and the replica of the process."""
        return Importer(
            self.client,
            memory=self._memory(),
            clock=self._clock,
            sleep=self._sleep,
            poll_interval=self._poll_interval,
            per_day=self._settings.imports_per_day,
        )

    @cached_property
    def reader(self) -> MyPreferencesReader:
        """The side, with no way to write to it."""
        return self._side(MyPreferencesReader)

    @cached_property
    def replica(self) -> MyPreferencesReplica:
        """The side, to be read and written."""
        return self._side(MyPreferencesReplica)

    @cached_property
    def eraser(self) -> MyPreferencesEraser:
        """What erases people at this side."""
        finder = ProfileFinder(self.client, self._settings.alternate_id_type)
        return MyPreferencesEraser(
            self.client, finder, self.replica, self._mapping(), self._clock, self._sleep
        )

    def _side(self, kind: type[R]) -> R:
        return kind(
            self.client,
            self._mapping(),
            self._clock,
            read_clock=self._read_clock,
            segment=_segment(self._settings),
            subscription_id=self._settings.subscription,
            alternate_id_type=self._settings.alternate_id_type,
            poll_interval=self._poll_interval,
            sleep=self._sleep,
            importer=self.importer,
            memory=self._memory(),
        )


def _segment(settings: MyPreferences) -> SegmentRef | None:
    if settings.segment_group is not None:
        return SegmentRef(settings.segment_group, is_group=True)
    return None if settings.segment is None else SegmentRef(settings.segment)


def _given(value: T | None) -> T:
    if value is None:  # the check of the settings names it to the operator before
        raise ConfigError("A required MyPreferences setting is missing.", hint="Run `bridge doctor`.")
    return value
