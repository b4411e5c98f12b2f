"""The request that each call sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from dotdigital_world import START, USER, Mocked

from bridge.core.errors import OutcomeUnknown, Refused
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import Addressee

ODD = "o'dd+t/a?g#1%@example.com"


class Recorder:
    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self.requests = answer, list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer

    @property
    def sent(self) -> tuple[str, str, object]:
        request = self.requests[-1]
        body = json.loads(request.content) if request.content else None
        return request.method, request.url.raw_path.decode(), body


Call = Callable[[ClientV2], object]
SINCE = datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)
DATE = "2026-02-28T23:59:59.999Z"
CALLS: list[tuple[Call, str, str, object, object]] = [
    (
        lambda c: c.unsubscribe_contact(email=" a+b@example.com"),
        "POST",
        "/v2/contacts/unsubscribe",
        {"email": "a+b@example.com"},
        {},
    ),
    (
        lambda c: c.bulk_suppress_contacts([Addressee(id=5), Addressee(email="a@example.com")]),
        "PUT",
        "/v2/contacts/suppress-contacts",
        [{"id": 5}, {"email": "a@example.com"}],
        {},
    ),
    (
        lambda c: c.resubscribe_contact(
            email="a@example.com", preferred_locale="de-DE", return_url="https://x.example"
        ),
        "POST",
        "/v2/contacts/resubscribe",
        {
            "unsubscribedContact": {"email": "a@example.com"},
            "preferredLocale": "de-DE",
            "returnUrlToUseIfChallenged": "https://x.example",
        },
        {},
    ),
    (
        lambda c: c.resubscribe_contact_with_no_challenge(
            email="a@example.com", data_fields={"FIRSTNAME": "A"}
        ),
        "POST",
        "/v2/contacts/resubscribe-with-no-challenge",
        {
            "unsubscribedContact": {
                "email": "a@example.com",
                "dataFields": [{"key": "FIRSTNAME", "value": "A"}],
            }
        },
        {},
    ),
    (
        lambda c: c.get_suppressed_contacts_since_date(since=SINCE, select=7, skip=3),
        "GET",
        f"/v2/contacts/suppressed-since/{DATE}?select=7&skip=3",
        None,
        [],
    ),
    (
        lambda c: c.get_unsubscribed_contacts_since_date(since=SINCE),
        "GET",
        f"/v2/contacts/unsubscribed-since/{DATE}?select=1000&skip=0",
        None,
        [],
    ),
    (
        lambda c: c.get_subscriptions_for_contact(email=ODD),
        "GET",
        "/v2/contacts/o%27dd%2Bt%2Fa%3Fg%231%25%40example.com/subscriptions",
        None,
        {"contact": {}},
    ),
    (
        lambda c: c.create_preference(
            public_name="P", private_name="p", is_preference=True, order=0, category_id=14
        ),
        "POST",
        "/v2/preferences",
        {
            "publicName": "P",
            "privateName": "p",
            "isPreference": True,
            "isPublic": True,
            "order": "0",
            "categoryId": 14,
        },
        {"id": 1},
    ),
    (lambda c: c.get_preferences(), "GET", "/v2/preferences", None, []),
    (
        lambda c: c.update_preference(
            preference_id=2,
            public_name="P",
            private_name="p",
            is_preference=True,
            is_public=False,
            order="top",
        ),
        "PUT",
        "/v2/preferences/2",
        {
            "id": 2,
            "publicName": "P",
            "privateName": "p",
            "isPreference": True,
            "isPublic": False,
            "order": "top",
        },
        {"id": 2},
    ),
    (lambda c: c.delete_preference(preference_id=2), "DELETE", "/v2/preferences/2", None, "deleted"),
    (
        lambda c: c.get_modified_preferences_since_date(since=SINCE),
        "GET",
        f"/v2/preferences/modified-since/{DATE}",
        None,
        [],
    ),
    (
        lambda c: c.set_preferences_for_contact(
            contact=7, tree=[{"id": 1, "isPreference": True, "isOptedIn": False}]
        ),
        "PUT",
        "/v2/contacts/7/preferences",
        [{"id": 1, "isPreference": True, "isOptedIn": False}],
        {"value": ""},
    ),
    (
        lambda c: c.get_preferences_for_contact(contact="a+b@example.com"),
        "GET",
        "/v2/contacts/a%2Bb%40example.com/preferences",
        None,
        [],
    ),
    (
        lambda c: c.get_contacts_opted_into_a_preference(preference_id=3, min_contact_id=9),
        "GET",
        "/v2/contacts/with-preference/3?minContactID=9",
        None,
        [],
    ),
    (
        lambda c: c.get_contacts_with_modified_preference_opt_in_since_date(preference_id=3, since=SINCE),
        "GET",
        f"/v2/contacts/with-preference/3/opt-ins-since/{DATE}?minContactID=0",
        None,
        [],
    ),
    (
        lambda c: c.get_suppressed_contacts_since_date(since=SINCE.date()),
        "GET",
        "/v2/contacts/suppressed-since/2026-02-28?select=1000&skip=0",
        None,
        [],
    ),
    (lambda c: c.get_account_information(), "GET", "/v2/account-info", None, {"id": 1}),
    (lambda c: c.get_server_time(), "GET", "/v2/server-time", None, "2026-03-01 12:00:00.000000+00:00"),
    (lambda c: c.get_contact(contact="a@example.com"), "GET", "/v2/contacts/a%40example.com", None, {}),
    (lambda c: c.get_contact(contact=4), "GET", "/v2/contacts/4", None, {}),
]


def test_answers_in_words_are_taken_too(mocked: Mocked) -> None:
    """Dotdigital delete-preference and get-server-time answer text/plain and nothing else."""
    recorder = Recorder(httpx.Response(200, text="Deleted"))
    ClientV2(mocked(recorder)).delete_preference(preference_id=2)
    kinds = [one.partition(";")[0].strip() for one in recorder.requests[0].headers["accept"].split(",")]
    assert kinds == ["application/json", "text/plain"]


@pytest.mark.parametrize(("call", "method", "path", "body", "answer"), CALLS)
def test_each_v2_call_goes_out_as_documented(
    mocked: Mocked, call: Call, method: str, path: str, body: object, answer: object
) -> None:
    recorder = Recorder(httpx.Response(200, json=answer))
    call(ClientV2(mocked(recorder)))
    assert recorder.sent == (method, path, body)


def test_credentials_are_sent_trimmed(mocked: Mocked) -> None:
    """Dotdigital: untrimmed credentials pass on v2 and fail on v3."""
    recorder = Recorder(httpx.Response(200, json=[]))
    ClientV2(mocked(recorder)).get_preferences()
    expected = httpx.BasicAuth(USER.username, USER.password)
    flow = expected.sync_auth_flow(httpx.Request("GET", "https://x"))
    assert recorder.requests[0].headers["authorization"] == next(flow).headers["authorization"]


def test_the_documents_pseudo_json_answer_to_a_definition_is_taken(mocked: Mocked) -> None:
    """Dotdigital create-preference shows a text where an object is meant."""
    client = ClientV2(mocked(Recorder(httpx.Response(200, json="{ id: 23, isPreference: false }"))))
    assert client.create_preference(public_name="P", private_name="p", is_preference=True) is None


def test_the_listing_goes_out_as_documented(mocked: Mocked) -> None:
    recorder = Recorder(
        httpx.Response(200, json={"_items": [], "_links": {"next": {"marker": "m", "link": "x"}}})
    )
    page = ClientV3(mocked(recorder)).get_contacts(marker="a=b", limit=10, modified_since=SINCE)
    url = recorder.requests[0].url
    assert dict(url.params) == {
        "limit": "10",
        "marker": "a=b",
        "include": "channelProperties|preferences",
        "~modified": f"gte::{DATE}",
    }
    assert b"%7C" in url.raw_path
    assert page.next_marker == "m"


def test_the_only_change_v3_can_carry_is_of_preferences_by_contact_id(mocked: Mocked) -> None:
    """Dotdigital importContact: a PATCH by e-mail creates, and a status could subscribe."""
    recorder = Recorder(httpx.Response(200, json={"contactId": 9}))
    client = ClientV3(mocked(recorder))
    client.import_contact(contact_id=9, preferences={3: False, 4: True})
    body = {"preferences": [{"id": 3, "isOptedIn": False}, {"id": 4, "isOptedIn": True}]}
    assert recorder.sent == ("PATCH", "/contacts/v3/contactId/9", body)
    for wrong in ({"contact_id": 9, "preferences": {}}, {"contact_id": 0, "preferences": {3: True}}):
        with pytest.raises(ValueError, match="preference"):
            client.import_contact(**wrong)  # type: ignore[arg-type]
    assert len(recorder.requests) == 1
    with pytest.raises(OutcomeUnknown):  # some other contact answered
        client.import_contact(contact_id=8, preferences={3: False})


def test_a_v3_identifier_is_percent_encoded(mocked: Mocked) -> None:
    recorder = Recorder(httpx.Response(200, json={"contactId": 9}))
    ClientV3(mocked(recorder)).get_contact(identifier="email", value=ODD)
    assert recorder.sent[1] == "/contacts/v3/email/o%27dd%2Bt%2Fa%3Fg%231%25%40example.com"


@pytest.mark.parametrize("address", ["x" * 260 + "@example.com", "17", ""])
def test_an_impossible_address_costs_no_call(mocked: Mocked, address: str) -> None:
    recorder = Recorder(httpx.Response(200, json={}))
    transport = mocked(recorder)
    v2, v3 = ClientV2(transport), ClientV3(transport)
    calls: list[Callable[[], object]] = [
        lambda: v2.unsubscribe_contact(email=address),
        lambda: v2.get_subscriptions_for_contact(email=address),
        lambda: v2.get_preferences_for_contact(contact=address),
        lambda: v2.resubscribe_contact(email=address),
        lambda: v3.get_contact(identifier="email", value=address),
    ]
    for call in calls:
        with pytest.raises(Refused):
            call()
    assert transport.calls == 0


def test_impossible_pages_and_batches_cost_no_call(v2: ClientV2, v3: ClientV3) -> None:
    calls: list[Callable[[], object]] = [
        lambda: v2.get_suppressed_contacts_since_date(since=START, select=1001),
        lambda: v2.get_suppressed_contacts_since_date(since=START, skip=-1),
        lambda: v2.bulk_suppress_contacts([]),
        lambda: v3.get_contacts(limit=5001),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"."):
            call()
    assert v2.transport.calls == 0
