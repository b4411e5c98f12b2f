"""Deleting contacts, by each of the three calls and by a bulk job."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

ANN, BOB = "ann@example.com", "bob@example.com"


def _start(http: httpx.Client, *entries: Any) -> str:
    accepted = http.post("/contacts/v3/delete", json=list(entries))
    assert accepted.status_code == 202, accepted.text
    job: str = accepted.json()["deleteId"]
    return job


def _report(http: httpx.Client, job: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/contacts/v3/delete/{job}").json()
    return found


def _done(http: httpx.Client, state: DotdigitalState, *entries: Any) -> dict[str, Any]:
    job = _start(http, *entries)
    state.clock.advance(state.switches.delete_seconds)
    return _report(http, job)


def _delete(http: httpx.Client, how: str, contact_id: int) -> httpx.Response:
    return http.delete(
        f"/v2/contacts/{contact_id}" if how == "v2" else f"/contacts/v3/contactId/{contact_id}"
    )


@pytest.mark.parametrize(("how", "status", "body"), [("v2", 204, b""), ("v3", 200, b'{"contactId":1}')])
def test_one_contact_goes_to_the_recycle_bin(
    http: httpx.Client, state: DotdigitalState, how: str, status: int, body: bytes
) -> None:
    news = state.define_preference(name="News")
    contact_id = state.add_contact(ANN, opt_ins={news: (True, None)})
    gone = _delete(http, how, contact_id)
    assert (gone.status_code, gone.content) == (status, body)
    assert state.contact(contact_id).binned
    assert state.contact(contact_id).opt_ins == {}
    assert _delete(http, how, contact_id).status_code == 404, "it is gone already"


def test_v2_deletes_by_id_only(http: httpx.Client, state: DotdigitalState) -> None:
    """ApiContact_DeleteContact takes an int32."""
    state.add_contact(ANN)
    assert http.delete(f"/v2/contacts/{ANN}").json()["message"].endswith("ERROR_PARAMETER_INVALID")
    assert state.find(ANN) is not None


def test_v3_deletes_by_each_identifier(http: httpx.Client, state: DotdigitalState) -> None:
    state.add_contact(ANN, mobile="447123123123")
    assert http.delete("/contacts/v3/mobileNumber/447123123123").json() == {"contactId": 1}
    state.add_contact(BOB)
    assert http.delete("/contacts/v3/email/BOB@example.com").json() == {"contactId": 2}
    refused = http.delete("/contacts/v3/email/nobody")
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "contacts:invalidId")


@pytest.mark.parametrize("how", ["v2", "v3", "bulk"])
@pytest.mark.parametrize("position", ["kept_blocked", "refused"])
def test_deleting_a_suppressed_contact_is_refused_or_keeps_the_block(
    http: httpx.Client, state: DotdigitalState, how: str, position: str
) -> None:
    """By the help pages the address stays blocked; the vendor's own connector met a refusal."""
    state.switches.delete_suppressed = position
    contact_id = state.add_contact(ANN, "Unsubscribed")
    if how == "bulk":
        report = _done(http, state, {"email": ANN})
        went = report["summary"]["deletedContacts"] == 1
        assert went or report["failures"][0]["failures"][0]["failureCode"] == "contactSuppressed"
    else:
        answer = _delete(http, how, contact_id)
        went = answer.is_success
        assert went or answer.status_code == 400
    assert went is (position == "kept_blocked")
    assert state.contact(contact_id).binned is went
    if went:
        state.clock.advance(31 * 86400)
        contact_id = state.add_contact(ANN)
    assert state.contact(contact_id).status == "Unsubscribed"


def test_a_bulk_delete_is_queued_and_reports_each_contact(http: httpx.Client, state: DotdigitalState) -> None:
    state.add_contact(ANN)
    state.add_contact(BOB)
    job = _start(http, {"email": ANN}, {"contactId": 2}, {"email": "no@example.com"}, {"email": "nobody"})
    for word in ("NotStarted", "NotFinished"):
        waiting = _report(http, job)
        assert (waiting["status"], "summary" in waiting) == (word, False)
        assert state.find(ANN) is not None
    done = _report(http, job)
    assert done["status"] == "Finished"
    assert done["summary"] == {
        "requestedContacts": 4,
        "deletedContacts": 2,
        "unknownContacts": 1,
        "invalidEntries": 1,
    }
    assert done["deleted"] == [{"email": ANN}, {"contactId": 2}]
    codes = {row["identifier"]["email"]: row["failures"][0]["failureCode"] for row in done["failures"]}
    assert codes == {"no@example.com": "contactNotFound", "nobody": "invalidEmail"}
    assert state.contact(1).binned


@pytest.mark.parametrize(("position", "code"), [("camel", "contactNotFound"), ("pascal", "ContactNotFound")])
def test_failures_of_a_bulk_delete_are_spelt_two_ways(
    http: httpx.Client, state: DotdigitalState, position: str, code: str
) -> None:
    state.switches.failure_spelling = position
    report = _done(http, state, {"contactId": 99})
    assert report["failures"][0]["failures"][0]["failureCode"] == code


def test_a_failed_bulk_delete_deletes_nothing(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.delete_outcome = "Failed"
    contact_id = state.add_contact(ANN)
    assert _done(http, state, {"email": ANN})["status"] == "Failed"
    assert not state.contact(contact_id).binned


def test_too_many_bulk_deletes_are_a_429_until_one_ends(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.max_active_deletes = 1
    _start(http, {"email": ANN})
    refused = http.post("/contacts/v3/delete", json=[{"email": ANN}])
    assert (refused.status_code, refused.json()["errorCode"]) == (429, "contacts:tooManyBulkDeleteJobs")
    state.clock.advance(30)
    _start(http, {"email": ANN})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "badJson"),
        (b"{}", "badJson"),
        (b"[]", "noContactsSpecified"),
        (b'["ann@example.com"]', "invalidContacts"),
        (b'[{"contactId":"1"}]', "invalidContacts"),
        (b'[{"contactId":1,"email":"ann@example.com"}]', "invalidContacts"),
        (b"[" + b",".join([b'{"contactId":1}'] * 5001) + b"]", "invalidContacts"),
    ],
)
def test_a_bulk_delete_names_contacts_by_one_identifier_each(
    http: httpx.Client, body: bytes, code: str
) -> None:
    refused = http.post("/contacts/v3/delete", content=body)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, f"contacts:{code}")


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        ("123646", 400, "invalidDeleteId"),
        ("d7de900d-d337-43f6-b1e1-c8ec73e1a434", 404, "importNotFound"),
    ],
)
def test_an_unknown_bulk_delete_is_answered_as_published(
    http: httpx.Client, job: str, status: int, code: str
) -> None:
    refused = http.get(f"/contacts/v3/delete/{job}")
    assert (refused.status_code, refused.json()["errorCode"]) == (status, f"contacts:{code}")
