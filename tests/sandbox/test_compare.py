"""The comparison of both services reports every difference and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bridge.sandbox.compare import Comparison, compare, mask
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.people import PersonRole
from bridge.sandbox.population import Population
from bridge.sandbox.vendor_reads import CannotRead, DotdigitalAccess, MyPreferencesAccess
from bridge.sandbox.world import CHANNEL, TOPICS, World

OLD = datetime(2025, 3, 1, tzinfo=UTC)
GIVEN = {"EmailMarketing": ("Granted", OLD)}


@pytest.fixture
def world() -> Iterator[World]:
    with World(20, 1) as world:
        yield world


def check(world: World) -> Comparison:
    settings = world.settings()
    return compare(MyPreferencesAccess.of(settings), DotdigitalAccess.of(settings), TOPICS, CHANNEL)


def ann(
    world: World,
    preferences: dict[str, tuple[object, ...]] | None = None,
    consents: dict[str, tuple[str, datetime]] | None = None,
    opt_ins: dict[int, bool] | None = None,
    status: str = "Subscribed",
) -> tuple[int, int]:
    """Ann at both sides: her choices at MyPreferences, and at Dotdigital."""
    profile = world.mypreferences.add_profile(
        [("Primary", "Ann.Lee@example.com")],
        preferences=preferences or {},
        consents=GIVEN if consents is None else consents,  # type: ignore[arg-type]
    )
    rows = {number: (opted_in, OLD) for number, opted_in in (opt_ins or {}).items()}
    return profile, world.dotdigital.add_contact("ann.lee@example.com", status, rows, when=OLD)


def test_it_finds_nothing_where_both_sides_say_the_same(world: World) -> None:
    ann(
        world,
        {"NEWS_EMAIL": (True, OLD), "OFFERS_EMAIL": (True, OLD, "DAILY")},
        GIVEN | {"Profiling": ("Revoked", OLD)},
        {1002: True, 1003: True, 1004: False, 1010: False},
    )
    assert check(world) == Comparison(people=1, one_sided=0)


Plant = Callable[[World], object]
PLANTED: dict[str, tuple[Plant, str]] = {
    "in at MyPreferences, out at Dotdigital": (
        lambda world: ann(world, {"NEWS_EMAIL": (True, OLD)}, opt_ins={1002: False}),
        "newsletter: opted in at MyPreferences, opted out at Dotdigital",
    ),
    "in at MyPreferences, never asked at Dotdigital": (
        lambda world: ann(world, {"NEWS_EMAIL": (True, OLD)}),
        "newsletter: opted in at MyPreferences, never asked at Dotdigital",
    ),
    "out at MyPreferences, in at Dotdigital": (
        lambda world: ann(world, {"OFFERS_EMAIL": (False, OLD)}, opt_ins={1004: True}),
        "offers: opted out at MyPreferences, opted in at Dotdigital",
    ),
    "nothing at MyPreferences, in at Dotdigital": (
        lambda world: ann(world, opt_ins={1010: True}),
        "profiling: nothing recorded at MyPreferences, opted in at Dotdigital",
    ),
    "nothing at MyPreferences, out at Dotdigital": (
        lambda world: ann(world, opt_ins={1002: False}),
        "newsletter: opted out at Dotdigital, nothing recorded at MyPreferences",
    ),
    "consent revoked, in at Dotdigital": (
        lambda world: ann(world, {}, GIVEN | {"Profiling": ("Revoked", OLD)}, {1010: True}),
        "profiling: opted out at MyPreferences, opted in at Dotdigital",
    ),
    "another frequency": (
        lambda world: ann(world, {"OFFERS_EMAIL": (True, OLD, "DAILY")}, opt_ins={1003: False, 1004: True}),
        "offers: DAILY at MyPreferences, WEEKLY at Dotdigital",
    ),
    "two frequencies": (
        lambda world: ann(world, {"OFFERS_EMAIL": (True, OLD, "DAILY")}, opt_ins={1003: True, 1004: True}),
        "offers: DAILY at MyPreferences, DAILY and WEEKLY at Dotdigital",
    ),
    "revoked and still mailable": (
        lambda world: ann(world, consents={"EmailMarketing": ("Revoked", OLD)}),
        "e-mail: withdrawn at MyPreferences, mailable at Dotdigital",
    ),
    "denied and still mailable": (
        lambda world: ann(world, consents={"EmailMarketing": ("Denied", OLD)}),
        "e-mail: withdrawn at MyPreferences, mailable at Dotdigital",
    ),
    "granted and unsubscribed": (
        lambda world: ann(world, status="Unsubscribed"),
        "e-mail: granted at MyPreferences, unsubscribed at Dotdigital",
    ),
    "granted and complained": (
        lambda world: ann(world, status="IspComplained"),
        "e-mail: granted at MyPreferences, ispcomplained at Dotdigital",
    ),
    "unsubscribed and nothing recorded": (
        lambda world: ann(world, consents={}, status="Unsubscribed"),
        "e-mail: nothing recorded at MyPreferences, unsubscribed at Dotdigital",
    ),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_it_finds_each_sort_of_difference(world: World, plant: str) -> None:
    act, words = PLANTED[plant]
    act(world)
    found = check(world)
    assert found.differences == (f"a…@example.com {words}",)
    assert not found.agree


@pytest.mark.parametrize("status", ["HardBounced", "SoftBounced", "PendingOptIn", "Suppressed"])
def test_not_mailable_for_a_reason_that_is_no_choice_is_no_difference(world: World, status: str) -> None:
    ann(world, {"NEWS_EMAIL": (True, OLD)}, opt_ins={1002: True}, status=status)
    assert check(world).agree


def test_a_no_and_never_asked_mail_alike(world: World) -> None:
    ann(world, {"NEWS_EMAIL": (False, OLD)})
    assert check(world).agree


def test_an_archived_choice_counts_as_nothing_recorded(world: World) -> None:
    profile, _ = ann(world, {"NEWS_EMAIL": (True, OLD)}, opt_ins={1002: True})
    world.mypreferences.archive(profile, "NEWS_EMAIL")
    assert check(world).differences == (
        "a…@example.com newsletter: nothing recorded at MyPreferences, opted in at Dotdigital",
    )


def test_a_later_grant_outlives_a_withdrawal(world: World) -> None:
    profile, _ = ann(world, consents={"EmailMarketing": ("Revoked", OLD)})
    world.mypreferences.set_consent(profile, "EmailMarketing", "Granted", OLD + timedelta(days=1))
    assert check(world).agree


def test_each_profile_that_shares_an_address_must_agree(world: World) -> None:
    ann(world, {"NEWS_EMAIL": (False, OLD)}, opt_ins={1002: False})
    world.mypreferences.add_profile(
        [("Primary", "ann.lee@example.com")], preferences={"NEWS_EMAIL": (True, OLD)}
    )
    assert [one.split(": ")[1] for one in check(world).differences] == [
        "opted in at MyPreferences, opted out at Dotdigital"
    ]


def test_people_known_at_one_side_only_are_counted_and_not_compared(world: World) -> None:
    world.mypreferences.add_profile([("Primary", "m@example.com")], preferences={"NEWS_EMAIL": (True, OLD)})
    world.dotdigital.add_contact("d@example.com", opt_ins={1002: (True, OLD)})
    world.dotdigital.add_contact(None, mobile="+447700900001")
    assert check(world) == Comparison(people=0, one_sided=2)


def test_suppressed_people_are_found_where_the_listing_leaves_them_out(world: World) -> None:
    """Nobody promises that the v3 listing shows them; the suppression feed does."""
    world.dotdigital.switches.lists_suppressed = False
    ann(world, status="Unsubscribed")
    assert [one.split(" ", 1)[1] for one in check(world).differences] == [
        "e-mail: granted at MyPreferences, unsubscribed at Dotdigital"
    ]


def test_a_population_starts_in_sync_except_for_undelivered_withdrawals() -> None:
    with World(150, 6) as world:
        population = Population(world, 6)
        population.create()
        found = check(world)
    late = (PersonRole.LATE_AT_MYPREFERENCES, PersonRole.LATE_AT_DOTDIGITAL)
    wanted = sorted(mask(one.address.lower()) for one in population.people if one.role in late)
    assert sorted(one.split(" ")[0] for one in found.differences) == wanted
    here = (PersonRole.ONLY_MYPREFERENCES, PersonRole.ONLY_DOTDIGITAL)
    assert found.one_sided == sum(one.role in here for one in population.people)
    assert found.people == 150 - found.one_sided - 1  # one has no address at all


def test_two_thousand_people_are_compared_in_a_few_calls() -> None:
    with World(2000, 1) as world:
        Population(world, 1).create()
        found = check(world)
        calls = world.mypreferences.calls.total() + world.dotdigital.calls.total()
    assert found.people > 1900
    assert 0 < len(found.differences) < 200
    assert calls <= 25


def test_a_service_that_refuses_is_an_error_and_no_agreement(world: World) -> None:
    ann(world)
    world.dotdigital.faults.add(InjectedFault("getContacts", "status", status=503))
    with pytest.raises(CannotRead, match="503"):
        check(world)
    world.mypreferences.faults.add(InjectedFault("retrieveExport", "html"))
    with pytest.raises(CannotRead, match="JSON"):
        check(world)
    world.dotdigital.faults.add(InjectedFault("getContacts", "reset"))
    with pytest.raises(CannotRead, match="does not answer"):
        check(world)
