"""What a second reader of the lanes, the feed watch and the fresh reads asked of them."""

from __future__ import annotations

from contextlib import suppress

import pytest

from bridge.cli.status import schedule_of, status_document
from bridge.core.errors import PlanMoved
from bridge.core.facts import LaggingRead
from bridge.engine.plan import apply_plan, make_plan
from bridge.engine.report import Report
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import choices
from bridge.sandbox.mypreferences.records import StoredProfile
from tests.approvals import saved
from tests.safety.conftest import Make
from tests.safety.safety_world import SafetyLive, is_open
from tests.scenarios.live import IN, MINE, NEWS, OUT, PROFILING, THEIRS

SENDS = ("set-preferences-for-contact", "importContact", "importContacts")


def _shows_former(live: SafetyLive, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """From now on MyPreferences shows this person's profile as it is at this moment, and does not say so."""
    state, profile = live.mypreferences, live.profile(address)
    held = state.profiles.get(profile)
    assert held is not None
    former, read = held.copy(), state.as_read

    def stale(stored: StoredProfile) -> tuple[StoredProfile, bool]:
        return (former, False) if stored.profile_id == profile else read(stored)

    monkeypatch.setattr(state, "as_read", stale)


def test_a_repair_is_sent_however_long_the_write_before_it_took(make: Make) -> None:
    """Without v3 an opt-in writes the whole tree. The call takes a quarter of a minute, and the person opts
    out of another topic meanwhile: that opt-out is restored, although it is late for opt-ins."""
    live = make(v3="never")
    ada = live.add("ada", mine={NEWS: OUT, PROFILING: IN}, theirs={NEWS: OUT, PROFILING: IN})
    live.started()
    live.say(MINE, ada, NEWS, IN)

    def acts() -> None:
        live.say(THEIRS, ada, PROFILING, OUT)
        live.clock.advance(15)

    met = live.before_call(THEIRS, SENDS, acts)
    live.runs(3)
    assert met
    assert live.theirs(ada, PROFILING) is OUT


def test_a_busy_feed_that_goes_deaf_is_found_out(live: SafetyLive) -> None:
    """Six opt-outs a minute are written to MyPreferences, and not one event of them is shown."""
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(120)]
    live.started()
    live.run()
    live.mypreferences.switches.event_lag_seconds = 10.0**7
    reports: list[Report] = []
    while people:
        for _ in range(6):
            live.say(THEIRS, people.pop(), NEWS, OUT)
        reports.append(live.run())
    assert is_open(reports[-1])


def test_a_saved_plan_opts_nobody_in_by_a_read_that_lags(
    live: SafetyLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opt-in that was planned is withdrawn; MyPreferences' events say so, the profile does not yet."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    plan = make_plan(live.app.services())
    assert plan.acts
    _shows_former(live, monkeypatch, ada)
    live.say(MINE, ada, NEWS, OUT)
    live.run()
    with suppress(PlanMoved):
        apply_plan(
            live.app.services(),
            live.app.writers(),
            plan.acts,
            mapping=plan.mapping,
            plan=saved(live.app.store),
        )
    assert live.theirs(ada, NEWS) is OUT


def test_nobody_is_opted_in_by_a_read_that_lags_behind_an_event_of_this_run(
    live: SafetyLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While others are opted in, an event says that a person has opted out. The profile does not show it."""
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(4)]
    live.started()
    bob = max(people, key=lambda address: live.cell(address).person)
    for address in people:
        live.say(MINE, address, NEWS, IN)
    _shows_former(live, monkeypatch, bob)

    def opts_out() -> None:
        live.say(MINE, bob, NEWS, OUT)
        live.clock.advance(65)

    met = live.before_call(THEIRS, SENDS, opts_out)
    live.run()
    assert met
    assert live.theirs(bob, NEWS) is OUT


def test_a_sweep_leaves_open_what_came_to_be_due_while_it_ran(live: SafetyLive) -> None:
    """While everybody is read, a feed is found to have a gap: people read before are read again."""
    live.add("ada", both={NEWS: IN})
    live.started()
    live.mypreferences.switches.export_polls = 5
    facts = live.app.store.facts

    def gap() -> None:
        facts.sweep_due = "mypreferences.events"

    met = live.before_call(MINE, "exportStatus", gap)
    live.run(full=True)
    assert met
    assert facts.sweep_due


def test_opt_outs_that_failed_before_trip_no_brake_when_sent_again(live: SafetyLive) -> None:
    """MyPreferences refuses six opt-outs in each of eight runs, then takes writes again."""
    live.with_settings(BRAKES__WITHDRAWALS_MAX=20, BRAKES__HOLD_WITHDRAWALS=True)
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(6)]
    live.started()
    live.refuse_writes(MINE, 429)
    for address in people:
        live.say(THEIRS, address, NEWS, OUT)
    live.runs(8)
    live.accept_writes(MINE)
    report = live.run()
    assert not report.brakes
    assert {live.mine(address, NEWS) for address in people} == {OUT}


@pytest.mark.parametrize("v3", ["auto", "never"])
@pytest.mark.parametrize("allowed", [1, 2, 3, 5])
def test_opt_ins_leave_in_time_however_slow_the_allowance_is(make: Make, v3: str, allowed: int) -> None:
    """Dotdigital allows so many calls a minute."""
    live = make(v3=v3)
    people = [live.add(f"p{number}", both={NEWS: OUT}) for number in range(3)]
    live.started()
    switches = live.dotdigital.switches
    switches.rate_limits, switches.limit_medium = "tiered", allowed
    for address in people:
        live.say(MINE, address, NEWS, IN)
    live.runs(6)
    assert {live.theirs(address, NEWS) for address in people} == {IN}


def test_approving_a_mapping_approves_only_what_could_be_read(live: SafetyLive) -> None:
    """The preferences of two topics are swapped, and the sweep of the run that approves it fails."""
    for number in range(12):
        live.add(f"p{number}", both={NEWS: IN, PROFILING: OUT})
    live.started()
    for old, new in (
        ("preference = 1002", "preference = 9"),
        ("preference = 1010", "preference = 1002"),
        ("preference = 9", "preference = 1010"),
    ):
        live.remap(old, new)
    for operation in ("getContacts", "get-contacts", "get-unsubscribed-contacts"):
        live.dotdigital.faults.add(InjectedFault(operation, "status", status=400, times=10_000))
    first = live.run(approve_mapping=True)
    live.dotdigital.faults.clear()
    second = live.run()
    assert second.brakes or first.swept


@pytest.mark.parametrize("lags", [False, True])
def test_what_was_said_and_then_taken_away_is_not_waited_for_for_ever(
    live: SafetyLive, monkeypatch: pytest.MonkeyPatch, *, lags: bool
) -> None:
    """A consent is granted and, a moment later, deactivated at MyPreferences: no read
    ever shows it. Where the first read lags, the deactivation is reported only after it."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.run()
    with monkeypatch.context() as patch:
        if lags:
            _shows_former(live, patch, ada)
        live.say(MINE, ada, PROFILING, IN)
        if lags:
            assert live.run().counts.waiting
    _deactivate_consent(live, ada, "Profiling")
    reports = live.runs(4, seconds=86_400)
    assert not live.app.store.facts.lagging_reads, reports[-1].warnings


def _deactivate_consent(live: SafetyLive, address: str, kind: str) -> None:
    with live.mypreferences.lock:
        edit = live.mypreferences._edit(live.profile(address))
        for consent in edit.profile.consents:
            if consent.consent_type == kind and consent.active:
                choices.deactivate_consent(edit, edit.profile, consent)
    live.clock.advance(2)


def test_what_was_said_by_an_address_that_was_removed_is_not_waited_for_for_ever(live: SafetyLive) -> None:
    """The person opts out and takes the address off the profile, both between two runs."""
    ada = live.add("ada", both={NEWS: IN})
    live.mypreferences.add_email(live.profile(ada), "ada@home.example.com")
    live.started()
    live.run()
    profile = live.profile(ada)
    live.say(MINE, ada, NEWS, OUT)
    live.mypreferences.remove_email(profile, ada)
    reports = live.runs(4, seconds=86_400)
    assert not live.app.store.facts.lagging_reads, reports[-1].warnings


def test_the_status_names_deaf_feeds_and_reads_that_lag(live: SafetyLive) -> None:
    """The state DB knows of both; the last run is over."""
    facts = live.app.store.facts
    live.add("ada", both={NEWS: IN})
    live.started()
    now = live.clock.now()
    facts.lagging_reads = (LaggingRead(MINE, "1", {}, 0, now),)
    facts.deaf_feeds = ("mypreferences.events",)
    document = status_document(live.app.store, schedule_of(live.app.settings, live.app.store), [], now)
    assert document["waiting"] == 1
    assert document["deaf_feeds"] == ["mypreferences.events"]
