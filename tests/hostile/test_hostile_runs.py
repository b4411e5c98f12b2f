"""Every endpoint that a run calls, with every kind of hostile answer: the same promise each time.

The endpoints are those that ordinary runs were seen to call, so that a new one is put to the test too. An
ordinary run of the tests takes a part of the pairs, in which every endpoint and every kind occurs;
BRIDGE_TEST_SIZE=full takes all.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from bridge.app import App, Options
from bridge.core.model import Side
from bridge.sandbox.dotdigital.app import operation_of as dotdigital_operation
from bridge.sandbox.mypreferences.app import _operation_id as mypreferences_operation
from bridge.settings import load
from tests.hostile.kinds import KINDS, HostileService, Kind
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, THEIRS, Live, Plan, Servers, running_servers
from tests.sizes import FULL

PARTS = 6  # tests that may run side by side
EACH = 1  # kinds that an endpoint meets in an ordinary run of the tests
PATIENT, IMPATIENT = 60.0, 1.0  # seconds that an answer may take: the latter where it never ends
SECONDS = 120.0  # that one run may take, whatever is answered
MEMORY = 400 * 2**20  # bytes that all cases of a part may add
SETTINGS: dict[str, dict[str, object]] = {
    "by lists": {"segment": True, "events": True},
    "one by one": {"segment": False, "v3": "never"},
}
Case = tuple[str, Side, str, Kind]


class HostileWorld:
    """Five people between two services, one of which may answer an operation with what it likes."""

    def __init__(self, servers: Servers, folder: Path, **words: object) -> None:
        self.live = Live(servers, folder, Plan(rate=1000.0, **words))  # type: ignore[arg-type]
        self.services: dict[Side, HostileService] = {}
        for side, named in ((MINE, mypreferences_operation), (THEIRS, dotdigital_operation)):
            self.services[side] = HostileService(servers.apps[side].app, named)
            servers.apps[side].app = self.services[side]
        live = self.live
        self.reopen(PATIENT)
        self.ada, self.bob, self.cy, self.eve = (
            live.add(name, both={NEWS: IN}) for name in ("ada", "bob", "cy", "eve")
        )
        self.dan = live.add("dan", both={NEWS: OUT})
        live.started()
        live.run()

    def reopen(self, answer_timeout: float) -> None:
        """A new process of the bridge, which awaits an answer for so many seconds."""
        live = self.live
        live.app.close()
        options = Options(
            clock=live.clock.now,
            sleep=live.clock.advance,
            monotonic=live.seconds,
            export_poll=1.0,
            read_timeout=PATIENT,
            answer_timeout=answer_timeout,
            tries=1,
        )
        live.app = App(load(environ=live.environment()), options)

    def act(self) -> None:
        """Three people opt out: of a topic at either side, and of the channel."""
        self.live.say(MINE, self.ada, NEWS, OUT)
        self.live.say(THEIRS, self.bob, NEWS, OUT)
        self.live.unsubscribe(self.eve)

    def carried(self) -> dict[str, object]:
        """Who is opted in, as both services record it."""
        shown: dict[str, object] = {
            one: self.live.shows(one) for one in (self.ada, self.bob, self.cy, self.dan)
        }
        return {**shown, "channel of eve": self.live.mine(self.eve, EMAIL)}

    def close(self) -> None:
        self.live.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running_servers(tmp_path_factory.mktemp("servers")) as made:
        yield made


@pytest.fixture
def world(servers: Servers, tmp_path: Path) -> Iterator[Callable[..., HostileWorld]]:
    made: list[HostileWorld] = []

    def build(**words: object) -> HostileWorld:
        for one in made:
            one.close()
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(HostileWorld(servers, folder, **words))
        return made[-1]

    yield build
    made[-1].close()


def cases(world: Callable[..., HostileWorld]) -> list[Case]:
    """All pairs of an endpoint and a kind, or for an ordinary run of the tests a part of them."""
    found: list[Case] = []
    for name, words in SETTINGS.items():
        seen = world(**words)
        seen.act()
        seen.live.run()
        seen.live.run(full=True)
        called = [(side, one) for side in Side for one in sorted(seen.services[side].called)]
        called = [(side, one) for side, one in called if one != "token"]
        if FULL:
            found += [(name, side, one, kind) for (side, one), kind in product(called, KINDS)]
            continue
        for place, (side, one) in enumerate(called):
            taken = {(place * EACH + step + 7 * len(found)) % len(KINDS) for step in range(EACH)}
            found += [(name, side, one, KINDS[number]) for number in sorted(taken)]
    missing = [kind for kind in KINDS if all(kind is not case[3] for case in found)]
    return found + [(*found[number][:3], kind) for number, kind in enumerate(missing)]


EXPECTED = {
    "ada@example.com": (OUT, OUT),
    "bob@example.com": (OUT, OUT),
    "cy@example.com": (IN, IN),
    "dan@example.com": (OUT, OUT),
    "channel of eve": OUT,
}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_answer_stops_anybody_or_opts_anybody_in(part: int, world: Callable[..., HostileWorld]) -> None:
    chosen = cases(world)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    broken = [
        (*case[:3], case[3].name, why) for case in chosen[part::PARTS] if (why := broken_by(world, case))
    ]
    assert broken == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MEMORY


def broken_by(world: Callable[..., HostileWorld], case: Case) -> str:
    """What of the promise does not hold; empty where all of it does."""
    name, side, operation, kind = case
    made = world(**SETTINGS[name])
    made.act()
    service = made.services[side]
    if kind.drips:
        made.reopen(IMPATIENT)
    service.arm(operation, kind)
    began = time.monotonic()
    reports = [made.live.run(), made.live.run(full=True)]
    took = time.monotonic() - began
    service.disarm()
    if kind.drips:
        made.reopen(PATIENT)
    if took > 2 * SECONDS:
        return f"it took {took:.0f} s"
    if opted_in := sum(report.written.raises.total() for report in reports):
        return f"{opted_in} opted in"
    named = any(report.warnings or report.errors or not report.in_sync for report in reports)
    harmless = kind.is_silent or made.carried() == EXPECTED  # read again from the record, or not used
    if service.hits and not named and not harmless:
        return "no report names it"
    for _ in range(4):
        made.live.clock.advance(600)
        last = made.live.run()
    if last.written.raises.total():
        return "a person was opted in after it"
    if made.carried() != EXPECTED:
        return f"not carried: {made.carried()}"
    return ""
