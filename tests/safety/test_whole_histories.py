"""The whole engine in random histories of many people: nobody is opted in without a newer, dated opt-in of
their own, and no opt-out that was read is lost.

People act at Dotdigital between two runs only. What they say there between the last read and the arrival of a
write of ours is overwritten by it, and nothing can show it: that is the time of the call itself, which the
tests of single writes are about.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.safety.history_world import PEOPLE, base_world, breaches
from tests.sizes import size

SHARDS = 4
HISTORIES = size(1_000, 100_000)
WORLDS = -(-HISTORIES // len(PEOPLE) // SHARDS)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_nobody_is_opted_in_unasked_and_no_opt_out_is_lost_in_any_history(tmp_path: Path, shard: int) -> None:
    base = base_world(tmp_path / "base")
    wrong: list[str] = []
    opted_in = 0
    for seed in range(shard, SHARDS * WORLDS, SHARDS):
        found, raised = breaches(base, tmp_path / f"{seed}", seed)
        wrong, opted_in = wrong + found, opted_in + raised
    assert wrong == []
    assert opted_in > WORLDS
