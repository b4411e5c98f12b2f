"""Patches: typed operations, their order, and the test that makes a write conditional."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from data_world import CRM, IN, OUT, a_state, email, pref, stored_profile

from bridge.core.errors import Forbidden, OutcomeUnknown, PreconditionFailed, Refused, Verdict
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.patches import Add, Operation, Remove, Replace, Test, pointer, rendered
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.wire.profiles import OPT_OUT, CustomerName, FullProfile, Profile
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import MyPreferencesState
from tests.mypreferences.mp_world import ADDRESS, World

FIRST = pointer("Emails", 0, "EmailAddress")


@pytest.fixture
def state() -> MyPreferencesState:
    return a_state()


def addresses(profile: Profile | None) -> list[str]:
    assert profile is not None
    return [item.email_address for item in profile.emails or ()]


def test_an_address_is_renamed_where_it_is_as_it_was_read(world: World) -> None:
    """MyPreferences `Update profile (PATCH)`: its preferences go with it."""
    found = stored_profile(world)
    patch = [Test(FIRST, ADDRESS), Replace(FIRST, "new@example.com")]
    shown = world.client.update_profile_patch(found, patch)
    assert addresses(shown) == ["new@example.com"]
    emails = world.client.retrieve_profile_by_id(found).emails or ()
    assert [item.filter_id for one in emails for item in one.email_preferences or ()] == ["NEWS_EMAIL"]
    assert [item.id for item in world.client.retrieve_profiles_by_email("new@example.com")] == [found]
    assert world.client.retrieve_profiles_by_email(ADDRESS) == []


def test_every_operation_does_what_it_says(world: World) -> None:
    found = stored_profile(world)
    added = {"EmailAddressType": "Work", "EmailAddress": "bo@example.com"}
    patch: list[Operation] = [
        Test("/CustomerName/FirstName", "Ann"),
        Add("/Emails/-", added),
        Replace("/Emails/0/EmailPreferences/0/PreferenceType", OUT),
        Replace("/CustomerName/FirstName", "Anne"),
        Remove("/PhoneNumbers/0"),
        Remove("/Consents/0"),
    ]
    world.client.patch_profile_by_alternate_id(*CRM, patch)
    shown = world.client.retrieve_full_profile_by_id(found)
    assert addresses(shown) == [ADDRESS, "bo@example.com"]
    assert [item.kind for item in (shown.emails or ())[0].email_preferences or ()] == [OPT_OUT]
    assert shown.customer_name == CustomerName(first_name="Anne", last_name="Lee")
    assert (shown.phone_numbers, shown.consents) == ([], [])


@pytest.mark.parametrize("status", [400, 404, 409, 412, 422])
def test_a_test_that_fails_makes_the_caller_read_again(world: World, status: int) -> None:
    """Which status a failed test has is not documented."""
    world.state.switches.patch_failed_test_status = status
    found = stored_profile(world)
    with pytest.raises(PreconditionFailed) as caught:
        world.client.update_profile_patch(
            found, [Test(FIRST, "old@example.com"), Replace(FIRST, "new@example.com")]
        )
    assert (caught.value.verdict, caught.value.status) == (Verdict.IN_DOUBT, status)
    assert "example.com" not in str(caught.value)
    assert addresses(world.client.retrieve_profile_by_id(found)) == [ADDRESS]
    assert world.calls("updateProfilePatch") == 1


def test_a_refusal_without_a_test_or_of_the_user_stays_what_it_is(world: World) -> None:
    found = stored_profile(world)
    with pytest.raises(Refused):
        world.client.update_profile_patch(found, [Replace("/Nothing", 1)])
    with pytest.raises(Refused):
        world.client.update_profile_patch(found, [Replace("/ProfileId", 7)])
    world.state.forbidden.add("updateProfilePatch")
    with pytest.raises(Forbidden):
        world.client.update_profile_patch(found, [Test(FIRST, ADDRESS)])


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "html", "null", "status_after"])
def test_a_patch_without_a_trustworthy_answer_is_in_doubt_and_sent_once(world: World, kind: str) -> None:
    found = stored_profile(world)
    world.state.faults.add(InjectedFault("updateProfilePatch", kind))
    with pytest.raises(OutcomeUnknown):
        world.client.update_profile_patch(found, [Replace("/CustomerName/FirstName", "Anne")])
    assert world.calls("updateProfilePatch") == 1


def test_a_refused_patch_changes_nothing(world: World) -> None:
    found = stored_profile(world)
    with pytest.raises(Refused):
        world.client.update_profile_patch(
            found, [Replace("/CustomerName/FirstName", "Anne"), Remove("/Emails/7")]
        )
    shown = world.client.retrieve_full_profile_by_id(found)
    assert shown.customer_name == CustomerName(first_name="Ann", last_name="Lee")


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [Remove("/Emails/0"), Replace("/CustomerName/FirstName", "Anne")],
        [Remove("/Emails/0"), Remove("/Emails/1")],
        [Remove("/Emails/1"), Remove("/Emails/1")],
    ],
)
def test_a_patch_in_an_order_that_hits_the_wrong_member_is_never_sent(
    world: World, operations: Sequence[Operation]
) -> None:
    """MyPreferences `Update profile (PATCH)`: replace before remove, removals in descending order."""
    with pytest.raises(ValueError, match="patch"):
        world.client.update_profile_patch("1001", operations)
    assert world.calls("updateProfilePatch") == 0


def test_removals_in_descending_order_take_the_members_that_were_meant(world: World) -> None:
    emails = [email(pref("NEWS_EMAIL", IN), address=f"{name}@example.com") for name in "abc"]
    found = stored_profile(world, FullProfile(emails=emails))
    world.client.update_profile_patch(found, [Remove("/Emails/2"), Remove("/Emails/0")])
    assert addresses(world.client.retrieve_profile_by_id(found)) == ["b@example.com"]


@pytest.mark.parametrize("shape", ["array", "object"])
def test_the_envelope_is_the_one_that_is_set(world: World, shape: str) -> None:
    """MyPreferences `Update profile by alternate id (PATCH)`: described as Operations, sampled bare."""
    found = stored_profile(world)
    world.state.switches.patch_body = shape
    patch = [Replace("/CustomerName/FirstName", "Anne")]
    routes = load_routes(None)
    for envelope in ("array", "object"):
        client = MyPreferencesClient(
            world.transport, account=world.state.config.account, routes=routes, patch_envelope=envelope
        )
        if envelope == shape:
            client.update_profile_patch(found, patch)
        else:
            with pytest.raises(Refused):
                client.update_profile_patch(found, patch)


def test_a_pointer_escapes_what_means_something_in_it() -> None:
    assert pointer("a/b", 0, "c~d") == "/a~1b/0/c~0d"
    assert rendered([Remove(pointer("Emails", 1))], "object") == {
        "Operations": [{"op": "remove", "path": "/Emails/1"}]
    }
