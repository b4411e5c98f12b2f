"""Profiles: finding, creating, updating, the life cycle."""

from __future__ import annotations

import pytest
from mp_site import ADDRESS, Site, days_ago, element, pref

from bridge.sandbox.mypreferences import MyPreferencesState


def test_a_created_profile_holds_what_was_sent(site: Site) -> None:
    """MyPreferences create profile: profile, preferences and consents in one call."""
    body = {
        "CustomerName": {"FirstName": "Ann"},
        "AlternateIds": [{"AlternateIdType": "crmid", "AlternateId": "X-9"}],
        "Emails": [
            {
                "EmailAddress": "x@example.test",
                "EmailPreferences": [{"FilterId": "OFFERS_EMAIL", "PreferenceType": 1}],
            }
        ],
        "ProfilePreferences": [{"FilterId": "DEALS_APP", "PreferenceType": 2}],
        "Consents": [
            {
                "ConsentType": "EmailMarketing",
                "ConsentVersion": "1.0",
                "Locale": "en_us",
                "ConsentStatus": "Granted",
            }
        ],
    }
    answer = site.call("POST", "Profile", body)
    assert answer.status_code == 201
    profile = site.get(f"Profile/{answer.json()['ProfileId']}", implied="false")
    offer = profile["Emails"][0]["EmailPreferences"][0]
    assert (offer["FrequencyId"], offer["ProgramId"], offer["ChannelId"]) == ("WEEKLY", "OFFERS", "Email")
    assert (offer["UserId"], offer["SourceId"], offer["MatchType"]) == ("bridge", "SYNC", "Expressed")
    assert profile["ProfilePreferences"][0]["PreferenceType"] == 2
    assert (profile["Consents"][0]["Locale"], profile["Consents"][0]["ConsentStatus"]) == ("en_US", 1)
    assert profile["AlternateIds"][0]["AlternateIdType"] == "CrmId"
    assert (profile["Status"], profile["CustomerName"]["FirstName"]) == ("Complete", "Ann")
    assert profile["Emails"][0]["IsDefault"] is True


def test_a_taken_alternate_id_is_a_409(site: Site, ann: int) -> None:
    body = {"AlternateIds": [{"AlternateIdType": "CrmId", "AlternateId": "a-1"}]}
    assert site.call("POST", "Profile", body).status_code == 409


def test_both_spellings_of_the_alternate_id_route_find_the_profile_in_any_case(site: Site, ann: int) -> None:
    by_query = site.get("Profile/AlternateId", alternateId="a-1", alternateIdType="CRMID")
    by_path = site.get("Profile/AlternateIdType/CrmId/AlternateId/A-1")
    assert by_query["ProfileId"] == by_path["ProfileId"] == ann
    site.state.switches.alternate_id_answers_list = True
    assert [item["ProfileId"] for item in site.get("Profile/AlternateIdType/CrmId/AlternateId/A-1")] == [ann]


def test_create_or_update_by_alternate_id_converges_on_one_profile(site: Site) -> None:
    """MyPreferences update profile by alternate id (POST)."""
    query = {"alternateId": "N-1", "alternateIdType": "CrmId"}
    body = {"Emails": [{"EmailAddress": "n@example.test"}]}
    first = site.call("POST", "Profile/AlternateId", body, **query)
    again = site.call("POST", "Profile/AlternateId", body, **query)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["ProfileId"] == again.json()["ProfileId"]
    assert len(again.json()["Emails"]) == 1


def test_a_post_changes_what_it_holds_and_leaves_the_rest(site: Site, ann: int) -> None:
    site.choose(ann, "NEWS_EMAIL", 1)
    site.call("POST", f"Profile/{ann}", {"CustomerName": {"LastName": "Lee"}, "PreservePreferences": False})
    profile = site.get(f"Profile/{ann}")
    assert (profile["CustomerName"], profile["PreservePreferences"]) == ({"LastName": "Lee"}, False)
    assert profile["Emails"][0]["EmailPreferences"][0]["PreferenceType"] == 1


def test_an_address_not_on_the_profile_is_added(site: Site, ann: int) -> None:
    email = {
        "EmailAddress": "new@example.test",
        "EmailPreferences": [{"FilterId": "NEWS_EMAIL", "PreferenceType": 1}],
    }
    site.call("POST", f"Profile/Preferences/{ann}", {"Emails": [email]})
    assert [item["EmailAddress"] for item in site.get(f"Profile/{ann}")["Emails"]] == [
        ADDRESS,
        "new@example.test",
    ]
    assert site.state.find("NEW@example.test") == [ann]


@pytest.mark.parametrize(
    ("email", "status"),
    [
        ({"EmailAddressType": "Holiday", "EmailAddress": ADDRESS}, 404),
        ({"EmailAddress": "no address"}, 400),
        ({}, 400),
        (element(ADDRESS, pref("NOPE", 1)), 400),
        (
            {"EmailAddress": ADDRESS, "EmailPreferences": [{"FilterId": "NEWS_EMAIL", "PreferenceType": 3}]},
            400,
        ),
        (
            {"EmailAddress": ADDRESS, "EmailPreferences": [{"FilterId": "DEALS_APP", "PreferenceType": 1}]},
            400,
        ),
        (
            {
                "EmailAddress": ADDRESS,
                "EmailPreferences": [
                    {"FilterId": "OFFERS_EMAIL", "PreferenceType": 1, "FrequencyId": "YEARLY"}
                ],
            },
            400,
        ),
    ],
)
def test_a_wrong_submission_is_refused_with_a_message(
    site: Site, ann: int, email: dict[str, object], status: int
) -> None:
    answer = site.call("POST", f"Profile/Preferences/{ann}", {"Emails": [email]})
    assert (answer.status_code, bool(answer.json()["Message"])) == (status, True)


def test_an_unknown_consent_type_version_or_locale_is_refused(site: Site, ann: int) -> None:
    assert site.consent(ann, "Nothing", 1).status_code == 400
    assert site.consent(ann, "Profiling", 1, ConsentVersion="9.9").status_code == 400
    assert site.consent(ann, "Profiling", 1, Locale="de_DE").status_code == 400
    assert site.consent(ann, "Profiling", 7).status_code == 400


def test_a_body_that_is_not_json_is_refused(site: Site, ann: int) -> None:
    answer = site.http.post(f"/Profiles/v4/ACME_Corp/Profile/{ann}", content=b"{")
    assert (answer.status_code, answer.json()["Message"]) == (400, "The request is invalid.")


def test_profiles_sharing_an_address_are_all_found(site: Site, ann: int) -> None:
    other = site.state.add_profile([("Work", ADDRESS.upper())])
    found = site.get("Profile/Email", emailAddress=ADDRESS)
    assert [item["ProfileId"] for item in found] == [ann, other]
    narrowed = site.get("Profile/Email", emailAddress=ADDRESS, emailType="work")
    assert [item["ProfileId"] for item in narrowed] == [other]
    assert site.call("GET", "Profile/Email", emailAddress=ADDRESS, emailType="Holiday").status_code == 404


def test_more_than_50_matches_look_like_a_missing_permission(site: Site) -> None:
    """MyPreferences retrieve profiles: the search answers 403 above 50 matches."""
    for _ in range(50):
        site.state.add_profile(["shared@example.test"])
    assert len(site.get("Profile/Email", emailAddress="shared@example.test")) == 50
    site.state.add_profile(["shared@example.test"])
    too_many = site.call("GET", "Profile/Email", emailAddress="shared@example.test")
    site.state.forbidden.add("retrieveProfilesByEmail")
    forbidden = site.call("GET", "Profile/Email", emailAddress="shared@example.test")
    assert (too_many.status_code, too_many.text) == (forbidden.status_code, forbidden.text)
    assert too_many.status_code == 403


def test_nobody_found_is_an_empty_list_or_a_404_by_switch(site: Site) -> None:
    assert site.get("Profile/Email", emailAddress="nobody@example.test") == []
    site.state.switches.no_match_is_404 = True
    assert site.call("GET", "Profile/Email", emailAddress="nobody@example.test").status_code == 404


def test_an_inactive_profile_is_found_by_id_or_by_flag_only(site: Site, ann: int) -> None:
    assert site.call("POST", f"Profile/{ann}/Deactivate", {"Reason": "left"}).status_code == 200
    assert site.get("Profile/Email", emailAddress=ADDRESS) == []
    assert site.call("GET", "Profile/AlternateIdType/CrmId/AlternateId/A-1").status_code == 404
    assert len(site.get("Profile/Email", emailAddress=ADDRESS, includeInactive="true")) == 1
    assert site.get(f"Profile/{ann}")["IsActive"] is False
    site.call("POST", f"Profile/{ann}/Activate")
    assert len(site.get("Profile/Email", emailAddress=ADDRESS)) == 1


def test_deactivation_archives_preferences_that_are_not_to_be_preserved(site: Site, ann: int) -> None:
    site.choose(ann, "NEWS_EMAIL", 1)
    site.call("POST", f"Profile/{ann}", {"PreservePreferences": False})
    site.call("POST", f"Profile/{ann}/Deactivate", {"Reason": "x" * 257})
    assert site.preference(ann, "NEWS_EMAIL") is not None
    site.call("POST", f"Profile/{ann}/Deactivate")
    assert site.preference(ann, "NEWS_EMAIL") is None


def test_a_deleted_profile_is_gone(site: Site, ann: int) -> None:
    assert site.call("DELETE", f"Profile/{ann}", reasonCode="asked").status_code == 204
    assert site.call("GET", f"Profile/{ann}").status_code == 404
    assert site.get("Profile/Email", emailAddress=ADDRESS) == []
    assert site.state.people() == []


def test_implied_preferences_are_read_unless_refused(site: Site, ann: int) -> None:
    """MyPreferences retrieve profile by id: `implied` defaults to true."""
    site.choose(ann, "NEWS_EMAIL", 1)
    both = site.get(f"Profile/{ann}")["Emails"][0]["EmailPreferences"]
    assert {(item["FilterId"], item["MatchType"]) for item in both} == {
        ("NEWS_EMAIL", "Expressed"),
        ("DEALS_EMAIL", "Implied"),
    }
    assert site.preference(ann, "DEALS_EMAIL") is None


def test_former_consents_are_mixed_in_unless_refused(site: Site, ann: int) -> None:
    """MyPreferences retrieve profile by id: `includeConsentHistory` defaults to true."""
    site.consent(ann, "EmailMarketing", 1)
    site.state.clock.advance(60)
    site.consent(ann, "EmailMarketing", 3)
    mixed = site.get(f"Profile/{ann}")["Consents"]
    current = site.get(f"Profile/{ann}", includeConsentHistory="false")["Consents"]
    assert [item["ConsentStatus"] for item in mixed] == [1, 3]
    assert [item["ConsentStatus"] for item in current] == [3]


def test_reads_lag_behind_writes_by_the_switch(site: Site, ann: int) -> None:
    """MyPreferences profile status: Complete or Pending Update."""
    site.choose(ann, "NEWS_EMAIL", 1, "2026-01-01T00:00:00Z")
    site.state.switches.write_lag_seconds = 30.0
    before = site.choose(ann, "NEWS_EMAIL", 2, "2026-01-02T00:00:00Z")
    assert before["PreferenceType"] == 1
    assert site.get(f"Profile/{ann}")["Status"] == "Pending Update"
    site.state.clock.advance(30)
    assert site.preference(ann, "NEWS_EMAIL")["PreferenceType"] == 2
    assert site.get(f"Profile/{ann}")["Status"] == "Complete"


def test_the_test_api_acts_as_the_preference_center(site: Site, state: MyPreferencesState) -> None:
    profile_id = state.add_profile(
        [ADDRESS],
        preferences={"OFFERS_EMAIL": ("opted_in", days_ago(3), "DAILY"), "DEALS_APP": (False, days_ago(2))},
        consents={"EmailMarketing": ("Granted", days_ago(1))},
    )
    stored = site.preference(profile_id, "OFFERS_EMAIL")
    assert (stored["FrequencyId"], stored["UserId"]) == ("DAILY", "preference-center")
    assert stored["CustomerDate"] == "2026-01-17T12:00:00Z"
    assert state.set_preference(profile_id, "OFFERS_EMAIL", False, days_ago(4)) is False
    assert state.set_preference(profile_id, "OFFERS_EMAIL", False) is True
    state.archive(profile_id, "OFFERS_EMAIL")
    assert site.preference(profile_id, "OFFERS_EMAIL") is None
    state.change_email(profile_id, ADDRESS, "b@example.test")
    assert (state.find(ADDRESS), state.find("b@example.test")) == ([], [profile_id])
    truth = site.http.get("/_sandbox/people").json()
    assert truth[0]["emails"][0]["preferences"]["OFFERS_EMAIL"]["choice"] == "unset"
    assert truth[0]["consents"][0]["status"] == "Granted"
    with pytest.raises(ValueError, match="no filter"):
        state.set_preference(profile_id, "NOPE", True)
    with pytest.raises(KeyError, match="no profile"):
        state.set_preference(1, "NEWS_EMAIL", True)
