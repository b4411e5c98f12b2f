"""Builds the MyPreferences side from its settings, which `Settings.require_mypreferences` has checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from bridge.core.errors import ConfigError
from bridge.core.mapping import Mapping
from bridge.core.ports import KeyValue, Replica
from bridge.mypreferences.auth import SignIn
from bridge.mypreferences.auth.mtls import MtlsTokenClient
from bridge.mypreferences.auth.oauth import ClientCredentials
from bridge.mypreferences.auth.pnauthinfo import PnAuthInfo3
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.errors import error_mapper
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.client.throttle import RateLimit
from bridge.mypreferences.eraser import MyPreferencesEraser
from bridge.mypreferences.profile_lookup import ProfileFinder
from bridge.mypreferences.reader import MyPreferencesReader
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


def client(
    settings: MyPreferences, auth: SignIn, connect: Connect, *, clock: Clock, sleep: Sleep
) -> MyPreferencesClient:
    """The API client. Raises ConfigError for a routes file that cannot be used."""
    transport = connect(
        _given(settings.base_url),
        auth,
        RateLimit(settings.rate, sleep=sleep),
        error_mapper(auth, clock),
        calls_beside=lambda: auth.calls,
    )
    return MyPreferencesClient(
        transport,
        account=_given(settings.account),
        routes=load_routes(settings.routes_file),
        patch_envelope=settings.patch_envelope.value,
    )


def importer(
    settings: MyPreferences,
    client: MyPreferencesClient,
    *,
    memory: KeyValue,
    clock: Clock,
    sleep: Sleep,
    poll_interval: float,
) -> Importer:
    """What runs bulk imports, for the reader and the replica of one process."""
    return Importer(
        client,
        memory=memory,
        clock=clock,
        sleep=sleep,
        poll_interval=poll_interval,
        per_day=settings.imports_per_day,
    )


def replica(
    kind: type[R],
    settings: MyPreferences,
    client: MyPreferencesClient,
    importer: Importer,
    mapping: Mapping,
    *,
    clock: Clock,
    sleep: Sleep,
    poll_interval: float,
) -> R:
    """The side as `MyPreferencesReader` or `MyPreferencesReplica`."""
    return kind(
        client,
        mapping,
        clock,
        segment=_segment(settings),
        subscription_id=settings.subscription,
        alternate_id_type=settings.alternate_id_type,
        poll_interval=poll_interval,
        sleep=sleep,
        importer=importer,
    )


def eraser(
    settings: MyPreferences,
    client: MyPreferencesClient,
    replica: Replica,
    mapping: Mapping,
    *,
    clock: Clock,
    sleep: Sleep,
) -> MyPreferencesEraser:
    """What erases people at this side. `replica` is the same side."""
    finder = ProfileFinder(client, settings.alternate_id_type)
    return MyPreferencesEraser(client, finder, replica, mapping, clock, sleep)


def _segment(settings: MyPreferences) -> SegmentRef | None:
    if settings.segment_group is not None:
        return SegmentRef(settings.segment_group, is_group=True)
    return None if settings.segment is None else SegmentRef(settings.segment)


def _given(value: T | None) -> T:
    if value is None:  # the check of the settings names it to the operator before
        raise ConfigError("A required MyPreferences setting is missing.", hint="Run `bridge doctor`.")
    return value
