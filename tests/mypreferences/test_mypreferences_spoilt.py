"""Whatever call it is: an answer that is not what the documents promise is never believed."""

from __future__ import annotations

import pytest
from every_call import CALLS, Known, prepared

from bridge.core.errors import InvalidResponse, OutcomeUnknown, Verdict
from bridge.mypreferences.client.routes import builtin_routes
from bridge.sandbox.faults import Fault
from bridge.sandbox.mypreferences import State
from tests.mypreferences.mp_world import World

PEOPLE = {
    "create_profile": "createProfile", "profile_by_id": "retrieveProfileById",
    "profile_by_alternate_id": "retrieveProfileByAlternateId",
    "profiles_by_phone": "retrieveProfilesByPhone", "profiles_by_address": "retrieveProfilesByAddress",
    "profiles_by_preference_attributes": "retrieveProfilesByPreferenceAttributes",
    "group_members": "retrieveGroupProfilesById", "group_members_by_email": "retrieveGroupProfilesByEmail",
    "group_members_by_phone": "retrieveGroupProfilesByPhone", "update_profile": "updateProfilePost",
    "create_or_update_by_alternate_id": "upsertProfileByAlternateId",
    "replace_profile": "updateProfilePut", "replace_profile_by_alternate_id": "replaceProfileByAlternateId",
    "patch_profile": "updateProfilePatch", "patch_profile_by_alternate_id": "patchProfileByAlternateId",
    "activate_profile": "activateProfile", "deactivate_profile": "deactivateProfile",
    "delete_profile": "deleteProfile", "update_preferences": "upsertPreferences",
    "update_preferences_by_alternate_id": "upsertPreferencesByAlternateId",
    "preferences": "retrievePreferences", "archive_preferences": "archivePreferences",
    "add_consents": "addConsents", "consent_filters": "retrieveConsentFilters",
    "add_consent_filters": "addConsentFilters", "remove_consent_filter": "removeConsentFilter",
    "preference_history": "historyPreferencesById", "consent_history": "historyConsentsById",
    "custom_field_history": "historyCustomFieldsById",
    "standard_field_history": "historyStandardFieldsById",
    "preference_history_by_alternate_id": "historyPreferencesByAlternateId",
    "consent_history_by_alternate_id": "historyConsentsByAlternateId",
    "custom_field_history_by_alternate_id": "historyCustomFieldsByAlternateId",
    "standard_field_history_by_alternate_id": "historyStandardFieldsByAlternateId",
}  # fmt: skip
READS = [name for name in PEOPLE if builtin_routes()[name].method == "GET"]
WRITES = [name for name in PEOPLE if name not in READS]
SILENT = {
    "activate_profile", "deactivate_profile", "delete_profile", "archive_preferences", "add_consent_filters",
    "remove_consent_filter",
}  # fmt: skip


@pytest.fixture
def state() -> State:
    return prepared()


def spoil(world: World, name: str, kind: str) -> Known:
    """Somebody is there, and the next answer to that call is spoilt."""
    known = Known()
    for before in ("create_profile", "add_consent_filters"):
        CALLS[before](world.client, known)
    world.state.calls.reset()
    world.state.faults.add(Fault(PEOPLE[name], kind))
    return known


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("kind", ["html", "null"])
def test_a_spoilt_answer_to_a_read_shows_nobody(world: World, name: str, kind: str) -> None:
    known = spoil(world, name, kind)
    with pytest.raises(InvalidResponse):
        CALLS[name](world.client, known)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_broke_off_is_made_again(world: World, name: str) -> None:
    known = spoil(world, name, "truncate")
    CALLS[name](world.client, known)
    assert world.calls(PEOPLE[name]) == 2


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", ["html", "reset_after", "timeout_after", "status_after"])
def test_a_write_without_a_trustworthy_answer_is_sent_once_and_in_doubt(
    world: World, name: str, kind: str
) -> None:
    known = spoil(world, name, kind)
    with pytest.raises(OutcomeUnknown) as caught:
        CALLS[name](world.client, known)
    assert caught.value.verdict is Verdict.IN_DOUBT
    assert world.calls(PEOPLE[name]) == 1


@pytest.mark.parametrize("name", [name for name in WRITES if name not in SILENT])
@pytest.mark.parametrize("kind", ["null", "truncate"])
def test_a_write_that_answers_with_half_a_profile_is_in_doubt(world: World, name: str, kind: str) -> None:
    known = spoil(world, name, kind)
    with pytest.raises(OutcomeUnknown):
        CALLS[name](world.client, known)
    assert world.calls(PEOPLE[name]) == 1
