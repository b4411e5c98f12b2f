"""The daemon's runs: feeds are read in rotation, and `~modified` is used as far as it was proven."""

from __future__ import annotations

import pytest

from bridge.dotdigital.polling.feed_rotation import LONGEST
from bridge.dotdigital.polling.stored import Capabilities, Capability
from bridge.sandbox.faults import InjectedFault
from tests.port_calls import feed_named
from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OUT, THEIRS, Live

TRUSTED = Capability.MOVES_ON_PREFERENCES


def polled(live: Live, runs: int = 1) -> int:
    """So many runs, a minute apart; how many opt-ins they sent."""
    return sum(sum(live.run(polling=True).written.raises.values()) for _ in range(runs))


def shows_itself(live: Live) -> Live:
    """People change their minds at Dotdigital, and `~modified` moves along."""
    live.dotdigital.switches.modified_moves_on_preferences = True
    for number in range(4):
        live.say(THEIRS, f"sample{number}@example.com", NEWS, OUT)
    polled(live, 13)
    assert Capabilities.load(live.app.store.key_values)[TRUSTED].is_shown
    return live


@pytest.fixture
def watched(make: Make) -> Live:
    """A bridge that has found `~modified` to move."""
    live = make()
    for number in range(4):
        live.add(f"sample{number}", both={NEWS: IN})
    for name in ("ada", "bob"):
        live.add(name, both={NEWS: IN})
    return shows_itself(live.started())


def test_the_bridges_own_writes_do_not_show_that_it_moves(make: Make) -> None:
    live = make()
    live.dotdigital.switches.modified_moves_on_preferences = True
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(6)]
    live.started()
    for address in people:
        live.say(MINE, address, NEWS, OUT)
    polled(live, 75)
    assert all(live.shows(address) == (OUT, OUT) for address in people)
    assert not Capabilities.load(live.app.store.key_values)[TRUSTED].is_shown


def test_an_opt_out_is_transferred_by_the_next_run(watched: Live) -> None:
    calls = watched.app.readers[THEIRS].calls
    polled(watched)
    assert watched.app.readers[THEIRS].calls - calls <= 4  # nothing to read but what has happened
    watched.say(THEIRS, "ada@example.com", NEWS, OUT)
    polled(watched)
    assert watched.shows("ada@example.com") == (OUT, OUT)


def test_what_it_misses_is_transferred_when_the_feed_is_due(watched: Live) -> None:
    """Trusted wrongly, it costs time and nothing else."""
    watched.dotdigital.switches.modified_moves_on_preferences = False
    watched.say(THEIRS, "ada@example.com", NEWS, OUT)
    polled(watched, int(LONGEST.total_seconds() // 60) + 1)
    assert watched.shows("ada@example.com") == (OUT, OUT)


def test_what_it_missed_is_not_trusted_the_day_after(watched: Live) -> None:
    watched.clock.advance(24 * 3600)
    watched.run()
    watched.dotdigital.switches.modified_moves_on_preferences = False
    watched.say(THEIRS, "ada@example.com", NEWS, OUT)
    polled(watched, 75)
    assert Capabilities.load(watched.app.store.key_values).asked_at is not None
    assert not Capabilities.load(watched.app.store.key_values)[TRUSTED].is_shown


def test_no_opt_in_passes_a_withdrawal_that_it_misses(watched: Live) -> None:
    """Opted in at Dotdigital while MyPreferences was away, and out again, unseen, before that was back."""
    watched.dotdigital.switches.modified_moves_on_preferences = False
    address = "sample0@example.com"
    polled(watched, 20)
    assert watched.shows(address) == (OUT, OUT)
    watched.say(THEIRS, address, NEWS, IN)
    watched.mypreferences.faults.add(InjectedFault("*", "status", status=503, times=10_000))
    runs = 0
    while watched.cell(address).seen[THEIRS].choice is not IN:
        polled(watched)
        runs += 1
        assert runs <= LONGEST // watched.app.tuning.poll
    watched.say(THEIRS, address, NEWS, OUT)
    watched.mypreferences.faults.clear()
    assert polled(watched) == 0
    assert watched.shows(address) == (OUT, OUT)


def test_a_run_in_turns_reads_every_feed_before_long(make: Make) -> None:
    """Twelve calls a minute are room for one preference in a run."""
    live = make()
    address = live.add("ada", both={NEWS: IN})
    live.dotdigital.switches.rate_limits, live.dotdigital.switches.limit_low = "tiered", 12
    live.started()
    polled(live)
    every = live.app.tuning.poll
    turn = feed_named(live.app.readers[THEIRS], "dotdigital.opt_ins.1002", every).period
    assert turn > every
    live.say(THEIRS, address, NEWS, OUT)
    polled(live, turn // every)
    assert live.shows(address) == (OUT, OUT)
