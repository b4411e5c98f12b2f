"""The HTTP kit that both emulated services share: routes and request bodies."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bridge.sandbox.http import (
    ApiRoute,
    BodyError,
    HttpReply,
    RouteTable,
    json_reply,
    read_body,
    split_path,
)


class Entry(msgspec.Struct, rename="camel"):
    id: int
    is_public: bool | None = None
    more: dict[str, Any] | None = None


class Whole(msgspec.Struct, rename="camel"):
    public_name: str
    entries: list[Entry] = []


def _nothing(*_: object) -> HttpReply:
    return HttpReply()


TABLE = RouteTable(
    [
        ApiRoute("getThing", "GET", "/Things/{thingId}", _nothing),
        ApiRoute("deleteThing", "DELETE", "/Things/{thingId}", _nothing),
        ApiRoute("getRed", "GET", "/Things/Red", _nothing),
        ApiRoute("startExport", "POST", "/Export/{name}", _nothing),
        ApiRoute("getExport", "GET", "/Export/{token}", _nothing),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/things/7", "getThing"),
        ("GET", "/THINGS/red/", "getRed"),
        ("DELETE", "/Things/Blue", "deleteThing"),
        ("GET", "/Export/x", "getExport"),
        ("POST", "/Export/x", "startExport"),
        ("DELETE", "/Things/Red", "unknown"),
        ("GET", "/Things/", "unknown"),
        ("GET", "/Things/7/8", "unknown"),
    ],
)
def test_a_route_is_found_by_method_and_path(method: str, path: str, operation: str) -> None:
    assert TABLE.operation_id(method, split_path(path)) == operation


def test_a_path_without_the_method_lists_the_allowed_ones() -> None:
    assert TABLE.find("PUT", split_path("/Things/7")).allowed == ["DELETE", "GET"]
    assert TABLE.find("DELETE", split_path("/Things/Red")).allowed == ["GET"]


def test_an_encoded_slash_stays_inside_its_part() -> None:
    found = TABLE.find("GET", split_path("/Things/a%2Fb%20c"))
    assert found.parameters == {"thingId": "a/b c"}


def test_names_are_bound_whatever_their_case_but_those_of_free_objects_are_kept() -> None:
    body = b'{"PUBLICNAME": "News", "Entries": [{"ID": 1, "ispublic": true, "More": {"Key": 1}}, {"id": 2}]}'
    whole = read_body(body, Whole, any_case=True)
    assert whole == Whole("News", [Entry(1, True, {"Key": 1}), Entry(2)])
    with pytest.raises(BodyError):
        read_body(body, Whole)


@pytest.mark.parametrize(
    ("body", "field", "missing"),
    [
        (b"{", "", False),
        (b"[]", "", False),
        (b'{"entries": []}', "publicName", True),
        (b'{"publicName": 5}', "publicName", False),
        (b'{"publicName": "x", "entries": [{"id": 1}, {"id": true}]}', "entries[1].id", False),
        (b'{"publicName": "x", "entries": [{}]}', "entries[0].id", True),
        (b"[" * 5000 + b"]" * 5000, "", False),
    ],
)
def test_a_wrong_body_names_the_place_of_its_fault(body: bytes, field: str, missing: bool) -> None:
    with pytest.raises(BodyError) as error:
        read_body(body, Whole, any_case=True)
    assert (error.value.field, error.value.missing) == (field, missing)


def test_a_json_reply_says_what_it_is() -> None:
    reply = json_reply({"name": "Zoë"}, 201, {"Allow": "GET"})
    assert (reply.status, reply.body.decode(), reply.headers) == (201, '{"name":"Zoë"}', {"Allow": "GET"})
    assert reply.content_type == "application/json; charset=utf-8"
