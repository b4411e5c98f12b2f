"""A state DB belongs to two accounts: what was agreed for one means nothing for another."""

from __future__ import annotations

import pytest

from bridge.core.errors import ConfigError
from bridge.core.model import Side
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World


@pytest.mark.parametrize("side", list(Side))
def test_a_state_db_of_another_account_is_refused_before_anything_is_written(
    world: World, side: Side
) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[side].account_name = "another account"
    for act in (world.run, world.plan):
        with pytest.raises(ConfigError, match="bridge db adopt"):
            act()
    assert world.shows(ADA) == (OUT, IN)
    assert world.sides[THEIRS].log == []


def test_the_same_account_under_a_new_name_is_adopted(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[MINE].account_name = "ours, moved"
    world.store.facts.set_account(MINE, None)
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)
