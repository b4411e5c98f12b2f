"""Many people's writes to one side go in one job, and are held to all that single writes are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.core.brakes import BrakeLimits
from bridge.core.errors import OutcomeUnknown, ServerError, SideError, Throttled, Unreachable
from bridge.core.mapping import Conflict
from bridge.core.model import CHANNEL, Cell, Choice, Side
from bridge.core.store_values import AttemptState
from bridge.core.writes import Write
from bridge.store import Store
from tests.engine.world import IN, MINE, NEWS, OFFERS, OUT, THEIRS, World, trouble

MANY = [f"p{number}@example.com" for number in range(12)]
KNOWN = timedelta(days=30)


@pytest.fixture
def bulk_world(world: World) -> World:
    """People who agree; Dotdigital would rather have five writes or more in one job, read without dates."""
    theirs = world.sides[THEIRS]
    theirs.bulk_from, theirs.undated_reads, theirs.page_size = 5, True, 100
    world.sides[MINE].page_size = 100
    for address in MANY:
        world.both(address, NEWS, IN)
        world.both(address, OFFERS, OUT)
    return world.started()


def all_say(world: World, choice: Choice, topic: str = NEWS) -> None:
    for address in MANY:
        world.say(MINE, address, topic, choice, **({} if topic == NEWS else {"frequencies": ("DAILY",)}))


def asked(world: World, operation: str) -> list[str]:
    """Record the operations of Dotdigital from here on."""
    calls: list[str] = []
    theirs = world.sides[THEIRS]
    before = theirs._call

    def call(name: str) -> None:
        calls.append(name)
        before(name)

    theirs._call = call  # type: ignore[method-assign]
    return calls


def attempts(world: World, address: str) -> list[AttemptState]:
    who = world.store.people.find(address)
    assert who is not None
    return [attempt.state for attempt in world.store.attempts.of(who.person)]


def test_many_withdrawals_go_in_one_job_and_are_read_back_together(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    calls = asked(bulk_world, "send_bulk")
    report = bulk_world.run()
    assert [name for name in calls if name.startswith("send")] == ["send_bulk"]
    assert calls.count("read_people") == 1
    assert "read_person" not in calls[calls.index("send_bulk") :]
    assert report.written.withdrawals[THEIRS] == len(MANY)
    assert all(bulk_world.shows(address) == (OUT, OUT) for address in MANY)
    assert bulk_world.run().written.writes == 0


def test_a_few_writes_go_one_by_one(bulk_world: World) -> None:
    for address in MANY[:4]:
        bulk_world.say(MINE, address, NEWS, OUT)
    calls = asked(bulk_world, "send_one")
    bulk_world.run()
    assert "send_bulk" not in calls
    assert calls.count("send_one") == 4


def test_a_job_is_chosen_without_an_estimate_for_each_person(
    bulk_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, estimates = bulk_world.sides[THEIRS], 0
    estimate = theirs.estimate_calls

    def counted(people: Sequence[Sequence[Write]]) -> int:
        nonlocal estimates
        estimates += 1
        return estimate(people)

    monkeypatch.setattr(theirs, "estimate_calls", counted)
    all_say(bulk_world, OUT)
    bulk_world.run()
    assert all(bulk_world.shows(address) == (OUT, OUT) for address in MANY)
    assert estimates < len(MANY)


def test_withdrawals_are_sent_in_a_job_before_raises(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    all_say(bulk_world, IN, OFFERS)
    bulk_world.limits = BrakeLimits(raises_max=100, burst_max=100)
    bulk_world.sides[THEIRS].log.clear()
    calls = asked(bulk_world, "send_bulk")
    bulk_world.run()
    kinds = [kind for _, kind in bulk_world.sides[THEIRS].log]
    assert kinds == ["Withdrawal"] * len(MANY) + ["Raise"] * len(MANY)
    assert calls.count("send_bulk") == 1


def test_many_opt_ins_go_one_by_one_each_on_a_fresh_read_of_the_person(bulk_world: World) -> None:
    """A job is applied minutes after a read, and a read of many has no dates."""
    all_say(bulk_world, IN, OFFERS)
    bulk_world.limits = BrakeLimits(raises_max=100, burst_max=100)
    calls = asked(bulk_world, "read_person")
    report = bulk_world.run()
    assert "send_bulk" not in calls
    sent = [number for number, name in enumerate(calls) if name == "send_one"]
    assert len(sent) == len(MANY)
    assert all(calls[number - 1] == "read_person" for number in sent)
    assert report.written.raises[THEIRS] == len(MANY)
    assert all(bulk_world.shows(address, OFFERS) == (IN, IN) for address in MANY)


def test_a_person_who_opted_out_after_the_feeds_were_read_is_not_raised_with_many(bulk_world: World) -> None:
    all_say(bulk_world, IN, OFFERS)
    bulk_world.limits = BrakeLimits(raises_max=100, burst_max=100)
    theirs = bulk_world.sides[THEIRS]
    before = theirs.read_people

    def late(people: object) -> object:
        if theirs.shows(MANY[0], OFFERS) is OUT:
            theirs.say(MANY[0], OFFERS, OUT, bulk_world.now)
        yield from before(people)  # type: ignore[arg-type]

    theirs.read_people = late  # type: ignore[method-assign, assignment]
    bulk_world.run()
    assert theirs.shows(MANY[0], OFFERS) is OUT
    assert all(theirs.shows(address, OFFERS) is IN for address in MANY[1:])


def test_opt_ins_wait_where_the_fresh_read_fails(bulk_world: World) -> None:
    all_say(bulk_world, IN, OFFERS)
    bulk_world.limits = BrakeLimits(raises_max=100, burst_max=100)
    bulk_world.sides[THEIRS].fail["read_person"] = [trouble(Throttled)] * 99
    report = bulk_world.run()
    bulk_world.sides[THEIRS].fail.clear()
    assert report.written.raises[THEIRS] == 0
    assert bulk_world.run().written.raises[THEIRS] == len(MANY)


def test_a_brake_holds_opt_ins_in_bulk_too(bulk_world: World) -> None:
    bulk_world.limits = BrakeLimits(raises_max=3, raises_share=0.01, burst_max=100)
    all_say(bulk_world, IN, OFFERS)
    calls = asked(bulk_world, "send_bulk")
    report = bulk_world.run()
    assert report.brakes
    assert "send_bulk" not in calls


def test_our_own_write_in_a_later_dated_feed_is_not_news(bulk_world: World) -> None:
    """The job is read back without dates; the feeds then date it. That date is our own write's, and must not
    outweigh a withdrawal that arrives late."""
    bulk_world.remap(OFFERS, conflict=Conflict.LATEST)
    bulk_world.run()
    all_say(bulk_world, IN, OFFERS)
    bulk_world.limits = BrakeLimits(raises_max=100, burst_max=100)
    said_out = bulk_world.now
    bulk_world.run()
    for address in MANY:  # said before the bridge wrote, delivered after
        bulk_world.say(MINE, address, OFFERS, OUT, at=said_out + timedelta(seconds=30))
        theirs = bulk_world.sides[THEIRS].person(address)
        said = theirs.said[OFFERS]  # type: ignore[index]
        theirs.said[OFFERS] = replace(said, at=said_out + timedelta(seconds=60))  # type: ignore[index]
    bulk_world.run()
    assert all(bulk_world.shows(address, OFFERS) == (OUT, OUT) for address in MANY)


@pytest.mark.parametrize("fate", ["lost_before", "lost_after"])
def test_a_job_without_an_answer_is_read_back_before_anything_is_sent_again(
    bulk_world: World, fate: str
) -> None:
    all_say(bulk_world, OUT)
    bulk_world.sides[THEIRS].write_fate.append((fate, trouble(OutcomeUnknown)))
    bulk_world.run()
    bulk_world.run()
    assert all(bulk_world.shows(address) == (OUT, OUT) for address in MANY)
    sent = len(bulk_world.sides[THEIRS].log)
    assert sent == len(MANY)
    assert bulk_world.store.cells.counts().unproven == 0


def test_nothing_is_sent_to_a_person_in_a_job_that_has_not_ended(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    theirs = bulk_world.sides[THEIRS]
    theirs.write_fate.append(("lost_before", trouble(OutcomeUnknown)))
    bulk_world.run()
    theirs.busy = True
    all_say(bulk_world, IN, OFFERS)
    theirs.log.clear()
    report = bulk_world.run()
    assert not theirs.log
    assert any("bulk job" in warning for warning in report.warnings)
    assert attempts(bulk_world, MANY[0]) == [AttemptState.IN_DOUBT]
    theirs.busy = False
    bulk_world.run()
    assert all(bulk_world.shows(address) == (OUT, OUT) for address in MANY)


def test_many_writes_in_doubt_are_read_back_together(world: World) -> None:
    theirs = world.sides[THEIRS]
    theirs.bulk_from, theirs.page_size = 5, 1000
    people = [f"q{number}@example.com" for number in range(60)]
    for address in people:
        world.both(address, NEWS, IN)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, OUT)
    theirs.write_fate.append(("lost_after", trouble(OutcomeUnknown)))
    theirs.fail["read_people"] = [trouble(Throttled)]
    world.run()
    assert world.store.cells.counts().unproven == len(people)
    calls = asked(world, "read_people")
    world.run()
    assert calls[:2] == ["has_running_jobs", "read_people"]
    assert world.store.cells.counts().unproven == 0


@pytest.mark.parametrize("kind", [Unreachable, ServerError])
def test_a_side_that_answers_nobody_is_asked_about_one_page_of_writes_in_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type[SideError]
) -> None:
    """Each call to such a side may take minutes, and withdrawals to the other side wait meanwhile."""
    theirs = world.sides[THEIRS]
    theirs.bulk_from, theirs.page_size = 5, 1000
    people = [f"q{number}@example.com" for number in range(60)]
    for address in people:
        world.both(address, NEWS, IN)
    world.started()
    for address in people:
        world.say(MINE, address, NEWS, OUT)
    theirs.write_fate.append(("lost_after", trouble(OutcomeUnknown)))
    theirs.fail["read_people"] = [trouble(Throttled)]
    world.run()
    assert world.store.cells.counts().unproven == len(people)
    services = world.services()
    small_pages = replace(services, tuning=replace(services.tuning, page=20))
    monkeypatch.setattr(world, "services", lambda: small_pages)
    theirs.fail["read_people"] = [trouble(kind) for _ in people]
    calls = asked(world, "read_people")
    world.run()
    assert calls.count("read_people") == 1
    theirs.fail.clear()
    assert world.run().in_sync
    assert all(world.shows(address) == (OUT, OUT) for address in people)


def test_a_job_that_could_not_be_sent_fails_everybody_and_is_tried_again(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    bulk_world.sides[THEIRS].fail["send_bulk"] = [trouble(Unreachable)]
    report = bulk_world.run()
    assert report.written.writes == 0
    assert report.written.failed == len(MANY)
    bulk_world.run()
    assert all(bulk_world.shows(address) == (OUT, OUT) for address in MANY)


def test_one_refusal_in_a_job_holds_that_person_alone(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    theirs = bulk_world.sides[THEIRS]
    del theirs.people[MANY[3]]
    theirs.people[MANY[3] + ".moved"] = theirs.person("else@example.com")
    bulk_world.run()
    held = [hold.reason for hold in bulk_world.store.holds.page()]
    assert held == ["refused"]
    others = [address for address in MANY if address != MANY[3]]
    assert all(bulk_world.shows(address) == (OUT, OUT) for address in others)


def test_a_job_s_attempts_are_noted_before_it_is_sent(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    theirs = bulk_world.sides[THEIRS]
    seen: list[int] = []
    before = theirs.send

    def batch(requests: object, heartbeat: object) -> object:
        seen.append(bulk_world.store.cells.counts().unproven)
        return before(requests, heartbeat)  # type: ignore[arg-type]

    theirs.send = batch  # type: ignore[method-assign, assignment]
    bulk_world.run()
    assert seen == [len(MANY)]


def test_everybody_of_a_job_is_agreed_with_the_reason_in_the_ledger(bulk_world: World) -> None:
    all_say(bulk_world, OUT)
    bulk_world.run()
    store: Store = bulk_world.store
    for address in MANY:
        cell: Cell = bulk_world.cell(address)
        assert cell.agreed is not None
        assert cell.agreed.choice is OUT
        kinds = [entry["kind"] for entry in store.ledger.history(cell.person)]
        assert kinds[-3:] == ["decided", "outcome", "agreed"]
    store.ledger.verify()


def test_the_channel_is_withdrawn_in_bulk(bulk_world: World) -> None:
    for address in MANY:
        bulk_world.both(address, CHANNEL, IN)
    bulk_world.run()
    all_say(bulk_world, OUT, CHANNEL)
    bulk_world.run()
    assert all(bulk_world.shows(address, CHANNEL) == (OUT, OUT) for address in MANY)
    assert bulk_world.sides[Side.DOTDIGITAL].log[-1] == (CHANNEL, "Withdrawal")
