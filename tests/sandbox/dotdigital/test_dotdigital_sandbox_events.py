"""The events export (events v3): what it collects, gives out, and forgets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

SUBSCRIPTIONS = "/events/v3/export/subscriptions"
TYPES = ("contact.created", "contact.updated", "contact.preferenceUpdated", "contact.removed")


def _body(name: str = "one", status: str = "active") -> dict[str, Any]:
    return {
        "name": name,
        "status": status,
        "subscribedEventTypes": [{"eventType": kind} for kind in TYPES],
        "alertsConfiguration": {"alertChannels": "none"},
    }


def _subscribed(http: httpx.Client, **body: str) -> int:
    made = http.post(SUBSCRIPTIONS, json=_body(**body))
    assert made.status_code == 201, made.text
    number: int = made.json()["id"]
    return number


def _page(http: httpx.Client, **query: Any) -> dict[str, Any]:
    page: dict[str, Any] = http.get("/events/v3/export/1", params=query).json()
    return page


def _whom(page: dict[str, Any]) -> list[int]:
    return [event["data"]["contactId"] for event in page["events"]]


@pytest.fixture
def export(http: httpx.Client, state: DotdigitalState) -> DotdigitalState:
    """An account with a subscription that collects already."""
    _subscribed(http)
    state.clock.advance(state.switches.event_activation_seconds)
    return state


@pytest.mark.parametrize("seconds", [0.0, 300.0])
def test_a_subscription_collects_only_a_while_after_it_was_made_active(
    http: httpx.Client, state: DotdigitalState, seconds: float
) -> None:
    state.switches.event_activation_seconds = seconds
    _subscribed(http)
    state.add_contact("early@example.com")
    assert len(_page(http)["events"]) == (0 if seconds else 1)
    state.clock.advance(seconds)
    late = state.add_contact("late@example.com")
    assert _whom(_page(http))[-1] == late


def test_an_account_has_no_more_than_five_subscriptions(http: httpx.Client) -> None:
    for number in range(5):
        _subscribed(http, name=f"n{number}")
    refused = http.post(SUBSCRIPTIONS, json=_body("one more"))
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "events:badJson")
    assert len(http.get(SUBSCRIPTIONS).json()["_items"]) == 5


def test_a_name_belongs_to_one_subscription(http: httpx.Client) -> None:
    _subscribed(http)
    refused = http.post(SUBSCRIPTIONS, json=_body())
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "events:nameAlreadyExists")


def test_a_page_comes_again_until_its_checkpoint_is_passed(
    http: httpx.Client, export: DotdigitalState
) -> None:
    """At least once: passing the checkpoint of a page is what acknowledges it."""
    ids = [export.add_contact(f"p{number}@example.com") for number in range(3)]
    first = _page(http, limit=2)
    assert _whom(first) == _whom(_page(http, limit=2)) == ids[:2]
    rest = _page(http, limit=2, checkPoint=first["checkPoint"])
    assert _whom(rest) == ids[2:]
    assert _whom(_page(http)) == ids[2:], "what is acknowledged is gone"
    assert _page(http, checkPoint=rest["checkPoint"])["events"] == []


def test_a_checkpoint_of_another_time_is_refused(http: httpx.Client, export: DotdigitalState) -> None:
    for check_point in ("2.0", "1.7", "x"):
        refused = http.get("/events/v3/export/1", params={"checkPoint": check_point})
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "events:invalidCheckpoint")


def test_unread_for_thirty_days_it_is_inactive_and_collects_nothing(
    http: httpx.Client, export: DotdigitalState
) -> None:
    export.clock.advance(timedelta(days=31).total_seconds())
    export.add_contact("lost@example.com")
    refused = http.get("/events/v3/export/1")
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "events:inactiveSubscription")
    assert http.get(SUBSCRIPTIONS).json()["_items"][0]["status"] == "inactive"
    http.put(f"{SUBSCRIPTIONS}/1", json=_body())
    assert _page(http)["events"] == []
    export.clock.advance(300)
    export.add_contact("found@example.com")
    assert len(_page(http)["events"]) == 1


def test_a_subscription_is_inactive_unless_it_says_otherwise(http: httpx.Client) -> None:
    body = _body()
    del body["status"]
    assert http.post(SUBSCRIPTIONS, json=body).json()["status"] == "inactive"
    assert http.get("/events/v3/export/1").status_code == 409


@pytest.mark.parametrize(("position", "status"), [("there", 200), ("forbidden", 403), ("absent", 404)])
def test_the_feature_may_be_missing(
    http: httpx.Client, state: DotdigitalState, position: str, status: int
) -> None:
    state.switches.events = position
    assert http.get(SUBSCRIPTIONS).status_code == status
    assert http.get("/contacts/v3").status_code == 200, "it is a feature of its own"


@pytest.mark.parametrize(
    ("position", "seen"),
    [
        ("once", [[1, 2], [3]]),
        ("doubled", [[1, 1, 2, 2], [3, 3]]),
        ("replayed", [[1, 2], [2, 3]]),
        ("lost", [[2], []]),
    ],
)
def test_events_come_at_least_once_or_not_at_all(
    http: httpx.Client, export: DotdigitalState, position: str, seen: list[list[int]]
) -> None:
    export.switches.event_delivery = position
    for name in "ab":
        export.add_contact(f"{name}@example.com")
    first = _page(http)
    export.add_contact("c@example.com")
    second = _page(http, checkPoint=first["checkPoint"])
    assert [_whom(first), _whom(second)] == seen
    ids = [event["id"] for page in (first, second) for event in page["events"]]
    assert len(set(ids)) == len({whom for page in seen for whom in page}), "the same event keeps its id"


@pytest.mark.parametrize(
    ("position", "data"),
    [
        ("contactId", {"contactId": 1}),
        ("nested", {"contact": {"contactId": 1}}),
        ("identifiers", {"identifiers": {"email": "a@example.com"}}),
        ("email", {"email": "a@example.com"}),
        ("nobody", {}),
    ],
)
def test_where_events_name_the_contact(
    http: httpx.Client, export: DotdigitalState, position: str, data: dict[str, Any]
) -> None:
    export.switches.event_data = position
    export.add_contact("a@example.com")
    (event,) = _page(http)["events"]
    assert event["data"] == data


@pytest.mark.parametrize("lag", [0.0, 60.0])
def test_events_may_come_late(http: httpx.Client, export: DotdigitalState, lag: float) -> None:
    export.switches.event_lag_seconds = lag
    export.add_contact("a@example.com")
    assert len(_page(http)["events"]) == (0 if lag else 1)
    export.clock.advance(60)
    assert len(_page(http)["events"]) == 1
