"""The generated people of the sandbox, and their actions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.sandbox.actions import ACTION_TYPES, Action
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.people import PersonRole, RecordedPeople, SandboxPerson
from bridge.sandbox.population import MIN_PEOPLE, Population
from bridge.sandbox.vendor_reads import IN, OUT
from bridge.sandbox.world import World

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
NAMES = {kind.name for kind in ACTION_TYPES}


def settled(people: int = 60, seed: int = 1) -> tuple[World, Population]:
    world = World(people, seed, clock=SandboxClock(START, frozen=True))
    population = Population(world, seed)
    population.create()
    return world, population


def truth(world: World) -> tuple[Any, Any]:
    return world.mypreferences.people(), world.dotdigital.people()


def with_role(population: Population, role: PersonRole) -> list[SandboxPerson]:
    return [one for one in population.people if one.role is role]


def the_act(people: int, kind: str) -> tuple[World, Population, Action, RecordedPeople]:
    """The first act of a kind, and what everybody had said before it."""
    world, population = settled(people)
    before = RecordedPeople(world)
    act = next(one for one in population.act() if one.kind == kind)
    return world, population, act, before


def changed(
    population: Population, before: RecordedPeople, after: RecordedPeople, topic: str, side: str
) -> list[SandboxPerson]:
    found = []
    for one in population.people:
        was, now = before.of(one), after.of(one)
        if was is not None and now is not None:
            old, new = (getattr(item, side).get(topic) for item in (was, now))
            found += [one] if old != new else []
    return found


def test_the_same_seed_gives_the_same_truth_and_the_same_acts() -> None:
    first, second = settled(seed=4), settled(seed=4)
    assert truth(first[0]) == truth(second[0])
    assert first[1].act() == second[1].act()
    assert first[1].act(7) == second[1].act(7)
    assert truth(first[0]) == truth(second[0])


def test_another_seed_gives_other_people() -> None:
    assert truth(settled(seed=4)[0]) != truth(settled(seed=5)[0])


def test_the_smallest_population_has_every_role() -> None:
    _, population = settled(MIN_PEOPLE)
    assert {one.role for one in population.people} == set(PersonRole)
    assert len(population.people) == MIN_PEOPLE


def test_a_population_too_small_for_every_action_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        Population(World(19, 1), 1)


def test_a_population_is_created_once() -> None:
    _, population = settled()
    with pytest.raises(RuntimeError, match="already"):
        population.create()


def test_plain_people_say_the_same_at_both_sides() -> None:
    world, population = settled(300)
    standings = RecordedPeople(world)
    for one in with_role(population, PersonRole.PLAIN):
        said = standings.of(one)
        assert said is not None
        for topic, theirs in said.dotdigital.items():
            mine = said.mypreferences[topic]
            assert (mine.choice, mine.frequencies) == (theirs.choice, theirs.frequencies)
        assert (said.mypreferences["email"].choice == OUT) == (said.status == "Unsubscribed")


def test_choices_are_of_the_last_two_years_and_reach_the_other_side_within_three_days() -> None:
    world, population = settled(200)
    standings = RecordedPeople(world)
    for one in with_role(population, PersonRole.PLAIN):
        said = standings.of(one)
        assert said is not None
        for topic, theirs in said.dotdigital.items():
            mine = said.mypreferences[topic]
            if theirs.at is not None and mine.at is not None:
                assert START - timedelta(days=732) < min(mine.at, theirs.at)
                assert max(mine.at, theirs.at) < START - timedelta(days=5)
                assert abs(mine.at - theirs.at) <= timedelta(days=3)


def test_the_only_differences_are_withdrawals_not_yet_at_the_other_side() -> None:
    world, population = settled(400)
    standings = RecordedPeople(world)
    for one in with_role(population, PersonRole.LATE_AT_MYPREFERENCES):
        said = standings.of(one)
        assert said is not None
        differ = [
            topic
            for topic, word in said.dotdigital.items()
            if word.choice != said.mypreferences[topic].choice
        ]
        channel = said.mypreferences["email"].choice == OUT and said.status == "Subscribed"
        assert len(differ) + channel == 1
        assert all(said.mypreferences[topic].choice == OUT and topic != "profiling" for topic in differ)
    for one in with_role(population, PersonRole.LATE_AT_DOTDIGITAL):
        said = standings.of(one)
        assert said is not None
        assert (said.status, said.mypreferences["email"].choice) == ("Unsubscribed", IN)


def test_addresses_are_unique_reserved_and_some_are_unusual() -> None:
    _, population = settled(400)
    addresses = [one.address for one in population.people]
    assert len({address.lower() for address in addresses}) == len(addresses)
    assert all(address.lower().rsplit(".", 1)[0].endswith("@example") for address in addresses)
    assert any("+" in address for address in addresses)
    assert any(one.address != one.dotdigital_address for one in population.people)
    assert all(one.address.lower() == one.dotdigital_address.lower() for one in population.people)


def test_one_address_is_shared_by_two_profiles_and_one_person_has_none() -> None:
    world, population = settled(MIN_PEOPLE)
    (shared,) = with_role(population, PersonRole.SHARED)
    assert world.mypreferences.find(shared.address) == list(shared.profiles)
    assert len(shared.profiles) == 2
    (mobile,) = with_role(population, PersonRole.MOBILE_ONLY)
    assert mobile.contact is not None
    assert world.dotdigital.contact(mobile.contact).email is None


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_of_action_occurs_in_the_smallest_population(seed: int) -> None:
    _, population = settled(MIN_PEOPLE, seed)
    assert {act.kind for act in population.act()} == NAMES


def test_about_a_tenth_of_the_people_act() -> None:
    _, population = settled(600)
    acts = population.act()
    assert len(acts) == 60
    assert {act.kind for act in acts} == NAMES


def test_as_many_act_as_were_asked_for() -> None:
    _, population = settled(200)
    assert len(population.act(9)) == 9


def test_acts_are_dated_after_whatever_came_before_them() -> None:
    world, population = settled(100)
    before, moment = RecordedPeople(world), world.clock.now()
    population.act()
    after = RecordedPeople(world)
    replayed = 0
    for topic in ("newsletter", "offers", "profiling"):
        for side in ("mypreferences", "dotdigital"):
            for one in changed(population, before, after, topic, side):
                said = after.of(one)
                assert said is not None
                at = getattr(said, side)[topic].at
                replayed += at <= moment
                assert at <= world.clock.now()
    assert replayed == 1


def test_acts_never_show_an_address() -> None:
    _, population = settled(100)
    shown = repr(population.act())
    assert not any(one.address in shown or one.dotdigital_address in shown for one in population.people)


def test_a_replayed_opt_in_is_older_than_the_withdrawal_at_dotdigital_and_yet_stored() -> None:
    """MyPreferences keeps the newer CustomerDate: an opt-in older than its record would be passed over."""
    world, population, act, before = the_act(60, "replayed_opt_in")
    (one,) = [
        one
        for one in changed(population, before, RecordedPeople(world), act.topic, "mypreferences")
        if (said := RecordedPeople(world).of(one)) is not None
        and said.mypreferences[act.topic].choice == IN
        and said.dotdigital[act.topic].choice == OUT
        and (was := before.of(one)) is not None
        and was.mypreferences[act.topic].choice == OUT
    ]
    said = RecordedPeople(world).of(one)
    assert said is not None
    mine, theirs = said.mypreferences[act.topic].at, said.dotdigital[act.topic].at
    assert mine is not None
    assert theirs is not None
    assert mine < theirs


def test_changes_at_the_same_moment_are_a_second_apart_and_opposite() -> None:
    world, population, act, before = the_act(60, "opposite_at_once")
    after = RecordedPeople(world)
    gaps = set()
    for one in changed(population, before, after, act.topic, "dotdigital"):
        said = after.of(one)
        if (
            said is not None
            and said.mypreferences[act.topic].choice == IN
            and said.dotdigital[act.topic].choice == OUT
        ):
            gaps.add(said.mypreferences[act.topic].at - said.dotdigital[act.topic].at)  # type: ignore[operator]
    assert timedelta(seconds=1) in gaps


def test_a_bounce_writes_nothing_at_mypreferences() -> None:
    world, population = settled(MIN_PEOPLE)
    bounced = {one.number for one in with_role(population, PersonRole.BOUNCED)}
    population.act()
    people = {row["profile_id"]: row for row in world.mypreferences.people()}
    for one in population.people:
        if one.contact and world.dotdigital.contact(one.contact).status == "HardBounced":
            bounced.discard(one.number)
            given = {item["type"]: item["status"] for item in people[one.profiles[0]]["consents"]}
            assert given["EmailMarketing"] == "Granted"
    assert not bounced


def test_nobody_unsubscribed_gives_the_consent_to_email_again() -> None:
    """The example mapping leaves resubscribing to a person: such an act would end in a hold."""
    world, population = settled(120)
    for _ in range(15):
        before = RecordedPeople(world)
        population.act(20, pause=0)
        for one in changed(population, before, RecordedPeople(world), "email", "mypreferences"):
            said = RecordedPeople(world).of(one)
            assert said is not None
            assert said.mypreferences["email"].choice == OUT


def test_who_leaves_altogether_does_nothing_else_at_once() -> None:
    world, population = settled(MIN_PEOPLE)
    before = RecordedPeople(world)
    population.act()
    after = RecordedPeople(world)
    for one in population.people:
        was, now = before.of(one), after.of(one)
        if (
            was
            and now
            and (was.status, was.mypreferences["email"]) != (now.status, now.mypreferences["email"])
        ):
            assert was.dotdigital == now.dotdigital
            assert {key: word for key, word in was.mypreferences.items() if key != "email"} == {
                key: word for key, word in now.mypreferences.items() if key != "email"
            }


def test_kinds_occur_by_their_weight() -> None:
    _, population = settled(2000)
    counted = Counter(act.kind for act in population.act())
    assert counted["opt_out_at_mypreferences"] > counted["spam_complaint"]
