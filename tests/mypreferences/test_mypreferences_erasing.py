"""Erasing a person at MyPreferences: withdrawn first, then deleted, each proven by a read."""

from __future__ import annotations

import pytest

from bridge.core.errors import Forbidden, InvalidResponse, OutcomeUnknown, Refused, SideError
from bridge.core.model import Side
from bridge.mypreferences.eraser import MyPreferencesEraser
from bridge.mypreferences.profile_lookup import ProfileFinder
from bridge.sandbox.mypreferences import MyPreferencesState
from tests.mypreferences.mp_world import ADDRESS, World, a_mapping, ago, who

OTHER = "other@example.com"


@pytest.fixture
def eraser(world: World) -> MyPreferencesEraser:
    binder = ProfileFinder(world.client, None)
    return MyPreferencesEraser(
        world.client, binder, world.replica(), a_mapping(), world.state.clock.now, world.pauses.append
    )


def add(state: MyPreferencesState, *addresses: str) -> int:
    kinds = ("Primary", "Work")
    return state.add_profile(
        list(zip(kinds, addresses, strict=False)), preferences={"NEWS_EMAIL": (True, ago(days=3))}
    )


def there(state: MyPreferencesState) -> dict[int, object]:
    return {person["profile_id"]: person for person in state.people()}


def test_what_is_on_is_withdrawn_before_the_profile_is_deleted(
    state: MyPreferencesState, eraser: MyPreferencesEraser
) -> None:
    number = add(state, ADDRESS)
    (trace,) = eraser.traces(who())
    assert (trace.record, trace.state) == (f"profile {number}", "active")
    erased = eraser.erase(who())
    assert list(erased.done) == ["opted out of news", f"profile {number} is deleted"]
    assert not erased.left
    assert state.find(ADDRESS) == []
    calls = [state.calls.count(name) for name in ("updateProfilePost", "deleteProfile")]
    assert calls == [1, 1]


def test_every_profile_with_the_address_goes(state: MyPreferencesState, eraser: MyPreferencesEraser) -> None:
    add(state, ADDRESS)
    add(state, ADDRESS.upper())
    add(state, OTHER)
    assert len(eraser.erase(who()).done) == 3
    assert (state.find(ADDRESS), len(state.find(OTHER))) == ([], 1)


def test_a_profile_with_other_addresses_is_withdrawn_and_left_to_a_person(
    state: MyPreferencesState, eraser: MyPreferencesEraser
) -> None:
    number = add(state, ADDRESS, OTHER)
    assert "kept" in eraser.traces(who())[0].plan
    erased = eraser.erase(who())
    assert list(erased.done) == ["opted out of news"]
    assert [line.partition(" holds")[0] for line in erased.left] == [f"profile {number}"]
    assert state.find(ADDRESS) == [number]


def test_a_deactivated_profile_that_was_known_goes_too(
    state: MyPreferencesState, eraser: MyPreferencesEraser
) -> None:
    number = add(state, ADDRESS)
    state.deactivate(number)
    known = who(ids={Side.MYPREFERENCES: (str(number),)})
    assert eraser.traces(known)[0].state == "inactive"
    assert list(eraser.erase(known).done) == [f"profile {number} is deleted"]


def test_a_known_profile_that_has_become_another_persons_stays(
    state: MyPreferencesState, eraser: MyPreferencesEraser
) -> None:
    number = add(state, OTHER)
    assert eraser.erase(who(ids={Side.MYPREFERENCES: (str(number),)})).done == ()
    assert state.find(OTHER) == [number]


def test_erasing_twice_does_nothing_more(state: MyPreferencesState, eraser: MyPreferencesEraser) -> None:
    add(state, ADDRESS)
    eraser.erase(who())
    assert (list(eraser.traces(who())), eraser.erase(who()).done) == ([], ())


@pytest.fixture
def deletions(monkeypatch: pytest.MonkeyPatch, world: World) -> list[SideError | None]:
    """What deletions result in: an error, or nothing at all."""
    fates: list[SideError | None] = []

    def delete(profile_id: str, reason_code: str | None = None) -> None:
        if fates and (error := fates.pop(0)) is not None:
            raise error

    monkeypatch.setattr(world.client, "delete_profile", delete)
    return fates


def trouble(kind: type[SideError]) -> SideError:
    return kind("MyPreferences refused it.", side=Side.MYPREFERENCES, operation="deleteProfile")


@pytest.mark.parametrize("kind", [Forbidden, Refused])
def test_what_may_not_be_deleted_is_left_to_a_person(
    state: MyPreferencesState,
    eraser: MyPreferencesEraser,
    deletions: list[SideError | None],
    kind: type[SideError],
) -> None:
    add(state, ADDRESS)
    deletions.append(trouble(kind))
    erased = eraser.erase(who())
    assert list(erased.done) == ["opted out of news"]
    assert "by hand" in erased.left[0]


@pytest.mark.parametrize("fate", [None, trouble(OutcomeUnknown)], ids=["said to be done", "no answer"])
def test_a_deletion_that_does_not_show_is_none(
    state: MyPreferencesState,
    eraser: MyPreferencesEraser,
    deletions: list[SideError | None],
    fate: SideError | None,
) -> None:
    add(state, ADDRESS)
    deletions.append(fate)
    with pytest.raises(InvalidResponse, match="Run `bridge forget` again"):
        eraser.erase(who())


def test_a_refused_withdrawal_does_not_block_the_deletion(
    state: MyPreferencesState, eraser: MyPreferencesEraser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = add(state, ADDRESS)

    def refuse(*_: object) -> None:
        raise trouble(Refused)

    monkeypatch.setattr(world.client, "update_profile_post", refuse)
    erased = eraser.erase(who())
    assert list(erased.done) == [f"profile {number} is deleted"]
    assert not erased.left
    assert state.find(ADDRESS) == []


def test_a_refused_withdrawal_is_reported_where_the_profile_stays(
    state: MyPreferencesState, eraser: MyPreferencesEraser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(state, ADDRESS, OTHER)

    def refuse(*_: object) -> None:
        raise trouble(Refused)

    monkeypatch.setattr(world.client, "update_profile_post", refuse)
    assert "still opted in: news" in eraser.erase(who()).left[-1]
