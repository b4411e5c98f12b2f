"""The root: builds everything once from the settings. The only file that knows all names."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Self

from bridge.core.errors import ConfigError
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Side
from bridge.core.ports import ReadReplica, Replica
from bridge.dotdigital.auth import basic_auth
from bridge.dotdigital.client_v2 import ClientV2
from bridge.dotdigital.client_v3 import ClientV3
from bridge.dotdigital.errors import judge as judge_dotdigital
from bridge.dotdigital.limits import Limits
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.region import DISCOVERY_URL, check_base_url, discover
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.engine.parts import Eyes, Hands, Progress, Tuning, silent
from bridge.mapping_file import load_mapping
from bridge.mypreferences.auth import ClientCredentials
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.errors import judge as judge_mypreferences
from bridge.mypreferences.replica import MyPreferencesReader, MyPreferencesReplica
from bridge.mypreferences.routes import load_routes
from bridge.mypreferences.throttle import RateLimit
from bridge.process import is_gone, this_process
from bridge.settings import V3, Auth, Settings
from bridge.store import Lease, Store
from bridge.transport import SignIn, Throttle, Transport

LEASE = timedelta(minutes=2)  # renewed all along; a killed machine blocks nobody for longer

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The bridge's own clock. Watermarks never come from it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """What tests and the demo set that no operator does."""

    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    export_poll: float = 15.0  # seconds between questions for an export
    read_timeout: float = 121.0  # seconds; Dotdigital gives up at 120
    tries: int = 4


class App:
    """The parts of one process, built when first asked for and closed together."""

    def __init__(self, settings: Settings, options: Options | None = None) -> None:
        self.settings = settings
        self.options = options or Options()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection that was opened."""
        self._open.close()

    @cached_property
    def mapping(self) -> ConsentMapping:
        """The mapping of the settings' file. Raises ConfigError with all its problems."""
        return load_mapping(self.settings.mapping)

    @cached_property
    def tuning(self) -> Tuning:
        """The settings that a round follows."""
        return Tuning(
            overlap=timedelta(seconds=self.settings.overlap_seconds),
            skew=timedelta(seconds=self.settings.skew_seconds),
            limits=self.settings.brakes.limits(),
        )

    @cached_property
    def store(self) -> Store:
        """The state DB, to be written. SQLite upgrades itself; otherwise raises SchemaOutOfDate."""
        store = Store.open(self.settings.database_url, clock=self.options.clock)
        self._open.callback(store.close)
        return store

    def lease(self) -> Lease:
        """The right to write with this state DB. A process killed on this machine is not waited for."""
        return self.store.lease(owner=str(this_process()), ttl=LEASE, is_gone=is_gone)

    @cached_property
    def reading_store(self) -> Store:
        """The state DB, only to be read."""
        store = Store.reader(self.settings.database_url, clock=self.options.clock)
        self._open.callback(store.close)
        return store

    @cached_property
    def mypreferences(self) -> MyPreferencesClient:
        """The MyPreferences API. Raises ConfigError naming every missing setting."""
        self.settings.require_mypreferences()
        mine = self.settings.mypreferences
        transport = self._transport(
            Side.MYPREFERENCES, _text(mine.base_url), self._sign_in(), RateLimit(mine.rate, sleep=self._sleep)
        )
        routes = load_routes(mine.routes_file)
        return MyPreferencesClient(transport, account=_text(mine.account), routes=routes)

    def _sign_in(self) -> SignIn:
        mine = self.settings.mypreferences
        if mine.auth is not Auth.OAUTH or mine.client_secret is None:
            raise ConfigError(
                f"BRIDGE_MYPREFERENCES__AUTH={mine.auth.value} is not built yet.",
                hint="Use oauth, with BRIDGE_MYPREFERENCES__CLIENT_ID and __CLIENT_SECRET.",
            )
        return ClientCredentials(
            token_url=_text(mine.token_url),
            client_id=_text(mine.client_id),
            client_secret=mine.client_secret,
            scope=f"{mine.account}/{mine.user_id}",
            clock=self.options.clock,
        )

    @cached_property
    def limits(self) -> Limits:
        """Dotdigital's allowance, as its answers tell."""
        return Limits(clock=self.options.clock, sleep=self._sleep)

    @cached_property
    def dotdigital(self) -> ClientV2:
        """Dotdigital's v2 API at the account's region, which is asked for where the settings name none."""
        self.settings.require_dotdigital()
        base_url = self.settings.dotdigital.base_url
        if base_url is None:
            base_url = discover(self._v2(DISCOVERY_URL))
        return self._v2(check_base_url(base_url))

    @cached_property
    def dotdigital_v3(self) -> ClientV3 | None:
        """Dotdigital's v3 contacts API; None where the settings say never."""
        if self.settings.dotdigital.v3 is V3.NEVER:
            return None
        return ClientV3(self.dotdigital.transport)

    def _v2(self, base_url: str) -> ClientV2:
        theirs = self.settings.dotdigital
        password = "" if theirs.password is None else theirs.password.get_secret_value()
        auth = basic_auth(theirs.username or "", password)
        return ClientV2(self._transport(Side.DOTDIGITAL, base_url, auth, self.limits))

    def _transport(self, side: Side, base_url: str, auth: SignIn, throttle: Throttle) -> Transport:
        transport = Transport(
            side=side,
            base_url=base_url,
            auth=auth,
            throttle=throttle,
            judge=judge_mypreferences if side is Side.MYPREFERENCES else judge_dotdigital,
            jitter=random.Random(),
            sleep=self._sleep,
            read_timeout=self.options.read_timeout,
            tries=self.options.tries,
        )
        self._open.callback(transport.close)
        return transport

    def _sleep(self, seconds: float) -> None:
        self.options.sleep(seconds)

    @cached_property
    def readers(self) -> Mapping[Side, ReadReplica]:
        """Both sides, with no way to write to them."""
        mine = self.settings.mypreferences
        return {
            Side.MYPREFERENCES: MyPreferencesReader(
                self.mypreferences,
                self.mapping,
                self.options.clock,
                segment=mine.segment,
                subscription_id=mine.subscription,
                alternate_id_type=mine.alternate_id_type,
                export_poll=self.options.export_poll,
                sleep=self._sleep,
            ),
            Side.DOTDIGITAL: DotdigitalReader(
                self.dotdigital, self.dotdigital_v3, self.mapping, self.options.clock
            ),
        }

    @cached_property
    def replicas(self) -> Mapping[Side, Replica]:
        """Both sides, to be written."""
        mine = self.settings.mypreferences
        return {
            Side.MYPREFERENCES: MyPreferencesReplica(
                self.mypreferences,
                self.mapping,
                self.options.clock,
                segment=mine.segment,
                subscription_id=mine.subscription,
                alternate_id_type=mine.alternate_id_type,
                export_poll=self.options.export_poll,
                sleep=self._sleep,
            ),
            Side.DOTDIGITAL: DotdigitalReplica(
                self.dotdigital, self.dotdigital_v3, self.mapping, self.options.clock
            ),
        }

    def eyes(self, *, progress: Progress = silent, heartbeat: Callable[[], None] = lambda: None) -> Eyes:
        """All that looking and deciding needs."""
        return Eyes(
            state=self.store,
            readers=self.readers,
            mapping=self.mapping,
            tuning=self.tuning,
            clock=self.options.clock,
            progress=progress,
            heartbeat=heartbeat,
            budget=lambda: self.limits.budget,
        )

    def hands(self) -> Hands:
        """All that writing needs."""
        return Hands(self.replicas)


def _text(value: str | None) -> str:
    if value is None:  # `require_*` has named it to the operator before this can be reached
        raise ConfigError("A setting that is needed is missing.", hint="Run `bridge doctor`.")
    return value
