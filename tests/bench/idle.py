"""What rounds cost in which nobody does anything."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from bridge.core.model import Side
from bridge.engine.parts import Eyes, Hands, Tuning
from bridge.engine.round import Orders, Round
from bridge.store import Store
from tests.bench.account import account
from tests.bench.measure import Measured
from tests.fakes import FakeSide

PEOPLE = 10


def rounds(preferences: int, number: int = 20) -> Measured:
    """So many rounds, a minute apart, after a first one. A real state DB; MyPreferences is a stand-in."""
    with account(preferences) as there, tempfile.TemporaryDirectory() as folder, there.replica() as replica:
        clock = there.state.clock
        sides = {
            Side.MYPREFERENCES: FakeSide(Side.MYPREFERENCES, there.mapping, clock.now),
            Side.DOTDIGITAL: replica,
        }
        for one in range(PEOPLE):
            there.state.add_contact(f"p{one}@example.com")
        store = Store.open(f"sqlite:///{Path(folder) / 'bridge.db'}", clock=clock.now)
        try:
            eyes = Eyes(store, sides, there.mapping, Tuning(), clock.now)
            Round(eyes, Hands(sides)).run(Orders())
            clock.advance(timedelta(days=1).total_seconds())
            Round(eyes, Hands(sides)).run(Orders())  # asks the catalogue, which serves for ten minutes
            before = replica.calls
            for _ in range(number):
                clock.advance(60)
                report = Round(eyes, Hands(sides)).run(Orders())
                if report.errors or report.tally.writes:
                    raise AssertionError(report.shown())
            calls = replica.calls - before
        finally:
            store.close()
    fewest = number * (preferences + 1) + number // 10
    return Measured(
        f"{number} idle rounds, P = {preferences}", calls, fewest, "rounds x (P + 1) + the tree each 10 min"
    )
