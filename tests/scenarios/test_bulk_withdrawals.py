"""More than a hundred people withdraw at Dotdigital in one day. The bridge writes the withdrawals to
MyPreferences by bulk import, however an import behaves."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.model import Side
from bridge.engine.run import RunOptions, run_once
from bridge.sandbox.faults import InjectedFault
from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OUT, PROFILING, THEIRS, Live

PEOPLE = 104

SWITCHES: tuple[tuple[str, Any], ...] = (
    ("import_polls", 5), ("import_seconds", 200.0), ("import_token_hours", 6.0), ("import_ends", "Failed"),
    ("imports_per_day", 0), ("import_quota_status", 403), ("honour_older_dates", True),
    ("write_lag_seconds", 30.0), ("export_ends", "Failed"),
)  # fmt: skip


def add_people(live: Live) -> list[str]:
    return [live.add(f"p{number}", both={NEWS: IN, PROFILING: IN}) for number in range(PEOPLE)]


def withdraw(live: Live, people: list[str]) -> None:
    for address in people:
        live.say(THEIRS, address, NEWS, OUT)


@pytest.mark.slow
def test_a_hundred_withdrawals_are_imported_and_proven(make: Make) -> None:
    live = make(rate=1000.0)
    people = add_people(live)
    live.started()
    withdraw(live, people)
    calls = live.mypreferences.calls
    calls.reset()
    report = live.run()
    assert report.written.writes == PEOPLE
    assert not report.written.failed
    assert {live.shows(address) for address in people} == {(OUT, OUT)}
    assert {live.shows(address, PROFILING) for address in people} == {(IN, IN)}
    assert (calls.count("initiateImport"), calls.count("updateProfilePost")) == (1, 0)
    assert calls.total() < 2 * PEOPLE, calls.counts()
    live.clock.advance(3600)
    assert live.run(full=True).written.writes == 0
    live.app.store.ledger.verify()


@pytest.mark.slow
@pytest.mark.parametrize(("switch", "position"), SWITCHES)
def test_however_an_import_behaves_everybody_ends_withdrawn(make: Make, switch: str, position: Any) -> None:
    live = make(rate=1000.0)
    people = add_people(live)
    live.started()
    setattr(live.mypreferences.switches, switch, position)
    if switch == "import_quota_status":
        live.mypreferences.switches.imports_per_day = 0
    withdraw(live, people)
    live.until_quiet()
    assert {live.shows(address) for address in people} == {(OUT, OUT)}
    assert live.held() == []


@pytest.mark.slow
def test_a_person_who_cannot_be_written_is_held_and_delays_nobody_else(make: Make) -> None:
    live = make(rate=1000.0)
    people = add_people(live)
    live.started()
    for _ in range(51):
        live.mypreferences.add_profile([("Primary", people[7])])
    withdraw(live, people)
    live.run()
    assert {live.theirs(address, NEWS) for address in people} == {OUT}
    assert {live.mine(address, NEWS) for address in people if address != people[7]} == {OUT}
    assert live.held(), "too many profiles share an address"


@pytest.mark.slow
@pytest.mark.parametrize("side", [MINE, THEIRS])
def test_a_refused_job_holds_nobody_but_the_entry_that_is_refused_alone(make: Make, side: Side) -> None:
    """120 opt-outs; one entry has every job refused that it is in, and its own call as well."""
    live = make(rate=1000.0)
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(120)]
    live.started()
    for address in people:
        live.say(side.other, address, NEWS, OUT)
    jobs = "stageImport" if side is MINE else "importContacts"
    alone = "updateProfilePost" if side is MINE else "importContact"
    state = live.mypreferences if side is MINE else live.dotdigital
    body = '{"Message": "Not valid."}' if side is MINE else '{"errorCode": "contacts:badRequest"}'
    for operation, times in ((jobs, 1 if side is MINE else 1000), (alone, 2 if side is MINE else 1)):
        state.faults.add(InjectedFault(operation, "status", status=400, body=body, times=times))
    live.run()
    shown = [live.shows(address) for address in people]
    assert sum(one != (OUT, OUT) for one in shown) <= 1
    assert len(live.held()) <= 1
    state.faults.clear()
    live.run()
    live.run()
    assert {live.shows(address) for address in people} == {(OUT, OUT)}
    assert live.held() == []


@pytest.mark.slow
def test_an_import_that_outlives_its_process_undoes_no_newer_opt_in(make: Make) -> None:
    """It is processed minutes later: choices that people made meanwhile are newer and remain."""
    live = make(rate=1000.0)
    people = add_people(live)
    live.started()
    live.mypreferences.switches.import_seconds, live.mypreferences.switches.import_polls = 600.0, 0
    withdraw(live, people)
    live.clock.advance(60)

    def lost() -> None:
        if live.mypreferences.calls.count("importStatus"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_once(live.app.services(heartbeat=lost), live.app.writers(), RunOptions())
    live.remap("version = 1", "version = 1 ")  # another process goes on
    live.say(THEIRS, people[0], NEWS, IN)
    assert live.run().written.writes == 0, "nobody in it is written to before it has ended"
    live.clock.advance(900)
    live.until_quiet()
    assert {live.shows(address) for address in people[1:]} == {(OUT, OUT)}
    assert live.shows(people[0]) == (IN, IN)
