"""Whatever an undocumented behaviour of either service turns out to be, an ordinary day ends in agreement."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.positions import DOTDIGITAL, MYPREFERENCES, ONLY_A_SWEEP_TELLS
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OFFERS, OUT, PROFILING, THEIRS, UNSET, Live

NOT_PROVEN_BY_A_CALL = {("resubscribe_answer", "not_available"), ("resubscribe_answer", "message_only")}
POSITIONS = [
    pytest.param("mypreferences", "", None, id="all-as-documented"),
    *(pytest.param("mypreferences", *one, id=f"mypreferences-{one[0]}-{one[1]}") for one in MYPREFERENCES),
    *(pytest.param("dotdigital", *one, id=f"dotdigital-{one[0]}-{one[1]}") for one in DOTDIGITAL),
]


@pytest.mark.parametrize("resubscribe", ["silent"])
@pytest.mark.parametrize(("service", "switch", "position"), POSITIONS)
def test_an_ordinary_day_ends_in_agreement(
    make: Make, service: str, switch: str, position: Any, resubscribe: str
) -> None:
    live = make(resubscribe=resubscribe)
    if switch:
        setattr(getattr(live, service).switches, switch, position)
    people = _add_people(live)
    live.started()
    _day(live, people)
    if (switch, position) in ONLY_A_SWEEP_TELLS:
        live.run(full=True)
    live.until_quiet()
    assert _end(live, people) == END
    before = _writes(live)
    live.clock.advance(86_400)
    assert live.run(full=True).written.writes == 0
    assert _writes(live) == before


def test_an_account_that_demands_an_integration_token_is_served(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    token = "9d3f0a1c-5b1e-4c52-8a66-1f0e7d2b9c44"
    caplog.set_level(logging.DEBUG)
    live = make(integration_token=token)
    live.dotdigital.switches.integration_token = token
    ann = live.add("ann", both={NEWS: IN})
    live.started()
    live.say(MINE, ann, NEWS, OUT)
    live.until_quiet()
    assert live.shows(ann) == (OUT, OUT)
    assert token not in caplog.text
    assert token.encode() not in (live.folder / "bridge.db").read_bytes()


def _writes(live: Live) -> tuple[int, int]:
    names = (
        "importContact",
        "set-preferences-for-contact",
        "unsubscribe-contact",
        "resubscribe-contact-with-no-challenge",
    )
    theirs = sum(live.dotdigital.calls.count(name) for name in names)
    return live.mypreferences.calls.count("updateProfilePost"), theirs


NAMES = ("ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "joe")


def _add_people(live: Live) -> dict[str, str]:
    """Ten people whose choices agree, except one withdrawal that has not reached Dotdigital."""
    said: dict[str, dict[str, Any]] = {
        "ada": {NEWS: IN, OFFERS: "DAILY", PROFILING: IN},
        "bob": {NEWS: OUT, OFFERS: OUT},
        "cyd": {OFFERS: "DAILY"},
        "dan": {NEWS: IN, OFFERS: "WEEKLY"},
        "eve": {NEWS: IN},
        "fay": {NEWS: IN},
        "gus": {},
        "hal": {NEWS: IN},
        "ivy": {NEWS: IN},
        "joe": {NEWS: IN, PROFILING: IN},
    }
    people = {name: live.add(name, both=said[name]) for name in NAMES if name != "hal"}
    people["hal"] = live.add("hal", mine={NEWS: OUT}, theirs={NEWS: IN})
    return people


def _day(live: Live, people: dict[str, str]) -> None:
    live.say(MINE, people["ada"], NEWS, OUT)
    live.say(THEIRS, people["ada"], OFFERS, OUT)
    live.say(MINE, people["ada"], PROFILING, OUT)
    live.say(MINE, people["bob"], NEWS, IN)
    live.say(THEIRS, people["bob"], OFFERS, "WEEKLY")
    live.say(MINE, people["cyd"], OFFERS, "WEEKLY")
    live.unsubscribe(people["dan"])
    live.say(MINE, people["dan"], OFFERS, OUT)  # a withdrawal of a suppressed contact
    now = live.clock.now()
    live.say(THEIRS, people["eve"], NEWS, OUT, now - timedelta(seconds=1))
    live.say(MINE, people["eve"], NEWS, IN, now)
    live.say(MINE, people["fay"], EMAIL, OUT)
    live.say(MINE, people["gus"], NEWS, IN)
    live.say(THEIRS, people["gus"], PROFILING, IN)
    live.unsubscribe(people["ivy"], "HardBounced")
    live.unsubscribe(people["joe"], "IspComplained")


def _end(live: Live, people: dict[str, str]) -> dict[str, Any]:
    return {
        f"{name} {topic}": live.shows(people[name], topic)
        for name, topic in (tuple(key.split()) for key in END)
    }


END: dict[str, Any] = {
    "ada newsletter": (OUT, OUT),
    "ada offers": (OUT, OUT),
    "ada profiling": (OUT, OUT),
    "ada email": (IN, IN),
    "bob newsletter": (IN, IN),
    "bob offers": ("WEEKLY", "WEEKLY"),
    "cyd offers": ("WEEKLY", "WEEKLY"),
    "dan email": (OUT, OUT),
    "dan newsletter": (IN, IN),
    "dan offers": (OUT, OUT),
    "eve newsletter": (OUT, OUT),
    "fay email": (OUT, OUT),
    "fay newsletter": (IN, IN),
    "gus newsletter": (IN, IN),
    "gus profiling": (IN, IN),
    "gus offers": (UNSET, UNSET),
    "hal newsletter": (OUT, OUT),
    "ivy email": (IN, UNSET),
    "ivy newsletter": (IN, IN),
    "joe email": (OUT, OUT),
    "joe newsletter": (IN, IN),
    "joe profiling": (IN, IN),
}
