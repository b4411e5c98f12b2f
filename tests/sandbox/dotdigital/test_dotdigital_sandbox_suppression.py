"""Unsubscribe, suppress, resubscribe, and the two suppression feeds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.dotdigital.wire import NEVER_UNSUPPRESSED, STATUSES

ANN = "ann@example.com"
SINCE = "/v2/contacts/suppressed-since/"


def _post(http: httpx.Client, path: str, document: Any) -> httpx.Response:
    return http.post("/v2/contacts/" + path, json=document)


def _resubscribe(http: httpx.Client, email: str = ANN, quiet: bool = False) -> dict[str, Any]:
    path = "resubscribe-with-no-challenge" if quiet else "resubscribe"
    answer = _post(http, path, {"unsubscribedContact": {"email": email}})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def _feed(http: httpx.Client, date: str = "1970-01-01", path: str = SINCE, **query: Any) -> list[Any]:
    answer = http.get(path + date, params=query)
    assert answer.status_code == 200, answer.text
    rows: list[Any] = answer.json()
    return rows


def test_unsubscribe_answers_the_record_and_leaves_preferences_alone(
    http: httpx.Client, state: DotdigitalState
) -> None:
    pref = state.define_preference(name="News")
    contact_id = state.add_contact(ANN, opt_ins={pref: (True, None)})
    record = _post(http, "unsubscribe", {"email": "ANN@example.com", "optInType": "Double"}).json()
    assert record["reason"] == record["suppressedContact"]["status"] == "Unsubscribed"
    assert record["dateRemoved"] == "2026-03-01T12:00:00.000Z"
    assert record["suppressedContact"]["dataFields"] is None
    assert state.contact(contact_id).opt_ins[pref].opted_in


@pytest.mark.parametrize(("position", "moved"), [("kept", False), ("moves", True)])
def test_a_repeated_unsubscribe(
    http: httpx.Client, state: DotdigitalState, position: str, moved: bool
) -> None:
    state.switches.date_removed_on_repeat = position
    state.add_contact(ANN)
    first = _post(http, "unsubscribe", {"email": ANN}).json()
    state.clock.advance(60)
    assert (_post(http, "unsubscribe", {"email": ANN}).json() != first) is moved


def test_unsubscribe_of_an_unknown_address(http: httpx.Client, state: DotdigitalState) -> None:
    refused = _post(http, "unsubscribe", {"email": ANN})
    assert refused.status_code == 400
    assert "ERROR_CONTACT_NOT_FOUND" in refused.json()["message"]
    state.switches.unsubscribe_unknown = "created"
    assert _post(http, "unsubscribe", {"email": ANN}).status_code == 200
    found = state.find(ANN)
    assert found is not None
    assert found.status == "Unsubscribed"


def test_unsubscribe_of_one_suppressed_for_another_reason(http: httpx.Client, state: DotdigitalState) -> None:
    contact_id = state.add_contact(ANN, "HardBounced")
    assert "ERROR_CONTACT_SUPPRESSED" in _post(http, "unsubscribe", {"email": ANN}).json()["message"]
    state.switches.unsubscribe_other_reason = "changed"
    state.switches.date_removed_on_reason_change = "kept"
    removed = state.contact(contact_id).date_removed
    state.clock.advance(60)
    assert _post(http, "unsubscribe", {"email": ANN}).json()["reason"] == "Unsubscribed"
    assert state.contact(contact_id).date_removed == removed


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"email": 5}', b'{"email": "nobody"}'])
def test_a_bad_unsubscribe_is_a_400(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v2/contacts/unsubscribe", content=body)
    assert answer.status_code == 400
    assert "ERROR_" in answer.json()["message"]


@pytest.mark.parametrize(
    ("form", "ends"),
    [
        ("plain", "not found. ERROR_CONTACT_NOT_FOUND"),
        ("error_prefix", "Error: ERROR_CONTACT_NOT_FOUND"),
        ("trailing_space", "ERROR_CONTACT_NOT_FOUND "),
        ("no_code", "The contact was not found."),
    ],
)
def test_error_texts_come_in_four_forms(
    http: httpx.Client, state: DotdigitalState, form: str, ends: str
) -> None:
    state.switches.error_text = form
    assert _post(http, "unsubscribe", {"email": ANN}).json()["message"].endswith(ends)


@pytest.mark.parametrize(
    ("switch", "unknown"), [("without_email", {"id": 999}), ("null_email", {"id": 999, "email": None})]
)
def test_bulk_suppress_echoes_the_key_sent_and_fills_the_other(
    http: httpx.Client, state: DotdigitalState, switch: str, unknown: object
) -> None:
    """Dotdigital bulk-suppress-contacts: of ids it does not know, the schema has no null e-mail."""
    state.switches.suppress_echo_of_unknown = switch
    first, second = state.add_contact(ANN), state.add_contact("bob@example.com")
    batch = [{"id": first}, {"email": "bob@example.com"}, {"email": "no@example.com"}, {"id": 999}]
    answer = http.put("/v2/contacts/suppress-contacts", json=batch).json()
    assert answer["suppressed"] == [{"id": first, "email": None}, {"id": 0, "email": "bob@example.com"}]
    assert answer["notFound"] == [{"id": 0, "email": "no@example.com"}, unknown]
    assert {state.contact(one).status for one in (first, second)} == {"Suppressed"}


def test_bulk_suppress_refuses_an_empty_batch_and_other_shapes(http: httpx.Client) -> None:
    empty = http.put("/v2/contacts/suppress-contacts", json=[])
    assert "ERROR_CONTACTS_ARE_NOT_SPECIFIED" in empty.json()["message"]
    for body in ({"RAW_BODY": []}, [{}]):
        assert http.put("/v2/contacts/suppress-contacts", json=body).status_code == 400


@pytest.mark.parametrize(("position", "status"), [("kept", "Unsubscribed"), ("changed", "Suppressed")])
def test_bulk_suppress_of_an_unsubscribed_person(
    http: httpx.Client, state: DotdigitalState, position: str, status: str
) -> None:
    state.switches.suppress_unsubscribed = position
    contact_id = state.add_contact(ANN, "Unsubscribed")
    http.put("/v2/contacts/suppress-contacts", json=[{"id": contact_id}])
    assert state.contact(contact_id).status == status


def test_an_unsubscribed_person_is_challenged_once_and_returns_on_the_click(
    http: httpx.Client, state: DotdigitalState
) -> None:
    """Resubscribe page: further calls for a challenged contact are silently dropped."""
    contact_id = state.add_contact(ANN, "Unsubscribed")
    for _ in range(3):
        answer = _resubscribe(http)
        assert answer["status"] == "ContactChallenged"
        assert answer["contact"]["status"] == "Unsubscribed"
    assert state.challenges == {contact_id: 1}
    assert state.dropped_challenges == {contact_id: 2}
    assert state.contact(contact_id).status == "Unsubscribed"
    assert state.click_challenge(ANN)
    assert state.contact(contact_id).status == "Subscribed"
    assert not state.click_challenge(ANN)
    assert _feed(http) == []


def test_a_challenged_person_may_show_as_pending(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.challenged_status = "PendingOptIn"
    contact_id = state.add_contact(ANN, "Unsubscribed")
    _resubscribe(http)
    assert state.contact(contact_id).status == "PendingOptIn"
    assert _feed(http) == []
    state.switches.pending_in_suppressed_feed = True
    assert _feed(http)[0]["reason"] == "PendingOptIn"
    assert _resubscribe(http)["status"] == "ContactChallenged"


@pytest.mark.parametrize("reason", ["Unsubscribed", "Suppressed", "HardBounced"])
def test_no_challenge_brings_back_at_once_but_echoes_the_old_status(
    http: httpx.Client, state: DotdigitalState, reason: str
) -> None:
    contact_id = state.add_contact(ANN, reason)
    answer = _resubscribe(http, quiet=True)
    assert (answer["status"], answer["contact"]["status"]) == ("ContactAdded", reason)
    assert state.contact(contact_id).status == "Subscribed"
    assert state.challenges == {}


def test_the_owners_suppression_is_lifted_without_a_challenge(
    http: httpx.Client, state: DotdigitalState
) -> None:
    state.add_contact(ANN, "Suppressed")
    assert _resubscribe(http)["status"] == "ContactAdded"


@pytest.mark.parametrize("reason", sorted(NEVER_UNSUPPRESSED))
@pytest.mark.parametrize("quiet", [True, False])
def test_complaints_and_global_blocks_are_never_lifted(
    http: httpx.Client, state: DotdigitalState, reason: str, quiet: bool
) -> None:
    contact_id = state.add_contact(ANN, reason)
    assert _resubscribe(http, quiet=quiet)["status"] == "ContactCannotBeUnsuppressed"
    assert state.contact(contact_id).status == reason
    assert not state.subscribe(contact_id)


@pytest.mark.parametrize(
    ("form", "key"), [("not_available", "NotAvailableInThisVersion"), ("message_only", None)]
)
def test_resubscribe_answers_without_a_usable_status(
    http: httpx.Client, state: DotdigitalState, form: str, key: str | None
) -> None:
    state.switches.resubscribe_answer = form
    state.add_contact(ANN, "Suppressed")
    answer = _resubscribe(http)
    assert answer.get("status") == key
    assert ("message" in answer) is (key is None)


def test_resubscribe_creates_unknown_people_and_confirms_them_where_enforced(
    http: httpx.Client, state: DotdigitalState
) -> None:
    assert _resubscribe(http)["status"] == "ContactAdded"
    state.switches.enforce_double_opt_in = True
    assert _resubscribe(http, "new@example.com", quiet=True)["status"] == "ContactChallenged"
    found = state.find("new@example.com")
    assert found is not None
    assert found.status == "PendingOptIn"


def test_resubscribe_needs_a_contact(http: httpx.Client) -> None:
    assert "ERROR_CONTACT_RESUBSCRIPTION_INVALID" in _post(http, "resubscribe", {}).json()["message"]


@pytest.mark.parametrize("status", sorted(STATUSES - {"Subscribed", "PendingOptIn"}))
def test_every_reason_can_appear_in_the_feed(http: httpx.Client, state: DotdigitalState, status: str) -> None:
    state.add_contact(ANN, status)
    shown = _feed(http)[0]["reason"]
    assert shown in (status, "NotAvailableInThisVersion")
    only_unsubscribed = _feed(http, path="/v2/contacts/unsubscribed-since/")
    assert len(only_unsubscribed) == (1 if status == "Unsubscribed" else 0)


def test_feed_order_is_stable_and_means_nothing_unless_sorted(
    http: httpx.Client, state: DotdigitalState
) -> None:
    for number in range(30):
        state.add_contact(
            f"p{number}@example.com", "Unsubscribed", when=state.now() + timedelta(seconds=number)
        )
    dates = [row["dateRemoved"] for row in _feed(http)]
    assert dates == [row["dateRemoved"] for row in _feed(http)]
    assert dates != sorted(dates)
    state.switches.feed_order = "sorted"
    assert [row["dateRemoved"] for row in _feed(http)] == sorted(dates)


def test_plain_skip_paging_loses_a_row_when_a_contact_leaves_between_pages(
    http: httpx.Client, state: DotdigitalState
) -> None:
    """A connector found that rows move between pages while it reads."""
    ids = [state.add_contact(f"p{number}@example.com", "Unsubscribed") for number in range(10)]
    first = _feed(http, select=5, skip=0)
    state.subscribe(first[0]["suppressedContact"]["id"])
    second = _feed(http, select=5, skip=5)
    seen = {row["suppressedContact"]["id"] for row in first + second}
    assert len(set(ids) - seen) == 1


@pytest.mark.parametrize(
    ("switch", "position", "rows"),
    [("since_date", "inclusive", 1), ("since_date", "exclusive", 0), ("row_resolution", "second", 0)],
)
def test_the_asked_instant(
    http: httpx.Client, state: DotdigitalState, switch: str, position: str, rows: int
) -> None:
    setattr(state.switches, switch, position)
    state.add_contact(ANN, "Unsubscribed", when=state.now() + timedelta(milliseconds=500))
    assert len(_feed(http, "2026-03-01T12:00:00.500Z")) == rows


@pytest.mark.parametrize(
    "date",
    ["2026-03-01", "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00+0000"],
)
def test_four_forms_of_date_are_read(http: httpx.Client, state: DotdigitalState, date: str) -> None:
    state.add_contact(ANN, "Unsubscribed")
    assert len(_feed(http, date.replace("+", "%2B"))) == len(_feed(http, date)) == 1


@pytest.mark.parametrize(
    "date", ["yesterday", "2026-13-01", "2026-03-01T12:00:00", "2026-03-01T12:00:00%2000:00"]
)
def test_other_dates_are_refused(http: httpx.Client, date: str) -> None:
    refused = http.get(SINCE + date)
    assert refused.status_code == 400
    assert "ERROR_PARAMETER_INVALID" in refused.json()["message"]


@pytest.mark.parametrize("query", ["select=0", "select=1001", "skip=-1", "select=x"])
def test_paging_out_of_range_is_refused(http: httpx.Client, query: str) -> None:
    refused = http.get(f"{SINCE}2026-01-01?{query}")
    assert refused.status_code == 400
    assert "ERROR_PARAMETER_INVALID" in refused.json()["message"]


def test_a_lagging_feed_shows_rows_late(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.feed_lag_seconds = 30.0
    contact_id = state.add_contact(ANN)
    state.unsubscribe(contact_id)
    assert _feed(http) == []
    state.clock.advance(30)
    assert len(_feed(http)) == 1


def test_status_look_up_finds_suppressed_people_by_email_only(
    http: httpx.Client, state: DotdigitalState
) -> None:
    """v2 GET contact by id does not retrieve suppressed contacts."""
    contact_id = state.add_contact("a+b@example.com", "IspComplained")
    assert http.get("/v2/contacts/a%2Bb@example.com").json()["status"] == "IspComplained"
    assert http.get(f"/v2/contacts/{contact_id}").status_code == 404
    state.delete_contact(contact_id)
    assert http.get("/v2/contacts/a%2Bb@example.com").status_code == 404
    assert _feed(http) == []


def test_a_deleted_suppressed_person_comes_back_suppressed(state: DotdigitalState) -> None:
    contact_id = state.add_contact(ANN, "Unsubscribed")
    state.delete_contact(contact_id)
    state.clock.advance(31 * 86400)
    again = state.add_contact(ANN)
    assert again != contact_id
    assert state.contact(again).status == "Unsubscribed"


@pytest.mark.parametrize(("position", "status"), [("contact", "Unsubscribed"), ("address", "Subscribed")])
def test_what_a_suppression_follows(state: DotdigitalState, position: str, status: str) -> None:
    state.switches.suppression_follows = position
    contact_id = state.add_contact(ANN, "Unsubscribed")
    state.change_email(contact_id, "ann@new.example.com")
    assert state.contact(contact_id).status == status


@pytest.mark.parametrize(
    ("position", "suppressed", "unsubscribed"),
    [
        ("not_listed", [], []),
        ("as_suppressed", ["Suppressed"], []),
        ("as_unsubscribed", ["Unsubscribed"], ["Unsubscribed"]),
    ],
)
def test_a_block_of_sms_only_shows_in_the_feeds_by_the_switch(
    http: httpx.Client,
    state: DotdigitalState,
    position: str,
    suppressed: list[str],
    unsubscribed: list[str],
) -> None:
    state.switches.sms_suppressions = position
    contact_id = state.add_contact(ANN, mobile="447700900001")
    state.suppress_sms(contact_id)
    feeds = [_feed(http), _feed(http, path="/v2/contacts/unsubscribed-since/")]
    assert [[row["reason"] for row in rows] for rows in feeds] == [suppressed, unsubscribed]
    assert {row["suppressedContact"]["status"] for rows in feeds for row in rows} <= {"Subscribed"}
    shown = http.get(f"/contacts/v3/email/{ANN}").json()["channelProperties"]
    assert (shown["email"]["status"], shown["sms"]["status"]) == ("subscribed", "suppressed")


@pytest.mark.parametrize("returns", [False, True])
def test_a_form_brings_back_whom_the_owner_suppressed_by_the_switch(
    state: DotdigitalState, returns: bool
) -> None:
    state.switches.suppressed_returns_by_form = returns
    suppressed = state.add_contact(ANN, status="Suppressed")
    complained = state.add_contact("bob@example.com", status="IspComplained")
    assert state.subscribe(suppressed) is returns
    assert state.contact(suppressed).status == ("Subscribed" if returns else "Suppressed")
    assert not state.subscribe(complained)
