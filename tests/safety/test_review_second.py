"""Where the rules of the safety core meet, looked at a second time: whose row it is, which opt-out is the
newest, what a release does, whose clock dates what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bridge.core.clocks import ClockOffset
from bridge.core.decision import Rule
from bridge.core.errors import OutcomeUnknown, Refused, ServerError, SideError
from bridge.core.mapping import Conflict
from bridge.core.model import HoldState, Side
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.engine.context import Services
from bridge.store import Store
from tests.engine.world import ADA, BOB, IN, MINE, NEWS, OUT, THEIRS, UNSET, World, trouble
from tests.fakes import FakeSide
from tests.safety.conftest import Make
from tests.scenarios.test_address_changes import NEW, change_address
from tests.scenarios.test_forgetting import forget, imported

# whose row it is


@pytest.mark.parametrize("how", ["waits", "lost", "bulk", "was so"])
def test_an_opt_out_said_while_ours_is_being_sent_is_newer_than_an_opt_in_before_it(
    world: World, how: str
) -> None:
    """Our opt-out waits for the allowance, times out and is lost, goes by a job, or finds nothing to do: the
    person has opted in at the source meanwhile, and then out again at Dotdigital."""
    world.both(ADA, NEWS, IN)
    world.both(BOB, NEWS, IN)
    world.started()
    theirs = world.sides[THEIRS]
    world.say(MINE, ADA, NEWS, OUT)
    if how == "bulk":
        theirs.bulk_from = 2
        world.say(MINE, BOB, NEWS, OUT)
    send = theirs.send

    def slow(
        batch: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        theirs.send = send  # type: ignore[method-assign]
        apart = 3 if how == "was so" else 40
        world.pass_time(seconds=apart)
        world.say(MINE, ADA, NEWS, IN)
        world.pass_time(seconds=apart)
        world.say(THEIRS, ADA, NEWS, OUT)
        world.pass_time(seconds=1)
        if how == "lost":
            return [trouble(OutcomeUnknown)] * len(batch)
        return [WriteResponse.ALREADY_SO] * len(batch) if how == "was so" else send(batch, heartbeat)

    theirs.send = slow  # type: ignore[method-assign]
    for _ in range(4):
        world.run()
    assert theirs.send == send
    assert world.shows(ADA)[1] is OUT


# which opt-out is the newest


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("dated", [True, False])
def test_an_opt_out_that_waits_is_not_replaced_by_an_older_one(world: World, side: Side, dated: bool) -> None:
    """An opt-out could not be delivered yet when its record goes, and one remains that was made before an
    opt-in at the other side."""
    world.conflict(Conflict.LATEST)
    world.both(ADA, NEWS, IN)
    world.started()
    older = world.now
    world.pass_time(minutes=5)
    world.say(side.other, ADA, NEWS, IN)
    world.pass_time(minutes=5)
    world.say(side, ADA, NEWS, OUT, dated=dated)
    world.sides[side.other].fail["send_one"] = [trouble(ServerError, side.other)] * 2
    world.run()
    if not dated:
        world.say(side, ADA, NEWS, UNSET)
        world.run()
    world.say(side, ADA, NEWS, OUT, at=older)
    for _ in range(3):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_a_later_opt_out_at_a_former_address_stops_an_opt_in_over_an_older_one(make: Make) -> None:
    """Both addresses are opted out since the address changed. Then the person opts in at the new one, and
    unsubscribes from the mail that still goes to the old one."""
    live = make()
    ada = live.add("ada", both={NEWS: OUT}, days_ago=30)
    live.add_theirs(NEW, {NEWS: UNSET}, live.clock.now())
    live.started()
    change_address(live, ada)
    live.until_quiet()
    live.say(MINE, NEW, NEWS, IN)
    live.clock.advance(60)
    live.say(THEIRS, ada, NEWS, IN)
    live.clock.advance(5)
    live.say(THEIRS, ada, NEWS, OUT)
    live.clock.advance(60)
    assert [report.written.raises.total() for report in live.runs(3)] == [0, 0, 0]
    assert live.is_out(NEW)


# what a release does


def test_a_number_of_a_hold_never_comes_to_mean_another_write(world: World) -> None:
    """The operator looks at a hold that would opt out at one side. Before they release it both sides change,
    and the same reason holds an opt-out of the other side."""
    world.conflict(Conflict.HOLD)
    world.both(ADA, NEWS, IN)
    world.started()
    for into, out_of in ((MINE, THEIRS), (THEIRS, MINE)):
        world.say(into, ADA, NEWS, IN)
        world.say(out_of, ADA, NEWS, OUT)
        world.run()
        world.pass_time(minutes=10)
    first, second = world.store.holds.page_of_all()
    assert [[write["side"] for write in hold.proposed] for hold in (first, second)] == [[MINE], [THEIRS]]
    assert world.store.holds.release([first.id]) == 0
    world.run()
    assert world.shows(ADA) == (OUT, IN)
    assert world.store.holds.release([second.id]) == 1


@pytest.mark.parametrize("answer", [None, HoldState.DISMISSED])
def test_an_opt_in_that_was_refused_keeps_back_no_opt_out(world: World, answer: HoldState | None) -> None:
    """A side refused an opt-in, and an operator may have left it at that. Then the mapping says that an
    opt-out wins."""
    world.conflict(Conflict.LATEST)
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(THEIRS, ADA, NEWS, OUT)
    world.pass_time(seconds=30)
    world.say(MINE, ADA, NEWS, IN)
    world.sides[THEIRS].fail["send_one"] = [trouble(Refused)]
    world.run()
    assert [hold.reason for hold in world.store.holds.page()] == [Rule.REFUSED]
    if answer is HoldState.DISMISSED:
        world.store.holds.dismiss([hold.id for hold in world.store.holds.page()])
        world.run()
    world.conflict(Conflict.WITHDRAWAL_WINS)
    world.mapping = replace(world.mapping, digest="with other rules")
    for _ in range(2):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_the_release_of_an_older_opt_in_is_about_the_side_that_was_shown(world: World) -> None:
    """Before the release is carried out the opt-in is gone from its own side, and one as old shows at the
    other."""
    month = world.now - timedelta(days=30)
    world.say(MINE, ADA, NEWS, IN, at=month)
    world.say(THEIRS, ADA, NEWS, UNSET)
    world.started()
    (hold,) = world.store.holds.page(reason=Rule.FIRST_RUN)
    assert [write["side"] for write in hold.proposed] == [THEIRS]
    world.store.holds.release([hold.id])
    world.say(MINE, ADA, NEWS, UNSET)
    world.say(THEIRS, ADA, NEWS, IN, at=month)
    world.run()
    assert world.shows(ADA) == (UNSET, IN)
    (again,) = world.store.holds.page(reason=Rule.FIRST_RUN)
    assert [write["side"] for write in again.proposed] == [MINE]


# whose clock dates what was said


def test_an_erased_person_is_not_back_by_an_opt_in_from_before_while_our_clock_is_behind(make: Make) -> None:
    """The erasure is not dated by our clock: what was said minutes before it would be newer."""
    live = make()
    live.set_own_clock(minutes=-10)
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    said = live.clock.now()
    live.run()
    assert forget(live, ada).finished
    imported(live, MINE, ada, said)
    live.add_theirs(ada, {NEWS: UNSET}, live.clock.now())
    live.runs(3)
    live.run(full=True)
    assert live.theirs(ada, NEWS) is not IN
    assert live.app.store.people.find(ada) is None


BEHIND = timedelta(minutes=10)


class BehindWorld(World):
    """A world in which the bridge's own clock is behind those of both services, which say so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store.close()
        self.store = Store.open(self.url, clock=self._own_clock)
        for there in self.sides.values():
            self._read_by_own_clock(there)

    def _own_clock(self) -> datetime:
        return self.clock() - BEHIND

    def _read_by_own_clock(self, there: FakeSide) -> None:
        view = there._view
        there._view = lambda person, read_at: view(person, read_at - BEHIND)  # type: ignore[method-assign]

    def services(self) -> Services:
        offset = ClockOffset(BEHIND, BEHIND)
        return replace(
            super().services(), clock=self._own_clock, clock_offsets=lambda: dict.fromkeys(Side, offset)
        )


def test_an_opt_out_without_a_date_is_as_new_as_its_read_while_our_clock_is_behind(tmp_path: Path) -> None:
    """An opt-in that was said before it comes to light only later."""
    world = BehindWorld(tmp_path)
    world.both(ADA, NEWS, OUT)
    world.started()
    world.pass_time(minutes=20)
    before = world.now
    world.pass_time(minutes=1)
    world.say(MINE, ADA, NEWS, IN)
    world.say(MINE, ADA, NEWS, OUT, dated=False)
    world.run()
    world.say(THEIRS, ADA, NEWS, IN, at=before)
    for _ in range(3):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)
    world.close()


# people who are not known as they are


def test_nobody_is_opted_in_while_a_write_about_them_is_not_checked(world: World) -> None:
    """An earlier write may have undone their other choices, and could not be checked. A read of the same run
    shows them as that write left them."""
    world.both(ADA, NEWS, OUT)
    world.started()
    person = world.cell(ADA).person
    theirs = world.sides[THEIRS]
    theirs.unfinished = lambda: [person]  # type: ignore[method-assign]
    world.say(MINE, ADA, NEWS, IN)
    world.store.retry_queue.add(THEIRS, person=person, error="it was down")
    report = world.run()
    assert (world.shows(ADA), report.in_sync) == ((IN, OUT), False)
    del theirs.unfinished
    world.run()
    assert world.shows(ADA) == (IN, IN)
