"""A person whose profile is linked by an alternate id and holds another address."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import NotFound, Refused, Unreachable
from bridge.core.model import Choice, Observation, Side, Who
from bridge.core.ports import WriteResponse, read_person
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import NEWS, World, ago, raising, who, withdrawal
from tests.port_calls import send_one

IN, OUT, UNSET = Choice
HOME, OLD = "ann@home.example", "ann@old.example"
BY_PIN = "retrieveProfileByAlternateId"
ANN = who(ids={Side.DOTDIGITAL: ("77",)})
PINNED = {"alternate_ids": {"CrmId": "77"}}


def look(world: World, person: Who = ANN) -> Observation:
    return read_person(world.replica(alternate_id_type="CrmId"), person).topics[NEWS.id]


def said(world: World, address: str) -> Choice:
    return read_person(world.replica(), who(address)).topics[NEWS.id].choice


def test_an_opt_in_of_another_address_does_not_count_for_this_one(world: World) -> None:
    world.add(HOME, preferences={"NEWS_EMAIL": (True, ago(days=1))}, **PINNED)
    seen = look(world)
    assert (seen.choice, seen.stated, seen.other_address, seen.present) == (UNSET, False, True, True)
    assert seen.changed_at == ago(days=1)


def test_an_opt_out_without_an_opt_in_beside_it_counts_whatever_its_address(world: World) -> None:
    world.add(HOME, preferences={"NEWS_EMAIL": (False, ago(days=1))}, **PINNED)
    seen = look(world)
    assert (seen.choice, seen.changed_at, seen.other_address) == (OUT, ago(days=1), True)


def test_a_profile_with_another_address_is_not_among_the_records_of_this_one(world: World) -> None:
    """It would be taken for having come here from its own address."""
    world.add(HOME, **PINNED)
    assert read_person(world.replica(alternate_id_type="CrmId"), ANN).ids == ()


def test_a_withdrawal_reaches_the_pinned_profile_under_all_its_addresses(world: World) -> None:
    pinned = world.state.add_profile([("Primary", HOME), ("Work", OLD)], **PINNED)
    outcome = send_one(world.replica(alternate_id_type="CrmId"), ANN, [withdrawal()])
    assert outcome is WriteResponse.ACCEPTED
    assert (said(world, HOME), said(world, OLD)) == (OUT, OUT)
    assert [one["EmailAddress"] for one in world.state.profile(pinned)["Emails"]] == [HOME, OLD]


def test_a_withdrawal_reaches_the_pinned_profile_and_all_that_share_the_address(world: World) -> None:
    world.add(), world.add()
    world.add(HOME, **PINNED)
    replica = world.replica(alternate_id_type="CrmId")
    send_one(replica, ANN, [withdrawal()])
    seen = look(world)
    assert (seen.choice, seen.consistent, seen.records) == (OUT, True, 3)
    assert said(world, HOME) is OUT


def test_an_opted_out_address_is_not_done_before_the_linked_profile_is_written(world: World) -> None:
    (
        world.add(preferences={"NEWS_EMAIL": (False, ago(days=1))}),
        world.add(preferences={"NEWS_EMAIL": (False, ago(days=1))}),
    )
    world.add(HOME, preferences={"NEWS_EMAIL": (True, ago(days=2))}, **PINNED)
    assert not look(world).consistent


def test_a_later_yes_about_another_address_is_not_taken_back(world: World) -> None:
    (
        world.add(preferences={"NEWS_EMAIL": (False, ago(days=2))}),
        world.add(preferences={"NEWS_EMAIL": (False, ago(days=2))}),
    )
    world.add(HOME, preferences={"NEWS_EMAIL": (True, ago(days=1))}, **PINNED)
    assert look(world).consistent


def test_an_opt_out_of_the_linked_profile_outweighs_opt_ins_of_the_same_address(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (True, ago(days=2))}), world.add()
    world.add(HOME, preferences={"NEWS_EMAIL": (False, ago(days=3))}, **PINNED)
    seen = look(world)
    assert (seen.choice, seen.consistent, seen.records) == (OUT, False, 3)


@pytest.mark.parametrize("sharing", [0, 1, 2])
def test_no_opt_in_goes_to_a_profile_without_the_address(world: World, sharing: int) -> None:
    for number in range(sharing):
        world.add(alternate_ids={"CrmId": f"78{number}"})
    world.add(HOME, **PINNED)
    with pytest.raises(Refused, match="another address"):
        send_one(world.replica(alternate_id_type="CrmId"), ANN, [raising()])
    assert world.calls("updateProfilePost") == 0


@pytest.mark.parametrize("kind", ["nobody", "inactive", "other_type"])
def test_without_a_profile_of_that_alternate_id_the_address_decides(world: World, kind: str) -> None:
    """MyPreferences `Retrieve profile by alternate id`: 404 where nobody active has it."""
    if kind == "inactive":
        world.state.deactivate(int(world.add(HOME, **PINNED)))
    type_name = "OtherId" if kind == "other_type" else "CrmId"
    replica = world.replica(alternate_id_type=type_name)
    assert not read_person(replica, ANN).topics[NEWS.id].present
    with pytest.raises(NotFound):
        send_one(replica, ANN, [withdrawal()])


def test_a_refused_lookup_keeps_no_withdrawal_from_those_that_have_the_address(world: World) -> None:
    world.add(), world.add()
    world.state.faults.add(InjectedFault(BY_PIN, "status", status=400))
    send_one(world.replica(alternate_id_type="CrmId"), ANN, [withdrawal()])
    assert said(world, ANN.address) is OUT


def test_a_lookup_without_an_answer_sends_nothing_yet(world: World) -> None:
    world.add(), world.add()
    world.state.faults.add(InjectedFault(BY_PIN, "reset", times=9))
    with pytest.raises(Unreachable):
        send_one(world.replica(alternate_id_type="CrmId"), ANN, [withdrawal()])
    assert world.calls("updateProfilePost") == 0


def test_no_lookup_by_alternate_id_is_spent_where_there_is_none_to_ask_for(world: World) -> None:
    world.add()
    read_person(world.replica(), who("nobody@example.com", {Side.DOTDIGITAL: ("77",)}))
    look(world, who("nobody@example.com"))
    assert world.calls(BY_PIN) == 0
    look(world, who("nobody@example.com", {Side.DOTDIGITAL: ("77",)}))
    assert world.calls(BY_PIN) == 1


def test_the_alternate_id_comes_before_a_profile_that_only_shares_the_address(world: World) -> None:
    """The linked profile is written too, and no opt-in goes to a profile that only shares the address."""
    sharing, pinned = world.add(), world.add(HOME, **PINNED)
    replica = world.replica(alternate_id_type="CrmId")
    person = who(ids={Side.DOTDIGITAL: ("77",), Side.MYPREFERENCES: (sharing,)})
    with pytest.raises(Refused):
        send_one(replica, person, [raising()])
    send_one(replica, person, [withdrawal()])
    assert [said(world, address) for address in (ANN.address, HOME)] == [OUT, OUT]
    assert pinned != sharing


def test_a_profile_with_the_address_is_the_pinned_one_as_before(world: World) -> None:
    world.add()
    world.add(preferences={"NEWS_EMAIL": (True, ago(hours=1))}, **PINNED)
    seen = look(world)
    assert (seen.records, seen.other_address) == (1, False)
    assert world.calls(BY_PIN) == 0


def test_a_withdrawal_already_recorded_at_the_linked_profile_sends_nothing(world: World) -> None:
    world.add(HOME, preferences={"NEWS_EMAIL": (False, ago(days=1))}, **PINNED)
    later = withdrawal(at=ago(days=1) + timedelta(hours=1))
    assert send_one(world.replica(alternate_id_type="CrmId"), ANN, [later]) is WriteResponse.ALREADY_SO
    assert world.calls("updateProfilePost") == 0
