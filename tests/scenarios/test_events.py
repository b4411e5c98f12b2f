"""Dotdigital's events export beside polling: changes arrive sooner, and nothing else differs."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from bridge.core.model import Choice
from bridge.dotdigital.polling.events import NO_EVENTS
from tests.scenarios.conftest import Make
from tests.scenarios.live import (
    EMAIL,
    IN,
    MINE,
    NEWS,
    OFFERS,
    OUT,
    PROFILING,
    THEIRS,
    Live,
    Plan,
    Servers,
)
from tests.sizes import size

DAYS = size(2, 3)
NAMES = tuple(f"p{number}" for number in range(8))
End = dict[str, tuple[Choice | str, Choice | str]]


def _started(live: Live) -> Live:
    """After a first run; the subscription it made collects by now."""
    for name in NAMES:
        live.add(name, both={NEWS: IN, OFFERS: "DAILY", PROFILING: OUT})
    return live.started()


def _days(live: Live, number: int = DAYS) -> None:
    """People change their minds at both sides, and the bridge runs now and then."""
    dice = random.Random(7)
    for _ in range(number):
        for name in NAMES:
            address = f"{name}@example.com"
            said: tuple[str, Choice | str] = dice.choice(
                [
                    (NEWS, IN),
                    (NEWS, OUT),
                    (OFFERS, "WEEKLY"),
                    (OFFERS, OUT),
                    (PROFILING, IN),
                    (PROFILING, OUT),
                ]
            )
            live.say(dice.choice([MINE, THEIRS]), address, *said)
            live.clock.advance(30)
            if dice.random() < 0.4:
                live.run()
        leaving = f"{dice.choice(NAMES)}@example.com"
        if live.status(leaving) == "Subscribed":
            live.unsubscribe(leaving)
        for _ in range(6):
            live.run()
            live.clock.advance(1800)
        live.clock.advance(timedelta(hours=10).total_seconds())
        live.run(full=True)


def _end(live: Live) -> End:
    live.until_quiet()
    return {
        f"{name} {topic}": live.shows(f"{name}@example.com", topic)
        for name in NAMES
        for topic in (NEWS, OFFERS, PROFILING, EMAIL)
    }


@pytest.mark.parametrize(("events", "after_one_run"), [(True, OUT), (False, IN)])
def test_an_event_reports_a_withdrawal_before_the_feeds_do(
    make: Make, events: bool, after_one_run: Choice
) -> None:
    live = _started(make(events=events))
    live.dotdigital.switches.feed_lag_seconds = 600.0
    address = f"{NAMES[0]}@example.com"
    live.say(THEIRS, address, NEWS, OUT)
    live.run()
    assert live.mine(address, NEWS) == after_one_run
    live.clock.advance(600)
    live.until_quiet()
    assert live.shows(address) == (OUT, OUT)


@pytest.fixture(scope="module")
def end_of_polling_alone(both_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> End:
    """Where the same days end without the events export."""
    alone = _started(Live(both_servers, tmp_path_factory.mktemp("alone"), Plan()))
    _days(alone)
    end = _end(alone)
    alone.close()
    return end


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "position"),
    [
        ("event_delivery", "once"),
        ("event_delivery", "doubled"),
        ("event_delivery", "replayed"),
        ("event_delivery", "lost"),
        ("event_lag_seconds", 5400.0),
        ("event_activation_seconds", 0.0),
        ("event_data", "nested"),
        ("event_data", "email"),
        ("event_data", "nobody"),
    ],
)
def test_days_with_events_end_as_days_of_polling_alone(
    end_of_polling_alone: End, make: Make, switch: str, position: object
) -> None:
    live = make(events=True)
    setattr(live.dotdigital.switches, switch, position)
    _started(live)
    _days(live)
    assert _end(live) == end_of_polling_alone
    assert live.dotdigital.calls.count("exportEvents") > 0
    assert not live.held()
    before = live.dotdigital.calls.count("importContact")
    live.clock.advance(86_400)
    assert live.run(full=True).written.writes == 0
    assert live.dotdigital.calls.count("importContact") == before


def test_a_subscription_that_the_service_made_inactive_is_reactivated(make: Make) -> None:
    live = _started(make(events=True))
    (export,) = live.dotdigital.event_exports.values()
    export.collects_from = None
    address = f"{NAMES[0]}@example.com"
    live.say(THEIRS, address, NEWS, OUT)
    report = live.run()
    assert [warning for warning in report.warnings if "active again" in warning]
    assert not report.errors
    live.until_quiet()
    assert live.shows(address) == (OUT, OUT), "polling has found what was not collected"
    live.clock.advance(300)
    live.dotdigital.switches.feed_lag_seconds = 600.0
    live.say(THEIRS, address, PROFILING, IN)
    live.run()
    assert live.mine(address, PROFILING) == IN, "events are collected again"


@pytest.mark.parametrize("how", ["forbidden", "absent"])
def test_a_removed_feature_is_reported_once_and_polling_continues(make: Make, how: str) -> None:
    live = _started(make(events=True))
    live.dotdigital.switches.events = how
    address = f"{NAMES[0]}@example.com"
    live.say(THEIRS, address, NEWS, OUT)
    reports = [live.run() for _ in range(4)]
    assert [warning for report in reports for warning in report.warnings] == [
        f"dotdigital.events: {NO_EVENTS}"
    ]
    assert not any(report.errors for report in reports)
    assert live.shows(address) == (OUT, OUT)
    calls = live.dotdigital.calls.count("exportEvents")
    live.run()
    assert live.dotdigital.calls.count("exportEvents") == calls
