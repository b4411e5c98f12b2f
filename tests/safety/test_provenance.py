"""What the bridge wrote itself is never taken for the person's own, newer word."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from bridge.core.errors import LeaseHeld, Unreachable
from bridge.core.model import Choice
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.sandbox.dotdigital import consent
from tests.engine.crash_world import CrashWorld
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, THEIRS, World, trouble
from tests.safety.conftest import Make
from tests.safety.late_side import ActingWire, LateWorld, agreed, first_send, killed_run, schedules, settled
from tests.safety.safety_world import READS_OF_ONE, SafetyLive, followed_or_seen
from tests.scenarios.live import EMAIL, UNSET
from tests.scenarios.test_forgetting import forget

SHARDS = 4
SENDS = ("set-preferences-for-contact", "importContact", "importContacts")


@pytest.fixture
def late(tmp_path: Path) -> LateWorld:
    made = LateWorld(tmp_path)
    made.both(ADA, NEWS, OUT)
    made.started()
    return made


# our own yes


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_no_said_while_our_opt_in_leaves_wins_wherever_the_process_dies(tmp_path: Path, shard: int) -> None:
    """Yes at MyPreferences, no there while the run goes on, our opt-in lands, and the process is killed at
    any boundary after that no."""
    world = agreed(tmp_path / "world", OUT)
    world.say(MINE, ADA, NEWS, IN)
    planned, lost = schedules(world, tmp_path / "count"), list[tuple[int, int]]()
    for act, kill in planned[shard::SHARDS]:
        twin = world.twin(tmp_path / f"w{act}-{kill}")
        twin.wired(ActingWire(act, partial(_says, twin, OUT), kill))
        killed_run(twin)
        last = settled(twin)
        if twin.shows(ADA)[0] is IN or (IN in twin.shows(ADA) and last.in_sync):
            lost.append((act, kill))
        twin.close()
    assert lost == [], f"{len(lost)} of {len(planned[shard::SHARDS])} schedules"


def test_a_no_is_not_undone_where_the_write_before_it_was_proven_but_not_agreed(world: World) -> None:
    """The person says no at MyPreferences just before our opt-in lands, and its read back fails."""
    world.both(ADA, NEWS, OUT)
    world.started()
    world.say(MINE, ADA, NEWS, IN)
    send = world.sides[THEIRS]._send_one

    def unread_after(request: WriteRequest) -> WriteResponse:
        world.say(MINE, ADA, NEWS, OUT)
        world.pass_time(seconds=10)
        answer = send(request)
        world.sides[THEIRS].fail["read_person"] = [trouble(Unreachable)]
        return answer

    world.sides[THEIRS]._send_one = unread_after  # type: ignore[method-assign]
    world.run()
    world.sides[THEIRS]._send_one = send  # type: ignore[method-assign]
    for _ in range(4):
        world.run()
    assert world.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("answers", [True, False], ids=["read_back_lags", "outcome_unknown"])
@pytest.mark.parametrize("runs_before", [0, 1, 3])
def test_a_no_said_before_our_opt_in_shows_is_not_undone_by_it(
    late: LateWorld, answers: bool, runs_before: int
) -> None:
    """Dotdigital takes our opt-in, shows it only runs later, and stamps it with that later time."""
    late.say(MINE, ADA, NEWS, IN)
    late.theirs.holding, late.theirs.answers = True, answers
    late.run()
    late.pass_time(seconds=20)
    late.say(MINE, ADA, NEWS, OUT)
    late.theirs.holding = False  # later writes go through at once
    late.runs(runs_before)
    late.pass_time(minutes=3)
    late.theirs.land()
    reports = late.runs(5)
    assert late.shows(ADA)[0] is OUT
    assert late.shows(ADA) == (OUT, OUT) or not reports[-1].in_sync


def test_a_no_said_while_an_unknown_outcome_was_called_failed_is_not_undone(late: LateWorld) -> None:
    """The next run reads back nothing and calls the write failed; only then it lands."""
    late.say(MINE, ADA, NEWS, IN)
    late.theirs.holding, late.theirs.answers = True, False
    late.run()
    late.sides[MINE].resting = True
    late.run()
    late.sides[MINE].resting = False
    late.say(MINE, ADA, NEWS, OUT)
    late.pass_time(minutes=1)
    late.theirs.land()
    late.runs(5)
    assert late.shows(ADA) == (OUT, OUT)


@pytest.mark.parametrize("before", [4, 1])
def test_a_process_that_lost_its_lease_sends_no_opt_in(tmp_path: Path, before: int) -> None:
    """The process is stopped so many transactions before its write; another takes the lease meanwhile."""
    world = agreed(tmp_path / "world", OUT)
    world.say(MINE, ADA, NEWS, IN)
    sent, _ = first_send(world, tmp_path / "count")
    twin, lost = world.twin(tmp_path / "twin"), list[bool]()
    twin.wired(ActingWire(sent - before, partial(lost.append, True), None))

    def heartbeat() -> None:
        if lost:
            raise LeaseHeld("another process has taken over")

    twin.heartbeat = heartbeat
    with suppress(LeaseHeld):
        twin.run()
    assert lost
    assert twin.shows(ADA)[1] is OUT
    twin.close()


def test_an_import_at_work_is_not_proven_by_the_persons_own_tick(live: SafetyLive) -> None:
    """An import of opt-ins is still at work; she ticks the box herself and unticks it; then it ends."""
    people = [live.add(f"p{number}", mine={NEWS: UNSET}, theirs={NEWS: UNSET}) for number in range(8)]
    live.started()
    live.dotdigital.switches.import_seconds = 5_400.0
    live.dotdigital.switches.import_polls = 100_000
    for address in people:
        live.say(MINE, address, NEWS, IN)
    live.run()
    ada = people[2]
    if live.theirs(ada, NEWS) is not IN:  # it is still at work
        live.say(THEIRS, ada, NEWS, IN)
        live.runs(2)
        live.say(THEIRS, ada, NEWS, OUT)
    else:
        live.say(THEIRS, ada, NEWS, OUT)
    reports = live.runs(12, seconds=900)
    assert followed_or_seen(live, reports, ada)
    assert live.mine(ada, NEWS) is OUT


def test_an_import_that_outlives_our_patience_does_not_undo_a_no(live: SafetyLive) -> None:
    """An import of opt-ins ends seven hours after it was sent; one of its people said no in the meantime."""
    people = [live.add(f"p{number}", mine={NEWS: UNSET}, theirs={NEWS: UNSET}) for number in range(8)]
    live.started()
    live.dotdigital.switches.import_seconds = 7 * 3600.0
    live.dotdigital.switches.import_polls = 1_000_000
    for address in people:
        live.say(MINE, address, NEWS, IN)
    live.run()
    ada = people[2]
    live.say(MINE, ada, NEWS, OUT)
    live.runs(30, seconds=900)
    reports = live.runs(6, seconds=900)
    assert live.mine(ada, NEWS) is OUT
    assert followed_or_seen(live, reports, ada)


# our own no


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_opt_in_said_while_our_opt_out_leaves_is_not_taken_back(tmp_path: Path, shard: int) -> None:
    """No at MyPreferences, yes there while the run goes on, our opt-out lands later, and the process is
    killed at any boundary after that yes."""
    world = agreed(tmp_path / "world", IN)
    world.say(MINE, ADA, NEWS, OUT)
    planned, lost = schedules(world, tmp_path / "count"), list[tuple[int, int]]()
    for act, kill in planned[shard::SHARDS]:
        twin = world.twin(tmp_path / f"w{act}-{kill}")
        twin.wired(ActingWire(act, partial(_says, twin, IN), kill))
        killed_run(twin)
        last = settled(twin)
        if twin.shows(ADA) != (IN, IN) and last.in_sync:
            lost.append((act, kill))
        twin.close()
    assert lost == [], f"{len(lost)} of {len(planned[shard::SHARDS])} schedules"


def _says(world: CrashWorld, choice: Choice) -> None:
    """The person changes their mind at MyPreferences: farther apart than clocks are."""
    world.pass_time(seconds=10)
    world.say(MINE, ADA, NEWS, choice)
    world.pass_time(seconds=10)


def test_an_opt_in_said_before_our_opt_out_lands_is_not_taken_back_at_its_source(live: SafetyLive) -> None:
    """The person says no and, half a minute later, yes at MyPreferences; our opt-out lands after both."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    met = live.before_call(THEIRS, SENDS, partial(_says_yes, live, ada))
    reports = live.runs(4)
    assert met
    assert live.mine(ada, NEWS) is IN
    assert live.theirs(ada, NEWS) is IN or not reports[-1].in_sync


def _says_yes(live: SafetyLive, address: str) -> None:
    live.clock.advance(30)
    live.say(MINE, address, NEWS, IN)
    live.clock.advance(30)


def test_an_unknown_opt_out_that_lands_late_is_not_newer_than_the_opt_in_before_it(late: LateWorld) -> None:
    """Our opt-out lands at Dotdigital only after the person's yes at MyPreferences."""
    late.say(MINE, ADA, NEWS, IN)
    late.runs(2)
    assert late.shows(ADA) == (IN, IN)
    late.say(MINE, ADA, NEWS, OUT)
    late.theirs.holding, late.theirs.answers = True, False
    late.run()
    late.pass_time(seconds=30)
    late.say(MINE, ADA, NEWS, IN)
    late.pass_time(seconds=30)
    late.theirs.land()
    reports = late.runs(4)
    assert late.shows(ADA)[0] is IN
    assert late.shows(ADA)[1] is IN or not reports[-1].in_sync


# erased people


@pytest.mark.parametrize("mine", [{}, {NEWS: OUT}], ids=["silent", "out"])
def test_a_batch_that_the_service_stamps_now_ends_no_erasure(
    live: SafetyLive, mine: dict[str, Choice]
) -> None:
    """After an erasure a batch re-creates the profile, and an import at Dotdigital the contact, dated now."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    forget(live, ada)
    live.add_mine(ada, mine, live.clock.now())
    live.run()
    live.clock.advance(3600)
    live.add_theirs(ada, {NEWS: IN}, live.clock.now())
    live.clock.advance(60)
    live.runs(3)
    live.run(full=True)
    assert live.mine(ada, NEWS) is not IN


def test_an_erased_person_is_not_made_mailable_by_a_batch(make: Make) -> None:
    """The address stays suppressed at Dotdigital after the erasure; a batch grants e-mail elsewhere."""
    live = make(resubscribe="silent")
    ada = live.add("ada", both={NEWS: IN}, status="Unsubscribed", consent="Revoked")
    live.started()
    forget(live, ada)
    then = live.clock.now()
    live.dotdigital.add_contact(ada, "Unsubscribed", when=then)
    live.add_mine(ada, {}, then.replace(year=2025))
    live.clock.advance(60)
    live.runs(2)
    live.run(full=True)
    assert live.status(ada) != "Subscribed"


# identity


@pytest.mark.parametrize(("one", "other"), [("faßbinder", "fassbinder"), ("weiß", "weiss")])
def test_an_opt_in_of_one_address_opts_in_no_other_that_only_looks_alike(
    live: SafetyLive, one: str, other: str
) -> None:
    """Two people whose addresses differ by a letter that case folding makes equal."""
    first = live.add(one, both={NEWS: OUT})
    second = live.add(other, both={NEWS: OUT})
    live.started()
    live.say(MINE, first, NEWS, IN)
    live.runs(3)
    assert live.theirs_exactly(first) is IN
    assert live.theirs_exactly(second) is OUT


def test_an_opt_out_reaches_the_person_who_said_it_and_nobody_else(live: SafetyLive) -> None:
    """One of two people with alike addresses opts out of everything, the other stays."""
    first = live.add("faßbinder", both={NEWS: IN})
    second = live.add("fassbinder", both={NEWS: IN})
    live.started()
    live.say(MINE, first, NEWS, OUT)
    live.runs(3)
    assert live.theirs_exactly(first) is OUT
    assert live.theirs_exactly(second) is IN


def test_forgetting_one_person_leaves_the_other_with_an_alike_address(live: SafetyLive) -> None:
    """Only the address that was named is erased."""
    live.add("straße", both={NEWS: IN})
    live.add("strasse", both={NEWS: IN})
    live.started()
    forget(live, "straße@example.com")
    assert live.mypreferences.find("strasse@example.com")
    found = live.dotdigital.find("strasse@example.com")
    assert found is not None
    assert not found.binned


# resubscribing


@pytest.mark.parametrize("when", ["before_the_run", "before_the_confirming_read"])
def test_a_repeated_unsubscribe_is_not_lifted_by_an_opt_in_from_before_it(make: Make, when: str) -> None:
    """The person grants e-mail at MyPreferences and then uses the unsubscribe link once more, and the service
    moves the date of the unsubscribe."""
    live = make(resubscribe="silent")
    live.dotdigital.switches.date_removed_on_repeat = "moves"
    ada = live.add("ada", consent="Revoked", status="Unsubscribed")
    live.started()
    live.say(MINE, ada, EMAIL, IN)
    live.clock.advance(30)
    again = partial(_unsubscribes_again, live, ada)
    if when == "before_the_run":
        again()
    else:
        live.before_call(THEIRS, READS_OF_ONE, again)
    reports = live.runs(4)
    assert live.status(ada) == "Unsubscribed" or not reports[-1].in_sync


def _unsubscribes_again(live: SafetyLive, address: str) -> None:
    with live.dotdigital.lock:
        there = live.dotdigital.contacts.by_id[live.contact(address)]
        consent.suppress(live.dotdigital, there, "Unsubscribed")
    live.clock.advance(2)
