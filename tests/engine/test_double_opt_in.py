"""The effect of each answer to a resubscribe, and what is kept of it when a run ends in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.errors import OutcomeUnknown
from bridge.core.model import CHANNEL, Block, ChallengeState
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.core.writes import Resubscribe
from tests.engine.world import ADA, IN, MAPPING, MINE, OUT, THEIRS, UNSET, World, trouble


def world_of(tmp_path: Path, how: Resubscribe) -> World:
    world = World(tmp_path, replace(MAPPING, channel=replace(MAPPING.channel, resubscribe=how)))
    world.both(ADA, CHANNEL, OUT)
    world.started()
    world.say(MINE, ADA, CHANNEL, IN)
    return world


@pytest.fixture(params=[Resubscribe.CHALLENGE, Resubscribe.SILENT])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = world_of(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def by_mail(tmp_path: Path) -> Iterator[World]:
    made = world_of(tmp_path, Resubscribe.CHALLENGE)
    yield made
    made.close()


def answers(world: World, outcome: WriteResponse) -> list[object]:
    """Dotdigital takes the call, answers so, and changes nothing. Returns the calls."""
    calls: list[object] = []

    def send_one(request: WriteRequest) -> WriteResponse:
        calls.append(request)
        return outcome

    world.sides[THEIRS]._send_one = send_one  # type: ignore[method-assign]
    return calls


def state(world: World) -> ChallengeState | None:
    who = world.store.people.find(ADA)
    assert who is not None
    cell = next(cell for cell in world.store.cells.of(who.person) if cell.topic == CHANNEL)
    return None if cell.challenge is None else cell.challenge.state


def reasons(world: World) -> list[str]:
    return [hold.reason for hold in world.store.holds.page()]


def test_who_was_challenged_by_either_form_waits_and_is_asked_once(world: World) -> None:
    """Dotdigital `Resubscribe contact with no challenge` may answer ContactChallenged all the same."""
    calls = answers(world, WriteResponse.CHALLENGED)
    for _ in range(4):
        world.run()
        world.pass_time(hours=20)
    assert len(calls) == 1
    assert state(world) is ChallengeState.PENDING
    assert reasons(world) == []


def test_an_answer_that_says_nothing_counts_as_sent_where_it_may_have_been(by_mail: World) -> None:
    calls = answers(by_mail, WriteResponse.UNCLEAR)
    for _ in range(3):
        by_mail.run()
    assert len(calls) == 1
    assert state(by_mail) is ChallengeState.PENDING


def test_an_answer_that_says_nothing_to_the_silent_form_is_held_for_the_operator(tmp_path: Path) -> None:
    world = world_of(tmp_path, Resubscribe.SILENT)
    calls = answers(world, WriteResponse.UNCLEAR)
    for _ in range(3):
        world.run()
    assert len(calls) == 1
    assert state(world) is None
    assert reasons(world) == ["refused"]
    world.close()


def test_a_call_of_unknown_outcome_counts_as_sent(by_mail: World) -> None:
    theirs = by_mail.sides[THEIRS]
    theirs.write_fate = [("lost_before", trouble(OutcomeUnknown))]
    for _ in range(4):
        by_mail.run()
        by_mail.pass_time(minutes=30)
    assert theirs.log.count((CHANNEL, "Raise")) == 0
    assert state(by_mail) is ChallengeState.PENDING
    by_mail.pass_time(days=15)
    by_mail.run()
    assert reasons(by_mail) == ["challenge_expired"]


def test_a_silent_call_of_unknown_outcome_counts_as_a_question_where_one_shows(tmp_path: Path) -> None:
    world = world_of(tmp_path, Resubscribe.SILENT)
    theirs = world.sides[THEIRS]
    theirs.write_fate = [("lost_before", trouble(OutcomeUnknown))]
    view = theirs._view

    def pending(person: object, read_at: object) -> object:
        shown = view(person, read_at)  # type: ignore[arg-type]
        seen = replace(shown.topics[CHANNEL], choice=UNSET, changed_at=None, block=Block.PENDING)
        return replace(shown, topics={**shown.topics, CHANNEL: seen})

    send_one = theirs._send_one

    def then_pending(request: WriteRequest) -> WriteResponse:
        theirs._view = pending  # type: ignore[method-assign,assignment]
        return send_one(request)

    theirs._send_one = then_pending  # type: ignore[method-assign]
    for _ in range(3):
        world.run()
    assert state(world) is ChallengeState.PENDING
    world.close()


def test_a_plan_shows_nobody_who_was_asked(by_mail: World) -> None:
    answers(by_mail, WriteResponse.CHALLENGED)
    by_mail.run()
    assert by_mail.plan().writes == []
