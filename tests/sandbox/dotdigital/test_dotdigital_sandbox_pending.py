"""Contacts that have yet to confirm a sign-up, and imports with an entry that cannot be applied."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

ANN = "ann@example.com"
PENDING = "PendingOptIn"
FORBIDDEN = "Channel status does not allow resubscribing"
SUBSCRIBE = {"channelProperties": {"email": {"status": "subscribed"}}}
in_each_position = pytest.mark.parametrize(("position", "applied"), [("ignored", False), ("applied", True)])


@pytest.fixture
def ann(state: DotdigitalState) -> int:
    state.define_preference(1002, "News")
    return state.add_contact(ANN, status=PENDING)


def by_put(http: httpx.Client) -> None:
    body = [{"id": 1002, "isPreference": True, "isOptedIn": True}]
    assert http.put(f"/v2/contacts/{ANN}/preferences", json=body).status_code == 200


def by_patch(http: httpx.Client) -> None:
    body = {"preferences": [{"id": 1002, "isOptedIn": True}], "dataFields": {"CITY": "Rome"}}
    assert http.patch(f"/contacts/v3/email/{ANN}", json=body).status_code == 200


def by_import(http: httpx.Client) -> None:
    report = imported(http, preferences=[{"id": 1002, "isOptedIn": True}])
    assert (len(report["updated"]), report["failures"]) == (1, [])


def imported(http: httpx.Client, **more: Any) -> dict[str, Any]:
    entry = {"matchIdentifier": "email", "identifiers": {"email": ANN}, **more}
    job = http.put("/contacts/v3/import", json={"contacts": [entry]}).json()["importId"]
    http.get(f"/contacts/v3/import/{job}")
    report: dict[str, Any] = http.get(f"/contacts/v3/import/{job}").json()
    return report


@in_each_position
@pytest.mark.parametrize("write", [by_put, by_patch, by_import])
def test_preferences_written_to_a_pending_contact_count_by_the_switch(
    http: httpx.Client, state: DotdigitalState, ann: int, write: Any, position: str, applied: bool
) -> None:
    state.switches.pending_preferences = position
    write(http)
    assert (1002 in state.contact(ann).opt_ins) is applied
    state.subscribe(ann)
    write(http)
    assert state.contact(ann).opt_ins[1002].opted_in


def test_data_fields_of_a_pending_contact_are_written(
    http: httpx.Client, state: DotdigitalState, ann: int
) -> None:
    by_patch(http)
    assert state.contact(ann).data_fields == {"CITY": "Rome"}


def test_the_person_changes_preferences_of_a_pending_contact(state: DotdigitalState, ann: int) -> None:
    state.set_preference(ann, 1002, True, datetime.fromisoformat("2026-01-01T00:00:00Z"))
    assert state.contact(ann).opt_ins[1002].opted_in


def test_subscribing_a_pending_contact_is_refused(
    http: httpx.Client, state: DotdigitalState, ann: int
) -> None:
    state.switches.v3_subscribe_pending = "refused"
    patched = http.patch(f"/contacts/v3/email/{ANN}", json={**SUBSCRIBE, "dataFields": {"CITY": "Rome"}})
    put = http.put(f"/contacts/v3/email/{ANN}", json={"identifiers": {"email": ANN}, **SUBSCRIBE})
    for answer in (patched, put):
        assert (answer.status_code, answer.json()["description"]) == (400, FORBIDDEN)
    (failed,) = imported(http, **SUBSCRIBE)["failures"]
    assert failed["failures"][0]["description"] == FORBIDDEN
    contact = state.contact(ann)
    assert (contact.status, contact.data_fields, state.challenges) == (PENDING, {}, {})


def test_subscribing_a_pending_contact_is_ignored(
    http: httpx.Client, state: DotdigitalState, ann: int
) -> None:
    state.switches.v3_subscribe_pending = "ignored"
    patched = http.patch(f"/contacts/v3/email/{ANN}", json={**SUBSCRIBE, "dataFields": {"CITY": "Rome"}})
    assert patched.status_code == 200
    assert imported(http, **SUBSCRIBE)["failures"] == []
    contact = state.contact(ann)
    assert (contact.status, contact.data_fields, state.challenges) == (PENDING, {"CITY": "Rome"}, {})


@pytest.mark.parametrize("position", ["refused", "ignored"])
def test_subscribing_anybody_else_does_not_depend_on_the_switch(
    http: httpx.Client, state: DotdigitalState, position: str
) -> None:
    state.switches.v3_subscribe_pending = position
    bob = state.add_contact("bob@example.com", status="Unsubscribed")
    assert http.patch("/contacts/v3/email/bob@example.com", json=SUBSCRIBE).status_code == 200
    assert state.contact(bob).status == "Subscribed"


@pytest.mark.parametrize(("position", "status"), [("in_report", 202), ("refuse_all", 400)])
def test_an_entry_that_cannot_be_applied_is_reported_or_has_the_import_refused(
    http: httpx.Client, state: DotdigitalState, ann: int, position: str, status: int
) -> None:
    state.switches.import_bad_entries = position
    good = {"matchIdentifier": "email", "identifiers": {"email": ANN}, "dataFields": {"CITY": "Rome"}}
    bad = {"matchIdentifier": "contactId", "identifiers": {"contactId": 4711}}
    answer = http.put("/contacts/v3/import", json={"contacts": [good, bad]})
    assert answer.status_code == status
    if status == 202:
        job = answer.json()["importId"]
        http.get(f"/contacts/v3/import/{job}")
        assert len(http.get(f"/contacts/v3/import/{job}").json()["failures"]) == 1
    assert bool(state.contact(ann).data_fields) is (status == 202)
    assert http.put("/contacts/v3/import", json={"contacts": [good]}).status_code == 202
