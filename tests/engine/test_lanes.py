"""What the calls of a run are for: who has to wait where a side allows only so many."""

from __future__ import annotations

import pytest

from bridge.core.model import Who
from bridge.core.ports import PersonView, WriteRequest, WriteResponse
from bridge.core.priority import Priority, current_priority
from bridge.core.writes import Withdrawal
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OUT, THEIRS, World


@pytest.fixture
def sent(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Priority]]:
    """Each call about one person to the other side, with the lane it was made in."""
    side, seen = world.sides[THEIRS], []
    send, read = side._send_one, side._read_person

    def noting_send(request: WriteRequest) -> WriteResponse:
        withdraws = isinstance(request.writes[0], Withdrawal)
        seen.append(("withdrawal" if withdraws else "raise", current_priority()))
        return send(request)

    def noting_read(who: Who) -> PersonView:
        seen.append(("read", current_priority()))
        return read(who)

    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    monkeypatch.setattr(side, "_send_one", noting_send)
    monkeypatch.setattr(side, "_read_person", noting_read)
    return seen


def test_a_withdrawal_and_its_proof_go_before_all_else(
    world: World, sent: list[tuple[str, Priority]]
) -> None:
    world.say(MINE, ADA, NEWS, OUT)
    world.run()
    assert sent == [("withdrawal", Priority.WITHDRAWALS), ("read", Priority.READ_BACKS)]


def test_an_opt_in_waits_for_withdrawals(world: World, sent: list[tuple[str, Priority]]) -> None:
    world.say(MINE, BOB, NEWS, IN)
    world.run()
    assert ("raise", Priority.RAISES) in sent
    assert Priority.WITHDRAWALS not in [purpose for _, purpose in sent]
