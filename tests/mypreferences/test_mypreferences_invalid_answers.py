"""For every call: an answer that the documents do not allow is rejected."""

from __future__ import annotations

import pytest
from client_calls import CALLS, Known, prepared

from bridge.core.errors import InvalidResponse, OutcomeUnknown, Verdict
from bridge.mypreferences.client.routes import builtin_routes
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import MyPreferencesState
from tests.mypreferences.mp_world import World

PEOPLE = {
    "create_profile": "createProfile",
    "retrieve_profile_by_id": "retrieveProfileById",
    "retrieve_profile_by_alternate_id": "retrieveProfileByAlternateId",
    "retrieve_profiles_by_phone": "retrieveProfilesByPhone",
    "retrieve_profiles_by_address": "retrieveProfilesByAddress",
    "retrieve_profiles_by_preference_attributes": "retrieveProfilesByPreferenceAttributes",
    "retrieve_group_profiles_by_id": "retrieveGroupProfilesById",
    "retrieve_group_profiles_by_email": "retrieveGroupProfilesByEmail",
    "retrieve_group_profiles_by_phone": "retrieveGroupProfilesByPhone",
    "update_profile_post": "updateProfilePost",
    "upsert_profile_by_alternate_id": "upsertProfileByAlternateId",
    "update_profile_put": "updateProfilePut",
    "replace_profile_by_alternate_id": "replaceProfileByAlternateId",
    "update_profile_patch": "updateProfilePatch",
    "patch_profile_by_alternate_id": "patchProfileByAlternateId",
    "activate_profile": "activateProfile",
    "deactivate_profile": "deactivateProfile",
    "delete_profile": "deleteProfile",
    "upsert_preferences": "upsertPreferences",
    "upsert_preferences_by_alternate_id": "upsertPreferencesByAlternateId",
    "retrieve_preferences": "retrievePreferences",
    "archive_preferences": "archivePreferences",
    "add_consents": "addConsents",
    "retrieve_consent_filters": "retrieveConsentFilters",
    "add_consent_filters": "addConsentFilters",
    "remove_consent_filter": "removeConsentFilter",
    "history_preferences_by_id": "historyPreferencesById",
    "history_consents_by_id": "historyConsentsById",
    "history_custom_fields_by_id": "historyCustomFieldsById",
    "history_standard_fields_by_id": "historyStandardFieldsById",
    "history_preferences_by_alternate_id": "historyPreferencesByAlternateId",
    "history_consents_by_alternate_id": "historyConsentsByAlternateId",
    "history_custom_fields_by_alternate_id": "historyCustomFieldsByAlternateId",
    "history_standard_fields_by_alternate_id": "historyStandardFieldsByAlternateId",
}
READS = [name for name, operation in PEOPLE.items() if builtin_routes()[operation].method == "GET"]
WRITES = [name for name in PEOPLE if name not in READS]
SILENT = {
    "activate_profile", "deactivate_profile", "delete_profile", "archive_preferences", "add_consent_filters",
    "remove_consent_filter",
}  # fmt: skip


@pytest.fixture
def state() -> MyPreferencesState:
    return prepared()


def with_invalid_answer(world: World, name: str, kind: str) -> Known:
    """A profile exists, and the next answer to that call is invalid."""
    known = Known()
    for before in ("create_profile", "add_consent_filters"):
        CALLS[before](world.client, known)
    world.state.calls.reset()
    world.state.faults.add(InjectedFault(PEOPLE[name], kind))
    return known


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("kind", ["html", "null"])
def test_an_invalid_answer_to_a_read_shows_nobody(world: World, name: str, kind: str) -> None:
    known = with_invalid_answer(world, name, kind)
    with pytest.raises(InvalidResponse):
        CALLS[name](world.client, known)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_broke_off_is_made_again(world: World, name: str) -> None:
    known = with_invalid_answer(world, name, "truncate")
    CALLS[name](world.client, known)
    assert world.calls(PEOPLE[name]) == 2


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", ["html", "reset_after", "timeout_after", "status_after"])
def test_a_write_without_a_trustworthy_answer_is_sent_once_and_in_doubt(
    world: World, name: str, kind: str
) -> None:
    known = with_invalid_answer(world, name, kind)
    with pytest.raises(OutcomeUnknown) as caught:
        CALLS[name](world.client, known)
    assert caught.value.verdict is Verdict.IN_DOUBT
    assert world.calls(PEOPLE[name]) == 1


@pytest.mark.parametrize("name", [name for name in WRITES if name not in SILENT])
@pytest.mark.parametrize("kind", ["null", "truncate"])
def test_a_write_that_answers_with_half_a_profile_is_in_doubt(world: World, name: str, kind: str) -> None:
    known = with_invalid_answer(world, name, kind)
    with pytest.raises(OutcomeUnknown):
        CALLS[name](world.client, known)
    assert world.calls(PEOPLE[name]) == 1
