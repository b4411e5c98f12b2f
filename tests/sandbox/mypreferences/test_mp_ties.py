"""Consents, their links to preferences, how each affects the other, and the events of that."""

from __future__ import annotations

from typing import Any

import pytest
from mp_site import ADDRESS, PROFILE_KINDS, Site, element, pref

CONSENT = {"ConsentType": "EmailMarketing", "ConsentVersion": "1.0", "Locale": "en_US", "ConsentStatus": 1}
KINDS = [
    *(f"consent.{kind}" for kind in ("added", "updated", "deactivated")),
    *(f"consent.filterassociation.{kind}" for kind in ("created", "updated", "deactivated")),
    *(f"consent.elementassociation.{kind}" for kind in ("created", "updated", "deactivated")),
]


def listen(site: Site) -> None:
    rows = [{"Entity": "Consents", "EventType": kind, "ConsentTypes": ["AllConsents"]} for kind in KINDS]
    rows += [
        {"Entity": "Preferences", "EventType": f"preference.{kind}", "Filters": ["AllFilters"]}
        for kind in ("added", "updated", "archived")
    ]
    rows += [{"Entity": "ProfileActions", "EventType": f"profile.{kind}"} for kind in PROFILE_KINDS]
    body = {"Name": "all", "Url": "https://b.example.test", "State": "Active", "Subscriptions": rows}
    assert site.call("POST", "Events/Subscriptions", body).status_code == 201


def event_types(site: Site, entity: str = "Consents") -> list[str]:
    rows = [row for row in site.get("Events") if row["Entity"] == entity]
    return [row["EventType"] for row in sorted(rows, key=lambda row: row["EventId"])]


def tie(site: Site, ann: int, **more: Any) -> Any:
    row = {"FilterId": "NEWS_EMAIL", "TypeName": "Primary", "Consents": [{"ConsentType": "EmailMarketing"}]}
    return site.call("POST", f"Consents/{ann}/Filters", [{**row, **more}])


def test_a_link_creates_events_when_added_changed_and_removed(site: Site, ann: int) -> None:
    """MyPreferences `consent.filterassociation.created`, `.updated`, `.deactivated`."""
    listen(site)
    site.consent(ann, "EmailMarketing", 1)
    assert tie(site, ann).status_code == 200
    site.consent(ann, "EmailMarketing", 2)
    assert site.call("DELETE", f"Consents/{ann}/Filter/NEWS_EMAIL/Consent/EmailMarketing").status_code == 204
    assert event_types(site) == [
        "consent.added",
        "consent.filterassociation.created",
        "consent.updated",
        "consent.filterassociation.updated",
        "consent.filterassociation.deactivated",
    ]
    assert site.get(f"Consents/{ann}/Filters") == []


def test_one_opt_out_sets_off_all_that_hangs_on_it(site: Site, ann: int) -> None:
    """MyPreferences `consent.updated` by an opt-out, then `preference.archived` of what else is tied."""
    site.consent(ann, "Profiling", 1)
    site.choose(ann, "OFFERS_EMAIL", 1)
    site.choose(ann, "DEALS_EMAIL", 1)
    listen(site)
    site.choose(ann, "DEALS_EMAIL", 2)
    assert event_types(site, "Preferences") == ["preference.updated", "preference.archived"]
    assert event_types(site) == [
        "consent.updated",
        "consent.filterassociation.updated",
        "consent.filterassociation.updated",
    ]
    assert site.preference(ann, "OFFERS_EMAIL") is None
    assert site.preference(ann, "DEALS_EMAIL")["PreferenceType"] == 2


def test_what_was_taken_apart_no_longer_goes_down_together(site: Site, ann: int) -> None:
    site.consent(ann, "Profiling", 1)
    site.choose(ann, "OFFERS_EMAIL", 1)
    site.call("DELETE", f"Consents/{ann}/Filter/OFFERS_EMAIL/Consent/Profiling")
    site.consent(ann, "Profiling", 3)
    assert site.preference(ann, "OFFERS_EMAIL")["PreferenceType"] == 1


def test_inherited_ties_show_only_where_they_are_asked_for(site: Site, ann: int) -> None:
    """MyPreferences `Filter associations`: `implied` defaults to false here."""
    site.consent(ann, "EmailMarketing", 1)
    tie(site, ann)
    rows = site.get(f"Consents/{ann}/Filters", implied="true")
    assert [(row["FilterId"], row["Implied"]) for row in rows] == [
        ("NEWS_EMAIL", False),
        ("DEALS_EMAIL", True),
    ]
    assert [row["FilterId"] for row in site.get(f"Consents/{ann}/Filters")] == ["NEWS_EMAIL"]
    assert site.get(f"Consents/{ann}/Filters", filterId="OFFERS_EMAIL") == []


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"FilterId": "NOPE"}, 400),
        ({"TypeName": "Yacht"}, 404),
        ({"Consents": [{"ConsentType": "Profiling"}]}, 400),
        ({"Consents": [{"ConsentType": "EmailMarketing", "ConsentVersion": "9"}]}, 400),
    ],
)
def test_a_tie_to_what_is_not_there_is_refused(site: Site, ann: int, wrong: Any, status: int) -> None:
    site.consent(ann, "EmailMarketing", 1)
    assert tie(site, ann, **wrong).status_code == status
    assert site.call("DELETE", f"Consents/{ann}/Filter/NEWS_EMAIL/Consent/EmailMarketing").status_code == 404


@pytest.mark.parametrize("preserved", [True, False])
def test_consents_of_an_address_create_events_and_are_removed_with_it_unless_preserved(
    site: Site, ann: int, preserved: bool
) -> None:
    """MyPreferences `consent.elementassociation.*`, `PreserveConsents`."""
    site.call("POST", f"Profile/{ann}", {"PreserveConsents": preserved})
    listen(site)
    email = {"EmailAddress": ADDRESS, "Consents": [CONSENT]}
    site.call("POST", f"Profile/{ann}", {"Emails": [email]})
    site.call(
        "POST", f"Profile/{ann}", {"Emails": [{**email, "Consents": [{**CONSENT, "ConsentStatus": 3}]}]}
    )
    site.state.change_email(ann, ADDRESS, "new@example.test")
    kinds = ["consent.elementassociation.created", "consent.elementassociation.updated"]
    assert event_types(site) == kinds + ([] if preserved else ["consent.elementassociation.deactivated"])


def test_what_the_user_may_not_see_is_left_out_of_people(site: Site, ann: int) -> None:
    """MyPreferences shows only the preferences and consents that the user may see."""
    site.call(
        "POST",
        f"Profile/{ann}",
        {"Emails": [element(ADDRESS, pref("NEWS_EMAIL", 1), pref("OFFERS_EMAIL", 2))]},
    )
    site.consent(ann, "Profiling", 1)
    site.state.config.change(hidden=frozenset({"OFFERS_EMAIL", "Profiling"}))
    for shown in (
        site.get(f"Profile/{ann}", implied="false"),
        site.get("Profile/Email", emailAddress=ADDRESS, implied="false")[0],
        site.get(f"Profile/Preferences/{ann}", implied="false"),
    ):
        assert [item["FilterId"] for item in shown["Emails"][0]["EmailPreferences"]] == ["NEWS_EMAIL"]
        assert shown["Consents"] == []
    assert site.get(f"Profile/History/Consents/{ann}")["Consents"] == []
