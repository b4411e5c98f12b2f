"""What the calls of a round are for: who has to wait where a side allows only so many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.core.model import Who, Withdrawal, Write
from bridge.core.ports import PersonView, WriteResponse
from bridge.core.priority import Priority, current_priority
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OUT, THEIRS, World


@pytest.fixture
def sent(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Priority]]:
    """Each call about one person to the other side, with the lane it was made in."""
    side, seen = world.sides[THEIRS], []
    write, look = side.write, side.look

    def noting_write(who: Who, unit: Sequence[Write]) -> WriteResponse:
        seen.append(("withdrawal" if isinstance(unit[0], Withdrawal) else "raise", current_priority()))
        return write(who, unit)

    def noting_look(who: Who) -> PersonView:
        seen.append(("look", current_priority()))
        return look(who)

    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    monkeypatch.setattr(side, "write", noting_write)
    monkeypatch.setattr(side, "look", noting_look)
    return seen


def test_a_withdrawal_and_its_proof_go_before_all_else(
    world: World, sent: list[tuple[str, Priority]]
) -> None:
    world.say(MINE, ADA, NEWS, OUT)
    world.round()
    assert sent == [("withdrawal", Priority.WITHDRAWALS), ("look", Priority.READ_BACKS)]


def test_an_opt_in_waits_for_withdrawals(world: World, sent: list[tuple[str, Priority]]) -> None:
    world.say(MINE, BOB, NEWS, IN)
    world.round()
    assert ("raise", Priority.RAISES) in sent
    assert Priority.WITHDRAWALS not in [purpose for _, purpose in sent]
