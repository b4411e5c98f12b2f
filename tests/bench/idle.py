"""Calls made by runs in which nothing changes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bridge.core.model import Side
from bridge.dotdigital.importer import InMemoryKeyValue
from bridge.dotdigital.polling.feed_rotation import LONGEST
from bridge.dotdigital.polling.stored import Capabilities, Capability, CapabilityState, TrustLevel
from bridge.dotdigital.polling.v2_feeds import PREFIX as OPT_INS
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.engine.context import Services, Tuning, Writers
from bridge.engine.run import RunOptions, run_once
from bridge.sandbox.clock import SandboxClock
from bridge.store import Store
from tests.bench.account import FIRST, START, Account, account
from tests.bench.measure import Measured
from tests.bench.reading import CLOCK
from tests.fakes import FakeSide
from tests.port_calls import feed_named, feed_names

PEOPLE = 10
MINUTE = timedelta(minutes=1)
TREE = 10  # runs for which a reading of the preference tree serves
WHOLE, IN_TURNS = RunOptions(), RunOptions(polling=True)
V3 = {
    "v2 only": None,
    "v3 not shown": TrustLevel.NOT_SHOWN,
    "v3 shown": TrustLevel.SHOWN,
}


def runs(preferences: int, number: int = 20) -> Measured:
    """So many one-shot runs, a minute apart: each reads every feed."""
    with account(preferences) as there, there.replica() as replica:
        calls = _idle(there, replica, number, WHOLE)
    fewest = number * (preferences + 1) + number // TREE
    return Measured(
        f"{number} idle runs, P = {preferences}", calls, fewest, "runs x (P + 1) + the tree each 10 min"
    )


def polls(preferences: int, v3: str, number: int = 60) -> Measured:
    """So many of the daemon's runs, where the allowance has room for all preferences in each."""
    verdict = V3[v3]
    with (
        account(preferences) as there,
        there.replica(v3=verdict is not None, memory=_seen(verdict)) as replica,
    ):
        there.state.switches.rate_limits, there.state.switches.limit_low = "tiered", 8 * preferences
        calls = _idle(there, replica, number, IN_TURNS)
    each, formula = preferences + 1 + CLOCK, "runs x (P + 2) + the tree"
    fewest = number * each + number // TREE
    if verdict is TrustLevel.SHOWN:
        turns = number * MINUTE // LONGEST
        fewest = number * (2 + CLOCK) + turns * preferences + number // TREE
        formula = "runs x 3 + P each 15 min + the tree"
    return Measured(f"{number} idle polls, P = {preferences}, {v3}", calls, fewest, formula)


def in_turns(preferences: int, a_minute: int) -> Measured:
    """One whole turn of the daemon's runs, where a minute's calls are too few for all preferences."""
    with account(preferences) as there, there.replica(v3=False) as replica:
        there.state.switches.rate_limits, there.state.switches.limit_low = "tiered", a_minute
        list(replica.read_feed(feed_names(replica)[0], START))  # its answer tells the limit
        number = feed_named(replica, f"{OPT_INS}{FIRST}", MINUTE).period // MINUTE
        calls = _idle(there, replica, number, IN_TURNS)
    fewest = number * (1 + CLOCK) + preferences + number // TREE
    job = f"{number} idle polls, P = {preferences}, {a_minute} calls a minute"
    return Measured(job, calls, fewest, "runs x 2 + P + the tree")


def _seen(verdict: TrustLevel | None) -> InMemoryKeyValue:
    memory = InMemoryKeyValue()
    if verdict is not None:
        state = CapabilityState(verdict, START, 3)
        Capabilities({Capability.MOVES_ON_PREFERENCES: state}, {}, START).save(memory)
    return memory


def _idle(there: Account, replica: DotdigitalReplica, number: int, orders: RunOptions) -> int:
    """The calls of so many runs, after a first one. A real state DB; MyPreferences is a stand-in. Raises
    AssertionError where anything was written or went wrong, or a call of a poll had to wait."""
    clock = there.state.clock
    for one in range(PEOPLE):
        there.state.add_contact(f"p{one}@example.com")
    sides = {
        Side.MYPREFERENCES: FakeSide(Side.MYPREFERENCES, there.mapping, clock.now),
        Side.DOTDIGITAL: replica,
    }
    with _store(clock) as store:
        services = Services(store, sides, there.mapping, Tuning(), clock.now)
        run_once(services, Writers(sides), RunOptions())
        clock.advance(timedelta(days=1).total_seconds())
        run_once(services, Writers(sides), RunOptions())  # asks the catalogue, which serves for ten minutes
        clock.advance(MINUTE.total_seconds())
        before, waited = replica.calls, there.waited
        for _ in range(number):
            clock.advance(MINUTE.total_seconds())
            report = run_once(services, Writers(sides), orders)
            if report.errors or report.written.writes or report.incomplete or report.unread:
                raise AssertionError(report.shown())
        if there.waited > waited:
            raise AssertionError(f"calls waited {there.waited - waited} s for the next minute")
        return replica.calls - before


@contextmanager
def _store(clock: SandboxClock) -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'bridge.db'}", clock=clock.now)
        try:
            yield store
        finally:
            store.close()
