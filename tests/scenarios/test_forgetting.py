"""People who were erased: deleted at both sides and in the state DB, and never re-created by old data."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter

import pytest
import sqlalchemy as sa

from bridge.core.errors import Unreachable
from bridge.core.model import Side
from bridge.engine.erase import ErasureResult, PersonEraser, erase_local
from bridge.engine.explain import View, explain
from bridge.store import tables as t
from bridge.store.engine import make_engine
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, THEIRS, Live


class Killed(BaseException):
    """The process dies here."""


def forget(live: Live, address: str) -> ErasureResult:
    live.clock.advance(60)
    done = PersonEraser(live.app.services(), live.app.store, live.app.erasers).forget(address)
    live.clock.advance(3600)
    return done


def written(live: Live) -> str:
    """Every value of every table."""
    engine = make_engine(live.app.settings.database_url)
    with engine.connect() as conn:
        rows = [str(row) for table in t.metadata.sorted_tables for row in conn.execute(sa.select(table))]
    engine.dispose()
    return "\n".join(rows).casefold()


def quiet(live: Live) -> None:
    """Sweeps and runs write nothing, and go well."""
    reports = [live.run(full=True), *live.until_quiet(), live.run(full=True)]
    assert sum(report.written.writes for report in reports) == 0, [report.shown() for report in reports]
    assert not any(report.errors for report in reports)


def is_gone(live: Live, address: str) -> None:
    found = live.dotdigital.find(address)
    assert found is None or found.binned or found.suppressed
    assert live.mypreferences.find(address) == []
    assert live.app.store.people.find(address) is None
    assert address not in written(live)


def imported(live: Live, side: Side, address: str, at: datetime) -> None:
    """Another system's import creates the person again, opted in on that date."""
    if side is MINE:
        live.add_mine(address, {NEWS: IN}, at)
    else:
        live.add_theirs(address, {NEWS: IN}, at)
    live.clock.advance(2)


@pytest.mark.parametrize("v3", ["auto", "never"])
@pytest.mark.parametrize("status", ["Subscribed", "Unsubscribed"])
@pytest.mark.parametrize("suppressed", ["kept_blocked", "refused"])
def test_an_erased_person_is_gone_and_stays_gone(make: Make, v3: str, status: str, suppressed: str) -> None:
    live = make(v3=v3)
    live.dotdigital.switches.delete_suppressed = suppressed
    ada = live.add("ada", both={NEWS: IN}, status=status, consent="" if status != "Subscribed" else "Granted")
    bob = live.add("bob", both={NEWS: IN})
    live.started()
    done = forget(live, ada)
    assert (done.finished, done.was_here) == (True, True)
    is_gone(live, ada)
    quiet(live)
    is_gone(live, ada)
    assert live.shows(bob) == (IN, IN)
    live.app.store.ledger.verify()


@pytest.mark.parametrize("rule", ["unlink", "withdraw"])
def test_no_rule_about_deletions_is_applied_to_them(make: Make, rule: str) -> None:
    live = make(on_deletion=rule)
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    quiet(live)
    assert live.held() == []


@pytest.mark.parametrize("side", list(Side))
def test_a_later_batch_brings_nobody_back(live: Live, side: Side) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    imported(live, side, ada, live.clock.now() - timedelta(days=30))
    quiet(live)
    assert live.app.store.people.find(ada) is None
    if side is MINE:
        found = live.dotdigital.find(ada)
        assert found is None or found.binned
    else:
        assert live.mypreferences.find(ada) == []


def test_a_batch_at_both_sides_raises_nobody(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    then = live.clock.now() - timedelta(days=30)
    live.add_mine(ada, {NEWS: IN}, then)
    live.add_theirs(ada, {}, then)
    quiet(live)
    assert live.app.store.people.find(ada) is None


def test_a_later_opt_in_of_their_own_comes_through(live: Live) -> None:
    """At MyPreferences, which keeps the date and the author of a choice. Dotdigital dates a batch as well."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    then = live.clock.now() - timedelta(days=30)
    live.add_theirs(ada, {}, then)
    live.add_mine(ada, {}, then, consent="")
    live.say(MINE, ada, NEWS, IN)
    live.clock.advance(10)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)
    who = live.app.store.people.find(ada)
    assert who is not None
    cells, history = live.app.store.cells.of(who.person), live.app.store.ledger.history(who.person)
    shown = explain(live.app.mapping, who, cells, history, View(live.clock.now()))
    lines = [line for topic in shown["topics"] for line in topic["history"]]
    assert "the person had been erased; this opt-in is newer" in [line.get("why") for line in lines]


def test_with_the_new_opt_in_no_old_one_comes_back(live: Live) -> None:
    """A person who signs up for one topic again has not asked for their earlier topics."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    then = live.clock.now() - timedelta(days=30)
    live.add_theirs(ada, {"profiling": IN}, then)
    live.add_mine(ada, {}, then, consent="")
    live.say(MINE, ada, NEWS, IN)
    live.clock.advance(10)
    live.until_quiet()
    assert live.shows(ada) == (IN, IN)
    assert live.mine(ada, "profiling") != IN


def test_a_later_withdrawal_of_an_erased_person_is_transferred(live: Live) -> None:
    """The other side may have kept, or been given, a copy."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    erase_local(live.app.store, ada)
    live.clock.advance(3600)
    quiet(live)
    assert live.app.store.people.find(ada) is None
    live.unsubscribe(ada)
    live.until_quiet()
    assert (live.mine(ada, EMAIL), live.status(ada)) == (OUT, "Unsubscribed")
    assert live.shows(ada) == (IN, IN)


def test_erased_here_alone_both_sides_are_left_as_they_are(live: Live) -> None:
    ada = live.add("ada", mine={NEWS: IN}, theirs={NEWS: OUT})
    live.started()
    live.until_quiet()
    assert erase_local(live.app.store, ada).was_here
    assert ada not in written(live)
    quiet(live)
    assert live.app.store.people.find(ada) is None


STEPS = {
    "the mark": ("store.erasures", "begin"),
    "the suppression": ("dotdigital.v2", "bulk_suppress_contacts"),
    "the deletion at Dotdigital": ("dotdigital_client", "get_delete_status"),
    "the withdrawal": ("mypreferences.client", "update_profile_post"),
    "the deletion at MyPreferences": ("mypreferences.client", "delete_profile"),
    "the end": ("store.erasures", "finish"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_it_goes_on_from_there(
    live: Live, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    part, method = STEPS[step]
    holder = live.app.dotdigital.v3.client() if part == "dotdigital_client" else attrgetter(part)(live.app)
    real = getattr(holder, method)

    def killed(*args: object, **named: object) -> None:
        if after:
            real(*args, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(holder, method, killed)
        with pytest.raises(Killed):
            forget(live, ada)
    raised = [report.written.raises for report in (live.run(), live.run(full=True))]
    assert sum(sum(each.values()) for each in raised) == 0
    assert forget(live, ada).finished
    is_gone(live, ada)
    quiet(live)


@pytest.mark.parametrize("down", list(Side))
def test_a_side_that_is_down_is_erased_by_the_same_command_later(
    live: Live, monkeypatch: pytest.MonkeyPatch, down: Side
) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()

    def fail(_: object) -> None:
        raise Unreachable("It does not answer.", side=down, operation="test")

    with monkeypatch.context() as patch:
        patch.setattr(live.app.erasers[down], "erase", fail)
        done = forget(live, ada)
    assert (done.finished, set(done.errors), set(done.sides)) == (False, {down}, {down.other})
    report = live.run()
    assert any("Erasures not finished: 1" in warning for warning in report.warnings)
    assert forget(live, ada).finished
    is_gone(live, ada)
    assert not live.run().warnings


def test_a_profile_that_stays_brings_nobody_back(live: Live) -> None:
    """It has another address too, so it is withdrawn and left. What it goes on to say is known."""
    ada = live.add("ada", both={NEWS: IN}, consent="")
    profile = live.mypreferences.add_profile(
        [("Primary", "ada@home.example"), ("Work", ada)],
        preferences={"NEWS_EMAIL": (True, live.clock.now() - timedelta(days=30))},
    )
    live.started()
    done = forget(live, ada)
    assert done.finished
    assert [str(profile) in words for words in done.sides[MINE].left] == [True]
    assert live.mypreferences.find(ada) == [profile]
    quiet(live)
    assert live.app.store.people.find(ada) is None


def test_while_an_import_is_running_nothing_is_deleted(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could bring a contact back from the recycle bin."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    monkeypatch.setattr(live.app.readers[THEIRS], "has_running_jobs", lambda: True)
    done = forget(live, ada)
    assert set(done.errors) == {THEIRS}
    assert live.status(ada) == "Subscribed"


def test_erasing_twice_is_erasing_once(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    again = forget(live, ada)
    assert (again.finished, again.was_here) == (True, False)
    assert all(not erasure.done for erasure in again.sides.values())
    is_gone(live, ada)


def test_without_the_key_nobody_who_is_new_is_raised_by_what_is_old(live: Live) -> None:
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    live.restart(erasure_key="")
    then = live.clock.now() - timedelta(days=30)
    live.add_theirs(ada, {}, then)
    live.add_mine(ada, {NEWS: IN}, then)
    cid = live.add("cid", mine={NEWS: OUT}, theirs={NEWS: IN})
    report = live.run(full=True)
    assert any("BRIDGE_ERASURE_KEY" in warning for warning in report.warnings)
    live.until_quiet()
    assert live.theirs(cid, NEWS) is OUT
    live.restart(erasure_key="a long random word")
    report = live.run(full=True)
    assert not any("BRIDGE_ERASURE_KEY" in warning for warning in report.warnings)
    assert live.app.store.people.find(ada) is None
    assert live.app.store.people.find(cid) is not None
