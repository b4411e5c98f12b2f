"""One input, however bad, stops and misleads nobody else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bridge.core.brakes import BrakeLimits, vanished_reason
from bridge.core.decision import Rule
from bridge.core.errors import Refused, RunStopped, ServerError
from bridge.core.model import Side
from bridge.core.ports import Hint, Page, PersonView
from bridge.core.stopping import StopSignal
from bridge.core.store_values import WebhookEvent
from bridge.core.watermark import clock_fault, is_ahead
from bridge.store import WebhookInbox
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OUT, THEIRS, World, trouble
from tests.fakes import FakeSide

FEED = f"{THEIRS}.feed"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


class AheadOfTime(FakeSide):
    """A side whose clock is wrong by so much, as far as its feed states it."""

    ahead = timedelta()

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        for page in super().read_feed(feed, since):
            yield page if page.watermark is None else Page(watermark=page.watermark + self.ahead)


def with_wrong_clock(world: World, ahead: timedelta) -> AheadOfTime:
    side = world.sides[THEIRS]
    side.__class__ = AheadOfTime
    assert isinstance(side, AheadOfTime)
    side.ahead = ahead
    return side


def test_a_time_two_days_ahead_moves_no_watermark_and_hides_no_later_opt_out(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    side = with_wrong_clock(world, timedelta(days=2))
    before = world.store.feeds.watermark(FEED)
    report = world.run()
    assert world.store.feeds.watermark(FEED) == before
    assert not report.in_sync
    assert any("ahead of this machine's clock" in text for text in report.warnings)
    side.ahead = timedelta()
    world.say(THEIRS, ADA, NEWS, OUT)
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)


def test_a_watermark_in_the_future_is_moved_back_and_everybody_is_read(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.store.observations.record(
        (), THEIRS, run=world.run().run, feed=FEED, watermark=world.now + timedelta(days=2)
    )
    world.say(THEIRS, ADA, NEWS, OUT)
    report = world.run()
    assert any("lies in the future" in text for text in report.warnings)
    assert report.swept
    world.run()
    mark = world.store.feeds.watermark(FEED)
    assert mark is not None
    assert mark <= world.now
    assert world.shows(ADA) == (OUT, OUT)


def test_a_time_before_the_last_one_is_stale_too(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    side = with_wrong_clock(world, timedelta(days=-2))
    assert not world.run().in_sync
    mark = world.store.feeds.watermark(FEED)
    assert mark is not None
    assert mark < world.now - timedelta(days=1)
    side.ahead = timedelta()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.run()
    assert world.run().in_sync
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize(
    ("old", "proven", "wrong"), [(0, 14, False), (0, 16, True), (0, -14, False), (0, -16, True)]
)
def test_clocks_may_differ_by_a_quarter_of_an_hour(old: int, proven: int, wrong: bool) -> None:
    now = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
    fault = clock_fault(now + timedelta(minutes=old), now + timedelta(minutes=proven), now)
    assert (fault is not None) is wrong
    assert is_ahead(now + timedelta(minutes=proven), now) is (proven > 15)


# people who cannot be read or stored


def test_who_cannot_be_read_waits_visibly_until_read(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    for _ in range(2):
        world.sides[MINE].fail["read_person"] = [trouble(ServerError, MINE)] * 10
        report = world.run()
        assert (report.exit_code, report.in_sync) == (3, False)
        assert report.unread >= 1
        assert report.shown()["waiting"] >= 1
        assert any("the longest since" in text for text in report.warnings)
    del world.sides[MINE].fail["read_person"]
    report = world.run()
    assert (report.exit_code, report.in_sync, report.unread) == (0, True, 0)
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("kind", [ValueError, OverflowError, KeyError, RecursionError, TypeError])
def test_any_error_about_one_person_is_that_persons_hold(world: World, kind: type[Exception]) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    world.say(MINE, BOB, NEWS, OUT)
    side = world.sides[THEIRS]
    read = side._read_person

    def broken(who):  # type: ignore[no-untyped-def]
        if who.address == ADA:
            raise kind("odd content")
        return read(who)

    side._read_person = broken  # type: ignore[method-assign]
    side.people[ADA].touched = None  # no feed names the person
    person = world.store.people.find(ADA)
    assert person is not None
    world.store.retry_queue.add(THEIRS, person=person.person, error="earlier")
    report = world.run()
    assert report.exit_code == 3
    assert world.shows(BOB) == (OUT, OUT)
    holds = [(hold.reason, hold.why) for hold in world.store.holds.page()]
    assert holds
    assert all(reason == Rule.UNREADABLE and kind.__name__ in why for reason, why in holds)


def test_what_the_state_db_cannot_hold_of_one_person_keeps_no_other_from_it(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.say(THEIRS, BOB, NEWS, OUT)
    record = world.store.observations.record

    def refusing(views: Sequence[PersonView], side: Side, **more: object):  # type: ignore[no-untyped-def]
        if any(view.address == ADA for view in views):
            raise ValueError("cannot be stored")
        return record(views, side, **more)  # type: ignore[arg-type]

    world.store.observations.record = refusing  # type: ignore[method-assign]
    report = world.run()
    assert world.shows(BOB) == (OUT, OUT)
    assert world.shows(ADA) == (IN, OUT)
    assert report.exit_code == 3
    assert {hold.reason for hold in world.store.holds.page()} == {Rule.UNREADABLE}


def test_a_feed_that_is_refused_is_a_side_that_failed(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.sides[THEIRS].fail["read_feed"] = [trouble(Refused)]
    report = world.run()
    assert (report.exit_code, report.in_sync) == (5, False)
    assert report.warnings


# people who are gone


def test_an_absent_target_is_read_again_before_an_opt_out_is_dropped(world: World) -> None:
    """The other side hid a person for a while."""
    world.both(ADA, NEWS, IN)
    world.started()
    hidden = world.sides[THEIRS].people.pop(ADA)
    person = world.store.people.find(ADA)
    assert person is not None
    world.store.retry_queue.add(THEIRS, person=person.person, error="earlier")
    world.run()
    assert not world.cell(ADA).seen[THEIRS].present
    world.pass_time(hours=1)
    world.sides[THEIRS].people[ADA] = hidden
    world.say(MINE, ADA, NEWS, OUT)
    hidden.touched = None  # its feed does not name the person
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_mass_disappearance_is_a_brake_and_concludes_nothing(world: World) -> None:
    names = [f"p{number}@example.com" for number in range(40)]
    for name in names:
        world.both(name, NEWS, IN)
    world.started()
    there, world.sides[THEIRS].people = world.sides[THEIRS].people, {}
    report = world.run(full=True)
    assert (report.exit_code, report.in_sync) == (4, False)
    assert any(text.startswith("vanished: 40 of 40 people") for text in report.brakes)
    assert all(world.cell(name).seen[THEIRS].present for name in names)
    assert world.run().exit_code == 4  # until it is explained
    world.sides[THEIRS].people = there
    world.say(MINE, names[0], NEWS, OUT)
    assert world.run().exit_code == 4
    assert world.shows(names[0]) == (OUT, OUT)
    assert world.run(full=True).exit_code == 0


def test_an_operator_may_say_that_they_are_gone(world: World) -> None:
    for number in range(40):
        world.both(f"p{number}@example.com", NEWS, IN)
    world.started()
    world.sides[THEIRS].people = {}
    assert world.run(full=True).exit_code == 4
    report = world.run(full=True, approve_vanished=True)
    assert not report.brakes
    assert not world.cell("p1@example.com").seen[THEIRS].present
    assert world.run().exit_code != 4


def test_the_share_and_the_number_both_have_to_be_passed() -> None:
    limits = BrakeLimits(vanished_max=100, vanished_share=0.05)
    assert vanished_reason(THEIRS, "people", 100, 500, limits) is None
    assert vanished_reason(THEIRS, "people", 101, 500, limits) is not None
    assert vanished_reason(THEIRS, "people", 500, 10_000, limits) is None
    assert vanished_reason(THEIRS, "people", 501, 10_000, limits) is not None
    assert vanished_reason(THEIRS, "definitions", 11, 40, BrakeLimits()) is not None


# long reads and stopping


class Endless(FakeSide):
    """A side whose feed does not end: each page takes half a minute and names a new person."""

    stopped_after = 20

    def read_feed(self, feed: str, since: datetime) -> Iterator[Page]:
        yield from (page for page in super().read_feed(feed, since) if page.watermark is None)
        for number in range(self.stopped_after):
            self.pages_read = number
            self.pause()
            yield Page(hints=[Hint(f"unknown-{number}")])
        raise trouble(ServerError, self.side)

    pages_read = 0

    def pause(self) -> None:
        raise AssertionError("set by the test")


def test_an_opt_out_leaves_between_the_pages_of_a_feed_that_does_not_end(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    side = world.sides[THEIRS]
    side.__class__ = Endless
    assert isinstance(side, Endless)
    side.pause = lambda: world.pass_time(seconds=30)  # type: ignore[assignment, method-assign]
    left: list[int] = []
    apply = side._apply

    def noted(person, write):  # type: ignore[no-untyped-def]
        left.append(side.pages_read)
        apply(person, write)

    side._apply = noted  # type: ignore[method-assign]
    world.run()
    assert left
    assert left[0] <= 3
    assert world.shows(ADA) == (OUT, OUT)


def test_records_that_nobody_has_take_a_few_reads_of_a_run_and_come_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    inbox = WebhookInbox(world.url, world.clock, side=MINE, depth=10_000)
    inbox.put([WebhookEvent(f"e{number}", "profile.updated", f"9{number:05}") for number in range(300)])
    known = world.sides[MINE].people[ADA].id
    inbox.put([WebhookEvent("ada", "profile.updated", known)])
    inbox.close()
    read: list[str] = []
    hint_of = world.sides[MINE].read_hint

    def noted(hint: Hint) -> Sequence[PersonView]:
        read.append(hint.id or "")
        return hint_of(hint)

    monkeypatch.setattr(world.sides[MINE], "read_hint", noted)
    world.run()
    assert read[0] == known
    assert len([one for one in read if one != known]) <= 50
    assert len(world.store.webhooks.pending(MINE)) == 250


def test_a_run_ends_within_a_batch_once_it_is_told_to_stop(world: World) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    stop = StopSignal()
    stop.request()
    world.heartbeat = stop.guarding(lambda: None)
    with pytest.raises(RunStopped):
        world.run(full=True)
    assert world.store.runs.last(1)[0].state == "stopped"


def test_a_wait_ends_when_the_process_is_to_stop() -> None:
    stop = StopSignal()
    stop.request()
    began = time.monotonic()
    with pytest.raises(RunStopped):
        stop.sleep(60)
    assert time.monotonic() - began < 5
