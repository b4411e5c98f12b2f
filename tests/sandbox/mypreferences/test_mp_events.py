"""Events, subscriptions, archiving and coupled topics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from mp_site import ADDRESS, NOON, Site, days_ago

NEWS = {("p", "NEWS_EMAIL"), ("w", "NEWS_EMAIL")}
FEW: dict[str, Any] = {
    "Subscriptions": [{"Entity": "Preferences", "EventType": "preference.updated", "Filters": ["NEWS_EMAIL"]}]
}


def test_without_a_subscription_nothing_is_kept(site: Site, ann: int) -> None:
    """MyPreferences retrieve events: events of webhook subscriptions."""
    site.state.set_preference(ann, "NEWS_EMAIL", True)
    site.subscribe()
    assert site.get("Events") == []
    assert site.get(f"Events/Profile/{ann}") == []
    assert [row["EventType"] for row in site.get(f"Events/Profile/{ann}", subscribedOnly="false")] == [
        "preference.added"
    ]


def test_a_subscription_is_born_paused_and_keeps_events_all_the_same(site: Site, ann: int) -> None:
    assert site.subscribe()["State"] == "Paused"
    site.choose(ann, "NEWS_EMAIL", 1)
    assert site.event_types() == ["preference.added"]
    site.state.switches.paused_keeps_events = False
    site.choose(ann, "OFFERS_EMAIL", 1)
    assert site.event_types() == ["preference.added"]


def test_only_matching_filters_reach_a_subscription(site: Site, ann: int) -> None:
    site.subscribe(**FEW)
    for filter_id in ("NEWS_EMAIL", "OFFERS_EMAIL"):
        for kind in (1, 2):
            site.choose(ann, filter_id, kind)
    assert [row["Data"]["FilterId"] for row in site.get("Events")] == ["NEWS_EMAIL"]


def test_one_change_creates_one_event_per_matching_subscription(site: Site, ann: int) -> None:
    first, second = site.subscribe(), site.subscribe(Url="https://other.example.test/")
    site.choose(ann, "NEWS_EMAIL", 1)
    rows = site.get("Events")
    assert sorted(row["SubscriptionId"] for row in rows) == [first["Id"], second["Id"]]
    assert len({row["EventId"] for row in rows}) == 1
    assert len(site.get(f"Events/Subscription/{second['Id']}")) == 1
    site.state.switches.event_ids_shared = False
    assert len({row["EventId"] for row in site.get("Events")}) == 2
    for row in site.get("Events"):
        assert site.get(f"Events/{row['EventId']}") == row


def test_an_event_holds_the_choice_and_its_author(site: Site, ann: int) -> None:
    site.subscribe()
    site.choose(ann, "OFFERS_EMAIL", 2, "2026-01-06T05:00:00Z")
    (row,) = site.get("Events")
    data = row["Data"]
    assert (row["ProfileId"], row["Entity"], row["UserId"]) == (ann, "Preferences", "bridge")
    assert (data["EmailAddress"], data["FilterId"], data["PreferenceType"]) == (ADDRESS, "OFFERS_EMAIL", 2)
    assert (row["OriginalEventTime"], data["CustomerDate"]) == (
        "2026-01-20T12:00:00Z",
        "2026-01-06T05:00:00Z",
    )
    assert "PreviousData" not in row


def test_events_can_be_asked_for_by_type_and_source_group(site: Site, ann: int) -> None:
    site.subscribe()
    site.choose(ann, "NEWS_EMAIL", 1)
    site.state.set_preference(ann, "NEWS_EMAIL", False)
    assert [row["UserId"] for row in site.get("Events", **{"sourceGroupIds[0]": "SYNC"})] == ["bridge"]
    assert [row["UserId"] for row in site.get("Events", eventType="preference.updated")] == [
        "preference-center"
    ]


def test_both_ends_of_the_window_are_included(site: Site, ann: int) -> None:
    """MyPreferences retrieve events by profile id: startAt and endAt are inclusive."""
    site.subscribe()
    site.choose(ann, "NEWS_EMAIL", 1)
    site.state.clock.advance(10)
    at, before, after = (NOON + timedelta(seconds=shift) for shift in (0, -1, 1))
    for start, end, rows in [
        (at, at, 1),
        (before, at, 1),
        (at, after, 1),
        (after, after, 0),
        (before, before, 0),
    ]:
        window = {"startAt": f"{start:%Y-%m-%dT%H:%M:%SZ}", "endAt": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        assert len(site.get("Events", **window)) == rows
        assert len(site.get(f"Events/Profile/{ann}", **window)) == rows


@pytest.mark.parametrize(
    "window",
    [
        {"startAt": "2026-01-05T11:59:59Z"},
        {"startAt": "2026-01-20T11:00:00Z", "endAt": "2026-01-20T10:00:00Z"},
        {"startAt": "lately"},
    ],
)
def test_a_window_too_old_reversed_or_unreadable_is_a_400(site: Site, window: dict[str, str]) -> None:
    """MyPreferences MaxEventHistoryDays is 15."""
    assert site.call("GET", "Events", **window).status_code == 400


def test_events_older_than_15_days_are_out_of_reach(site: Site, ann: int) -> None:
    site.subscribe()
    site.choose(ann, "NEWS_EMAIL", 1)
    site.state.clock.advance(15 * 86_400 + 1)
    site.sign_in()
    assert site.get("Events") == []


def test_a_late_event_shows_up_after_its_lag_under_its_recorded_time(site: Site, ann: int) -> None:
    site.subscribe()
    site.state.switches.event_lag_seconds = 60.0
    site.choose(ann, "NEWS_EMAIL", 1)
    site.state.clock.advance(59)
    assert site.get("Events") == []
    site.state.clock.advance(1)
    (row,) = site.get("Events", endAt="2026-01-20T12:00:00Z")
    assert row["RecordedTime"] == "2026-01-20T12:00:00Z"


def test_events_come_in_an_order_that_means_nothing_but_repeats(site: Site, ann: int) -> None:
    site.subscribe()
    for kind in (1, 2) * 6:
        site.choose(ann, "NEWS_EMAIL", kind)
    ids = [row["EventId"] for row in site.get("Events")]
    assert ids != sorted(ids)
    assert ids == [row["EventId"] for row in site.get("Events")]
    site.state.switches.events_shuffled = False
    assert [row["EventId"] for row in site.get("Events")] == sorted(ids)
    site.state.switches.events_wrapped = True
    assert len(site.get("Events")["Events"]) == 12


def test_repeating_a_choice_raises_no_event_unless_switched_on(site: Site, ann: int) -> None:
    site.subscribe()
    for _ in range(3):
        site.choose(ann, "NEWS_EMAIL", 1, "2026-01-01T00:00:00Z")
    assert site.event_types() == ["preference.added"]
    site.state.switches.repeat_raises_event = True
    site.choose(ann, "NEWS_EMAIL", 1, "2026-01-01T00:00:00Z")
    assert site.event_types() == ["preference.added", "preference.updated"]


def test_profile_lifecycle_changes_create_events(site: Site) -> None:
    site.subscribe()
    profile_id = site.state.add_profile([ADDRESS], quiet=False)
    site.state.change_email(profile_id, ADDRESS, "b@example.test")
    site.state.deactivate(profile_id)
    site.state.activate(profile_id)
    site.state.delete(profile_id)
    assert site.event_types() == [
        "contacts.email.added",
        "contacts.email.updated",
        "profile.created",
        "profile.deactivated",
        "profile.deleted",
        "profile.reactivated",
        "profile.updated",
    ]
    changed = site.get("Events", eventType="contacts.email.updated")[0]
    assert changed["PreviousData"]["EmailAddress"] == ADDRESS
    assert changed["Data"]["EmailAddress"] == "b@example.test"
    assert len(site.get(f"Events/Profile/{profile_id}")) == 7


def test_an_update_creates_one_event_however_much_it_changed(site: Site, ann: int) -> None:
    site.subscribe()
    site.call("POST", f"Profile/{ann}", {"CustomerName": {"FirstName": "A"}, "RegistrationConfirmed": True})
    site.call("POST", f"Profile/{ann}", {"CustomerName": {"FirstName": "A"}})
    assert site.event_types() == ["profile.updated"]
    site.choose(ann, "NEWS_EMAIL", 1)
    assert site.event_types() == ["preference.added", "profile.updated"]
    site.state.switches.profile_updated_covers_choices = True
    site.choose(ann, "NEWS_EMAIL", 2)
    assert site.event_types().count("profile.updated") == 2


def test_a_subscription_may_name_people_by_alternate_id(site: Site, ann: int) -> None:
    site.subscribe(AlternateIdType="CrmId")
    site.choose(ann, "NEWS_EMAIL", 1)
    assert site.get("Events")[0]["ProfileId"] == "A-1"


def test_the_same_url_and_event_twice_is_a_409(site: Site) -> None:
    """MyPreferences create new subscription."""
    body = {"Name": "twin", "Url": "https://bridge.example.test/hook", **FEW}
    site.subscribe()
    assert site.call("POST", "Events/Subscriptions", body).status_code == 409
    other = {**body, "Url": "https://elsewhere.example.test/"}
    assert site.call("POST", "Events/Subscriptions", other).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"Name": ""},
        {"Url": "http://bridge.example.test/hook"},
        {"Url": None},
        {"State": "Asleep"},
        {"Subscriptions": []},
        {"Subscriptions": [{"Entity": "Preferences", "EventType": "preference.added"}]},
    ],
)
def test_a_wrong_subscription_is_a_400(site: Site, change: dict[str, Any]) -> None:
    body = {"Name": "n", "Url": "https://bridge.example.test/", **FEW, **change}
    assert site.call("POST", "Events/Subscriptions", body).status_code == 400


def test_subscriptions_are_listed_replaced_and_deleted(site: Site, ann: int) -> None:
    made = site.subscribe()
    path = f"Events/Subscriptions/{made['Id']}"
    replaced = site.call("PUT", path, {**made, "State": "Active"}).json()
    assert (replaced["State"], replaced["Id"]) == ("Active", made["Id"])
    assert site.get("Events/Subscriptions", subscriptionId=made["Id"]) == [replaced]
    site.choose(ann, "NEWS_EMAIL", 1)
    assert site.call("DELETE", path).status_code == 204
    assert (site.get("Events/Subscriptions"), site.get("Events")) == ([], [])
    again = site.subscribe()
    site.call("PUT", f"Events/Subscriptions/{again['Id']}", {**again, "IsActive": False})
    assert site.get("Events/Subscriptions") == []


def test_revoking_a_consent_archives_the_preferences_tied_to_it(site: Site, ann: int) -> None:
    """MyPreferences `preference.archived`: its consent revoked."""
    site.consent(ann, "Profiling", 1)
    for filter_id in ("OFFERS_EMAIL", "DEALS_EMAIL", "NEWS_EMAIL"):
        site.choose(ann, filter_id, 1)
    site.subscribe()
    site.consent(ann, "Profiling", 3)
    assert site.event_types() == [
        "consent.filterassociation.updated",
        "consent.filterassociation.updated",
        "consent.updated",
        "preference.archived",
        "preference.archived",
    ]
    kept = [name for name in ("OFFERS_EMAIL", "DEALS_EMAIL", "NEWS_EMAIL") if site.preference(ann, name)]
    assert kept == ["NEWS_EMAIL"]


def test_opting_out_revokes_the_granted_consent_and_stays_readable(site: Site, ann: int) -> None:
    """MyPreferences `consent.updated`: an opt-out flips the associated consent from Granted to Revoked."""
    site.consent(ann, "Profiling", 1)
    for filter_id in ("OFFERS_EMAIL", "DEALS_EMAIL"):
        site.choose(ann, filter_id, 1)
    site.subscribe()
    out = site.choose(ann, "OFFERS_EMAIL", 2)
    assert (out["PreferenceType"], out["Consents"][0]["ConsentStatus"]) == (2, 3)
    assert site.preference(ann, "DEALS_EMAIL") is None
    assert site.event_types() == [
        "consent.filterassociation.updated",
        "consent.filterassociation.updated",
        "consent.updated",
        "preference.archived",
        "preference.updated",
    ]


def test_a_denied_consent_is_left_as_it_is_by_an_opt_out(site: Site, ann: int) -> None:
    site.consent(ann, "Profiling", 2)
    site.choose(ann, "OFFERS_EMAIL", 2)
    assert [item["ConsentStatus"] for item in site.get(f"Profile/{ann}")["Consents"]] == [2]


def test_consent_and_preference_are_tied_when_both_are_there(site: Site, ann: int) -> None:
    site.subscribe()
    site.consent(ann, "Profiling", 1)
    assert site.event_types() == ["consent.added"]
    site.choose(ann, "OFFERS_EMAIL", 1)
    assert site.event_types() == ["consent.added", "consent.filterassociation.created", "preference.added"]


def test_another_locale_deactivates_the_former_consent(site: Site, ann: int) -> None:
    """MyPreferences `consent.deactivated`."""
    site.subscribe()
    site.consent(ann, "Profiling", 1)
    answer = site.consent(ann, "Profiling", 1, Locale="fr_FR").json()
    assert [item["Locale"] for item in answer["Consents"]] == ["fr_FR"]
    assert site.event_types() == ["consent.added", "consent.added", "consent.deactivated"]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"Emails": [{"EmailAddressType": "Primary"}]}, {("w", "NEWS_EMAIL")}),
        ({"Emails": [{"EmailAddress": "w@example.test"}]}, {("p", "NEWS_EMAIL"), ("p", "OFFERS_EMAIL")}),
        (
            {
                "Emails": [
                    {"EmailAddressType": "Primary", "EmailAddress": ADDRESS, "FilterId": "OFFERS_EMAIL"}
                ]
            },
            {("p", "NEWS_EMAIL"), ("w", "NEWS_EMAIL")},
        ),
        (
            {"ProfilePreferences": [{"FilterId": "DEALS_APP"}]},
            {("p", "NEWS_EMAIL"), ("p", "OFFERS_EMAIL"), ("w", "NEWS_EMAIL")},
        ),
        ({"GlobalDeactivate": True}, set()),
    ],
)
def test_an_archive_request_takes_what_it_names(
    site: Site, ann: int, body: dict[str, Any], left: set[tuple[str, str]]
) -> None:
    """MyPreferences `ArchiveEmailPreference`, selection rules."""
    site.state.add_email(ann, "w@example.test", "Work")
    for filter_id in ("NEWS_EMAIL", "OFFERS_EMAIL"):
        site.state.set_preference(ann, filter_id, True)
    site.state.set_preference(ann, "NEWS_EMAIL", True, email="w@example.test")
    site.state.set_preference(ann, "DEALS_APP", True)
    site.subscribe()
    assert (
        site.call("PUT", f"Profile/Preferences/{ann}/Archive", {**body, "Reason_Code": "GONE"}).status_code
        == 204
    )
    profile = site.get(f"Profile/{ann}", implied="false")
    short = {"Primary": "p", "Work": "w"}
    shown = {
        (short[email["EmailAddressType"]], item["FilterId"])
        for email in profile["Emails"]
        for item in email["EmailPreferences"]
    }
    assert shown == left
    assert all(row["Data"]["ReasonCode"] == "GONE" for row in site.get("Events"))


def test_an_archive_request_that_names_nothing_is_refused(site: Site, ann: int) -> None:
    path = f"Profile/Preferences/{ann}/Archive"
    assert site.call("PUT", path, {}).status_code == 400
    assert site.call("PUT", path, {"Emails": [{"EmailAddressType": "Holiday"}]}).status_code == 404
    assert site.call("PUT", path, {"Emails": [{"FilterId": "NEWS_EMAIL"}]}).status_code == 400


def test_quiet_people_raise_nothing(site: Site) -> None:
    site.subscribe()
    site.state.add_profile([ADDRESS], preferences={"NEWS_EMAIL": (True, days_ago(1))})
    assert site.get("Events") == []


@pytest.mark.parametrize("deletes", [True, False])
def test_what_a_replacement_leaves_out_counts_as_empty(site: Site, deletes: bool) -> None:
    """MyPreferences `Update subscription`: whether that goes for `IsActive` too is not documented."""
    site.state.switches.empty_is_active_deletes = deletes
    made = site.subscribe(Description="sync", CatchUpOnResume=True)
    kept = ("Name", "Url", "Subscriptions")
    answer = site.call("PUT", f"Events/Subscriptions/{made['Id']}", {name: made[name] for name in kept})
    assert (answer.json()["Description"], answer.json()["CatchUpOnResume"]) == ("", False)
    assert len(site.get("Events/Subscriptions")) == (0 if deletes else 1)


def test_the_update_page_may_know_inactive_only(site: Site) -> None:
    made = site.subscribe()
    path = f"Events/Subscriptions/{made['Id']}"
    site.state.switches.update_takes_paused = False
    assert site.call("PUT", path, {**made, "State": "Paused"}).status_code == 400
    assert site.call("PUT", path, {**made, "State": "Inactive"}).json()["State"] == "Inactive"


def test_the_delivery_settings_are_those_of_the_account(site: Site) -> None:
    """MyPreferences `Update webhook settings`."""
    assert site.get("Events/Settings")["Settings"] == {"MaxConcurrentRequests": 500, "Duration": 1}
    wanted = {"MaxConcurrentRequests": 50, "Duration": 300}
    answer = site.call("PUT", "Events/Settings", {"Settings": wanted})
    assert (answer.status_code, answer.json()["Settings"]) == (200, wanted)
    assert site.get("Events/Settings")["Settings"] == wanted


@pytest.mark.parametrize(
    "settings",
    [
        {"MaxConcurrentRequests": 49, "Duration": 1},
        {"MaxConcurrentRequests": 5001, "Duration": 1},
        {"MaxConcurrentRequests": 500, "Duration": 301},
        {"MaxConcurrentRequests": 500},
        {"MaxConcurrentRequests": True, "Duration": 1},
    ],
)
def test_settings_out_of_range_are_a_400(site: Site, settings: dict[str, Any]) -> None:
    assert site.call("PUT", "Events/Settings", {"Settings": settings}).status_code == 400
    assert site.get("Events/Settings")["Settings"]["MaxConcurrentRequests"] == 500
