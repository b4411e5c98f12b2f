"""The same runs with the state DB on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.approval import Operator
from bridge.core.errors import OutcomeUnknown
from bridge.core.sync_state import Exit
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OFFERS, OUT, THEIRS, UNSET, World, trouble
from tests.postgres import _postgres_state, postgres_server, postgres_state_url

__all__ = ["_postgres_state", "postgres_server", "postgres_state_url"]

pytestmark = pytest.mark.postgres
CLEO = "cleo@example.com"


@pytest.fixture
def world(tmp_path: Path, postgres_state_url: str) -> Iterator[World]:
    made = World(tmp_path, url=postgres_state_url)
    yield made
    made.close()


def test_a_day_of_changes_ends_in_agreement_and_the_next_run_writes_nothing(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.both(CLEO, OFFERS, IN, "DAILY")
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.say(THEIRS, BOB, NEWS, IN)
    world.say(THEIRS, CLEO, OFFERS, IN, frequencies=("WEEKLY",))
    assert world.run().in_sync
    assert (world.shows(ADA), world.shows(BOB)) == ((OUT, OUT), (IN, IN))
    assert world.run().written.writes == 0
    assert world.store.ledger.verify().entries > 0


def test_a_write_in_doubt_is_settled_by_the_next_process(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    world.sides[THEIRS].write_fate.append(("lost_before", trouble(OutcomeUnknown)))
    world.run()
    world.restart()
    world.run()
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_a_hold_that_is_released_lets_its_opt_in_go(world: World) -> None:
    world.say(MINE, ADA, NEWS, IN, at=world.pass_time(days=-30))
    world.pass_time(days=30)
    world.say(THEIRS, ADA, NEWS, UNSET)
    world.run()
    (hold,) = world.store.holds.page()
    world.store.holds.release([hold.id])
    world.run()
    assert world.shows(ADA) == (IN, IN)


def test_a_ledger_that_went_back_suspends_opt_ins_until_an_operator_accepts_it(
    tmp_path: Path, postgres_state_url: str
) -> None:
    """As after a snapshot was put back: the tail is gone, and the head is the one of then."""
    world = World(tmp_path, url=postgres_state_url, head_file=tmp_path / "head.json")
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, OUT)
    world.started()
    old = world.store.ledger.head()
    assert old is not None
    world.say(MINE, ADA, NEWS, OUT)
    world.run()
    with world.store._unit.engine.begin() as conn:
        settled = f"settled = {old.seq}"
        for one in (
            "SET session_replication_role = replica",
            f"DELETE FROM ledger WHERE seq > {old.seq}",  # noqa: S608
            f"UPDATE ledger_head SET seq = {old.seq}, hash = '{old.hash}', {settled}",  # noqa: S608
        ):
            conn.exec_driver_sql(one)
    world.say(MINE, ADA, OFFERS, OUT)
    world.say(MINE, BOB, NEWS, IN)
    report = world.run()
    assert (report.exit_code, world.shows(BOB)) == (Exit.BRAKE, (IN, OUT))
    assert "went back" in " ".join(problem.text for problem in report.problems)
    world.store.ledger.accept(Operator("ann", "a snapshot was put back"))
    assert world.store.ledger.publish() is None
    world.run()
    world.run()
    assert world.shows(BOB) == (IN, IN)
    world.close()
