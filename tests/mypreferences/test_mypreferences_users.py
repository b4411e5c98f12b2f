"""Creating an API user, as the client asks for it."""

from __future__ import annotations

import pytest

from bridge.core.errors import Forbidden, OutcomeUnknown, Refused, SignInRefused
from bridge.mypreferences.wire.configuration import User
from bridge.mypreferences.wire.profiles import Author, Profile
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.data_world import email, pref
from tests.mypreferences.mp_world import World

WANTED = User(user_name="consent-bridge", user_groups=["API"], source_group_id="BRIDGE")


def test_a_created_user_signs_in_and_its_edits_bear_its_name_and_source_group(world: World) -> None:
    """MyPreferences `Create user`, `ProfilePreference` (UserId, SourceId)."""
    with pytest.raises(SignInRefused):
        world.signed_in(user="consent-bridge").retrieve_programs()
    made = world.client.create_user(WANTED)
    assert made.user_id
    assert made.submitted_time
    itself = world.signed_in(user="consent-bridge")
    profile = itself.create_profile(Profile(emails=[email(pref("NEWS_EMAIL", 2))]))
    assert profile is not None
    (author,) = world.client.retrieve_authors_by_id(profile.id)
    assert author == Author(user_id="consent-bridge", source_id="BRIDGE")
    assert author.is_of("Consent-Bridge", None)
    assert author.is_of("jane.doe", "bridge")
    assert not author.is_of("jane.doe", None)


def test_an_inactive_user_is_made_active_again_with_the_same_answer(world: World) -> None:
    world.client.create_user(WANTED)
    world.state.access.deactivate_user("consent-bridge")
    with pytest.raises(SignInRefused):
        world.signed_in(user="consent-bridge").retrieve_programs()
    assert world.client.create_user(User(user_name="Consent-Bridge")).user_id
    assert world.signed_in(user="consent-bridge").retrieve_programs()


def test_an_active_user_of_that_name_is_refused_where_the_service_does(world: World) -> None:
    """MyPreferences `Create user`: 409; of what, its page leaves open."""
    world.client.create_user(WANTED)
    with pytest.raises(Refused, match="BRIDGE_MYPREFERENCES__USER_ID"):
        world.client.create_user(WANTED)
    world.state.switches.active_user_is_409 = False
    assert world.client.create_user(WANTED).user_id
    assert world.signed_in(user="consent-bridge").retrieve_programs()


def test_a_user_that_the_service_will_not_have_says_what_to_check(world: World) -> None:
    world.state.switches.user_needs_email = True
    with pytest.raises(Refused, match="--user-email"):
        world.client.create_user(WANTED)
    with pytest.raises(Refused):
        world.client.create_user(User(user_name=" "))
    world.state.forbidden.add("createUser")
    with pytest.raises(Forbidden, match="--as"):
        world.client.create_user(WANTED)


@pytest.mark.parametrize("action", ["reset", "html"])
def test_an_answer_that_does_not_come_leaves_the_outcome_unknown_and_nothing_is_repeated(
    world: World, action: str
) -> None:
    world.state.faults.add(InjectedFault("createUser", action))
    with pytest.raises(OutcomeUnknown):
        world.client.create_user(WANTED)
    assert world.calls("createUser") == 1
