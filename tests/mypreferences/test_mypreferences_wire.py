"""What comes over the wire is read as it is meant, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import InvalidResponse, OutcomeUnknown
from bridge.mypreferences.wire.codec import decode, encode, parse_moment, render_moment
from bridge.mypreferences.wire.profiles import (
    OPT_IN,
    OPT_OUT,
    AlternateId,
    Consent,
    Email,
    Preference,
    Profile,
)
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import World


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-01-06T05:00:00Z", utc(2021, 1, 6, 5)),
        ("2021-01-06T05:00Z", utc(2021, 1, 6, 5)),
        ("2021-01-06 05:00:00.5Z", utc(2021, 1, 6, 5, 0, 0, 500000)),
        ("2021-01-06T05:00:00.1234567Z", utc(2021, 1, 6, 5, 0, 0, 123456)),
        ("2021-01-06T05:00:00+02:00", utc(2021, 1, 6, 3)),
        ("2021-01-06T05:00:00-0500", utc(2021, 1, 6, 10)),
        ("2021-01-06T05:00:00", utc(2021, 1, 6, 10)),
        ("2021-07-06T05:00:00.25", utc(2021, 7, 6, 9, 0, 0, 250000)),
    ],
)
def test_times_are_utc_or_offset_or_us_eastern(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("day", "opt_in", "opt_out"),
    [
        ("2021-01-06", utc(2021, 1, 6, 5), utc(2021, 1, 7, 4, 59, 59)),
        ("2021-07-06", utc(2021, 7, 6, 4), utc(2021, 7, 7, 3, 59, 59)),
        ("2021-03-14", utc(2021, 3, 14, 5), utc(2021, 3, 15, 3, 59, 59)),
        ("2021-11-07", utc(2021, 11, 7, 4), utc(2021, 11, 8, 4, 59, 59)),
    ],
)
def test_a_bare_day_is_its_start_for_an_opt_in_and_its_end_for_an_opt_out(
    day: str, opt_in: datetime, opt_out: datetime
) -> None:
    """MyPreferences `CreateProfilePreference`, CustomerDate."""

    def dated(kind: int) -> datetime | None:
        return Preference(filter_id="F", preference_type=kind, customer_date=day).changed_at

    assert (dated(1), dated(2)) == (opt_in, opt_out)


def test_the_hour_that_comes_twice_is_the_later_one_for_a_withdrawal() -> None:
    assert parse_moment("2021-11-07T01:30:00") == utc(2021, 11, 7, 5, 30)
    assert parse_moment("2021-11-07T01:30:00", latest=True) == utc(2021, 11, 7, 6, 30)


@pytest.mark.parametrize("text", [None, "", " ", "soon", "2021-13-01", "2021-01-06T25:00:00Z", "06/01/2021"])
def test_an_unreadable_date_is_no_date(text: str | None) -> None:
    assert parse_moment(text) is None


MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_a_time_that_is_sent_reads_back_within_its_second(moment: datetime) -> None:
    down, up = parse_moment(render_moment(moment)), parse_moment(render_moment(moment, up=True))
    assert down is not None
    assert up is not None
    assert down <= moment <= up
    assert up - down <= timedelta(seconds=1)
    assert render_moment(down) == render_moment(down, up=True)


TEXT = st.text(min_size=1, max_size=12)
MAYBE = st.none() | TEXT
PREFERENCES = st.builds(
    Preference,
    filter_id=TEXT,
    preference_type=st.sampled_from([1, 2, "OptIn"]),
    frequency_id=MAYBE,
    customer_date=MAYBE,
    match_type=MAYBE,
    preference_status=MAYBE,
)
CONSENTS = st.builds(
    Consent,
    consent_type=TEXT,
    consent_version=TEXT,
    locale=TEXT,
    consent_status=st.sampled_from([1, 2, 3, 4, "Granted"]),
    consent_date=MAYBE,
    expired=st.none() | st.booleans(),
)
EMAILS = st.builds(
    Email,
    email_address=TEXT,
    email_address_type=MAYBE,
    is_active=st.none() | st.booleans(),
    email_preferences=st.none() | st.lists(PREFERENCES, max_size=3),
    consents=st.none() | st.lists(CONSENTS, max_size=2),
)
PROFILES = st.builds(
    Profile,
    profile_id=st.none() | st.integers(1, 2**53) | TEXT,
    is_active=st.none() | st.booleans(),
    status=MAYBE,
    emails=st.none() | st.lists(EMAILS, max_size=2),
    profile_preferences=st.none() | st.lists(PREFERENCES, max_size=2),
    consents=st.none() | st.lists(CONSENTS, max_size=2),
)


@given(PROFILES)
def test_a_profile_that_is_sent_reads_back_the_same(profile: Profile) -> None:
    sent = msgspec.json.encode(encode(profile))
    assert decode(Profile, sent, operation="any") == profile


def test_what_is_not_set_is_not_sent() -> None:
    """MyPreferences `Update profile (POST)`: properties not included stay unchanged."""
    consent = Consent(consent_type="C", consent_version="1", locale="en_US", consent_status=3)
    assert encode(Profile(consents=[consent])) == {
        "Consents": [{"ConsentType": "C", "ConsentVersion": "1", "Locale": "en_US", "ConsentStatus": 3}]
    }


@pytest.mark.parametrize(
    ("sent", "kind"),
    [(1, OPT_IN), ("2", OPT_OUT), ("OptIn", OPT_IN), ("Opt-Out", OPT_OUT), (7, "7")],
)
def test_enums_come_as_numbers_or_names(sent: int | str, kind: str) -> None:
    assert Preference(filter_id="F", preference_type=sent).kind == kind


def test_both_likely_spellings_of_an_alternate_id_are_read() -> None:
    first = decode(AlternateId, b'{"AlternateIdType":"CrmId","AlternateId":"A1"}', operation="any")
    second = decode(AlternateId, b'{"TypeName":"CRMID","Value":"a1","X":{}}', operation="any")
    assert first.pair == second.pair == ("crmid", "a1")


BAD = [
    "null",
    "",
    "<html></html>",
    "[",
    '{"ProfileId":',
    '{"ProfileId":{}}',
    '"text"',
    '{"Emails":[null]}',
    "[[]]",
    "[]",
]


@pytest.mark.parametrize("body", BAD)
def test_a_bad_answer_to_a_read_names_the_call_and_quotes_nothing(world: World, body: str) -> None:
    profile_id = world.add()
    world.state.faults.add(InjectedFault("retrieveProfileById", "status", status=200, body=body))
    with pytest.raises(InvalidResponse, match="retrieveProfileById") as caught:
        world.client.retrieve_profile_by_id(profile_id)
    assert not body or body not in str(caught.value)


@pytest.mark.parametrize("body", BAD)
def test_a_bad_answer_to_a_write_leaves_its_outcome_unknown(world: World, body: str) -> None:
    profile_id = world.add()
    world.state.faults.add(InjectedFault("updateProfilePost", "status", status=200, body=body))
    with pytest.raises(OutcomeUnknown, match="updateProfilePost"):
        world.client.update_profile_post(profile_id, Profile())


@pytest.mark.parametrize("body", ["null", "<html>", '{"Message":null}', '{"Events":null}'])
def test_no_events_and_no_answer_are_distinguished(world: World, body: str) -> None:
    world.state.faults.add(InjectedFault("retrieveEvents", "status", status=200, body=body))
    with pytest.raises(InvalidResponse):
        world.client.retrieve_events(start_at=utc(2026, 1, 20), end_at=utc(2026, 1, 20, 1))


def test_an_event_that_cannot_be_read_spoils_none_beside_it(world: World) -> None:
    body = '[{"EventType":7},{"EventType":[],"ProfileId":12},{"EventType":"Profile.Updated","ProfileId":13}]'
    world.state.faults.add(InjectedFault("retrieveEvents", "status", status=200, body=body))
    found = world.client.retrieve_events(start_at=utc(2026, 1, 20), end_at=utc(2026, 1, 20, 1)).events
    assert [(one.profile_id, one.is_lost) for one in found] == [(None, True), (12, False), (13, False)]


def test_the_profile_of_another_person_is_a_bad_answer(world: World) -> None:
    first, second = world.add(), world.add("bob@example.com")
    world.state.faults.add(
        InjectedFault("retrieveProfileById", "status", status=200, body=f'{{"ProfileId":{second}}}')
    )
    with pytest.raises(InvalidResponse):
        world.client.retrieve_profile_by_id(first)
