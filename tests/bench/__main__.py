"""`make bench`: calls to Dotdigital beside the fewest possible. Exit code 1 for a ratio above 1.05, or for
more memory than allowed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from tests.bench import idle, reading, writing
from tests.bench.measure import MOST, Measured, shown
from tests.bench.snapshot import MOST_MEMORY, snapshot

JOBS: tuple[Callable[[], Measured], ...] = (
    lambda: idle.runs(40),
    *(partial(idle.polls, 40, v3) for v3 in idle.V3),
    lambda: idle.in_turns(200, 35),
    lambda: reading.changes(100_000, 1),
    lambda: reading.changes(100_000, 40),
    lambda: reading.unsubscribes(10_000),
    lambda: writing.topics(100_000),
    lambda: writing.unsubscribes(10_000),
)


def main() -> int:
    """Measure everything and print the table."""
    measures: list[Measured] = []
    for number, job in enumerate(JOBS, 1):
        _progress(f"{number} of {len(JOBS) + 1}")
        measures.append(job())
    _progress(f"{len(JOBS) + 1} of {len(JOBS) + 1}, a million people: this takes some minutes")
    measured, memory = snapshot(1_000_000, 40, recorded=10_000)
    measures.append(measured)
    print(shown(measures))
    print(f"\nAllowed: {MOST} times the fewest, {MOST_MEMORY} MB.")
    return int(not all(one.good for one in measures) or memory > MOST_MEMORY)


def _progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
