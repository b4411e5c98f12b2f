"""An older state DB is put back: it is noticed, everybody is read before anybody is opted in, nobody is asked
by mail a second time, and nobody's later opt-in is taken back unseen. Opt-outs go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.core.approval import Operator
from bridge.core.sync_state import Condition, Exit
from bridge.engine.ledger_guard import RESTORED, note_lost_period
from bridge.engine.report import Report
from bridge.store.snapshot import copy_state
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, NEWS, OUT, THEIRS, Live

Put = Callable[[Live, Path], None]


def mails(live: Live) -> tuple[int, int]:
    """Confirmation mails sent, and calls that would have sent another."""
    return sum(live.dotdigital.challenges.values()), sum(live.dotdigital.dropped_challenges.values())


def put_back(live: Live, backup: Path) -> None:
    """An operator copies the file by hand."""
    live.app.close()
    file = live.folder / "bridge.db"
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, file)
    live.restart()


def accept(live: Live) -> None:
    """What `bridge db restored` does."""
    store = live.app.store
    if store.facts.ledger_problem is None:
        note_lost_period(store)
    store.ledger.accept(Operator("ann", "put back"))
    store.facts.sweep_due = RESTORED
    assert store.ledger.publish() is None


class Episode:
    """Ada was asked by mail, and Ben opted in again after his opt-out was carried, in the time that the state
    DB which is then put back knows nothing about."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.ada = live.add("ada", consent="Revoked", status="Unsubscribed")
        self.ben, self.cy = live.add("ben", both={NEWS: IN}), live.add("cy", both={NEWS: IN})
        live.started()
        self.backup = live.folder / "backup.db"
        copy_state(live.app.settings.database_url, self.backup)
        live.say(MINE, self.ada, EMAIL, IN)
        live.say(MINE, self.ben, NEWS, OUT)
        live.run()
        assert (mails(live), live.shows(self.ben)) == ((1, 0), (OUT, OUT))
        live.clock.advance(600)
        live.say(THEIRS, self.ben, NEWS, IN)
        live.clock.advance(600)

    def conditions(self, report: Report) -> set[Condition]:
        return {problem.condition for problem in report.problems}


@pytest.fixture
def episode(make: Make) -> Episode:
    return Episode(make(resubscribe="challenge"))


def test_an_older_state_db_put_back_is_noticed_by_the_head_file(episode: Episode) -> None:
    live = episode.live
    put_back(live, episode.backup)
    live.say(MINE, episode.cy, NEWS, OUT)
    report = live.run()
    assert Condition.LEDGER in episode.conditions(report)
    assert report.exit_code is Exit.BRAKE
    assert report.swept
    assert any("went back" in warning for warning in report.warnings)
    assert live.shows(episode.cy) == (OUT, OUT)  # opt-outs go on
    assert sum(report.written.raises.values()) == 0
    assert mails(live) == (1, 0)
    assert live.shows(episode.ben) == (OUT, IN)


def test_the_head_file_stays_as_it_is_until_an_operator_accepts(episode: Episode) -> None:
    live = episode.live
    file = live.folder / "head.json"
    told = file.read_text()
    put_back(live, episode.backup)
    live.run()
    live.run()
    assert file.read_text() == told
    accept(live)
    assert file.read_text() != told
    assert Condition.LEDGER not in episode.conditions(live.run())


@pytest.mark.parametrize("noticed", ["by the head file", "by the operator's word alone"])
def test_after_a_restore_nobody_is_asked_again_and_no_opt_in_is_taken_back_unseen(
    make: Make, noticed: str
) -> None:
    by_file = noticed == "by the head file"
    episode = Episode(make(resubscribe="challenge"))
    live = episode.live
    put_back(live, episode.backup)
    if by_file:
        live.run()
    else:
        (live.folder / "head.json").unlink()
    accept(live)
    report = live.run()
    assert report.swept
    live.run()
    assert mails(live) == (1, 0)
    assert live.shows(episode.ben) == (OUT, IN)
    assert sorted(live.held()) == sorted([(EMAIL, "restored"), (NEWS, "restored")])
    live.release()
    live.run()
    assert live.shows(episode.ben) == (OUT, OUT)  # an operator let the opt-out through


@pytest.mark.parametrize("conflict", ["withdrawal_wins", "latest", "dotdigital"])
def test_after_a_restore_a_forgotten_opt_in_of_ours_undoes_no_opt_out(make: Make, conflict: str) -> None:
    """Our opt-in landed after the person had opted out again; of both the restored state DB knows nothing."""
    live = make(conflict=conflict)
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    backup = live.folder / "backup.db"
    copy_state(live.app.settings.database_url, backup)
    live.say(MINE, ada, NEWS, IN)
    said_out = live.clock.now()
    live.clock.advance(60)
    live.run()
    assert live.shows(ada) == (IN, IN)
    live.say(MINE, ada, NEWS, OUT, at=said_out)
    put_back(live, backup)
    accept(live)
    live.run()
    live.run()
    assert live.mine(ada, NEWS) is OUT
    assert live.held() == [(NEWS, "restored")]


def test_opt_ins_from_after_the_restore_are_carried_again(episode: Episode) -> None:
    live = episode.live
    put_back(live, episode.backup)
    live.run()
    accept(live)
    live.run()
    dan = live.add("dan", both={NEWS: OUT}, days_ago=20)
    live.run(full=True)
    live.clock.advance(600)
    live.say(MINE, dan, NEWS, IN)
    live.run()
    live.run()
    assert live.shows(dan) == (IN, IN)


def test_a_file_copied_without_its_journal_is_noticed(episode: Episode) -> None:
    live = episode.live
    part = live.folder / "part.db"
    shutil.copy(live.folder / "bridge.db", part)  # while what was last stored is in bridge.db-wal
    put_back(live, part)
    report = live.run()
    assert Condition.LEDGER in episode.conditions(report)


def test_agreements_edited_by_sql_are_found_within_a_day_and_stop_opt_ins(episode: Episode) -> None:
    live = episode.live
    with live.app.store._unit.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE cells SET agreed_choice = 'opted_out' WHERE agreed_choice = 'opted_in'")
    live.clock.advance(86_400)
    report = live.run()
    assert Condition.LEDGER in episode.conditions(report)
    assert any("agreements were edited" in problem.text for problem in report.problems)
    live.say(MINE, episode.cy, NEWS, OUT)
    live.run()
    assert live.shows(episode.cy) == (OUT, OUT)


def test_each_run_reports_and_publishes_the_head(episode: Episode) -> None:
    live = episode.live
    report = live.run()
    assert report.ledger_head is not None
    number, digest, signature = report.ledger_head.split(":")
    assert live.app.store.ledger.signature() == signature
    assert str(live.app.store.ledger.head()) == f"{number}:{digest}"
    assert f'"entries": {number}' in (live.folder / "head.json").read_text()


def test_a_head_file_that_cannot_be_read_stops_opt_ins_until_it_can(episode: Episode) -> None:
    live, file = episode.live, episode.live.folder / "head.json"
    told = file.read_text()
    file.write_text("{")
    live.say(MINE, episode.cy, NEWS, OUT)
    assert Condition.LEDGER in episode.conditions(live.run())
    assert live.shows(episode.cy) == (OUT, OUT)
    assert file.read_text() == "{"
    file.write_text(told)
    assert Condition.LEDGER not in episode.conditions(live.run())
