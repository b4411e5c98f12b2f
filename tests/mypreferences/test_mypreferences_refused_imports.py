"""What an import refuses, in part or as a whole, is sent alone: each record has its own answer."""

from __future__ import annotations

import pytest

from bridge.core.errors import MappingStale
from bridge.core.ports import WriteResponse
from bridge.mypreferences.bulk import withdrawals
from tests.mypreferences.mp_world import NEWS, OFFERS, PROFILING, World
from tests.mypreferences.test_mypreferences_bulk_withdrawals import (
    GONE,
    choice,
    few_are_many,
    people_at,
    requests,
    send,
)

__all__ = ["few_are_many"]


def test_what_validation_refuses_is_sent_by_itself_and_says_why(world: World) -> None:
    """A filter that is gone must not keep the other opt-outs from arriving."""
    people = people_at(world)
    sent = requests(people[:4], NEWS) + requests(people[4:], NEWS, GONE)
    results = send(world, sent, NEWS, OFFERS, PROFILING, GONE)
    assert results[:4] == [WriteResponse.ACCEPTED] * 4
    assert [type(item) for item in results[4:]] == [MappingStale] * 2
    assert [choice(world, who) for who in people] == [2] * 6


def test_one_record_that_has_a_whole_call_refused_is_the_only_one_refused(world: World) -> None:
    world.state.switches.import_bad_records = "refuse_all"
    people = people_at(world)
    sent = requests(people[:5], NEWS) + requests(people[5:], NEWS, GONE)
    results = send(world, sent, NEWS, OFFERS, PROFILING, GONE)
    assert results[:5] == [WriteResponse.ACCEPTED] * 5
    assert [type(item) for item in results[5:]] == [MappingStale]
    assert [choice(world, who) for who in people] == [2] * 6


def test_many_refusals_in_a_row_are_not_checked_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "_REFUSALS_MAX", 2)
    people = people_at(world)
    results = send(world, requests(people, GONE), GONE)
    assert [type(item) for item in results] == [MappingStale] * 6
    assert world.calls("updateProfilePost") == 2
