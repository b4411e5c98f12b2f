"""Segment export, faults on the wire, and answers against the schemas."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator
from mp_site import ADDRESS, Site, days_ago

from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import EVERYBODY, Segment, SegmentGroup
from bridge.sandbox.mypreferences.dates import write_moment

SPEC = "mypreferences-v4.openapi.yaml"


def start(site: Site, segment: str = "everybody", body: Any = None) -> int:
    """Begin an export and wait until it is complete."""
    token = site.call("POST", f"export/Segment/{segment}", body or {}).json()["AccessToken"]
    states = [site.get(f"status/Token/{token}")["Status"] for _ in range(2)]
    assert states == ["Processing", "Complete"]
    return int(token)


def test_an_export_is_read_in_blocks_and_its_token_ends_with_the_last(site: Site) -> None:
    """MyPreferences export, retrieve data: offset counts from 1; the token expires after the last block."""
    wanted = [site.state.add_profile([f"p{n}@example.test"]) for n in range(5)]
    token = start(site)
    found: list[int] = []
    more = True
    while more:
        page = site.get(f"export/Data/{token}", limit=2, offset=len(found) + 1)
        assert (page["Count"], page["TotalResults"]) == (len(page["UserProfilePreferences"]), 5)
        found += [row["ProfileId"] for row in page["UserProfilePreferences"]]
        more = page["HasMore"]
    assert found == wanted
    assert site.call("GET", f"export/Data/{token}").status_code == 401
    assert site.get(f"status/Token/{token}")["Status"] == "Retrieved"


def test_a_kept_token_can_be_read_again_under_both_routes(site: Site, ann: int) -> None:
    token = start(site)
    for path in (f"export/Data/{token}", f"export/Segment/{token}"):
        assert site.get(path, keepAlive="true")["Count"] == 1


def test_an_export_is_what_stood_when_it_began(site: Site, ann: int) -> None:
    site.choose(ann, "NEWS_EMAIL", 1)
    site.state.add_profile(["later@example.test"])
    token = start(site)
    site.choose(ann, "NEWS_EMAIL", 2)
    site.state.add_profile(["latest@example.test"])
    rows = site.get(f"export/Data/{token}")["UserProfilePreferences"]
    assert len(rows) == 2
    assert rows[0]["Emails"][0]["EmailPreferences"][0]["PreferenceType"] == 1


def test_everybody_means_the_active_ones_without_archived_choices(site: Site, ann: int) -> None:
    gone = site.state.add_profile(["gone@example.test"])
    site.state.deactivate(gone)
    site.state.set_preference(ann, "NEWS_EMAIL", True)
    site.state.archive(ann, "NEWS_EMAIL")
    (row,) = site.get(f"export/Data/{start(site)}")["UserProfilePreferences"]
    assert (row["ProfileId"], row["Emails"][0]["EmailPreferences"]) == (ann, [])
    site.state.switches.export_shows_archived = True
    (row,) = site.get(f"export/Data/{start(site)}")["UserProfilePreferences"]
    assert row["Emails"][0]["EmailPreferences"][0]["PreferenceStatus"] == "Archived"


def test_an_incremental_export_holds_what_changed_since(site: Site, ann: int) -> None:
    site.state.clock.advance(60)
    changed = site.state.add_profile(["new@example.test"])
    since = write_moment(site.state.now() - timedelta(seconds=1))
    page = site.get(f"export/Data/{start(site, body={'LastDateTime': since})}")
    assert [row["ProfileId"] for row in page["UserProfilePreferences"]] == [changed]


def test_criteria_are_added_to_the_segments_own(site: Site, ann: int) -> None:
    site.state.add_profile(["other@example.test"], {"CrmId": "B-2"})
    by_email = {"MatchCriteria": "EmailAddress", "MatchType": "Primary", "Values": [ADDRESS.upper()]}
    by_id = {"MatchCriteria": "AlternateId", "MatchType": "crmid", "Values": ["a-1"]}
    for body in (by_email, by_id, {"MatchCriteria": "ProfileId", "Values": [str(ann)]}):
        page = site.get(f"export/Data/{start(site, body=body)}")
        assert [row["ProfileId"] for row in page["UserProfilePreferences"]] == [ann]


def test_a_segment_of_deleted_people_shows_only_that_they_are_deleted(site: Site, ann: int) -> None:
    """MyPreferences export, retrieve data (segment)."""
    site.state.add_segment(Segment("GONE", lambda _: True, of_deleted=True))
    site.state.delete(ann, "asked")
    (row,) = site.get(f"export/Data/{start(site, 'GONE')}")["UserProfilePreferences"]
    assert row == {"ProfileId": ann, "DeletedDate": "2026-01-20T12:00:00Z", "ReasonCode": "asked"}


def test_a_phone_number_is_matched_by_its_digits(site: Site, ann: int) -> None:
    """MyPreferences export, ExportRequest: MatchType is the phone type here."""
    called = site.call(
        "POST", f"Profile/{ann}", {"PhoneNumbers": [{"PhoneNumber": "+44 7700", "PhoneType": "Home"}]}
    )
    assert called.status_code == 200
    for kind, found in (("Home", 1), ("Work", 0)):
        body = {"MatchCriteria": "PhoneNumber", "MatchType": kind, "Values": ["447700"]}
        assert site.get(f"export/Data/{start(site, body=body)}")["Count"] == found


def test_alternate_ids_cannot_be_matched_without_their_type(site: Site) -> None:
    """MyPreferences export, ExportRequest: MatchType is required for AlternateId."""
    for body in (
        {"MatchCriteria": "AlternateId", "Values": ["a-1"]},
        {"MatchCriteria": "Colour", "Values": []},
    ):
        assert site.call("POST", "export/Segment/EVERYBODY", body).status_code == 400


def test_a_segment_group_combines_segments(site: Site, ann: int) -> None:
    """MyPreferences export: segment groups combine segments with AND, OR and EXCEPT."""
    bob = site.state.add_profile(["bob@example.test"])
    is_ann, nobody = Segment("ANN", lambda one: one.profile_id == ann), Segment("NOBODY", lambda _: False)
    groups = {
        SegmentGroup("BOTH", EVERYBODY, (("AND", is_ann),)): [ann],
        SegmentGroup("EITHER", nobody, (("OR", is_ann),)): [ann],
        SegmentGroup("REST", EVERYBODY, (("EXCEPT", is_ann),)): [bob],
        SegmentGroup("ALL", EVERYBODY): [ann, bob],
    }
    for group, wanted in groups.items():
        site.state.add_segment_group(group)
        token = site.call("POST", f"export/SegmentGroup/{group.name.lower()}", {}).json()["AccessToken"]
        site.get(f"status/Token/{token}")
        rows = site.get(f"export/Segment/{token}")["UserProfilePreferences"]
        assert [row["ProfileId"] for row in rows] == wanted
    assert site.call("POST", "export/SegmentGroup/EVERYBODY", {}).status_code == 404


@pytest.mark.parametrize("word", ["Error", "Failed"])
def test_an_export_may_end_badly_and_then_holds_nothing(site: Site, word: str) -> None:
    """MyPreferences export, retrieve status: Error for a broken segment, Failed without permission."""
    site.state.switches.export_ends = word
    token = site.call("POST", "export/Segment/EVERYBODY", {}).json()["AccessToken"]
    seen = [site.get(f"status/Token/{token}") for _ in range(2)]
    assert [item["Status"] for item in seen] == ["Processing", word]
    assert seen[-1]["RowCount"] is None
    assert site.call("GET", f"export/Segment/{token}").status_code == 401


def test_wrong_export_calls_are_refused(site: Site, ann: int) -> None:
    assert site.call("POST", "export/Segment/NOBODY", {}).status_code == 404
    assert site.call("POST", "export/Segment/EVERYBODY", {"LastDateTime": "once"}).status_code == 400
    assert site.call("GET", "status/Token/5").status_code == 401
    token = site.call("POST", "export/Segment/EVERYBODY", {}).json()["AccessToken"]
    assert site.call("GET", f"export/Data/{token}").status_code == 400
    assert site.get(f"status/Token/{token}")["RowCount"] is None
    site.state.clock.advance(21_601)
    site.sign_in()
    assert site.get(f"status/Token/{token}")["Status"] == "Expired"


def test_a_fault_after_the_write_hides_the_answer_but_not_the_write(site: Site, ann: int) -> None:
    body = {
        "Emails": [
            {"EmailAddress": ADDRESS, "EmailPreferences": [{"FilterId": "NEWS_EMAIL", "PreferenceType": 2}]}
        ]
    }
    site.state.faults.add(InjectedFault("upsertPreferences", "timeout_after"))
    with pytest.raises(httpx.RemoteProtocolError):
        site.call("POST", f"Profile/Preferences/{ann}", body)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2


def test_a_fault_before_the_write_leaves_nothing_behind(site: Site, ann: int) -> None:
    site.state.faults.add(InjectedFault("updateProfilePost", "reset"))
    with pytest.raises(httpx.ReadError):
        site.call("POST", f"Profile/{ann}", {"CustomerName": {"FirstName": "A"}})
    assert site.get(f"Profile/{ann}")["CustomerName"] == {}


def test_half_a_page_of_events_is_half_even_when_wrapped(site: Site, ann: int) -> None:
    site.subscribe()
    for filter_id in ("NEWS_EMAIL", "OFFERS_EMAIL"):
        site.choose(ann, filter_id, 1)
    for wrapped in (False, True):
        site.state.switches.events_wrapped = wrapped
        site.state.faults.add(InjectedFault("retrieveEvents", "half_page"))
        page = site.get("Events")
        assert len(page["Events"] if wrapped else page) == 1


def test_calls_are_counted_by_operation_refused_ones_too(site: Site, ann: int) -> None:
    site.state.calls.reset()
    site.get(f"Profile/{ann}")
    site.call("GET", "Profile/999999")
    site.call("GET", "Nowhere")
    site.sign_in()
    assert site.state.calls.counts() == {"retrieveProfileById": 2, "token": 1, "unknown": 1}


def _spec() -> dict[str, Any]:
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("BRIDGE_SPECS_DIR") or root.parent / "shared" / "apis" / "specs")
    if not (folder / SPEC).is_file():
        pytest.skip(f"{SPEC} not found; set BRIDGE_SPECS_DIR to the folder that holds it")
    document: dict[str, Any] = yaml.safe_load((folder / SPEC).read_text(encoding="utf-8"))
    return document


def _schema(spec: dict[str, Any], operation_id: str) -> dict[str, Any]:
    for methods in spec["paths"].values():
        for operation in methods.values():
            if isinstance(operation, dict) and operation.get("operationId") == operation_id:
                answers = operation["responses"]
                answer = answers.get("200") or answers["201"]
                schema = answer["content"]["application/json"]["schema"]
                return {**schema, "components": spec["components"]}
    raise LookupError(operation_id)


def test_answers_follow_the_schemas(site: Site, ann: int) -> None:
    """Reconstructed OpenAPI document of MyPreferences 3.0 Version 4."""
    spec = _spec()
    subscription = site.subscribe()
    for filter_id, consent in (("OFFERS_EMAIL", "Profiling"), ("NEWS_EMAIL", "EmailMarketing")):
        site.choose(ann, filter_id, 1, PreferenceAttributes=[{"Key": "k", "Value": "v"}])
        site.consent(ann, consent, 1)
    site.state.set_preference(ann, "OFFERS_EMAIL", False)
    answers = {
        "retrievePrograms": site.get("Programs"),
        "retrieveProgram": site.get("Programs/offers"),
        "retrieveConsentTypes": site.get("ConsentTypes"),
        "retrieveConsentStatus": site.get("ConsentStatus"),
        "retrieveEmailTypes": site.get("EmailTypes"),
        "retrieveAlternateIdTypes": site.get("AlternateIdTypes"),
        "retrieveCustomerTypes": site.get("CustomerTypes"),
        "retrieveProfileById": site.get(f"Profile/{ann}"),
        "retrieveProfilesByEmail": site.get("Profile/Email", emailAddress=ADDRESS),
        "retrieveProfileByAlternateId": site.get("Profile/AlternateIdType/CrmId/AlternateId/A-1"),
        "retrievePreferences": site.get(f"Profile/Preferences/{ann}"),
        "createProfile": site.call("POST", "Profile", {}).json(),
        "addConsents": site.consent(ann, "EmailMarketing", 2).json(),
        "retrieveEvents": site.get("Events"),
        "retrieveEventsByProfile": site.get(f"Events/Profile/{ann}"),
        "retrieveEvent": site.get(f"Events/{site.get('Events')[0]['EventId']}"),
        "createSubscription": subscription,
        "retrieveSubscriptions": site.get("Events/Subscriptions"),
    }
    token = start(site)
    answers["exportStatus"] = site.get(f"status/Token/{token}")
    answers["retrieveExport"] = site.get(f"export/Data/{token}")
    for operation_id, answer in answers.items():
        faults = list(Draft202012Validator(_schema(spec, operation_id)).iter_errors(answer))
        assert not faults, f"{operation_id}: {faults[0].message}"


def test_two_thousand_people_are_quickly_there(site: Site) -> None:
    for number in range(2000):
        site.state.add_profile(
            [f"p{number}@example.test"],
            {"CrmId": str(number)},
            {"NEWS_EMAIL": (number % 2 == 0, days_ago(2))},
        )
    assert len(site.get(f"export/Data/{start(site)}", limit=5000)["UserProfilePreferences"]) == 2000
    assert len(site.http.get("/_sandbox/people").json()) == 2000
