"""What webhook deliveries hold, read leniently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.store_values import WebhookEvent
from bridge.mypreferences.events.webhooks import MOST, code_in, read_delivery

FULL: dict[str, Any] = {
    "EventId": "e-1", "EventType": "preference.updated", "Entity": "Preferences", "SubscriptionId": 12,
    "ProfileId": 1001, "Data": {"EmailAddress": "ann@example.com"},
    "OriginalEventTime": "2024-01-06T05:00:01Z",
}  # fmt: skip
MINIMISED = {name: value for name, value in FULL.items() if name != "Data"}
NOTICE = WebhookEvent("e-1", "preference.updated", "1001")


def read(document: Any) -> tuple[WebhookEvent, ...]:
    return read_delivery(json.dumps(document).encode()).notices


@pytest.mark.parametrize(
    "document",
    [
        FULL,
        MINIMISED,
        [FULL],
        {"Events": [FULL]},
        {name[:1].lower() + name[1:]: value for name, value in FULL.items()},
        FULL | {"ProfileId": "1001"},
    ],
)
def test_one_or_several_full_or_minimised_it_is_the_same_notice(document: Any) -> None:
    """MyPreferences `Event payload samples`; whether one POST holds one message is not documented."""
    assert read(document) == (NOTICE,)


def test_nothing_of_the_payload_is_kept() -> None:
    assert "ann@example.com" not in repr(read_delivery(json.dumps(FULL).encode()))


def test_an_alternate_id_is_counted_and_not_kept() -> None:
    """MyPreferences `Create new subscription`: `AlternateIdType` puts any id in the profile's place."""
    delivery = read_delivery(json.dumps([FULL, FULL | {"ProfileId": "ann@example.com"}]).encode())
    assert (delivery.events, delivery.notices, delivery.unnamed) == (2, (NOTICE,), 1)
    assert "ann@example.com" not in repr(delivery)


def test_what_bears_on_no_consent_is_counted_and_not_kept() -> None:
    delivery = read_delivery(json.dumps([FULL, FULL | {"EventType": "group.added"}]).encode())
    assert (delivery.events, delivery.notices, delivery.unnamed) == (2, (NOTICE,), 0)


def test_a_kind_that_nobody_knows_is_a_notice_with_a_tame_name() -> None:
    (notice,) = read(FULL | {"EventType": "ann@example.com"})
    assert notice.kind == "ann?example.com"


@pytest.mark.parametrize("odd", [None, "", "x" * 101, "ann@example.com", {"a": 1}])
def test_an_odd_event_id_is_replaced_by_one_that_is_still_unique(odd: Any) -> None:
    (first,), (again,) = read(FULL | {"EventId": odd}), read(FULL | {"EventId": odd})
    (other,) = read(FULL | {"EventId": odd, "ProfileId": 1002})
    assert first == again
    assert first.event.startswith("sha256:")
    assert other.event != first.event


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"validationCode": "abc"}, ("validationCode", "abc")),
        ({"ValidationCode": 17}, ("ValidationCode", "17")),
        ({"challenge": "abc", "type": "url_verification"}, ("challenge", "abc")),
        ([{"data": {"validationCode": "abc"}}], ("validationCode", "abc")),
        ({"Something": "else"}, None),
        ({"validationCode": "a b"}, None),
        ({"validationCode": "x" * 501}, None),
        ([], None),
        (7, None),
        (None, None),
    ],
)
def test_a_payload_without_events_is_a_validation_request(
    document: Any, code: tuple[str, str] | None
) -> None:
    """MyPreferences `Create new subscription`: the receiver answers a validation request; its form is not
    documented."""
    delivery = read_delivery(json.dumps(document).encode())
    assert delivery.validates
    assert delivery.code == code


def test_an_empty_body_is_one_too() -> None:
    assert read_delivery(b" \n").validates
    assert code_in([("challenge", "abc")]) == ("challenge", "abc")
    assert code_in([("other", "abc")]) is None


@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words are for nobody
        read_delivery(body)


def test_more_events_than_one_cycle_may_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="events"):
        read([MINIMISED] * (MOST + 1))


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_whatever_comes_it_is_read_or_refused(body: bytes | str) -> None:
    try:
        delivery = read_delivery(body.encode() if isinstance(body, str) else body)
    except ValueError:
        return
    assert delivery.events >= len(delivery.notices) + delivery.unnamed
