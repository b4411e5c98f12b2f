"""Withdrawals keep leaving while opt-ins, imports and sweeps wait."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bridge.core.model import Side
from tests.safety.safety_world import SafetyLive
from tests.scenarios.live import IN, MINE, NEWS, OUT, THEIRS, UNSET

IN_TIME = timedelta(minutes=3)


def _delivered_after(live: SafetyLive, address: str, said: datetime, *, side: Side) -> timedelta:
    """How long an opt-out took to the other side, where runs follow each other by a minute."""
    for _ in range(30):
        shown = live.theirs(address, NEWS) if side is MINE else live.mine(address, NEWS)
        if shown is OUT:
            break
        live.run()
    if side is MINE:
        row = live.truth(address)["preferences"]["1002"]
        return datetime.fromisoformat(row["modified"]) - said
    stored = live.mypreferences.find(address)[0]
    with live.mypreferences.lock:
        profile = live.mypreferences.profiles.get(stored)
        assert profile is not None
        return next(kept.modified for _, kept in profile.live_preferences("NEWS_EMAIL")) - said


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_does_not_wait_for_an_import_of_opt_ins(live: SafetyLive, side: Side) -> None:
    """An import of opt-ins takes twelve minutes; another person opts out while it is under way."""
    people = [live.add(f"p{number}", mine={NEWS: UNSET}, theirs={NEWS: UNSET}) for number in range(8)]
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.dotdigital.switches.import_seconds = 720.0
    live.dotdigital.switches.import_polls = 100_000
    for address in people:
        live.say(MINE, address, NEWS, IN)
    said: list[datetime] = []

    def opts_out() -> None:
        said.append(live.clock.now())
        live.say(side, bob, NEWS, OUT)

    live.before_call(THEIRS, ("getImportStatus", "set-preferences-for-contact", "importContact"), opts_out)
    live.run()
    assert said
    assert _delivered_after(live, bob, said[0], side=side) <= IN_TIME


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_does_not_wait_for_a_throttled_opt_in(live: SafetyLive, side: Side) -> None:
    """An opt-in waits for the allowance of Dotdigital; another person opts out meanwhile."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(4)]
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    switches = live.dotdigital.switches
    switches.rate_limits, switches.limit_medium = "tiered", 2
    for address in people:
        live.say(MINE, address, NEWS, IN)
    said: list[datetime] = []

    def opts_out() -> None:
        said.append(live.clock.now())
        live.say(side, bob, NEWS, OUT)

    live.before_call(THEIRS, ("set-preferences-for-contact", "importContact"), opts_out)
    live.run()
    assert said
    assert _delivered_after(live, bob, said[0], side=side) <= IN_TIME


def test_an_opt_out_does_not_wait_for_a_long_export(live: SafetyLive) -> None:
    """A sweep waits for an export of everybody that MyPreferences takes half an hour to make."""
    live.add("ada", both={NEWS: IN})
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.mypreferences.switches.export_polls = 60
    said: list[datetime] = []

    def opts_out() -> None:
        said.append(live.clock.now())
        live.say(MINE, bob, NEWS, OUT)

    live.before_call(MINE, "exportStatus", opts_out)
    live.run(full=True)
    assert said
    assert _delivered_after(live, bob, said[0], side=MINE) <= IN_TIME


@pytest.mark.parametrize("status", [429, 503])
def test_opt_ins_that_fail_delay_no_opt_out(live: SafetyLive, status: int) -> None:
    """Each opt-in is refused by Dotdigital for a while; an opt-out to MyPreferences arrives all the same."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(4)]
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    live.refuse_writes(THEIRS, status)
    for address in people:
        live.say(MINE, address, NEWS, IN)
    live.say(THEIRS, bob, NEWS, OUT)
    said = live.clock.now()
    live.run()
    assert _delivered_after(live, bob, said, side=THEIRS) <= IN_TIME
