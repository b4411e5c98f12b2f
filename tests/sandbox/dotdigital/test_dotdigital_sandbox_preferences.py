"""Definitions, contacts' choices, and the preference feeds of v2."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

ANN = "ann@example.com"


@pytest.fixture
def tree(state: DotdigitalState) -> tuple[int, int, int, int]:
    """A category with two leaves, and a leaf at the top."""
    category = state.define_category(14, "Camping")
    return (
        category,
        state.define_preference(26, "Tents", category),
        state.define_preference(19, "Rucksacks", category, public=False),
        state.define_preference(1027, "Football"),
    )


def _put(http: httpx.Client, who: int | str, body: Any) -> httpx.Response:
    return http.put(f"/v2/contacts/{who}/preferences", json=body)


def _leaf(preference_id: int, opted_in: bool) -> dict[str, Any]:
    return {"id": preference_id, "isPreference": True, "isOptedIn": opted_in}


def _since(http: httpx.Client, preference_id: int, date: str = "1970-01-01", **query: Any) -> list[Any]:
    path = f"/v2/contacts/with-preference/{preference_id}/opt-ins-since/{date}"
    rows: list[Any] = http.get(path, params=query).json()
    return rows


def test_the_tree_has_string_orders_and_counts(http: httpx.Client, tree: tuple[int, ...]) -> None:
    nodes = http.get("/v2/preferences").json()
    assert [(node["id"], node["order"], node["preferenceCount"]) for node in nodes] == [
        (14, "0", 2),
        (1027, "1", 0),
    ]
    assert [child["id"] for child in nodes[0]["preferences"]] == [26, 19]
    assert nodes[0]["isPreference"] is False
    assert "preferences" not in nodes[1]
    assert "isOptedIn" not in nodes[1]


def test_creating_without_the_flag_makes_a_category(http: httpx.Client) -> None:
    body = {"publicName": "A", "privateName": "a"}
    assert http.post("/v2/preferences", json=body).json()["isPreference"] is False


def test_creating_a_leaf_in_a_category_at_the_top(http: httpx.Client, tree: tuple[int, ...]) -> None:
    body = {
        "PublicName": "Stoves",
        "privateName": "s",
        "isPreference": True,
        "order": "top",
        "categoryID": 14,
    }
    made = http.post("/v2/preferences", json=body).json()
    assert (made["order"], made["categoryId"], made["isPublic"]) == ("0", 14, True)
    assert {"created", "preferenceCount"} <= made.keys()
    assert http.get("/v2/preferences").json()[0]["preferences"][0]["id"] == made["id"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"publicName": "A"}, "ERROR_PREFERENCE_INVALID"),
        ({"publicName": "A", "privateName": "a", "categoryId": 14}, "ERROR_PREFERENCE_INVALID"),
        (
            {"publicName": "A", "privateName": "a", "isPreference": True, "categoryId": 5},
            "ERROR_PREFERENCE_NOT_FOUND",
        ),
        (
            {"publicName": "A", "privateName": "a", "isPreference": True, "categoryId": 1027},
            "ERROR_PREFERENCE_INVALID",
        ),
        ({"publicName": "A", "privateName": "a", "order": "middle"}, "ERROR_PREFERENCE_INVALID"),
        ({"publicName": "A", "privateName": "a", "isPublic": "yes"}, "ERROR_MALFORMED_REQUEST"),
        ([], "ERROR_MALFORMED_REQUEST"),
    ],
)
def test_impossible_definitions_are_refused_and_leave_no_trace(
    http: httpx.Client, tree: tuple[int, ...], body: Any, code: str
) -> None:
    before = http.get("/v2/preferences").json()
    refused = http.post("/v2/preferences", json=body)
    assert refused.status_code == 400
    assert code in refused.json()["message"]
    assert http.get("/v2/preferences").json() == before


def test_updating_answers_short_and_cannot_turn_a_leaf_into_a_category(
    http: httpx.Client, tree: tuple[int, ...]
) -> None:
    body = {"id": 26, "publicName": "Big tents", "privateName": "t", "isPreference": True}
    answer = http.put("/v2/preferences/26", json=body).json()
    assert answer["publicName"] == "Big tents"
    assert not {"created", "preferenceCount"} & answer.keys()
    del body["isPreference"]
    assert "ERROR_PREFERENCE_INVALID" in http.put("/v2/preferences/26", json=body).json()["message"]
    assert http.put("/v2/preferences/77", json={**body, "id": 77}).status_code == 404
    assert http.put("/v2/preferences/19", json=body).status_code == 400


@pytest.mark.parametrize(("position", "post", "put"), [("full", True, True), ("short", False, False)])
def test_definition_answers_switch(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...], position: str, post: bool, put: bool
) -> None:
    state.switches.definition_answers = position
    body = {"id": 26, "publicName": "A", "privateName": "a", "isPreference": True}
    assert ("created" in http.post("/v2/preferences", json=body).json()) is post
    assert ("created" in http.put("/v2/preferences/26", json=body).json()) is put


def test_deleting_a_category_takes_its_leaves_and_their_opt_ins(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    contact_id = state.add_contact(ANN, opt_ins={26: (True, None), 1027: (True, None)})
    gone = http.delete("/v2/preferences/14")
    assert gone.headers["content-type"].startswith("text/plain")
    assert [node["id"] for node in http.get("/v2/preferences").json()] == [1027]
    assert list(state.contact(contact_id).opt_ins) == [1027]
    assert http.delete("/v2/preferences/14").status_code == 404


@pytest.mark.parametrize(
    ("position", "keys"),
    [
        ("isPreference2", {"isPreference2"}),
        ("isPreference", {"isPreference"}),
        ("both", {"isPreference", "isPreference2"}),
    ],
)
def test_modified_since_spells_the_flag_its_own_way(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...], position: str, keys: set[str]
) -> None:
    state.switches.modified_flag = position
    node = http.get("/v2/preferences/modified-since/2026-01-01").json()[0]
    assert {key for key in node if key.startswith("isPreference")} == keys
    assert node["preferences"][0]["isPreference"] is True


def test_modified_since_shows_a_changed_child_under_its_category(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.clock.advance(60)
    body = {"id": 26, "publicName": "T", "privateName": "t", "isPreference": True}
    http.put("/v2/preferences/26", json=body)
    path = "/v2/preferences/modified-since/2026-03-01T12:00:30Z"
    nodes = http.get(path).json()
    assert [node["id"] for node in nodes] == [14]
    assert len(nodes[0]["preferences"]) == 2
    state.switches.modified_children = "changed"
    assert [child["id"] for child in http.get(path).json()[0]["preferences"]] == [26]


def test_put_merges_by_default_and_answers_an_empty_value(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    contact_id = state.add_contact(ANN, opt_ins={1027: (True, None)})
    nested = [{"id": 14, "isPreference": False, "preferences": [_leaf(26, True), _leaf(19, False)]}]
    answer = _put(http, ANN, nested)
    assert (answer.status_code, answer.json()) == (200, {"value": ""})
    rows = state.contact(contact_id).opt_ins
    assert {key: row.opted_in for key, row in rows.items()} == {1027: True, 26: True, 19: False}


def test_put_replaces_if_configured(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.switches.put_preferences = "replace"
    contact_id = state.add_contact(ANN, opt_ins={1027: (True, None)})
    _put(http, contact_id, [_leaf(26, True)])
    assert not state.contact(contact_id).opt_ins[1027].opted_in


def test_a_leaf_outside_its_category(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.add_contact(ANN)
    assert _put(http, ANN, [_leaf(26, True)]).status_code == 200
    state.switches.top_level_leaf = "refused"
    assert "ERROR_PREFERENCE_INVALID" in _put(http, ANN, [_leaf(26, True)]).json()["message"]
    assert _put(http, ANN, [_leaf(1027, True)]).status_code == 200


def test_a_suppressed_person_on_put(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    contact_id = state.add_contact(ANN, "Unsubscribed")
    refused = _put(http, ANN, [_leaf(1027, False)])
    assert refused.status_code == 400
    assert "ERROR_CONTACT_SUPPRESSED" in refused.json()["message"]
    state.switches.put_preferences_suppressed = "accepted"
    assert _put(http, ANN, [_leaf(1027, False)]).status_code == 200
    assert not state.contact(contact_id).opt_ins[1027].opted_in


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"RAW_BODY": []}, "ERROR_MALFORMED_REQUEST"),
        ([_leaf(1027, True), _leaf(5, True)], "ERROR_PREFERENCE_NOT_FOUND"),
        ([_leaf(1027, True), {"id": 26, "isPreference": True}], "ERROR_PARAMETER_INVALID"),
        ([_leaf(1027, True), _leaf(14, True)], "ERROR_PREFERENCE_INVALID"),
        ([{"id": 14, "isPreference": False, "preferences": [_leaf(1027, True)]}], "ERROR_PREFERENCE_INVALID"),
        ([_leaf(1027, True), {"isPreference": True}], "ERROR_MALFORMED_REQUEST"),
    ],
)
def test_a_bad_put_is_refused_whole(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...], body: Any, code: str
) -> None:
    contact_id = state.add_contact(ANN)
    refused = _put(http, ANN, body)
    assert refused.status_code == 400
    assert code in refused.json()["message"]
    assert state.contact(contact_id).opt_ins == {}


def test_an_unknown_person_of_the_url_is_a_404(http: httpx.Client, tree: tuple[int, ...]) -> None:
    assert _put(http, ANN, []).status_code == 404
    for path in (
        "/v2/contacts/5/preferences",
        f"/v2/contacts/{ANN}/subscriptions",
        "/v2/contacts/x/preferences",
    ):
        assert http.get(path).status_code == 404


@pytest.mark.parametrize(("position", "shown"), [("false", False), ("missing", None)])
def test_the_contacts_tree_does_not_distinguish_unset_from_opted_out(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...], position: str, shown: bool | None
) -> None:
    state.switches.never_asked_leaf = position
    state.add_contact(ANN, opt_ins={1027: (True, None)})
    nodes = http.get(f"/v2/contact/{ANN}/preferences").json()
    assert nodes[1]["isOptedIn"] is True
    assert nodes[0]["preferences"][0].get("isOptedIn") is shown
    assert "isOptedIn" not in nodes[0]


def test_subscriptions_carry_times_and_rows_only_for_what_was_asked(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.add_contact(ANN, opt_ins={26: (False, state.now() - timedelta(days=1))})
    found = http.get(f"/v2/contacts/{ANN}/subscriptions").json()
    (row,) = found["marketingPreferenceOptIns"]
    assert row["dateModifed"] == "2026-02-28T12:00:00.000Z"
    assert (row["marketingPreferenceId"], row["isOptedIn"]) == (26, False)


def test_subscriptions_of_a_suppressed_person(http: httpx.Client, state: DotdigitalState) -> None:
    state.add_contact(ANN, "Unsubscribed")
    assert http.get(f"/v2/contacts/{ANN}/subscriptions").json()["contact"]["status"] == "Unsubscribed"
    state.switches.subscriptions_of_suppressed = "not_found"
    assert http.get(f"/v2/contacts/{ANN}/subscriptions").status_code == 404


@pytest.mark.parametrize("moves", [True, False])
def test_writing_an_equal_value(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...], moves: bool
) -> None:
    state.switches.equal_write_moves_date = moves
    contact_id = state.add_contact(ANN, opt_ins={26: (True, None)})
    before = state.contact(contact_id).opt_ins[26].modified
    state.clock.advance(60)
    _put(http, ANN, [_leaf(26, True)])
    assert (state.contact(contact_id).opt_ins[26].modified > before) is moves


def test_opt_ins_since_shows_both_directions_and_foreign_rows(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.add_contact("a@example.com", opt_ins={26: (True, None), 19: (True, None)})
    state.add_contact("b@example.com", opt_ins={26: (False, None)})
    state.add_contact("c@example.com", opt_ins={19: (True, None)})
    rows = _since(http, 26)
    assert [row["contact"]["email"] for row in rows] == ["a@example.com", "b@example.com"]
    assert {one["marketingPreferenceId"] for one in rows[0]["marketingPreferenceOptIns"]} == {26, 19}
    state.switches.foreign_preference_rows = False
    assert len(_since(http, 26)[0]["marketingPreferenceOptIns"]) == 1
    state.switches.opt_out_rows = False
    assert len(_since(http, 26)) == 1


def test_opt_ins_since_is_inclusive_and_by_date(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.add_contact(ANN, opt_ins={26: (True, None)})
    assert len(_since(http, 26, "2026-03-01T12:00:00.000Z")) == 1
    assert _since(http, 26, "2026-03-01T12:00:00.001Z") == []
    state.switches.feed_lag_seconds = 10.0
    assert _since(http, 26) == []


def test_opt_ins_since_gives_the_first_thousand_by_id(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    ids = [state.add_contact(f"p{n}@example.com", opt_ins={26: (True, None)}) for n in range(1003)]
    first = [row["contact"]["id"] for row in _since(http, 26)]
    assert first == ids[:1000]
    assert [row["contact"]["id"] for row in _since(http, 26, minContactID=first[-1])] == ids[999:]
    assert [row["contact"]["id"] for row in _since(http, 26, minContactId=ids[1001])] == ids[1001:]
    state.switches.min_contact_id = "exclusive"
    assert [row["contact"]["id"] for row in _since(http, 26, minContactID=first[-1])] == ids[1000:]


def test_rows_per_address_book_repeat_an_older_contradicting_row(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    state.switches.rows_per_address_book = True
    state.add_contact(ANN, opt_ins={26: (True, None)})
    rows = _since(http, 26)[0]["marketingPreferenceOptIns"]
    newest = max(rows, key=lambda row: row["dateModifed"])
    assert len({row["addressBookId"] for row in rows}) == 2
    assert newest["isOptedIn"]
    assert len(http.get("/v2/contacts/with-preference/26").json()) == 2


def test_with_preference_lists_those_in_now(
    http: httpx.Client, state: DotdigitalState, tree: tuple[int, ...]
) -> None:
    first = state.add_contact(ANN, opt_ins={26: (True, None)})
    state.add_contact("b@example.com", opt_ins={26: (False, None)})
    state.add_contact(None, mobile="447123123123", opt_ins={26: (True, None)})
    suppressed = state.add_contact("c@example.com", "Unsubscribed", {26: (True, None)})
    rows = http.get("/v2/contacts/with-preference/26").json()
    assert rows == [{"id": first, "email": ANN}, {"id": suppressed, "email": "c@example.com"}]
    state.switches.preference_feeds_list_suppressed = False
    assert len(http.get("/v2/contacts/with-preference/26").json()) == 1
    for unknown in (14, 999):
        assert http.get(f"/v2/contacts/with-preference/{unknown}").status_code == 404
    assert http.get("/v2/contacts/with-preference/99999999999").status_code == 400
