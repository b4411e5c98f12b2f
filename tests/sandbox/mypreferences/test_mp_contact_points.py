"""Contact points: phones and postal addresses beside e-mail, and the choices made for them."""

from __future__ import annotations

from typing import Any

import pytest
from mp_site import ADDRESS, Site, element, pref

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences import (
    ConsentTypeConfig,
    FilterConfig,
    MyPreferencesState,
    MyPreferencesSwitches,
    ProgramConfig,
    sample_config,
)
from tests.sandbox.mypreferences.mp_site import NOON

MOBILE = {"PhoneType": "Mobile", "PhoneNumber": "+1 (555) 010-2030", "IsMobile": True}
HOME = {"AddressType": "Home", "Address1": "1 Elm St", "City": "Duluth", "StateProvince": "GA"}


@pytest.fixture
def state() -> MyPreferencesState:
    """Channels of every kind, and a filter that inherits from another."""
    filters = (
        FilterConfig("NEWS_EMAIL"),
        FilterConfig("NEWS_DAILY", parent="NEWS_EMAIL"),
        FilterConfig("NEWS_NOON", parent="NEWS_DAILY"),
        FilterConfig("NEWS_CALL", "Phone"),
        FilterConfig("NEWS_TEXT", "Text"),
        FilterConfig("NEWS_MAIL", "Mail"),
    )
    config = sample_config(
        programs=(ProgramConfig("NEWS", "Newsletter", filters),), consent_types=(ConsentTypeConfig("Calls"),)
    )
    return MyPreferencesState(
        config, SandboxClock(NOON, frozen=True), MyPreferencesSwitches(events_shuffled=False)
    )


@pytest.fixture
def ann(state: MyPreferencesState) -> int:
    return state.add_profile([("Primary", ADDRESS)])


def post(site: Site, ann: int, body: dict[str, Any], status: int = 200) -> Any:
    answer = site.call("POST", f"Profile/{ann}", body)
    assert answer.status_code == status, answer.text
    return answer.json()


def on_phone(**more: Any) -> dict[str, Any]:
    return {"PhoneNumbers": [{**MOBILE, **more}]}


def said(site: Site, ann: int, collection: str, preferences: str, **query: Any) -> list[str]:
    query = {"implied": "false", **query}
    held = site.get(f"Profile/{ann}", **query)[collection]
    return [item["FilterId"] for one in held for item in one[preferences]]


def test_preferences_hang_on_the_kind_of_element_that_their_channel_reaches(site: Site, ann: int) -> None:
    """MyPreferences `Filters`: contact channels need a contact element of their kind."""
    body = {
        **on_phone(PhonePreferences=[pref("NEWS_TEXT", 1), pref("NEWS_CALL", 2)]),
        "Addresses": [{**HOME, "AddressPreferences": [pref("NEWS_MAIL", 1)]}],
    }
    shown = post(site, ann, body)
    (phone,), (home,) = shown["PhoneNumbers"], shown["Addresses"]
    assert (phone["PhoneNumberNumeric"], phone["IsMobile"], phone["IsDefault"]) == (15550102030, True, True)
    assert [item["ChannelId"] for item in phone["PhonePreferences"]] == ["Text", "Phone"]
    assert (home["City"], home["AddressPreferences"][0]["FilterId"]) == ("Duluth", "NEWS_MAIL")
    post(site, ann, on_phone(PhonePreferences=[pref("NEWS_MAIL", 1)]), 400)
    post(site, ann, {"Emails": [element(ADDRESS, pref("NEWS_TEXT", 1))]}, 400)
    post(site, ann, on_phone(PhoneType="Yacht"), 404)
    post(site, ann, on_phone(PhoneNumber="none"), 400)


def test_a_phone_is_the_same_by_its_digits(site: Site, ann: int) -> None:
    post(site, ann, on_phone(PhonePreferences=[pref("NEWS_TEXT", 1)]))
    shown = post(
        site, ann, on_phone(PhoneNumber="1-555-010-2030", PhoneNumberPreferences=[pref("NEWS_TEXT", 2)])
    )
    ((choice,),) = (one["PhonePreferences"] for one in shown["PhoneNumbers"])
    assert choice["PreferenceType"] == 2


def test_a_phone_that_is_no_longer_a_mobile_loses_its_text_preferences(site: Site, ann: int) -> None:
    """MyPreferences `preference.archived`: IsMobile from true to false."""
    post(site, ann, on_phone(PhonePreferences=[pref("NEWS_TEXT", 1), pref("NEWS_CALL", 1)]))
    site.subscribe(State="Active")
    post(site, ann, on_phone(IsMobile=False))
    assert said(site, ann, "PhoneNumbers", "PhonePreferences") == ["NEWS_CALL"]
    assert site.event_types().count("preference.archived") == 1


@pytest.mark.parametrize("preserved", [True, False])
def test_an_element_that_goes_keeps_or_loses_what_hangs_on_it(site: Site, ann: int, preserved: bool) -> None:
    """MyPreferences `PreservePreferences` and `PreserveConsents`."""
    post(site, ann, {"PreservePreferences": preserved, "PreserveConsents": preserved})
    consent = {"ConsentType": "Calls", "ConsentVersion": "1.0", "Locale": "en_US", "ConsentStatus": 1}
    post(site, ann, {"Emails": [{**element(ADDRESS, pref("NEWS_EMAIL", 1)), "Consents": [consent]}]})
    site.state.remove_email(ann, ADDRESS)
    assert site.get(f"Profile/{ann}")["Emails"] == []
    site.state.add_email(ann, ADDRESS)
    (email,) = site.get(f"Profile/{ann}", implied="false", includeConsentHistory="false")["Emails"]
    assert bool(email["EmailPreferences"]) is bool(email["Consents"]) is preserved


def test_an_element_that_comes_back_is_a_new_one_by_switch(site: Site, ann: int) -> None:
    post(site, ann, {"Emails": [element(ADDRESS, pref("NEWS_EMAIL", 1))]})
    site.state.switches.readded_element_keeps_choices = False
    site.state.remove_email(ann, ADDRESS)
    site.state.add_email(ann, ADDRESS)
    assert said(site, ann, "Emails", "EmailPreferences") == []


def test_a_choice_is_inherited_down_the_filters_until_one_is_stated(site: Site, ann: int) -> None:
    """MyPreferences `Preference Propagation`: MatchType Implied, and events by the system."""
    site.subscribe(State="Active")
    post(site, ann, {"Emails": [element(ADDRESS, pref("NEWS_EMAIL", 1))]})
    (email,) = site.get(f"Profile/{ann}")["Emails"]
    assert {item["FilterId"]: item["MatchType"] for item in email["EmailPreferences"]} == {
        "NEWS_EMAIL": "Expressed",
        "NEWS_DAILY": "Implied",
        "NEWS_NOON": "Implied",
    }
    assert said(site, ann, "Emails", "EmailPreferences") == ["NEWS_EMAIL"]
    events = [
        (row["Data"]["FilterId"], row["UserId"])
        for row in site.get("Events")
        if "preference" in row["EventType"]
    ]
    assert events == [("NEWS_EMAIL", "bridge"), ("NEWS_DAILY", "system"), ("NEWS_NOON", "system")]
    post(site, ann, {"Emails": [element(ADDRESS, pref("NEWS_DAILY", 2))]})
    (email,) = site.get(f"Profile/{ann}")["Emails"]
    kinds = {item["FilterId"]: item["PreferenceType"] for item in email["EmailPreferences"]}
    assert kinds == {"NEWS_EMAIL": 1, "NEWS_DAILY": 2, "NEWS_NOON": 2}


def test_a_replacement_blanks_what_it_leaves_out(site: Site, ann: int) -> None:
    """MyPreferences `Update profile (PUT)` and the event `profile.replaced`."""
    post(site, ann, {
        "CustomerName": {"FirstName": "Ann"},
        "Emails": [element(ADDRESS, pref("NEWS_EMAIL", 1), pref("NEWS_DAILY", 2))],
        **on_phone(PhonePreferences=[pref("NEWS_TEXT", 1)]),
        "CustomFields": [{"Name": "Shoe", "Value": "42"}],
    })  # fmt: skip
    site.subscribe(State="Active")
    body = {"Emails": [element(ADDRESS, pref("NEWS_DAILY", 2))]}
    answer = site.call("PUT", f"Profile/{ann}", body, implied="false")
    shown = answer.json()
    assert (answer.status_code, shown["CustomerName"], shown["CustomFields"]) == (200, {}, [])
    assert [item["FilterId"] for item in shown["Emails"][0]["EmailPreferences"]] == ["NEWS_DAILY"]
    assert shown["PhoneNumbers"] == []
    assert "profile.replaced" in site.event_types()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_replacement_without_the_flags_leaves_them_true_or_blank(site: Site, ann: int, keeps: bool) -> None:
    site.state.switches.put_keeps_preserve_flags = keeps
    shown = site.call("PUT", f"Profile/{ann}", {}).json()
    assert (shown["PreservePreferences"], shown["PreserveConsents"]) == (keeps, keeps)
    assert shown["Emails"] == []
