"""The real bridge between both emulated services: settings, mapping, SQLite and HTTP, with one test clock."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.app import App, Options
from bridge.core.model import Cell, Choice, Side
from bridge.engine.report import Report
from bridge.engine.run import RunOptions, run_once
from bridge.sandbox import dotdigital, mypreferences
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences import (
    AccountConfig,
    ConsentTypeConfig,
    ConsentVersionConfig,
    FilterConfig,
    ProgramConfig,
    Segment,
    sample_config,
)
from bridge.sandbox.mypreferences.account import BRIDGE_USER, CLIENT_ID, CLIENT_SECRET
from bridge.sandbox.server import Server
from bridge.settings import load
from bridge.store import Store

IN, OUT, UNSET = Choice.OPTED_IN, Choice.OPTED_OUT, Choice.UNSET
MINE, THEIRS = Side.MYPREFERENCES, Side.DOTDIGITAL
NEWS, OFFERS, PROFILING, EMAIL = "newsletter", "offers", "profiling", "email"
FILTERS = {NEWS: "NEWS_EMAIL", OFFERS: "OFFERS_EMAIL"}
CONSENTS = {PROFILING: "Profiling", EMAIL: "EmailMarketing"}
LEAVES = {NEWS: {"": 1002}, OFFERS: {"DAILY": 1003, "WEEKLY": 1004}, PROFILING: {"": 1010}}
WITHDRAWN = ("Unsubscribed", "IspComplained", "DirectComplaint")
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUIET_WITHIN = 4

_CHANNEL = """
[channels.email]
mypreferences = {{ consent = "EmailMarketing", version = "1.0", locale = "en_US" }}
dotdigital = "email"
resubscribe = "{resubscribe}"
on_unsubscribe = "{on_unsubscribe}"
"""
_TOPICS = """
[[topics]]
id = "newsletter"
mypreferences = { filter = "NEWS_EMAIL" }
dotdigital = { preference = 1002 }

[[topics]]
id = "profiling"
mypreferences = { consent = "Profiling", version = "1.0", locale = "en_US" }
dotdigital = { preference = 1010 }

[[topics]]
id = "offers"
mypreferences = { filter = "OFFERS_EMAIL" }
dotdigital = { frequencies = { DAILY = 1003, WEEKLY = 1004 } }
"""


class TickingClock(SandboxClock):
    """A frozen clock that advances one millisecond per reading, so that no two instants are equal."""

    def __init__(self) -> None:
        super().__init__(START, frozen=True)

    def now(self) -> datetime:
        self.advance(0.001)
        return super().now()


class SwappableApp:
    """An address whose service can be changed: servers outlive the tests that share them."""

    def __init__(self) -> None:
        self.app: ASGIApp = PlainTextResponse("closed", 503)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class Servers:
    """Both sandbox servers, and an empty state DB to copy."""

    apps: Mapping[Side, SwappableApp]
    urls: Mapping[Side, str]
    empty_db: Path


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Both servers for as long as the tests of a process last."""
    empty = folder / "empty.db"
    Store.open(f"sqlite:///{empty}", clock=lambda: START).close()
    apps = {side: SwappableApp() for side in Side}
    with Server(apps[MINE]) as mine, Server(apps[THEIRS]) as theirs:
        yield Servers(apps, {MINE: mine.url, THEIRS: theirs.url}, empty)


@dataclass(frozen=True)
class Plan:
    """The settings that a test may change."""

    channel: bool = True
    resubscribe: str = "hold"
    on_unsubscribe: str = "channel"
    conflict: str = "withdrawal_wins"
    segment: bool = True
    v3: str = "auto"
    couplings: tuple[Any, ...] = ()
    alternate_ids: bool = False
    profile_identifier: str = ""
    on_deletion: str = "unlink"
    erasure_key: str = "a long random word"
    rate: float = 5.0  # calls a second to MyPreferences
    events: bool = False
    integration_token: str = ""
    opt_ins_max: int | None = None  # how many opt-ins at once are no mass change

    @property
    def mapping(self) -> str:
        channel = _CHANNEL.format(resubscribe=self.resubscribe, on_unsubscribe=self.on_unsubscribe)
        defaults = f'version = 1\n\n[defaults]\nconflict = "{self.conflict}"\n'
        defaults += f'on_deletion = "{self.on_deletion}"\n'
        return defaults + (channel if self.channel else "") + _TOPICS


class Live:
    """Both services without people, and a bridge between them. Tests name people by a short first name."""

    def __init__(self, servers: Servers, folder: Path, plan: Plan) -> None:
        self.plan, self.folder, self.urls = plan, folder, servers.urls
        self.clock = TickingClock()
        self.mypreferences = _mypreferences(plan, self.clock)
        self.dotdigital = _dotdigital(self.clock)
        servers.apps[MINE].app = mypreferences.create_app(self.mypreferences)
        servers.apps[THEIRS].app = dotdigital.create_app(self.dotdigital)
        shutil.copy(servers.empty_db, folder / "bridge.db")
        (folder / "mapping.toml").write_text(plan.mapping)
        self.app = self._app()

    def environment(self) -> dict[str, str]:
        """The settings of this bridge, as environment variables."""
        found = {
            "BRIDGE_DATABASE_URL": f"sqlite:///{self.folder / 'bridge.db'}",
            "BRIDGE_MAPPING": str(self.folder / "mapping.toml"),
            "BRIDGE_LEDGER_HEAD_FILE": str(self.folder / "head.json"),
            "BRIDGE_MYPREFERENCES__BASE_URL": f"{self.urls[MINE]}/Profiles/v4",
            "BRIDGE_MYPREFERENCES__ACCOUNT": self.mypreferences.config.account,
            "BRIDGE_MYPREFERENCES__USER_ID": BRIDGE_USER.user_id,
            "BRIDGE_MYPREFERENCES__TOKEN_URL": f"{self.urls[MINE]}/oauth2/v1/token",
            "BRIDGE_MYPREFERENCES__RATE": str(self.plan.rate),
            "BRIDGE_MYPREFERENCES__CLIENT_ID": CLIENT_ID,
            "BRIDGE_MYPREFERENCES__CLIENT_SECRET": CLIENT_SECRET,
            "BRIDGE_DOTDIGITAL__BASE_URL": self.urls[THEIRS],
            "BRIDGE_DOTDIGITAL__USERNAME": self.dotdigital.api_user.username,
            "BRIDGE_DOTDIGITAL__PASSWORD": self.dotdigital.api_user.password,
            "BRIDGE_DOTDIGITAL__V3": self.plan.v3,
            "BRIDGE_DOTDIGITAL__EVENTS": str(self.plan.events).lower(),
        }
        if self.plan.integration_token:
            found["BRIDGE_DOTDIGITAL__INTEGRATION_TOKEN"] = self.plan.integration_token
        if self.plan.opt_ins_max is not None:
            found["BRIDGE_BRAKES__RAISES_MAX"] = str(self.plan.opt_ins_max)
            found["BRIDGE_BRAKES__BURST_MAX"] = str(self.plan.opt_ins_max)
        if self.plan.erasure_key:
            found["BRIDGE_ERASURE_KEY"] = self.plan.erasure_key
        if self.plan.segment:
            found["BRIDGE_MYPREFERENCES__SEGMENT"] = "EVERYBODY"
        if self.plan.profile_identifier:
            found["BRIDGE_DOTDIGITAL__PROFILE_IDENTIFIER"] = self.plan.profile_identifier
        if self.plan.alternate_ids:
            found["BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE"] = "CrmId"
        return found

    def _app(self) -> App:
        options = Options(
            clock=self.clock.now,
            sleep=self.clock.advance,
            monotonic=self.seconds,
            export_poll=1.0,
            read_timeout=120.0,
            tries=2,
        )
        return App(load(environ=self.environment()), options)

    def seconds(self) -> float:
        """The test clock in seconds."""
        return self.clock.now().timestamp()

    def close(self) -> None:
        self.app.close()

    # running

    def run(self, **orders: bool) -> Report:
        """One run, a minute later."""
        self.clock.advance(60)
        return run_once(self.app.services(), self.app.writers(), RunOptions(**orders))

    def until_quiet(self) -> list[Report]:
        """Runs until one has nothing to write. Fails after `QUIET_WITHIN` runs."""
        reports = [self.run(), self.run()]
        while reports[-1].written.writes or reports[-1].written.failed or reports[-1].errors:
            assert len(reports) < QUIET_WITHIN, [report.shown() for report in reports]
            reports.append(self.run())
        return reports

    def started(self) -> Live:
        """After a first run and one more hour."""
        report = self.run()
        assert report.kind == "first"
        assert not report.errors, report.warnings
        self.clock.advance(3600)
        return self

    def restart(self, **words: object) -> None:
        """Restarts the bridge with other settings."""
        self.plan = replace(self.plan, **words)  # type: ignore[arg-type]
        self.app.close()
        self.app = self._app()

    def remap(self, old: str, new: str) -> None:
        """Edits the mapping and restarts the bridge."""
        file = self.folder / "mapping.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.restart()

    # people

    def add(
        self,
        name: str,
        *,
        mine: Mapping[str, Choice | str] | None = None,
        theirs: Mapping[str, Choice | str] | None = None,
        both: Mapping[str, Choice | str] | None = None,
        status: str = "Subscribed",
        days_ago: float = 30,
        consent: str = "Granted",
    ) -> str:
        """Adds a person known to both sides, with choices made `days_ago`. Returns the address."""
        at, address = self.clock.now() - timedelta(days=days_ago), f"{name}@example.com"
        self.add_mine(address, {**(both or {}), **(mine or {})}, at, consent)
        self.add_theirs(address, {**(both or {}), **(theirs or {})}, at, status)
        return address

    def add_mine(
        self, address: str, said: Mapping[str, Choice | str], at: datetime, consent: str = "Granted"
    ) -> int:
        consents: dict[str, tuple[int | str, datetime | None]] = (
            {} if not consent else {"EmailMarketing": (consent, at)}
        )
        preferences: dict[str, tuple[Any, ...]] = {}
        for topic, choice in said.items():
            if choice is UNSET:
                continue
            if topic in CONSENTS:
                consents[CONSENTS[topic]] = ("Revoked" if choice is OUT else "Granted", at)
            else:
                frequency = (choice,) if topic == OFFERS and not isinstance(choice, Choice) else ()
                preferences[FILTERS[topic]] = (choice is not OUT, at, *frequency)
        return self.mypreferences.add_profile(
            [("Primary", address)], preferences=preferences, consents=consents
        )

    def add_theirs(
        self, address: str, said: Mapping[str, Choice | str], at: datetime, status: str = "Subscribed"
    ) -> int:
        opt_ins: dict[int, tuple[bool, datetime | None]] = {}
        for topic, choice in said.items():
            if choice is not UNSET and topic in LEAVES:
                for name, number in LEAVES[topic].items():
                    inside = choice == (name or IN)
                    opt_ins[number] = (inside, at)
        return self.dotdigital.add_contact(address, status, opt_ins, when=at)

    def profile(self, address: str) -> int:
        return self.mypreferences.find(address)[0]

    def contact(self, address: str) -> int:
        found = self.dotdigital.find(address)
        assert found is not None
        return found.id

    def say(
        self, side: Side, address: str, topic: str, choice: Choice | str, at: datetime | None = None
    ) -> None:
        """The person makes a choice at that side; a string is a frequency. Advances the clock two seconds."""
        inside = choice is not OUT
        frequency = None if isinstance(choice, Choice) else choice
        when = at or self.clock.now()
        if side is THEIRS:
            for name, number in LEAVES[topic].items():
                self.dotdigital.set_preference(
                    self.contact(address), number, inside and name == (frequency or ""), when
                )
        elif topic in CONSENTS:
            self.mypreferences.set_consent(
                self.profile(address), CONSENTS[topic], "Granted" if inside else "Revoked", when
            )
        else:
            self.mypreferences.set_preference(self.profile(address), FILTERS[topic], inside, when, frequency)
        self.clock.advance(2)

    def pin(self, address: str, profile: int | str) -> None:
        """Dotdigital's contact of that address names a profile by its custom identifier."""
        name, contact = self.plan.profile_identifier, self.contact(address)
        with self.dotdigital.lock:
            there = self.dotdigital.contacts.by_id[contact]
            self.dotdigital.define_identifier(name)
            self.dotdigital.contacts.set_identifier(there, name, str(profile))

    def unsubscribe(self, address: str, reason: str = "Unsubscribed") -> None:
        """Suppresses the address, as the unsubscribe link does unless `reason` says otherwise."""
        self.dotdigital.unsubscribe(self.contact(address), self.clock.now(), reason)
        self.clock.advance(2)

    # what the services record

    def mine(self, address: str, topic: str) -> Choice | str:
        """What MyPreferences records. Several profiles must agree."""
        said = {
            _said_by(person, address, topic)
            for person in self.mypreferences.people()
            if any(email["address"].casefold() == address.casefold() for email in person["emails"])
        }
        assert len(said) == 1, said
        return said.pop()

    def theirs(self, address: str, topic: str) -> Choice | str:
        """What Dotdigital records; for the channel, whether mail may go."""
        contact = self.truth(address)
        if topic == EMAIL:
            return (
                IN if contact["status"] == "Subscribed" else OUT if contact["status"] in WITHDRAWN else UNSET
            )
        rows = {
            name: contact["preferences"][str(number)]["opted_in"]
            for name, number in LEAVES[topic].items()
            if str(number) in contact["preferences"]
        }
        if not rows:
            return UNSET
        inside = [name for name, opted_in in rows.items() if opted_in]
        return (inside[0] or IN) if len(inside) == 1 else OUT if not inside else "several"

    def truth(self, address: str) -> dict[str, Any]:
        return next(
            one
            for one in self.dotdigital.people()
            if (one["email"] or "").casefold() == address.casefold() and not one["binned"]
        )

    def status(self, address: str) -> str:
        return str(self.truth(address)["status"])

    def shows(self, address: str, topic: str = NEWS) -> tuple[Choice | str, Choice | str]:
        return self.mine(address, topic), self.theirs(address, topic)

    def cell(self, address: str, topic: str = NEWS) -> Cell:
        who = self.app.store.people.find(address)
        assert who is not None
        return next(cell for cell in self.app.store.cells.of(who.person) if cell.topic == topic)

    def held(self) -> list[tuple[str, str]]:
        """(topic, reason) of every open hold."""
        return sorted((hold.topic, hold.reason) for hold in self.app.store.holds.page())

    def release(self) -> None:
        """The operator releases every hold."""
        self.app.store.holds.release([hold.id for hold in self.app.store.holds.page()])


def _said_by(person: Mapping[str, Any], address: str, topic: str) -> Choice | str:
    if topic in CONSENTS:
        for consent in person["consents"]:
            if consent["type"] == CONSENTS[topic]:
                return {"Granted": IN, "Revoked": OUT, "Denied": OUT}.get(consent["status"], UNSET)
        return UNSET
    for email in person["emails"]:
        held = email["preferences"].get(FILTERS[topic])
        if email["address"].casefold() == address.casefold() and held is not None:
            if held["choice"] != "opted_in":
                return Choice(held["choice"])
            return str(held["frequency"]) if topic == OFFERS else IN
    return UNSET


def _mypreferences(plan: Plan, clock: SandboxClock) -> mypreferences.MyPreferencesState:
    state = mypreferences.MyPreferencesState(_config(plan), clock)
    state.add_segment(Segment("EVERYBODY", lambda profile: profile.is_active))
    kinds = {
        "ProfileActions": ("profile", ("created", "updated", "deactivated", "reactivated", "deleted")),
        "Preferences": ("preference", ("added", "updated", "archived")),
        "Consents": ("consent", ("added", "updated", "deactivated")),
        "Contacts": ("contacts", ("email.added", "email.updated", "email.deleted")),
    }
    interests = [
        {
            "Entity": entity, "EventType": f"{prefix}.{kind}", "Filters": ["AllFilters"],
            "ConsentTypes": ["AllConsents"], "ContactTypes": ["AllContactTypes"],
        }
        for entity, (prefix, names) in kinds.items()
        for kind in names
    ]  # fmt: skip
    state.subscriptions.create(
        {"Name": "bridge", "Url": "https://b.example.com", "State": "Active", "Subscriptions": interests}
    )
    return state


def _config(plan: Plan) -> AccountConfig:
    daily = FilterConfig("OFFERS_EMAIL", "Email", ("DAILY", "WEEKLY"), "WEEKLY")
    consents = (ConsentVersionConfig("1.0", ("en_US",)),)
    return sample_config(
        programs=(
            ProgramConfig("NEWS", "Newsletter", (FilterConfig("NEWS_EMAIL"),)),
            ProgramConfig("OFFERS", "Offers", (daily,)),
        ),
        consent_types=(
            ConsentTypeConfig("EmailMarketing", consents),
            ConsentTypeConfig("Profiling", consents),
        ),
        couplings=plan.couplings,
    )


def _dotdigital(clock: SandboxClock) -> dotdigital.DotdigitalState:
    state = dotdigital.DotdigitalState(clock)
    state.define_preference(1002, "Newsletter")
    state.define_category(1020, "Offers")
    state.define_preference(1003, "Daily", category=1020)
    state.define_preference(1004, "Weekly", category=1020)
    state.define_preference(1010, "Profiling")
    state.define_preference(1011, "Nothing maps this")
    return state
