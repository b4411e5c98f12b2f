"""Bulk import as its callers see it (MyPreferences `import`: Initiate, Stage, Execute, Retrieve status and
exceptions)."""

from __future__ import annotations

from typing import Any

import pytest
from mp_site import ADDRESS, Site, days_ago, element, pref

from bridge.sandbox.mypreferences.dates import write_moment


def begin(site: Site, **more: Any) -> int:
    answer = site.call("POST", "Import", {"Name": "sync", **more})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["AccessToken"])


def stage(site: Site, token: int, *records: Any) -> Any:
    answer = site.call("POST", f"Import/{token}/Stage", {"UserProfilePreferences": list(records)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(site: Site, token: int) -> Any:
    assert site.call("POST", f"Import/{token}/Execute").json()["Status"] in ("Queued", "Processing")
    while (status := site.get(f"Import/{token}/Status"))["Status"] == "Processing":
        assert (status["Processed"], status["Pending"]) == (0, status["ValidationSuccessful"])
    return status


def record(profile_id: int, kind: int = 2, **more: Any) -> dict[str, Any]:
    return {"ProfileId": profile_id, "Emails": [element(ADDRESS, {**pref("NEWS_EMAIL", kind), **more})]}


def test_records_are_staged_and_applied_when_executed(site: Site, ann: int) -> None:
    token = begin(site)
    staged = stage(site, token, record(ann))
    assert (staged["Status"], staged["TotalRecordsReceived"], staged["ValidationSuccessful"]) == (
        "Staging",
        1,
        1,
    )
    assert site.preference(ann, "NEWS_EMAIL") is None
    done = run(site, token)
    assert (done["Status"], done["Processed"], done["Pending"], done["Exceptions"]) == ("Completed", 1, 0, 0)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2
    assert site.preference(ann, "NEWS_EMAIL")["UserId"] == "bridge"


def test_a_request_has_documented_defaults_and_bounds(site: Site) -> None:
    shown = site.call("POST", "Import", {"Name": "sync"}).json()
    assert (shown["Status"], shown["DataStageDuration"], shown["ImportAction"]) == ("Initiated", 3, "Add")
    assert not any(shown[name] for name in shown if name.startswith(("Refresh", "Allow")))
    assert shown["Expires"] == write_moment(days_ago(-0.5))
    for wrong in (
        {"Name": ""},
        {"Name": "x" * 101},
        {"Name": "x", "DataStageDuration": 11},
        {"Name": "x", "ImportAction": "Merge"},
        {"Name": "x", "MatchCriteria": "AlternateIdType", "MatchValue": "Nothing"},
        {"Name": "x", "MatchCriteria": "EmailAddress", "MatchValue": "CrmId"},
    ):
        assert site.call("POST", "Import", wrong).status_code == 400


def test_a_record_that_fails_validation_keeps_no_other_out(site: Site, ann: int) -> None:
    """MyPreferences import, Stage: ValidationFailed."""
    token = begin(site)
    wrong = {"ProfileId": ann, "Emails": [element(ADDRESS, pref("GONE_EMAIL", 2))]}
    staged = stage(site, token, wrong, record(ann))
    assert (staged["ValidationSuccessful"], staged["ValidationFailed"]) == (1, 1)
    assert run(site, token)["Processed"] == 1
    page = site.get(f"Import/{token}/Exceptions")
    (row,) = page["UserProfilePreferenceExceptions"]
    assert (row["ProfileId"], row["SequenceNumber"], len(row["Exceptions"])) == (ann, 1, 1)


def test_a_record_that_is_not_valid_may_have_the_whole_call_refused(site: Site, ann: int) -> None:
    site.state.switches.import_bad_records = "refuse_all"
    token = begin(site)
    wrong = {"ProfileId": ann, "Emails": [element("no address")]}
    sent = {"UserProfilePreferences": [record(ann), wrong]}
    assert site.call("POST", f"Import/{token}/Stage", sent).status_code == 400
    staged = stage(site, token, record(ann))
    assert (staged["ValidationSuccessful"], staged["ValidationFailed"]) == (1, 0)
    run(site, token)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2


def test_exceptions_come_in_pages_and_their_total_is_capped(site: Site, ann: int) -> None:
    """MyPreferences import, Retrieve exceptions: TotalResults is capped at the limit."""
    token = begin(site)
    stage(site, token, *[{"ProfileId": ann, "Emails": [element("no address")]}] * 5)
    pages = [site.get(f"Import/{token}/Exceptions", limit=2, offset=start) for start in (1, 3, 5)]
    assert [(page["Count"], page["HasMore"], page["TotalResults"]) for page in pages] == [
        (2, True, 2), (2, True, 2), (1, False, 2)
    ]  # fmt: skip


@pytest.mark.parametrize("honours_older", [False, True])
def test_an_older_choice_is_counted_as_not_honored(site: Site, ann: int, honours_older: bool) -> None:
    site.state.switches.honour_older_dates = honours_older
    site.state.set_preference(ann, "NEWS_EMAIL", True, days_ago(1))
    token = begin(site)
    stage(site, token, record(ann, CustomerDate=write_moment(days_ago(2))))
    done = run(site, token)
    assert (done["NotHonored"], done["Exceptions"]) == (int(not honours_older), 0)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == (2 if honours_older else 1)


def test_an_unknown_id_creates_a_profile(site: Site, ann: int) -> None:
    """MyPreferences import, Initiate: ProfileId not found, a new profile is created."""
    site.state.delete(ann)
    token = begin(site)
    stage(site, token, record(ann))
    run(site, token)
    (made,) = site.state.find(ADDRESS)
    assert made != ann


def test_people_are_matched_by_an_alternate_id(site: Site, ann: int) -> None:
    token = begin(site, MatchCriteria="AlternateIdType", MatchValue="crmid")
    change = {"Emails": [element(ADDRESS, pref("NEWS_EMAIL", 2))]}
    known = {"AlternateIds": [{"AlternateIdType": "CrmId", "AlternateId": "a-1"}], **change}
    stage(
        site, token, known, {"AlternateIds": [{"AlternateIdType": "CrmId", "AlternateId": "B-2"}], **change}
    )
    run(site, token)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2
    assert len(site.state.find(ADDRESS)) == 2


def test_a_consent_in_a_prior_version_needs_to_be_allowed(site: Site, ann: int) -> None:
    """MyPreferences import, Stage: AllowPriorConsents."""
    old = {"ConsentType": "Profiling", "ConsentVersion": "1.0", "Locale": "en_US", "ConsentStatus": 3}
    for allowed, exceptions in ((False, 1), (True, 0)):
        token = begin(site, AllowPriorConsents=allowed)
        stage(site, token, {"ProfileId": ann, "Consents": [old]})
        assert run(site, token)["Exceptions"] == exceptions


def test_delete_deletes_for_good(site: Site, ann: int) -> None:
    token = begin(site, ImportAction="Delete")
    stage(site, token, {"ProfileId": ann}, {"ProfileId": 999_999})
    done = run(site, token)
    assert (done["Processed"], done["Exceptions"]) == (2, 1)
    assert site.call("GET", f"Profile/{ann}").status_code == 404


@pytest.mark.parametrize("status", [400, 403, 429])
def test_the_quota_is_that_of_a_rolling_day(site: Site, status: int) -> None:
    """MyPreferences import: a cap over a rolling 24 h; its number and status are not given."""
    site.state.switches.imports_per_day = 2
    site.state.switches.import_quota_status = status
    begin(site)
    begin(site)
    assert site.call("POST", "Import", {"Name": "sync"}).status_code == status
    site.state.clock.advance(86_401)
    site.sign_in()
    begin(site)


@pytest.mark.parametrize("hours", [6.0, 12.0])
def test_a_token_that_is_over_or_unknown_is_refused(site: Site, hours: float) -> None:
    """MyPreferences import, Stage: an invalid token is a 401."""
    site.state.switches.import_token_hours = hours
    token = begin(site)
    site.state.clock.advance(hours * 3600)
    site.sign_in()
    for method, path in (("POST", "Stage"), ("POST", "Execute"), ("GET", "Status"), ("GET", "Exceptions")):
        for one in (token, 5):
            answer = site.call(method, f"Import/{one}/{path}", {} if method == "POST" else None)
            assert answer.status_code == 401


def test_what_was_executed_takes_no_more(site: Site, ann: int) -> None:
    token = begin(site)
    stage(site, token, record(ann))
    run(site, token)
    assert site.call("POST", f"Import/{token}/Execute").status_code == 400
    assert site.call("POST", f"Import/{token}/Stage", {"UserProfilePreferences": []}).status_code == 400


def test_too_large_a_body_is_refused(site: Site, ann: int) -> None:
    site.state.switches.import_body_max = 100
    answer = site.call("POST", f"Import/{begin(site)}/Stage", {"UserProfilePreferences": [record(ann)]})
    assert answer.status_code == 413


def test_an_import_may_wait_and_may_fail(site: Site, ann: int) -> None:
    site.state.switches.import_seconds = 60
    token = begin(site)
    stage(site, token, record(ann))
    site.call("POST", f"Import/{token}/Execute")
    assert site.get(f"Import/{token}/Status")["Status"] == "Queued"
    assert site.preference(ann, "NEWS_EMAIL") is None
    site.state.clock.advance(60)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2
    site.state.switches.import_seconds, site.state.switches.import_ends = 0, "Failed"
    token = begin(site)
    stage(site, token, record(ann, 1))
    assert run(site, token)["Status"] == "Failed"
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2
