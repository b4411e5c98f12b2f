"""The Contacts service of v3: list, read, upsert, import."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

ANN = "ann@example.com"
ALL = "channelProperties|lists|preferences|consentRecords"


def _patch(http: httpx.Client, body: Any, who: str = f"email/{ANN}") -> httpx.Response:
    return http.patch(f"/contacts/v3/{who}", json=body)


def _status(word: str, **options: bool) -> dict[str, Any]:
    email: dict[str, Any] = {"status": word}
    if options:
        email["resubscribeOptions"] = options
    return {"channelProperties": {"email": email}}


def _entry(email: str, **more: Any) -> dict[str, Any]:
    return {"matchIdentifier": "email", "identifiers": {"email": email}, **more}


def _start(http: httpx.Client, *entries: Any) -> str:
    accepted = http.put("/contacts/v3/import", json={"contacts": list(entries)})
    assert accepted.status_code == 202, accepted.text
    job: str = accepted.json()["importId"]
    return job


def _poll(http: httpx.Client, job: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/contacts/v3/import/{job}").json()
    return found


def _import(http: httpx.Client, *entries: Any) -> dict[str, Any]:
    job = _start(http, *entries)
    _poll(http, job)
    return _poll(http, job)


def _emails(http: httpx.Client, **query: Any) -> list[str]:
    items = http.get("/contacts/v3", params=query).json()["_items"]
    return [item["identifiers"].get("email", "-") for item in items]


@pytest.mark.parametrize("order", ["contact_id", "shuffled"])
def test_the_marker_leads_through_everybody_once(
    http: httpx.Client, state: DotdigitalState, order: str
) -> None:
    state.switches.list_order = order
    ids = [state.add_contact(f"p{n}@example.com") for n in range(25)]
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 10, "include": ALL}
    while True:
        page = http.get("/contacts/v3", params=query).json()
        seen += [item["contactId"] for item in page["_items"]]
        if "next" not in page["_links"]:
            break
        query["marker"] = page["_links"]["next"]["marker"]
    assert sorted(seen) == ids
    assert (seen == ids) is (order == "contact_id")


def test_the_next_link_can_be_followed(http: httpx.Client, state: DotdigitalState) -> None:
    for n in range(3):
        state.add_contact(f"p{n}@example.com")
    query = "limit=2&include=channelProperties%7Cpreferences&~modified=gte::2026-01-01T00:00:00Z"
    page = http.get(f"/contacts/v3?{query}").json()
    rest = http.get(page["_links"]["next"]["link"]).json()
    assert [item["contactId"] for item in rest["_items"]] == [3]
    assert "channelProperties" in rest["_items"][0]


def test_preferences_list_only_those_opted_in_and_vanish_when_none(
    http: httpx.Client, state: DotdigitalState
) -> None:
    news = state.define_preference(name="News")
    offers = state.define_preference(name="Offers")
    state.add_contact("a@example.com", opt_ins={news: (True, None), offers: (False, None)})
    state.add_contact("b@example.com", opt_ins={offers: (False, None)})
    first, second = http.get("/contacts/v3?include=preferences").json()["_items"]
    assert [(row["id"], row["isOptedIn"]) for row in first["preferences"]] == [(news, True)]
    assert "preferences" not in second
    assert "channelProperties" not in first


@pytest.mark.parametrize(
    "query",
    [
        "~modified=2026-01-01T00:00:00Z",
        "~modified=gte::2026-01-01",
        "~modified=gte::2026-13-01T00:00:00Z",
        "~modified=gte::2026-01-01T00:00:00Z&~created=gte::2026-01-01T00:00:00Z",
        "~listId=1&~segmentId=2",
        "~listId=x",
    ],
)
def test_bad_filters_are_refused_by_code(http: httpx.Client, query: str) -> None:
    refused = http.get(f"/contacts/v3?{query}")
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "contacts:invalidFilter")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=5001", "limit=x", "include=all", "marker=%25%25", "marker=W10="]
)
def test_bad_paging_is_refused(http: httpx.Client, query: str) -> None:
    assert http.get(f"/contacts/v3?{query}").status_code == 400


@pytest.mark.parametrize("moves", [True, False])
def test_modified_follows_preferences_and_suppressions_only_by_switch(
    http: httpx.Client, state: DotdigitalState, moves: bool
) -> None:
    state.switches.modified_moves_on_preferences = state.switches.modified_moves_on_suppression = moves
    news = state.define_preference(name="News")
    first, second = state.add_contact("a@example.com"), state.add_contact("b@example.com")
    state.clock.advance(60)
    state.set_preference(first, news, True)
    state.unsubscribe(second)
    window = {"~modified": "gte::2026-03-01T12:00:30.000Z"}
    assert _emails(http, **window) == (["a@example.com", "b@example.com"] if moves else [])
    state.subscribe(second)
    assert "b@example.com" in _emails(http, **window), "coming back always moves it"


def test_suppressed_binned_and_mobile_only_people_in_the_list(
    http: httpx.Client, state: DotdigitalState
) -> None:
    state.add_contact("a@example.com", "IspComplained")
    state.delete_contact(state.add_contact("b@example.com"))
    state.add_contact(None, mobile="447123123123")
    assert _emails(http) == ["a@example.com", "-"]
    state.switches.lists_suppressed = False
    assert _emails(http) == ["-"]


def test_reads_by_each_identifier(http: httpx.Client, state: DotdigitalState) -> None:
    state.define_identifier("profile")
    contact_id = state.add_contact("a+b@example.com", "HardBounced", mobile="447123123123")
    assert _patch(http, {"identifiers": {"profile": "P1"}}, f"contactId/{contact_id}").status_code == 200
    for who in (
        f"contactId/{contact_id}",
        "email/A%2Bb@example.com",
        "mobileNumber/447123123123",
        "profile/P1",
    ):
        found = http.get(f"/contacts/v3/{who}").json()
        assert found["contactId"] == contact_id
        assert (found["status"], found["channelProperties"]["email"]["status"]) == (
            "suppressed",
            "hardBounced",
        )
        assert found["channelProperties"]["email"]["emailType"] == "Html"


@pytest.mark.parametrize("key", ["description", "error"])
def test_an_unknown_contact_is_a_404_with_details(
    http: httpx.Client, state: DotdigitalState, key: str
) -> None:
    state.switches.v3_details_key = key
    missing = http.get(f"/contacts/v3/email/{ANN}")
    assert (missing.status_code, missing.json()["errorCode"]) == (404, "contacts:contactNotFound")
    assert missing.json()["details"][0].keys() == {"item", key}


@pytest.mark.parametrize("who", ["contactId/x", "email/nobody", "loyalty/5", "bad.name/5"])
def test_impossible_identifiers_are_refused(http: httpx.Client, who: str) -> None:
    refused = http.get(f"/contacts/v3/{who}")
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "contacts:invalidId")
    assert _patch(http, {}, "contactId/999").status_code == 400


def test_patching_an_unknown_person_creates_them_subscribed(
    http: httpx.Client, state: DotdigitalState
) -> None:
    made = _patch(http, {"channelProperties": {"email": {"emailType": "plainText", "optInType": "double"}}})
    assert made.status_code == 201
    email = made.json()["channelProperties"]["email"]
    assert email == {"emailType": "PlainText", "optInType": "Double", "status": "subscribed"}
    assert _patch(http, {}).status_code == 200


def test_a_block_can_be_created_before_the_person(http: httpx.Client) -> None:
    assert _patch(http, _status("unsubscribed")).json()["status"] == "unsubscribed"


@pytest.mark.parametrize("enforced", [True, False])
def test_verified_double_or_the_account_setting_makes_people_wait(
    http: httpx.Client, state: DotdigitalState, enforced: bool
) -> None:
    state.switches.enforce_double_opt_in = enforced
    body = {} if enforced else {"channelProperties": {"email": {"optInType": "verifiedDouble"}}}
    assert _patch(http, body).json()["channelProperties"]["email"]["status"] == "pendingOptIn"
    assert state.click_challenge(ANN)


def test_preferences_of_a_suppressed_person_are_accepted(http: httpx.Client, state: DotdigitalState) -> None:
    """Unified contacts: v3 updates suppressed contacts, their status stays."""
    news = state.define_preference(name="News")
    contact_id = state.add_contact(ANN, "Unsubscribed")
    answer = _patch(http, {"preferences": [{"id": news, "isOptedIn": True}]})
    assert answer.status_code == 200
    assert state.contact(contact_id).status == "Unsubscribed"
    assert state.contact(contact_id).opt_ins[news].opted_in


@pytest.mark.parametrize(
    "body",
    [
        {"preferences": []},
        {"preferences": [{"id": "1001", "isOptedIn": True}]},
        {"preferences": [{"id": 1001, "isOptedIn": "true"}]},
        {"preferences": [{"id": 7, "isOptedIn": True}]},
        {"lists": ["5"]},
        {"lists": list(range(101))},
        {"consentRecords": [{"text": "yes"}]},
        {"channelProperties": {"email": {"status": "Subscribed"}}},
        {"channelProperties": {"email": {"emailType": "Html"}}},
        {"channelProperties": {"email": {"colour": "red"}}},
        {"channelProperties": {"fax": {}}},
        _status("subscribed") | {"identifiers": {"email": "nobody"}},
        {"channelProperties": {"email": {"resubscribeOptions": {"resubscribeWithNoChallenge": "no"}}}},
    ],
)
def test_patch_is_strict_about_types_and_applies_nothing(
    http: httpx.Client, state: DotdigitalState, body: Any
) -> None:
    state.define_preference(1001, "News")
    refused = _patch(http, body)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "contacts:badRequest")
    assert state.find(ANN) is None


def test_bad_json_and_bad_merge_options_are_refused(http: httpx.Client) -> None:
    for body in (b"{", b"[]"):
        assert http.patch(f"/contacts/v3/email/{ANN}", content=body).json()["errorCode"] == "contacts:badJson"
    assert _patch(http, {}, f"email/{ANN}?merge-option=overwriteIfEmpty").status_code == 400


@pytest.mark.parametrize(
    ("option", "fields"),
    [
        ("overwrite", {"A": "2"}),
        ("overwrite-if-not-empty", {"A": "2", "B": "1"}),
        ("overwrite-if-empty", {"A": "1", "B": "1"}),
    ],
)
def test_merge_options_rule_data_fields(
    http: httpx.Client, state: DotdigitalState, option: str, fields: Any
) -> None:
    _patch(http, {"dataFields": {"a": "1", "b": "1"}})
    _patch(http, {"dataFields": {"a": "2", "b": None}}, f"email/{ANN}?merge-option={option}")
    shown = http.get("/contacts/v3?data-fields=%5B%5BALL%5D%5D").json()["_items"][0]["dataFields"]
    assert shown == fields


@pytest.mark.parametrize(
    ("default", "options", "sent", "status"),
    [
        ("silent", {}, 0, "subscribed"),
        ("challenge", {}, 1, "unsubscribed"),
        ("silent", {"resubscribeWithNoChallenge": False}, 1, "unsubscribed"),
        ("challenge", {"resubscribeWithNoChallenge": True}, 0, "subscribed"),
    ],
)
def test_subscribing_an_unsubscribed_person(
    http: httpx.Client, state: DotdigitalState, default: str, options: dict[str, bool], sent: int, status: str
) -> None:
    """The specification's default is silent; the vendor's engineers say a challenge is sent."""
    state.switches.v3_resubscribe_default = default
    state.add_contact(ANN, "Unsubscribed")
    assert _patch(http, _status("subscribed", **options)).json()["status"] == status
    assert sum(state.challenges.values()) == sent


def test_a_complaint_survives_subscribe_and_unsubscribe(http: httpx.Client, state: DotdigitalState) -> None:
    contact_id = state.add_contact(ANN)
    state.complain(contact_id)
    for word in ("subscribed", "unsubscribed", "suppressed"):
        email = _patch(http, _status(word)).json()["channelProperties"]["email"]
        assert email["status"] == "ispComplained"


def test_an_identifier_of_another_contact_is_a_409(http: httpx.Client, state: DotdigitalState) -> None:
    contact_id = state.add_contact(ANN)
    state.add_contact("bob@example.com")
    refused = _patch(http, {"identifiers": {"email": "BOB@example.com"}}, f"contactId/{contact_id}")
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "contacts:idAlreadyExists")
    moved = _patch(http, {"identifiers": {"email": "ann@new.example.com"}}, f"contactId/{contact_id}")
    assert moved.json()["identifiers"]["email"] == "ann@new.example.com"
    assert state.find(ANN) is None


def test_a_custom_identifier_belongs_to_one_contact(http: httpx.Client, state: DotdigitalState) -> None:
    state.define_identifier("profile")
    made = _patch(http, {"identifiers": {"email": ANN}}, "profile/P1")
    assert (made.status_code, made.json()["identifiers"]) == (201, {"email": ANN, "profile": "P1"})
    assert _patch(http, {"identifiers": {"profile": "P1"}}, "email/bob@example.com").status_code == 409
    assert _patch(http, {"identifiers": {"profile": "P2"}}).status_code == 200
    assert http.get("/contacts/v3/profile/P1").status_code == 404


def test_a_mobile_number_is_one_with_or_without_its_plus(http: httpx.Client) -> None:
    assert _patch(http, {}, "mobileNumber/%2B447123123123").status_code == 201
    assert _patch(http, {}, "mobileNumber/447123123123").status_code == 200


def test_a_write_to_the_recycle_bin_may_be_refused(http: httpx.Client, state: DotdigitalState) -> None:
    """Dotdigital contacts v3: whether a binned contact's id counts as taken is not documented."""
    state.switches.binned_write = "refused"
    contact_id = state.add_contact(ANN)
    state.delete_contact(contact_id)
    refused = _patch(http, {})
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "contacts:idAlreadyExists")
    assert state.contact(contact_id).binned


def test_patch_revives_from_the_recycle_bin(http: httpx.Client, state: DotdigitalState) -> None:
    news = state.define_preference(name="News")
    contact_id = state.add_contact(ANN, opt_ins={news: (True, None)})
    state.delete_contact(contact_id)
    assert http.get(f"/contacts/v3/contactId/{contact_id}").json()["status"] == "binned"
    revived = _patch(http, {}).json()
    assert (revived["contactId"], revived["status"]) == (contact_id, "subscribed")
    assert "preferences" not in revived


def test_a_suppressed_address_in_capitals_may_refuse_its_lower_case(
    http: httpx.Client, state: DotdigitalState
) -> None:
    state.add_contact(ANN.upper(), "Unsubscribed")
    assert _patch(http, {}).status_code == 200
    state.switches.caps_suppressed_patch = "refused"
    assert _patch(http, {}).status_code == 400


def test_an_import_shows_nothing_before_it_is_finished(http: httpx.Client, state: DotdigitalState) -> None:
    state.switches.import_polls = 2
    state.add_contact("old@example.com")
    job = _start(http, _entry(ANN, **_status("unsubscribed")), _entry("old@example.com"))
    for _ in range(2):
        waiting = _poll(http, job)
        assert (waiting["status"], waiting["summary"]) == ("NotFinished", None)
        assert state.find(ANN) is None
    done = _poll(http, job)
    assert done["status"] == "Finished"
    assert (done["summary"]["newContacts"], done["summary"]["updatedContacts"]) == (1, 1)
    assert done["created"][0]["identifiers"] == {"email": ANN}
    found = state.find(ANN)
    assert found is not None
    assert found.status == "Unsubscribed"


def test_an_import_ends_by_time_though_nobody_polls(http: httpx.Client, state: DotdigitalState) -> None:
    _start(http, _entry(ANN))
    state.clock.advance(30)
    assert state.find(ANN) is not None


@pytest.mark.parametrize(("spelling", "code"), [("camel", "invalidEmail"), ("pascal", "InvalidEmail")])
def test_failures_are_spelt_two_ways(
    http: httpx.Client, state: DotdigitalState, spelling: str, code: str
) -> None:
    state.switches.failure_spelling = spelling
    done = _import(http, _entry("bob@emailsim@example.com"))
    assert done["failures"][0]["failures"][0]["failureCode"] == code
    assert done["summary"]["invalidEntries"] == 1


def test_each_kind_of_import_failure_is_reported(http: httpx.Client, state: DotdigitalState) -> None:
    state.add_contact("global@example.com", "SharedSuppression")
    state.add_contact("bob@example.com")
    ann = state.add_contact(ANN)
    done = _import(
        http,
        _entry(ANN),
        {"matchIdentifier": "contactId", "identifiers": {"contactId": ann}},
        _entry("types@example.com", lists=["5"]),
        _entry("consent@example.com", consentRecords=[{"text": "yes"}]),
        _entry("global@example.com"),
        {"matchIdentifier": "contactId", "identifiers": {"contactId": 999}},
        {"matchIdentifier": "contactId", "identifiers": {"contactId": "1"}},
        {"matchIdentifier": "mobileNumber", "identifiers": {"email": "x@example.com"}},
        {
            "matchIdentifier": "mobileNumber",
            "identifiers": {"email": "bob@example.com", "mobileNumber": "44"},
        },
        "nonsense",
    )
    codes = [row["failures"][0]["failureCode"] for row in done["failures"]]
    assert codes == [
        "duplicateIdentifier",
        "apiSchemaViolation",
        "consentRecordsNotApplied",
        "globallySuppressed",
        "invalidContactId",
        "apiSchemaViolation",
        "invalidMatchIdentifier",
        "duplicateIdentifier",
        "apiSchemaViolation",
    ]
    assert [row["identifiers"]["email"] for row in done["created"]] == ["consent@example.com"]
    assert done["summary"]["globallySuppressed"] == 1
    assert done["summary"]["duplicateIdentifiers"] == 2


@pytest.mark.parametrize("outcome", ["RejectedByWatchdog", "Failed", "ExceedsAllowedContactLimit"])
def test_a_rejected_import_applies_nothing(http: httpx.Client, state: DotdigitalState, outcome: str) -> None:
    state.switches.import_outcome = outcome
    assert _import(http, _entry(ANN))["status"] == outcome
    assert state.find(ANN) is None


def test_too_many_running_imports_are_a_429_until_one_ends(
    http: httpx.Client, state: DotdigitalState
) -> None:
    state.switches.max_active_imports = 1
    _start(http, _entry(ANN))
    refused = http.put("/contacts/v3/import", json={"contacts": [_entry(ANN)]})
    assert (refused.status_code, refused.json()["errorCode"]) == (429, "contacts:tooManyActiveImports")
    state.clock.advance(30)
    _start(http, _entry(ANN))


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"contacts": []}', b'{"contacts": [{}], "mergeOption": "x"}']
)
def test_an_import_envelope_must_be_right(http: httpx.Client, body: bytes) -> None:
    refused = http.put("/contacts/v3/import", content=body)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "contacts:badJson")
    assert http.get("/contacts/v3/import/nope").json()["errorCode"] == "contacts:importNotFound"


def test_v3_shows_statuses_that_v2_cannot_express(http: httpx.Client, state: DotdigitalState) -> None:
    state.add_contact(ANN, "spamTrap", when=state.now() - timedelta(days=1))
    v3 = http.get(f"/contacts/v3/email/{ANN}").json()["channelProperties"]["email"]["status"]
    assert v3 == "spamTrap"
    assert http.get(f"/v2/contacts/{ANN}").json()["status"] == "NotAvailableInThisVersion"
