"""An opt-in that waited too long is confirmed and sent again; the report counts what all tries came to."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bridge.core.model import PersonId, Side, Who
from bridge.engine.apply import TRIES, send_fresh
from bridge.engine.attempts import PersonWrites
from bridge.engine.context import RunContext
from bridge.engine.report import WriteCounts
from bridge.engine.send import Sender
from tests.engine.world import World


class LateSender:
    """Each try writes one opt-in; all but the last are too late for the rest."""

    def __init__(self, late: int) -> None:
        self.late = late

    def send(self, work: list[PersonWrites]) -> WriteCounts:
        counts = WriteCounts()
        counts.raises[Side.DOTDIGITAL] += 1
        work[0].too_late, self.late = self.late > 0, self.late - 1
        return counts


def sent(world: World, *, late: int, confirmed: int = TRIES) -> tuple[WriteCounts, bool]:
    left = [PersonWrites(Who(PersonId(1), "a@example.com"), {}) for _ in range(confirmed)]
    run, sender = cast(RunContext, cast(Any, world)), cast(Sender, cast(Any, LateSender(late)))
    return send_fresh(run, sender, lambda: left.pop() if left else None)


@pytest.mark.parametrize(
    ("late", "confirmed", "writes", "failed", "stands"),
    [(0, 3, 1, 0, True), (1, 3, 2, 0, True), (3, 3, 3, 1, True), (2, 1, 1, 0, False), (0, 0, 0, 0, False)],
)
def test_every_try_is_counted_and_only_what_stays_unsent_failed(
    world: World, late: int, confirmed: int, writes: int, failed: int, stands: bool
) -> None:
    counts, last = sent(world, late=late, confirmed=confirmed)
    assert (counts.writes, counts.failed, last) == (writes, failed, stands)
