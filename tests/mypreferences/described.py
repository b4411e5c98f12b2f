"""The OpenAPI description of the service, and the check that an exchange conforms to it.

The description is no part of the project: it is looked for in BRIDGE_SPECS_DIR, or beside the repository.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from jsonschema import Draft202012Validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sandbox.service import ServiceMiddleware

ROOT = Path(__file__).resolve().parents[2]
FILE = "mypreferences-v4.openapi.yaml"
BASE = "/Profiles/v4"

# Where the description is silent or says otherwise than the pages it was made from, with the reason.
NO_PATH = {
    r"GET /\w+/Profile/Group/.+": "searches by group are documented, their paths are not",
    r"GET /\w+/Profile/PreferenceAttributes": "documented as a search, its path is not",
    r"GET /\w+/ProgramGroups/(?!Include)[^/]+": "one program group is documented, its path is not",
    r"GET /\w+/export/Segment/[^/]+": "the older help retrieves an export where it was begun",
    r"\w+ /\w+/Profile/AlternateIdType/.+": "the older help has alternate ids in the path",
    r"POST /\w+/Profile/Preferences/AlternateId": "the v4 pages have alternate ids in the query",
}
MORE_QUERY = {
    "retrieveProfilesByAddress": {"implied", "includeconsenthistory", "includeinactive"},
    "retrievePreferences": {"includeconsenthistory"},
}
"""Sent all the same: both default to true at the other reads, and what is not known there is ignored."""
MORE_STATUSES = {
    "createProfile": {"201", "409"}, "upsertProfileByAlternateId": {"201", "409"},
    "updateProfilePost": {"409"}, "updateProfilePut": {"409"}, "replaceProfileByAlternateId": {"409"},
    "updateProfilePatch": {"409", "412", "422"}, "patchProfileByAlternateId": {"409"},
    "createSubscription": {"201"}, "updateConsentType": {"409"},
    "deleteProfile": {"400"}, "initiateImport": {"201", "429"},
    "stageImport": {"413"}, "exportStatus": {"401"},
}  # fmt: skip
"""Created things may be answered with 200 or 201, taken alternate ids with 409; which status a failed test
has is not documented."""
EVENTS_WRAPPED = {"retrieveEvents", "retrieveEventsBySubscription", "retrieveEventsByProfile"}
"""Whether the list stands in an object is not documented: both are switched on in tests."""
FREE_KEYS = {"Operations"}
"""A patch as an object, which one page describes and the description leaves out."""


def specification() -> Path | None:
    """The file, or None where it is not available."""
    folder = Path(os.environ.get("BRIDGE_SPECS_DIR") or ROOT.parent / "shared" / "apis" / "specs")
    path = folder / FILE
    return path if path.is_file() else None


@dataclass(frozen=True)
class Exchange:
    """One request and its answer as they went over the wire."""

    method: str
    path: str
    query: str
    content_type: str
    body: bytes
    status: int
    answer: bytes


@dataclass
class Recorder:
    """An application that notes what passes through it."""

    app: ASGIApp
    front: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent, answered, status = bytearray(), bytearray(), [0]

        async def hear() -> Message:
            message = await receive()
            sent.extend(message.get("body") or b"")
            return message

        async def say(message: Message) -> None:
            status[0] = message.get("status", status[0])
            answered.extend(message.get("body") or b"")
            if message["type"] == "http.response.body" and not message.get("more_body"):
                note()  # before the caller has it, who may look at once
            await send(message)

        def note() -> None:
            kind = dict(scope["headers"]).get(b"content-type", b"").decode()
            self.exchanges.append(
                Exchange(
                    scope["method"], scope["path"], scope["query_string"].decode(), kind.split(";")[0],
                    bytes(sent), status[0], bytes(answered),
                )
            )  # fmt: skip

        await self.app(scope, hear, say)


@dataclass(frozen=True)
class _Operation:
    name: str
    document: dict[str, Any]
    parameters: list[dict[str, Any]]
    in_path: dict[str, str]


class Description:
    """Holds exchanges against the description. Problems name operations and places, never values."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]
        self._paths = [(_pattern(path), item) for path, item in document["paths"].items()]
        self._paths.sort(key=lambda pair: pair[0].pattern.count("(?P<"))
        self._known = _property_names(document) | FREE_KEYS
        self._validators: dict[str, Draft202012Validator] = {}

    def problems(self, exchange: Exchange, *, request_too: bool) -> list[str]:
        """What of an exchange is not by the description."""
        below = exchange.path.removeprefix(BASE)
        line = f"{exchange.method} {below}"
        if below == exchange.path or any(re.fullmatch(one, line, re.IGNORECASE) for one in NO_PATH):
            return []
        found = self._operation(exchange.method, below)
        if found is None:
            return [f"{exchange.method} is not described for this path"] if exchange.status < 400 else []
        problems = self._answer(found, exchange)
        if request_too:
            problems += [*self._query(found, exchange), *self._request(found, exchange)]
        return [f"{found.name}: {problem}" for problem in problems]

    def _operation(self, method: str, path: str) -> _Operation | None:
        for pattern, item in self._paths:
            match = pattern.fullmatch(path)
            if match and method.lower() in item:
                document = item[method.lower()]
                listed = [*item.get("parameters", ()), *document.get("parameters", ())]
                parameters = [one for one in listed if "name" in one]
                return _Operation(document["operationId"], document, parameters, match.groupdict())
        return None

    def _query(self, found: _Operation, exchange: Exchange) -> list[str]:
        sent = dict(parse_qsl(exchange.query, keep_blank_values=True))
        described = {one["name"].lower(): one for one in found.parameters if one["in"] == "query"}
        more = MORE_QUERY.get(found.name, set())
        if found.name.startswith("retrievePrograms") or found.name.startswith("retrieveProgramGroups"):
            return []  # any custom property is a parameter
        problems = [
            f"the query parameter {name} is not described"
            for name in sent
            if name.lower() not in described and name.lower() not in more
        ]
        problems += [
            f"the query parameter {name} is missing"
            for name, one in described.items()
            if one.get("required") and name not in {key.lower() for key in sent}
        ]
        for name, value in sent.items():
            kind = described.get(name.lower(), {}).get("schema", {}).get("type")
            if (kind == "boolean" and value not in ("true", "false")) or (
                kind == "integer" and not value.lstrip("-").isdigit()
            ):
                problems.append(f"the query parameter {name} is no {kind}")
        return problems

    def _request(self, found: _Operation, exchange: Exchange) -> list[str]:
        described = found.document.get("requestBody")
        if described is None:
            return (
                ["a body is sent where none is described"]
                if exchange.body.strip() not in (b"", b"null")
                else []
            )
        if exchange.content_type not in described["content"]:
            return [f"the content type {exchange.content_type or 'none'} is not described"]
        body = json.loads(exchange.body)
        if isinstance(body, dict) and "Operations" in body:
            body = body["Operations"]
        unknown = sorted(_keys(body) - self._known)
        problems = [f"the property {name} is not described" for name in unknown]
        return problems + self._misfits(
            found.name, "request", described["content"][exchange.content_type], body
        )

    def _answer(self, found: _Operation, exchange: Exchange) -> list[str]:
        status = str(exchange.status)
        described = found.document["responses"].get(status)
        if described is None:
            if status not in MORE_STATUSES.get(found.name, set()) and status not in ("400", "401", "405"):
                return [f"the status {status} is not described"]
            near = "200" if status < "300" and "200" in found.document["responses"] else ""
            described = found.document["responses"].get(near, {})
        content = described.get("content", {}).get("application/json")
        if content is None or (status == "404" and not exchange.answer):
            return ["an answer is sent where none is described"] if status < "300" and exchange.answer else []
        body = json.loads(exchange.answer)
        if found.name in EVENTS_WRAPPED and isinstance(body, dict) and status < "300":
            body = body["Events"]
        return self._misfits(found.name, status, content, body)

    def _misfits(self, name: str, part: str, content: dict[str, Any], body: Any) -> list[str]:
        key = f"{name} {part}"
        if key not in self._validators:
            schema = {**content["schema"], "components": self._components}
            self._validators[key] = Draft202012Validator(schema)
        return [
            f"{part} at {'/'.join(str(step) for step in error.absolute_path) or 'its top'}: {error.validator}"
            for error in self._validators[key].iter_errors(body)
        ]


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", path)
    text = "".join(f"(?P<{one}>[^/]+)" if index % 2 else re.escape(one) for index, one in enumerate(pieces))
    return re.compile(text, re.IGNORECASE)


def _property_names(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*(_property_names(item) for item in node))
    if not isinstance(node, dict):
        return set()
    own = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    return own.union(*(_property_names(value) for value in node.values()))


def _keys(body: Any) -> set[str]:
    if isinstance(body, list):
        return set().union(*(_keys(item) for item in body))
    if isinstance(body, dict):
        return set(body).union(*(_keys(value) for value in body.values()))
    return set()


@functools.cache
def description() -> Description | None:
    """The description, read once a process; None where it is not available."""
    path = specification()
    if path is None:
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Description(yaml.load(path.read_text(encoding="utf-8"), Loader=loader))  # noqa: S506 - safe ones


@contextmanager
def recorded(app: ASGIApp, *, request_too: bool = True) -> Iterator[Recorder]:
    """Records a sandbox's exchanges behind its middleware, before faults change any answer. At the end all
    must conform to the published description, where it is available."""
    assert isinstance(app, ServiceMiddleware)
    recorder = Recorder(app.app, app)
    app.app = recorder
    yield recorder
    found = description()
    if found is not None:
        problems = {
            one
            for exchange in recorder.exchanges
            for one in found.problems(exchange, request_too=request_too)
        }
        assert problems == set()
