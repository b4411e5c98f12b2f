"""Forms of v3 requests and answers that the documents describe in several ways, each position alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bridge.sandbox.dotdigital import DotdigitalState

ANN = "ann@example.com"
RECORD = {
    "text": "Yes",
    "dateTimeConsented": "2026-01-01T00:00:00Z",
    "url": "https://example.com",
    "ipAddress": "192.0.2.1",
    "userAgent": "a browser",
}


def _patch(http: httpx.Client, body: Any) -> httpx.Response:
    return http.patch(f"/contacts/v3/email/{ANN}", json=body)


@pytest.mark.parametrize(
    ("body", "refused_by"),
    [
        ({"matchIdentifier": "email"}, {"closed"}),
        ({"colour": "red"}, {"closed"}),
        ({"preferences": [{"id": 1001, "isOptedIn": True, "name": "News"}]}, {"closed"}),
        ({"channelProperties": {"fax": {}}}, {"closed", "published"}),
        ({"channelProperties": {"email": {"colour": "red"}}}, {"closed", "published"}),
        ({"consentRecords": [{**RECORD, "dateTimeCreated": "x"}]}, {"closed", "published"}),
        ({"consentRecords": [RECORD], "dataFields": {"any": "name"}}, set()),
    ],
)
@pytest.mark.parametrize("schema", ["published", "closed", "lenient"])
def test_unknown_properties_of_a_request(
    http: httpx.Client, state: DotdigitalState, body: Any, refused_by: set[str], schema: str
) -> None:
    state.switches.v3_schema = schema
    state.define_preference(1001, "News")
    assert _patch(http, body).status_code == (400 if schema in refused_by else 201)


@pytest.mark.parametrize(("schema", "failures"), [("published", 0), ("closed", 1), ("lenient", 0)])
def test_unknown_properties_of_an_import_show_in_its_report(
    http: httpx.Client, state: DotdigitalState, schema: str, failures: int
) -> None:
    state.switches.v3_schema, state.switches.import_polls = schema, 0
    entry = {"matchIdentifier": "email", "identifiers": {"email": ANN}, "colour": "red"}
    job = http.put("/contacts/v3/import", json={"contacts": [entry]}).json()["importId"]
    assert len(http.get(f"/contacts/v3/import/{job}").json()["failures"]) == failures


@pytest.mark.parametrize(("position", "status"), [("in_report", 202), ("at_once", 400)])
@pytest.mark.parametrize("entry", [{"lists": ["5"]}, "nonsense"])
def test_type_errors_of_an_import(
    http: httpx.Client, state: DotdigitalState, position: str, status: int, entry: Any
) -> None:
    """Since 2024 wrong types failed although the call was accepted."""
    state.switches.import_type_errors = position
    assert http.put("/contacts/v3/import", json={"contacts": [entry]}).status_code == status


def test_an_import_has_a_largest_size(http: httpx.Client, state: DotdigitalState) -> None:
    """50 MB; how a larger one is refused is not documented."""
    assert state.switches.import_bytes == 50 * 1024 * 1024
    state.switches.import_bytes = 20
    assert http.put("/contacts/v3/import", json={"contacts": [{}] * 10}).status_code == 413
    assert not state.imports


@pytest.mark.parametrize("position", ["null", "missing"])
def test_the_summary_of_a_running_import(http: httpx.Client, state: DotdigitalState, position: str) -> None:
    state.switches.import_summary = position
    job = http.put("/contacts/v3/import", json={"contacts": [{}]}).json()["importId"]
    shown = http.get(f"/contacts/v3/import/{job}").json()
    assert ("summary" in shown, shown.get("summary")) == (position == "null", None)


@pytest.mark.parametrize(
    ("position", "codes"), [("by_outcome", [201, 200]), ("always_200", [200] * 2), ("always_201", [201] * 2)]
)
def test_the_status_of_a_patch(
    http: httpx.Client, state: DotdigitalState, position: str, codes: list[int]
) -> None:
    state.switches.v3_patch_status = position
    assert [_patch(http, {}).status_code for _ in range(2)] == codes


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ("published", ("Html", "Unknown", "unsubscribed", "unsubscribed")),
        ("as_written", ("html", "unknown", "unsubscribed", "unsubscribed")),
        ("capital", ("Html", "Unknown", "Unsubscribed", "Unsubscribed")),
    ],
)
def test_the_casing_of_what_is_read(
    http: httpx.Client, state: DotdigitalState, position: str, words: tuple[str, ...]
) -> None:
    state.switches.v3_casing = position
    state.add_contact(ANN, "Unsubscribed")
    shown = http.get(f"/contacts/v3/email/{ANN}").json()
    email = shown["channelProperties"]["email"]
    assert (email["emailType"], email["optInType"], email["status"], shown["status"]) == words


@pytest.mark.parametrize("position", [True, False])
def test_answers_may_hold_what_no_document_names(
    http: httpx.Client, state: DotdigitalState, position: bool
) -> None:
    state.switches.unknown_in_answers = position
    state.define_category(5, "Offers")
    state.define_preference(6, "Daily", 5)
    state.add_contact(ANN)
    contact = http.get(f"/contacts/v3/email/{ANN}").json()
    (category,) = http.get("/v2/preferences").json()
    for shown in (contact, contact["channelProperties"]["email"], category, category["preferences"][0]):
        assert ("addedLater" in shown) is position
    assert contact["identifiers"] == {"email": ANN}
    assert http.get("/v2/server-time").is_success
    assert ("addedLater" in http.get("/contacts/v3/email/no@example.com").json()) is position
