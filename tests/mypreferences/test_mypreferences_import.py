"""Bulk import as the client calls it, and what cannot be sent by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.core.errors import Forbidden, NotFound, OutcomeUnknown, SideError, Throttled, Unreachable
from bridge.mypreferences.wire.bulk import ImportRecord, ImportRequest, ImportStatus
from bridge.mypreferences.wire.codec import encode
from bridge.mypreferences.wire.profiles import Consent, Email, Preference, Profile
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import ADDRESS, World, ago

REQUEST = ImportRequest(name="consent-bridge")


def opt_out(filter_id: str = "NEWS_EMAIL", kind: int = 2) -> Profile:
    said = Preference(filter_id=filter_id, preference_type=kind, customer_date="2026-01-20T12:00:00Z")
    return Profile(emails=[Email(email_address=ADDRESS, email_preferences=[said])])


def record(profile_id: str, change: Profile | None = None) -> ImportRecord:
    return ImportRecord.of(Profile(profile_id=profile_id), change or opt_out())


def consent(status: int) -> Consent:
    return Consent(
        consent_type="EmailMarketing", consent_version="1.0", locale="en_US", consent_status=status
    )


def test_withdrawals_are_staged_executed_and_followed_to_the_end(world: World) -> None:
    found = world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    token = world.client.initiate_import(REQUEST)
    assert world.client.stage_import(token, [record(found)]).stage == "staging"
    assert world.client.execute_import(token).stage == "processing"
    seen = [world.client.import_status(token) for _ in range(2)]
    assert [item.stage for item in seen] == ["processing", "completed"]
    assert (seen[-1].exceptions, seen[-1].not_honored, seen[-1].validation_failed) == (0, 0, 0)
    (email,) = world.state.profile(int(found))["Emails"]
    assert [item["PreferenceType"] for item in email["EmailPreferences"]] == [2]


@pytest.mark.parametrize("word", ["Completed", "Complete", "COMPLETE "])
def test_both_spellings_of_the_end_are_the_end(word: str) -> None:
    """MyPreferences import, Retrieve status: the enum says Completed, the prose Complete."""
    assert ImportStatus(status=word).stage == "completed"


@pytest.mark.parametrize("profile_id", [None, "", "x1", "-5"])
def test_a_record_without_the_id_of_a_read_profile_cannot_be_built(profile_id: str | None) -> None:
    """MyPreferences import, Initiate: an id that is not found creates a profile."""
    with pytest.raises(ValueError, match="was read"):
        ImportRecord.of(Profile(profile_id=profile_id), opt_out())


@pytest.mark.parametrize(
    "change",
    [
        opt_out(kind=1),
        Profile(profile_preferences=[Preference(filter_id="DEALS_APP", preference_type=1)]),
        Profile(consents=[consent(1)]),
        Profile(consents=[consent(4)]),
        Profile(emails=[Email(email_address=ADDRESS, consents=[consent(1)])]),
        Profile(),
    ],
)
def test_a_record_that_gives_consent_cannot_be_built(change: Profile) -> None:
    """It would be carried out later, whatever was said meanwhile."""
    with pytest.raises(ValueError, match="record"):
        record("1001", change)


def test_a_request_takes_nothing_away_and_matches_by_profile_id() -> None:
    sent = encode(REQUEST)
    assert sent["ImportAction"] == "Add"
    assert {name: value for name, value in sent.items() if name.startswith("Refresh")} == {
        f"Refresh{name}": False for name in ("AlternateIds", "Contacts", "CustomFields", "Groups", "Tags")
    }
    assert "MatchCriteria" not in sent


def test_exceptions_are_read_page_by_page(world: World) -> None:
    found = world.add()
    token = world.client.initiate_import(REQUEST)
    staged = world.client.stage_import(token, [record(found, opt_out("GONE_EMAIL"))] * 3)
    assert staged.validation_failed == 3
    pages = [world.client.import_exceptions(token, offset=start, limit=2) for start in (1, 3)]
    assert [(len(page.rows), page.has_more) for page in pages] == [(2, True), (1, False)]
    assert {str(row.profile_id) for page in pages for row in page.rows} == {found}
    assert [row.sequence_number for page in pages for row in page.rows] == [1, 2, 3]


@pytest.mark.parametrize("name", ["UserProfilePreferenceExceptions", "Exceptions", "Anything"])
def test_exceptions_are_found_under_whatever_name_their_list_has(world: World, name: str) -> None:
    body = json.dumps({"Count": 1, "HasMore": False, name: [{"ProfileId": 7, "Exceptions": []}]})
    world.state.faults.add(InjectedFault("importExceptions", "status", status=200, body=body))
    assert [row.profile_id for row in world.client.import_exceptions("1", offset=1).rows] == [7]


@pytest.mark.parametrize("body", ["[]", "{}", '{"HasMore":false}', '{"Rows":[],"More":[],"HasMore":false}'])
def test_a_page_that_is_none_is_no_page_without_exceptions(world: World, body: str) -> None:
    world.state.faults.add(InjectedFault("importExceptions", "status", status=200, body=body))
    with pytest.raises(SideError):
        world.client.import_exceptions("1", offset=1)


@pytest.mark.parametrize("status", [400, 403, 429])
def test_a_used_up_quota_is_throttling(world: World, status: int) -> None:
    """MyPreferences import: a cap over a rolling day, whose refusal is not documented."""
    world.state.switches.imports_per_day = 0
    world.state.switches.import_quota_status = status
    with pytest.raises(Throttled, match="one at a time"):
        world.client.initiate_import(REQUEST)


def test_a_missing_permission_is_no_throttling(world: World) -> None:
    world.state.forbidden.add("initiateImport")
    with pytest.raises(Forbidden):
        world.client.initiate_import(REQUEST)


def _stage(world: World, token: str) -> Any:
    return world.client.stage_import(token, [record("1001")])


def test_an_expired_token_is_distinguished_from_a_refused_sign_in(world: World) -> None:
    """MyPreferences import, Stage: an invalid token is a 401."""
    asks = (
        lambda: _stage(world, "5"),
        lambda: world.client.execute_import("5"),
        lambda: world.client.import_status("5"),
        lambda: world.client.import_exceptions("5", offset=1),
    )
    for ask in asks:
        with pytest.raises(NotFound, match="import no longer exists"):
            ask()


@pytest.mark.parametrize("kind", ["reset_after", "html", "null", "truncate"])
def test_steps_before_the_execution_leave_nobody_in_doubt(world: World, kind: str) -> None:
    world.state.faults.add(InjectedFault("initiateImport", kind))
    with pytest.raises(Unreachable, match="abandoned"):
        world.client.initiate_import(REQUEST)
    token = world.client.initiate_import(REQUEST)
    world.state.faults.add(InjectedFault("stageImport", kind))
    with pytest.raises(Unreachable, match="abandoned"):
        _stage(world, token)
    assert world.calls("initiateImport") == 2


@pytest.mark.parametrize("kind", ["reset_after", "html", "null", "status_after"])
def test_an_execution_without_an_answer_is_in_doubt(world: World, kind: str) -> None:
    token = world.client.initiate_import(REQUEST)
    world.state.faults.add(InjectedFault("executeImport", kind, status=503))
    with pytest.raises(OutcomeUnknown):
        world.client.execute_import(token)
