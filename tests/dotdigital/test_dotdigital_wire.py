from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import InvalidResponse, OutcomeUnknown, Refused
from bridge.dotdigital.client import arguments, wire
from bridge.transport import Response

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
AT = datetime(2020, 1, 1, 9, 40, 18, 527000, tzinfo=UTC)


def answer(body: bytes | str, status: int = 200) -> Response:
    return Response(status, httpx.Headers(), body.encode() if isinstance(body, str) else body, None)


@given(MOMENTS)
def test_a_rendered_date_reads_back_to_the_millisecond_and_never_later(moment: datetime) -> None:
    text = arguments.render_date(moment)
    back = wire.parse_server_time(text)
    assert text.endswith("Z")
    assert len(text) == len("2020-01-01T09:40:18.527Z")
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


@given(MOMENTS, st.integers(-14, 14))
def test_a_date_is_rendered_in_utc_whatever_its_zone(moment: datetime, hours: int) -> None:
    assert arguments.render_date(
        moment.astimezone(timezone(timedelta(hours=hours)))
    ) == arguments.render_date(moment)


def test_a_date_without_a_zone_is_never_sent() -> None:
    with pytest.raises(ValueError, match="time zone"):
        arguments.render_date(AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-01 09:40:18.527000+00:00",
        "2020-01-01T09:40:18.5270000Z",
        '"2020-01-01T09:40:18.527Z"',
        "2020-01-01T09:40:18.527",
        "2020-01-01T10:40:18.527+01:00\n",
    ],
)
def test_the_server_time_is_read_in_every_form_met(text: str) -> None:
    """Dotdigital server-time: plain text, lenient."""
    assert wire.parse_server_time(text) == AT


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() and text.strip()))
def test_an_address_in_a_path_decodes_to_itself(local: str) -> None:
    encoded = arguments.path_address(f"{local.strip()}@example.com", "op")
    assert unquote(encoded) == f"{local.strip()}@example.com"
    assert not set("+/?#") & set(encoded)


@pytest.mark.parametrize(
    "address", ["", "   ", "12345", "no-at-sign", "a" * 250 + "@example.com", "a\n@example.com"]
)
def test_what_is_no_address_is_refused_before_any_call(address: str) -> None:
    with pytest.raises(Refused):
        arguments.checked_address(address, "op")


@pytest.mark.parametrize("number", [0, -1, 2**31])
def test_ids_that_v2_cannot_address_are_refused_before_any_call(number: int) -> None:
    with pytest.raises(Refused):
        arguments.path_id(number, "op")


def test_the_misspelt_date_wins_over_a_corrected_one_and_either_will_do() -> None:
    """Dotdigital ApiMarketingPreferenceOptIn: the wire says `dateModifed`."""
    row = '{"marketingPreferenceId":1,"isOptedIn":true,%s}'
    old, new = '"dateModifed":"2020-01-01T09:40:18.527Z"', '"dateModified":"2021-01-01T00:00:00Z"'
    assert wire.decode(answer(row % old), wire.OptInRow, "op").changed_at == AT
    assert wire.decode(answer(row % new), wire.OptInRow, "op").changed_at == datetime(2021, 1, 1, tzinfo=UTC)
    assert wire.decode(answer(row % f"{old},{new}"), wire.OptInRow, "op").changed_at == AT


def test_a_year_one_date_is_no_date() -> None:
    row = wire.decode(answer('{"dateRemoved":"0001-01-01T00:00:00"}'), wire.Suppression, "op")
    assert row.removed_at is None


@pytest.mark.parametrize(
    ("node", "leaf"),
    [
        ('{"id":1,"isPreference":true}', True),
        ('{"id":1,"isPreference":false}', False),
        ('{"id":1,"isPreference2":true}', True),
        ('{"id":1,"isPreference2":false}', False),
        ('{"id":1,"isPreference":true,"isPreference2":false}', True),
        ('{"id":1,"preferences":[]}', False),
        ('{"id":1,"preferences":null}', True),
        ('{"id":1,"order":"3"}', True),
        ('{"id":1,"order":3}', True),
    ],
)
def test_a_leaf_is_recognised_in_each_spelling(node: str, leaf: bool) -> None:
    """Dotdigital preferences modified-since spells the flag `isPreference2` at the top."""
    assert wire.decode(answer(node), wire.PreferenceTreeNode, "op").is_leaf is leaf


def test_fillers_and_missing_keys_are_normal() -> None:
    row = wire.decode(
        answer('{"suppressedContact":{"id":0,"email":null,"dataFields":null}}'), wire.Suppression, "x"
    )
    assert row.suppressed_contact is not None
    assert row.suppressed_contact.contact_id is None
    assert row.suppressed_contact.address is None
    assert row.status is None


BROKEN = [b"", b"null", b"<html>person@example.com</html>", b'[{"id":1', b'{"id":"one"}', b"\xff\xfe", b"7"]


@pytest.mark.parametrize("body", BROKEN)
def test_an_answer_that_is_not_as_documented_is_never_believed_nor_quoted(body: bytes) -> None:
    with pytest.raises(InvalidResponse) as read:
        wire.decode(answer(body), list[wire.PreferenceTreeNode], "get-preferences")
    with pytest.raises(OutcomeUnknown) as written:
        wire.decode(answer(body), wire.ContactV2, "unsubscribe-contact", is_write=True)
    assert "example" not in str(read.value) + str(written.value)
    assert "get-preferences" in str(read.value)


def test_a_row_of_consent_without_its_state_is_not_guessed_at() -> None:
    with pytest.raises(InvalidResponse):
        wire.decode(
            answer('[{"contact":{},"marketingPreferenceOptIns":[{"marketingPreferenceId":1}]}]'),
            list[wire.ContactSubscriptions],
            "op",
        )


CONTACTS = st.builds(
    wire.ContactV2,
    id=st.none() | st.integers(0, 2**31 - 1),
    email=st.none() | st.emails(),
    status=st.none() | st.text(max_size=20),
)
OPT_INS = st.builds(
    wire.OptInRow,
    marketing_preference_id=st.integers(1, 2**31 - 1),
    is_opted_in=st.booleans(),
    date_modifed=st.none() | MOMENTS,
)


@given(
    st.builds(
        wire.Suppression,
        suppressed_contact=st.none() | CONTACTS,
        date_removed=st.none() | MOMENTS,
        reason=st.none() | st.text(max_size=9),
    )
)
def test_a_suppression_row_reads_back_as_it_was_rendered(row: wire.Suppression) -> None:
    read = wire.decode(answer(msgspec.json.encode(row)), wire.Suppression, "op")
    assert (read.suppressed_contact, read.removed_at, read.reason) == (
        row.suppressed_contact,
        row.removed_at,
        row.reason,
    )


@given(
    st.builds(
        wire.ContactSubscriptions,
        contact=st.none() | CONTACTS,
        marketing_preference_opt_ins=st.none() | st.lists(OPT_INS, max_size=4),
    )
)
def test_subscriptions_read_back_as_they_were_rendered(row: wire.ContactSubscriptions) -> None:
    read = wire.decode(answer(msgspec.json.encode(row)), wire.ContactSubscriptions, "op")
    assert read.contact == row.contact
    assert [(one.marketing_preference_id, one.is_opted_in, one.changed_at) for one in read.rows] == [
        (one.marketing_preference_id, one.is_opted_in, one.changed_at) for one in row.rows
    ]


def test_account_properties_are_found_by_name() -> None:
    """Dotdigital account-info: every value is a string; the order means nothing."""
    name, endpoint = '{"name":"Name","value":null}', '{"name":"ApiEndpoint","value":" https://x/ "}'
    body = f'{{"id":7,"properties":[{name},{endpoint}]}}'
    info = wire.decode(answer(body), wire.AccountInfo, "op")
    assert info.value("ApiEndpoint") == "https://x/"
    assert info.value("Name") is None
    assert info.value("Nothing") is None
