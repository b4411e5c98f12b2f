"""The calls that a plan names are those that a run then makes, at both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cli_world import EXAMPLE, IN

from bridge.app import App, Options
from bridge.cli.db import private_copy
from bridge.core.model import Side
from bridge.engine.plan import make_plan
from bridge.engine.run import RunOptions, run_once
from bridge.sandbox.population import Population
from bridge.sandbox.world import World
from bridge.settings import Settings, load
from tests.sizes import size

PEOPLE = size(30, 2000)
MANY = {"by import": size(105, 284), "one by one": size(24, 284)}  # withdrawals at once
NEWS, NEWS_LEAF = "NEWS_EMAIL", 1002
TOLERANCE = 0.10


@dataclass
class Forecast:
    """Both services, and people who agree on the newsletter besides the population."""

    world: World
    settings: Settings
    many: int
    profiles: list[int] = field(default_factory=list)
    contacts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.population = Population(self.world, 1)
        self.population.create()
        self.options = Options(clock=self.world.clock.now, export_poll=0.01, import_poll=0.01)
        then = self.world.clock.now() - timedelta(days=30)
        for number in range(self.many):
            address = f"agreed{number}@example.com"
            self.profiles.append(
                self.world.mypreferences.add_profile(
                    [("Primary", address)], preferences={NEWS: (IN, then, None)}
                )
            )
            self.contacts.append(
                self.world.dotdigital.add_contact(address, opt_ins={NEWS_LEAF: (True, then)})
            )

    def opt_out_at_mypreferences(self) -> None:
        self.world.clock.advance(60)
        for profile in self.profiles:
            self.world.mypreferences.set_preference(profile, NEWS, False, self.world.clock.now())

    def opt_in_at_mypreferences(self) -> None:
        self.world.clock.advance(60)
        for profile in self.profiles[:3]:
            self.world.mypreferences.set_preference(profile, NEWS, True, self.world.clock.now())

    def opt_out_at_dotdigital(self) -> None:
        self.world.clock.advance(60)
        for contact in self.contacts:
            self.world.dotdigital.set_preference(contact, NEWS_LEAF, False)

    def check(self, options: RunOptions | None = None) -> Mapping[Side, int]:
        """Plan, run, and compare; returns how many writes went to each side."""
        with private_copy(self.settings) as settings, App(settings, self.options) as app:
            plan = make_plan(app.services(), options)
        with App(self.settings, self.options) as app, app.lease():
            report = run_once(app.services(), app.writers(), options)
        for side in Side:
            made, told = report.calls[side], plan.calls[side]
            assert abs(made - told) <= max(1, TOLERANCE * made), (side, told, made)
            assert plan.reading[side] <= told
        return {side: sum(row["side"] == side for row in plan.writes) for side in Side}


def forecast(tmp_path: Path, world: World, many: int, **changed: str) -> Forecast:
    given = world.settings() | {
        "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'bridge.db'}",
        "BRIDGE_MAPPING": str(EXAMPLE),
        "BRIDGE_MYPREFERENCES__RATE": "1000",
        **changed,
    }
    return Forecast(world, load(environ={name: value for name, value in given.items() if value}), many)


@pytest.fixture(params=list(MANY))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forecast]:
    with World(PEOPLE, 1) as world:
        bulk = (
            {}
            if request.param == "by import"
            else {"BRIDGE_MYPREFERENCES__SEGMENT": "", "BRIDGE_DOTDIGITAL__V3": "never"}
        )
        yield forecast(tmp_path, world, MANY[request.param], **bulk)


def test_a_plan_names_the_calls_of_the_run_after_it(world: Forecast) -> None:
    """A first run, an idle one, some acts of each kind, many withdrawals each way, opt-ins, and a sweep."""
    world.check()
    assert not any(world.check().values())
    world.population.act(20)
    assert any(world.check().values())
    world.opt_out_at_mypreferences()
    assert world.check()[Side.DOTDIGITAL] == world.many
    world.opt_in_at_mypreferences()
    assert world.check()[Side.DOTDIGITAL] >= 3
    world.check()  # its own writes come back
    world.opt_out_at_dotdigital()
    assert world.check()[Side.MYPREFERENCES] >= 3
    world.check(RunOptions(full=True))
