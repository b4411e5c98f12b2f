"""Answers of the 16 preferences operations, and of v3 reads, against the published schemas."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.dotdigital.app import ROUTES

ANN = "ann@example.com"


def _specs() -> Path:
    beside = Path(__file__).resolve().parents[3].parent / "shared" / "apis" / "specs"
    return Path(os.environ.get("BRIDGE_SPECS_DIR", beside))


def _load(name: str) -> Any:
    path = _specs() / name
    if not path.is_file():
        pytest.skip(f"{name} is not here; point BRIDGE_SPECS_DIR at the published specifications")
    return json.loads(path.read_text(encoding="utf-8"))


def _operations(spec: Any) -> dict[str, tuple[str, str, Any]]:
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def _requests(state: DotdigitalState) -> dict[str, tuple[str, str, Any]]:
    category = state.define_category(14, "Camping")
    state.define_preference(26, "Tents", category)
    state.define_preference(1027, "Football")
    state.define_preference(1028, "Golf")
    state.add_contact(ANN, opt_ins={26: (True, None), 1027: (False, None)})
    state.add_contact("gone@example.com", "Unsubscribed")
    state.add_contact("bounced@example.com", "HardBounced")
    golf = {"id": 1028, "publicName": "Golf", "privateName": "golf", "isPreference": True}
    wanted = {"unsubscribedContact": {"email": "gone@example.com"}}
    choices = [{"id": 1027, "isPreference": True, "isOptedIn": True}]
    return {
        "get-suppressed-contacts-since-date": ("GET", "/v2/contacts/suppressed-since/2020-01-01", None),
        "get-unsubscribed-contacts-since-date": ("GET", "/v2/contacts/unsubscribed-since/2020-01-01", None),
        "get-subscriptions-for-contact": ("GET", f"/v2/contacts/{ANN}/subscriptions", None),
        "get-preferences": ("GET", "/v2/preferences", None),
        "get-modified-preferences-since-date": ("GET", "/v2/preferences/modified-since/2020-01-01", None),
        "get-preferences-for-contact": ("GET", f"/v2/contacts/{ANN}/preferences", None),
        "set-preferences-for-contact": ("PUT", f"/v2/contacts/{ANN}/preferences", choices),
        "get-contacts-opted-into-a-preference": ("GET", "/v2/contacts/with-preference/26", None),
        "get-contacts-with-modified-preference-opt-in-since-date": (
            "GET",
            "/v2/contacts/with-preference/26/opt-ins-since/2020-01-01",
            None,
        ),
        "create-preference": ("POST", "/v2/preferences", {"publicName": "A", "privateName": "a"}),
        "update-preference": ("PUT", "/v2/preferences/1028", golf),
        "delete-preference": ("DELETE", "/v2/preferences/1028", None),
        "resubscribe-contact": ("POST", "/v2/contacts/resubscribe", wanted),
        "resubscribe-contact-with-no-challenge": (
            "POST",
            "/v2/contacts/resubscribe-with-no-challenge",
            wanted,
        ),
        "unsubscribe-contact": ("POST", "/v2/contacts/unsubscribe", {"email": ANN}),
        "bulk-suppress-contacts": (
            "PUT",
            "/v2/contacts/suppress-contacts",
            [{"id": 1}, {"email": "x@y.example"}],
        ),
    }


def test_all_sixteen_operations_answer_by_their_published_schemas(
    http: httpx.Client, state: DotdigitalState
) -> None:
    published = _operations(_load("dotdigital-preferences-v2.corrected.openapi.json"))
    requests = _requests(state)
    assert requests.keys() == published.keys()
    assert len(published) == 16
    for operation_id, (method, path, body) in requests.items():
        response = http.request(method, path, json=body)
        assert response.status_code == 200, (operation_id, response.text)
        ((kind, content),) = published[operation_id][2]["responses"]["200"]["content"].items()
        assert response.headers["content-type"].startswith(kind), operation_id
        if kind == "application/json":
            jsonschema.Draft202012Validator(content["schema"]).validate(response.json())
            _has_every_key(content["schema"], response.json(), operation_id)
        assert state.calls.count(operation_id) == 1


def _has_every_key(schema: Any, value: Any, where: str) -> None:
    """The schemas require nothing, so a missing key would pass them: look for each that is described."""
    if schema.get("type") == "array":
        assert value, where
        for item in value:
            _has_every_key(schema["items"], item, where)
    for key, inner in schema.get("properties", {}).items():
        leaf_only = key == "preferences" and value.get("isPreference", value.get("isPreference2"))
        if not leaf_only:
            assert key in value, (where, key)
            _has_every_key(inner, value[key], where)


def test_the_table_has_the_published_methods_and_paths() -> None:
    spec = _load("dotdigital-preferences-v2.corrected.openapi.json")
    served = {(one.operation_id, one.method, one.path) for one in ROUTES.routes}
    published = {(name, method, path) for name, (method, path, _) in _operations(spec).items()}
    assert published <= served


def test_v3_answers_fit_their_schemas(http: httpx.Client, state: DotdigitalState) -> None:
    """`preferenceFull` requires a `name` it does not define; that demand is taken out first."""
    spec = _load("dotdigital-contacts-v3.openapi.json")
    spec["components"]["schemas"]["preferenceFull"]["required"].remove("name")
    news = state.define_preference(name="News")
    state.add_contact(ANN, "Unsubscribed", {news: (True, None)}, mobile="447123123123")
    state.add_contact("bob@example.com")
    path = "/contacts/v3?limit=1&include=channelProperties%7Clists%7Cpreferences%7CconsentRecords"
    _valid(spec, "inline_response_200", http.get(path).json())
    _valid(spec, "contact", http.get(f"/contacts/v3/email/{ANN}").json())
    _valid(spec, "contact", http.patch(f"/contacts/v3/email/{ANN}", json={"lists": [5]}).json())
    _valid(spec, "errorResponse", http.get("/contacts/v3/email/nobody").json())
    _valid(spec, "errorResponse", http.get("/contacts/v3/email/no@example.com").json())
    state.switches.import_polls = 0
    entry = {"matchIdentifier": "email", "identifiers": {"email": "a@b@c.example"}}
    job = http.put("/contacts/v3/import", json={"contacts": [entry]}).json()
    _valid(spec, "inline_response_200_2", http.get(f"/contacts/v3/import/{job['importId']}").json())
    state.switches.delete_polls = 0
    job = http.post("/contacts/v3/delete", json=[{"contactId": 2}, {"contactId": 4711}]).json()
    _valid(spec, "inline_response_202", job)
    _valid(spec, "inline_response_200_1", http.get(f"/contacts/v3/delete/{job['deleteId']}").json())
    _valid(spec, "inline_response_200_3", http.delete(f"/contacts/v3/email/{ANN}").json())


def _valid(spec: Any, name: str, document: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    jsonschema.Draft202012Validator(schema).validate(document)
