"""Creating and replacing whole contacts (contacts v3): calls that no bridge of consents should make."""

from __future__ import annotations

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

ANN, BOB = "ann@example.com", "bob@example.com"


def _named(email: str, **more: object) -> dict[str, object]:
    return {"identifiers": {"email": email}, **more}


def test_a_created_contact_is_subscribed_by_default(http: httpx.Client) -> None:
    made = http.post("/contacts/v3", json=_named(ANN))
    assert (made.status_code, made.json()["channelProperties"]["email"]["status"]) == (201, "subscribed")
    out = {"email": {"status": "unsubscribed"}}
    assert (
        http.post("/contacts/v3", json=_named(BOB, channelProperties=out)).json()["status"] == "unsubscribed"
    )


def test_creating_an_existing_contact_is_a_409(http: httpx.Client, state: DotdigitalState) -> None:
    state.add_contact(ANN)
    refused = http.post("/contacts/v3", json=_named(ANN.upper()))
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "contacts:idAlreadyExists")


@pytest.mark.parametrize(("position", "status"), [("revived", 201), ("refused", 409)])
def test_creating_a_contact_in_the_recycle_bin(
    http: httpx.Client, state: DotdigitalState, position: str, status: int
) -> None:
    state.switches.binned_write = position
    contact_id = state.add_contact(ANN)
    state.delete_contact(contact_id)
    assert http.post("/contacts/v3", json=_named(ANN)).status_code == status
    assert state.contact(contact_id).binned is (position == "refused")


@pytest.mark.parametrize("position", ["revived", "refused"])
def test_one_of_two_identifiers_in_use_is_enough(
    http: httpx.Client, state: DotdigitalState, position: str
) -> None:
    state.switches.binned_write = position
    state.delete_contact(state.add_contact(ANN))
    state.add_contact(BOB, mobile="447123123123")
    body = {"identifiers": {"email": ANN, "mobileNumber": "447123123123"}}
    assert http.post("/contacts/v3", json=body).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"identifiers": {}},
        {"identifiers": {"email": "nobody"}},
        {"identifiers": {"contactId": 7}},
    ],
)
def test_a_whole_contact_needs_an_identifier(
    http: httpx.Client, state: DotdigitalState, body: object
) -> None:
    state.add_contact(ANN)
    for refused in (
        http.post("/contacts/v3", json=body),
        http.put(f"/contacts/v3/email/{ANN}", json=body),
    ):
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "contacts:badRequest")


def test_replacing_loses_what_is_not_named_but_not_the_block(
    http: httpx.Client, state: DotdigitalState
) -> None:
    state.define_identifier("profile")
    news, offers = state.define_preference(name="News"), state.define_preference(name="Offers")
    contact_id = state.add_contact(
        ANN, "Unsubscribed", {news: (True, None), offers: (True, None)}, mobile="447123123123"
    )
    full = {"dataFields": {"A": "1"}, "lists": [5], "identifiers": {"profile": "P1"}}
    http.patch(f"/contacts/v3/contactId/{contact_id}", json=full)
    replaced = http.put(
        f"/contacts/v3/email/{ANN}", json=_named(ANN, preferences=[{"id": news, "isOptedIn": True}])
    )
    assert replaced.status_code == 200
    left = state.contact(contact_id)
    assert (left.data_fields, left.lists, left.identifiers) == ({}, set(), {"email": ANN})
    assert list(left.opt_ins) == [news]
    assert left.status == "Unsubscribed"
    for who in ("profile/P1", "mobileNumber/447123123123"):
        assert http.get(f"/contacts/v3/{who}").status_code == 404


def test_replacing_needs_a_contact_and_free_identifiers(http: httpx.Client, state: DotdigitalState) -> None:
    assert http.put(f"/contacts/v3/email/{ANN}", json=_named(ANN)).status_code == 404
    contact_id = state.add_contact(ANN)
    state.add_contact(BOB)
    assert http.put(f"/contacts/v3/contactId/{contact_id}", json=_named(BOB)).status_code == 409
    moved = http.put(f"/contacts/v3/contactId/{contact_id}", json=_named("ann@new.example.com"))
    assert moved.json()["identifiers"] == {"email": "ann@new.example.com"}
    assert state.find(ANN) is None


def test_replacing_takes_no_consent_records(http: httpx.Client, state: DotdigitalState) -> None:
    contact_id = state.add_contact(ANN)
    record = {
        "text": "Yes",
        "dateTimeConsented": "2026-01-01T00:00:00Z",
        "url": "https://example.com",
        "ipAddress": "192.0.2.1",
        "userAgent": "a browser",
    }
    body = _named(ANN, consentRecords=[record])
    assert http.put(f"/contacts/v3/email/{ANN}", json=body).status_code == 200
    assert state.contact(contact_id).consent_records == []
    state.switches.v3_schema = "closed"
    assert http.put(f"/contacts/v3/email/{ANN}", json=body).status_code == 400
