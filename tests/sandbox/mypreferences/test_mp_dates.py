"""CustomerDate rules of the MyPreferences sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mp_site import NOON, Site

from bridge.sandbox.mypreferences.dates import read_moment, round_up_to_tick, write_moment


@pytest.mark.parametrize(
    ("sent", "kind", "stored"),
    [
        ("2021-01-06", 1, "2021-01-06T05:00:00Z"),
        ("2021-01-06", 2, "2021-01-07T04:59:59Z"),
        ("2021-07-06", 1, "2021-07-06T04:00:00Z"),
        ("2021-07-06", 2, "2021-07-07T03:59:59Z"),
        ("2021-03-14", 1, "2021-03-14T05:00:00Z"),
        ("2021-03-14", 2, "2021-03-15T03:59:59Z"),
        ("2021-11-07", 1, "2021-11-07T04:00:00Z"),
        ("2021-11-07", 2, "2021-11-08T04:59:59Z"),
        ("2021-01-06T10:00:00Z", 1, "2021-01-06T10:00:00Z"),
        ("2021-01-06T10:00:00", 1, "2021-01-06T15:00:00Z"),
        ("2021-07-06T10:00:00", 2, "2021-07-06T14:00:00Z"),
        ("2021-01-06T10:00:00.1234567Z", 2, "2021-01-06T10:00:00.123Z"),
        ("2021-01-06T10:00:00.5", 1, "2021-01-06T15:00:00.500Z"),
        ("2021-01-06T10:00:00+02:00", 1, "2021-01-06T08:00:00Z"),
        ("2021-03-13T23:59:59", 1, "2021-03-14T04:59:59Z"),
        ("2021-03-14T03:00:00", 1, "2021-03-14T07:00:00Z"),
        ("2021-11-07T00:59:59", 2, "2021-11-07T04:59:59Z"),
        ("2021-11-07T02:00:00", 2, "2021-11-07T07:00:00Z"),
        ("2021-03-13", 2, "2021-03-14T04:59:59Z"),
        ("2021-11-06", 2, "2021-11-07T03:59:59Z"),
        (None, 1, "2026-01-20T12:00:00Z"),
        (None, 2, "2026-01-20T12:00:00Z"),
    ],
)
def test_a_customer_date_is_stored_by_the_documented_rules(
    site: Site, ann: int, sent: str | None, kind: int, stored: str
) -> None:
    """MyPreferences `CreateProfilePreference`, CustomerDate."""
    assert site.choose(ann, "NEWS_EMAIL", kind, sent)["CustomerDate"] == stored


@pytest.mark.parametrize("sent", ["yesterday", "2021-13-01", "06/01/2021", "2021-01-06T25:00:00Z"])
def test_a_date_that_is_none_is_refused_and_nothing_is_stored(site: Site, ann: int, sent: str) -> None:
    entries = [
        {"FilterId": "NEWS_EMAIL", "PreferenceType": 2},
        {"FilterId": "OFFERS_EMAIL", "PreferenceType": 2, "CustomerDate": sent},
    ]
    body = {"Emails": [{"EmailAddress": "ann@example.test", "EmailPreferences": entries}]}
    answer = site.call("POST", f"Profile/Preferences/{ann}", body)
    assert (answer.status_code, "CustomerDate" in answer.json()["Message"]) == (400, True)
    assert site.preference(ann, "NEWS_EMAIL") is None


def test_an_older_date_is_answered_200_and_not_honoured(site: Site, ann: int) -> None:
    """MyPreferences: rules ensure the correct preference is honored; later dates are assumed to win."""
    site.choose(ann, "NEWS_EMAIL", 2, "2026-01-10T00:00:00Z")
    after = site.choose(ann, "NEWS_EMAIL", 1, "2026-01-09T00:00:00Z")
    assert (after["PreferenceType"], after["CustomerDate"]) == (2, "2026-01-10T00:00:00Z")


def test_an_older_date_is_honoured_when_the_switch_says_so(site: Site, ann: int) -> None:
    site.state.switches.honour_older_dates = True
    site.choose(ann, "NEWS_EMAIL", 2, "2026-01-10T00:00:00Z")
    assert site.choose(ann, "NEWS_EMAIL", 1, "2026-01-09T00:00:00Z")["PreferenceType"] == 1


def test_an_older_consent_date_is_not_honoured_in_any_locale(site: Site, ann: int) -> None:
    site.consent(ann, "Profiling", 3, ConsentDate="2026-01-10T00:00:00Z")
    for locale in ("en_US", "fr_FR"):
        answer = site.consent(ann, "Profiling", 1, ConsentDate="2026-01-09T00:00:00Z", Locale=locale)
        assert answer.status_code == 200
        assert [(item["Locale"], item["ConsentStatus"]) for item in answer.json()["Consents"]] == [
            ("en_US", 3)
        ]


@pytest.mark.parametrize(
    ("milliseconds", "rounded"),
    [(0, 3), (2, 3), (3, 7), (6, 7), (7, 10), (9, 10), (994, 997), (999, 1000)],
)
def test_export_times_are_rounded_up_to_the_servers_ticks(milliseconds: int, rounded: int) -> None:
    """MyPreferences "Segment: Initiate", LastDateTime."""
    moment = NOON + timedelta(milliseconds=milliseconds)
    assert round_up_to_tick(moment) == NOON + timedelta(milliseconds=rounded)


def test_a_written_moment_reads_back() -> None:
    moment = datetime(2026, 3, 8, 7, 0, 0, 7000, tzinfo=UTC)
    assert read_moment(write_moment(moment)) == moment
