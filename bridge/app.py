"""The root: builds everything once from the settings. The only file that knows all names."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from types import TracebackType
from typing import Self, TypeVar

from bridge.core.erasers import Eraser
from bridge.core.erasure import ErasureSettings
from bridge.core.errors import ConfigError
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Side
from bridge.core.ports import ReadReplica, Replica
from bridge.dotdigital.client.auth import basic_auth
from bridge.dotdigital.client.errors import to_error as judge_dotdigital
from bridge.dotdigital.client.region import DISCOVERY_URL, check_base_url, discover
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.v3_access import V3Access
from bridge.dotdigital.eraser import DotdigitalEraser
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.engine.context import Progress, Services, Tuning, Writers, silent
from bridge.mapping_file import load_mapping
from bridge.mypreferences.auth import SignIn as MyPreferencesSignIn
from bridge.mypreferences.auth.mtls import MtlsTokenClient
from bridge.mypreferences.auth.oauth import ClientCredentials
from bridge.mypreferences.auth.pnauthinfo import PnAuthInfo3
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.errors import error_mapper as judging_mypreferences
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.client.throttle import RateLimit
from bridge.mypreferences.eraser import MyPreferencesEraser
from bridge.mypreferences.profile_lookup import ProfileFinder
from bridge.mypreferences.replica import MyPreferencesReader, MyPreferencesReplica
from bridge.settings import V3, AuthScheme, Settings
from bridge.settings.erasure_key import key_of
from bridge.store import Lease, Store
from bridge.store.lease_owner import is_gone, this_process
from bridge.transport import ErrorMapper, SignIn, Throttle, Transport

T = TypeVar("T")

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
    export_poll: float = 15.0  # seconds between questions for a job of MyPreferences
    import_poll: float = 5.0  # seconds before the first question for an import of Dotdigital
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
            poll=timedelta(seconds=self.settings.poll_seconds),
            overlap=timedelta(seconds=self.settings.overlap_seconds),
            skew=timedelta(seconds=self.settings.skew_seconds),
            limits=self.settings.brakes.limits(),
            challenge_wait=timedelta(days=self.settings.dotdigital.challenge_days),
        )

    @cached_property
    def erasing(self) -> ErasureSettings:
        """How people who were erased are known again."""
        return ErasureSettings(key_of(self.settings), self.tuning.skew)

    @cached_property
    def store(self) -> Store:
        """The state DB, to be written. SQLite upgrades itself; otherwise raises SchemaOutOfDate."""
        url = self.settings.database_url
        store = Store.open(url, clock=self.options.clock, erasing=self.erasing)
        self._open.callback(store.close)
        return store

    def lease(self) -> Lease:
        """The right to write with this state DB. A process killed on this machine is not waited for."""
        return self.store.lease(owner=str(this_process()), ttl=LEASE, is_gone=is_gone)

    @cached_property
    def reading_store(self) -> Store:
        """The state DB, only to be read."""
        url = self.settings.database_url
        store = Store.reader(url, clock=self.options.clock, erasing=self.erasing)
        self._open.callback(store.close)
        return store

    @cached_property
    def mypreferences(self) -> MyPreferencesClient:
        """The MyPreferences API. Raises ConfigError naming every missing setting."""
        self.settings.require_mypreferences()
        mine = self.settings.mypreferences
        sign_in = self.sign_in
        transport = self._transport(
            Side.MYPREFERENCES,
            _given(mine.base_url),
            sign_in,
            RateLimit(mine.rate, sleep=self._sleep),
            judging_mypreferences(sign_in, self.options.clock),
            calls_beside=lambda: sign_in.calls,
        )
        routes = load_routes(mine.routes_file)
        return MyPreferencesClient(
            transport, account=_given(mine.account), routes=routes, patch_envelope=mine.patch_envelope.value
        )

    @cached_property
    def sign_in(self) -> MyPreferencesSignIn:
        """How MyPreferences is signed in to. Raises ConfigError for settings or files that cannot do it."""
        self.settings.require_mypreferences()
        made = (
            self._signature()
            if self.settings.mypreferences.auth is AuthScheme.PNAUTHINFO3
            else self._tokens()
        )
        self._open.callback(made.close)
        return made

    def _tokens(self) -> MyPreferencesSignIn:
        mine = self.settings.mypreferences
        certified = mine.auth is AuthScheme.CERTIFICATE
        return ClientCredentials(
            token_url=_given(mine.token_url),
            client_id=_given(mine.client_id),
            client_secret=None if certified else _given(mine.client_secret),
            token_client=self._desk() if certified else None,
            in_body=mine.client_credentials == "body",
            scope=f"{mine.account}/{mine.user_id}",
            clock=self.options.clock,
        )

    def _desk(self) -> MtlsTokenClient:
        mine = self.settings.mypreferences
        return MtlsTokenClient(
            _given(mine.token_url), _given(mine.certificate_file), mine.certificate_key_file
        )

    def _signature(self) -> MyPreferencesSignIn:
        mine = self.settings.mypreferences
        return PnAuthInfo3(
            account=_given(mine.account),
            user_id=_given(mine.user_id),
            key=_given(mine.private_key),
            clock=self.options.clock,
            digest=mine.hash,
            keyed=mine.keyed,
        )

    @cached_property
    def limits(self) -> RateLimiter:
        """Dotdigital's allowance, as its answers tell."""
        share = self.settings.dotdigital.share_left
        return RateLimiter(clock=self.options.clock, sleep=self._sleep, share=share)

    @cached_property
    def dotdigital(self) -> ClientV2:
        """Dotdigital's v2 API at the account's region, which is asked for where the settings name none."""
        self.settings.require_dotdigital()
        base_url = self.settings.dotdigital.base_url
        if base_url is None:
            base_url = discover(self._v2(DISCOVERY_URL))
        client = self._v2(check_base_url(base_url))
        self.limits.ask = client.account_info
        return client

    @cached_property
    def dotdigital_v3(self) -> V3Access:
        """Dotdigital's v3 contacts API, as far as the settings and the account have it."""
        wanted = self.settings.dotdigital.v3
        client = None if wanted is V3.NEVER else ClientV3(self.dotdigital.transport)
        return V3Access(client, required=wanted is V3.ALWAYS)

    @cached_property
    def dotdigital_events(self) -> EventsExport | None:
        """Dotdigital's events export, where the settings ask for it."""
        theirs = self.settings.dotdigital
        if not theirs.events:
            return None
        return EventsExport(ClientV3(self.dotdigital.transport), theirs.events_name, self.store)

    def _v2(self, base_url: str) -> ClientV2:
        theirs = self.settings.dotdigital
        password = "" if theirs.password is None else theirs.password.get_secret_value()
        auth = basic_auth(theirs.username or "", password)
        return ClientV2(self._transport(Side.DOTDIGITAL, base_url, auth, self.limits, judge_dotdigital))

    def _transport(
        self,
        side: Side,
        base_url: str,
        auth: SignIn,
        throttle: Throttle,
        to_error: ErrorMapper,
        calls_beside: Callable[[], int] = lambda: 0,
    ) -> Transport:
        transport = Transport(
            side=side,
            base_url=base_url,
            auth=auth,
            throttle=throttle,
            to_error=to_error,
            jitter=random.Random(),
            sleep=self._sleep,
            read_timeout=self.options.read_timeout,
            tries=self.options.tries,
            calls_beside=calls_beside,
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
                roll=self._roll,
                subscription_id=mine.subscription,
                alternate_id_type=mine.alternate_id_type,
                export_poll=self.options.export_poll,
                sleep=self._sleep,
                has_running_jobs=self.importer.has_running_jobs,
                may_import=self.importer.may_begin,
            ),
            Side.DOTDIGITAL: DotdigitalReader(
                self.dotdigital,
                self.dotdigital_v3,
                self.mapping,
                self.options.clock,
                memory=self.store,
                events=self.dotdigital_events,
                pace=self.limits,
                ours=partial(self.store.written_since, Side.DOTDIGITAL),
                sleep=self._sleep,
                profile_identifier=self.settings.dotdigital.profile_identifier,
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
                roll=self._roll,
                subscription_id=mine.subscription,
                alternate_id_type=mine.alternate_id_type,
                export_poll=self.options.export_poll,
                sleep=self._sleep,
                has_running_jobs=self.importer.has_running_jobs,
                importer=self.importer,
            ),
            Side.DOTDIGITAL: DotdigitalReplica(
                self.dotdigital,
                self.dotdigital_v3,
                self.mapping,
                self.options.clock,
                memory=self.store,
                import_poll=self.options.import_poll,
                sleep=self._sleep,
                profile_identifier=self.settings.dotdigital.profile_identifier,
            ),
        }

    @cached_property
    def erasers(self) -> Mapping[Side, Eraser]:
        """Both sides, as far as erasing somebody goes."""
        mine = self.settings.mypreferences
        return {
            Side.MYPREFERENCES: MyPreferencesEraser(
                self.mypreferences,
                ProfileFinder(self.mypreferences, mine.alternate_id_type),
                self.replicas[Side.MYPREFERENCES],
                self.mapping,
                self.options.clock,
                self._sleep,
            ),
            Side.DOTDIGITAL: DotdigitalEraser(self.dotdigital, self.dotdigital_v3, self._sleep),
        }

    @cached_property
    def importer(self) -> Importer:
        """Bulk imports into MyPreferences, one after the other."""
        return Importer(
            self.mypreferences,
            clock=self.options.clock,
            sleep=self._sleep,
            pause=self.options.export_poll,
            per_day=self.settings.mypreferences.imports_per_day,
            note=_Fact(lambda: self.store, "imports:mypreferences"),
        )

    @property
    def _roll(self) -> SegmentRef | None:
        mine = self.settings.mypreferences
        if mine.segment_group is not None:
            return SegmentRef(mine.segment_group, is_group=True)
        return None if mine.segment is None else SegmentRef(mine.segment)

    def services(
        self, *, progress: Progress = silent, heartbeat: Callable[[], None] = lambda: None
    ) -> Services:
        """All that looking and deciding needs."""
        self.limits.watch = partial(_show_wait, progress)
        return Services(
            state=self.store,
            readers=self.readers,
            mapping=self.mapping,
            tuning=self.tuning,
            clock=self.options.clock,
            progress=progress,
            heartbeat=heartbeat,
            budget=lambda: self.limits.budget,
        )

    def writers(self) -> Writers:
        """All that writing needs. Raises ConfigError for a mapping that nobody has confirmed."""
        self.require_confirmed()
        if self.dotdigital_events is not None:
            self.dotdigital_events.permit()
        return Writers(self.replicas)

    def require_confirmed(self) -> None:
        """Raise ConfigError where the mapping is a draft: a wrong match would write to everybody it names."""
        if self.mapping.draft:
            raise ConfigError(
                f"The mapping {self.settings.mapping} is a draft: nothing is written before it is confirmed.",
                hint="Read it, see what it would do by `bridge plan`, then take out the line draft = true.",
            )


def _show_wait(progress: Progress, tier: str, waited: float, left: float) -> None:
    step = f"waiting for Dotdigital to allow more calls ({tier}), seconds"
    progress(step, round(waited), round(waited + left))


@dataclass(frozen=True, slots=True)
class _Fact:
    """A single fact of the state DB, as a note that a side may keep."""

    store: Callable[[], Store]
    key: str

    def read(self) -> str:
        return self.store().meta(self.key) or ""

    def write(self, text: str) -> None:
        self.store().set_meta(self.key, text)


def _given(value: T | None) -> T:
    if value is None:  # `require_*` has named it to the operator before this can be reached
        raise ConfigError("A setting that is needed is missing.", hint="Run `bridge doctor`.")
    return value
