"""The HTTP kit of both emulated services: requests, replies, routes and request bodies."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from msgspec.inspect import ListType, StructType, UnionType
from starlette.types import Scope

from bridge.sandbox.server import CONNECTION, Connection

UNKNOWN_OPERATION = "unknown"
"""What a request is counted as that no route serves."""

_MISSING = re.compile(r"missing required field `(\w+)`")
_UNKNOWN_FIELD = re.compile(r"contains unknown field `(.*?)`")
_PLACE = re.compile(r" - at `\$(.*)`$")


@dataclass(frozen=True)
class HttpRequest:
    """One request.

    `path` is decoded as a whole, `raw_path` not at all (see `split_path`). `query` holds the pairs in their
    order, with names in lower case. Header names are in lower case too. `parameters` are those of the route's
    path. `certificate` (DER) is what the caller showed by TLS. `received` is when a request came in that is
    applied late; None: now.
    """

    method: str
    path: str
    raw_path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    certificate: bytes | None = None
    received: datetime | None = None

    @functools.cached_property
    def query_values(self) -> Mapping[str, str]:
        """The query by name, in lower case; of a repeated name the last value."""
        return dict(self.query)

    @classmethod
    def from_scope(cls, scope: Scope, body: bytes) -> HttpRequest:
        """The request of an ASGI scope. Of a repeated header the first counts."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        connection = scope.get("extensions", {}).get(CONNECTION)
        return cls(
            scope["method"],
            scope["path"],
            raw_path_of(scope),
            [(name.lower(), value) for name, value in pairs],
            headers,
            body,
            f"{scope['scheme']}://{headers.get('host', '')}",
            certificate=connection.certificate if isinstance(connection, Connection) else None,
        )


@dataclass(frozen=True)
class HttpReply:
    """What goes back. Without a body no content type is sent."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpReply:
    """A JSON reply."""
    body = msgspec.json.encode(document)
    return HttpReply(status, body, "application/json; charset=utf-8", headers or {})


def text_reply(text: str, status: int = 200) -> HttpReply:
    """A plain-text reply."""
    return HttpReply(status, text.encode(), "text/plain; charset=utf-8")


class Refusal(Exception, ABC):
    """Raised by a handler to refuse its request. Each service has its own subclass, and its own form of
    errors."""

    @abstractmethod
    def reply(self, switches: Any) -> HttpReply:
        """What the caller sees. `switches` are those of the service's state."""


Handler = Callable[..., HttpReply]


@dataclass(frozen=True)
class ApiRoute:
    """One row of a service's table. Several rows may share an operation id, which is the vendor's own.

    A segment in braces is a parameter; the others match whatever their case.
    """

    operation_id: str
    method: str
    path: str
    handler: Handler

    @functools.cached_property
    def segments(self) -> list[str]:
        """The parts of the path; fixed ones in lower case."""
        return [part if part.startswith("{") else part.lower() for part in split_path(self.path)]

    @property
    def shape(self) -> list[str]:
        """Equal for paths that differ in the names of parameters only."""
        return ["{}" if part.startswith("{") else part for part in self.segments]

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The path's parameters when `segments`, of the same number, fit; else None."""
        found: dict[str, str] = {}
        for wanted, given in zip(self.segments, segments, strict=True):
            if wanted.startswith("{"):
                found[wanted[1:-1]] = given
            elif wanted != given.lower():
                return None
        return found if all(found.values()) else None


ApiRouteT = TypeVar("ApiRouteT", bound=ApiRoute)


@dataclass(frozen=True)
class RouteMatch(Generic[ApiRouteT]):
    """What a table has for a request; without a route, `allowed` are the methods that the path does have."""

    route: ApiRouteT | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    allowed: Sequence[str] = ()


class RouteTable(Generic[ApiRouteT]):
    """The routes of a service. Paths with fewer parameters go first, and the first path that fits is the one:
    its other methods are not looked for on a path with more parameters."""

    def __init__(self, routes: Iterable[ApiRouteT]) -> None:
        self.routes = tuple(routes)
        self.operation_ids = frozenset(route.operation_id for route in self.routes)
        self._by_length: dict[int, list[ApiRouteT]] = {}
        for route in sorted(self.routes, key=lambda one: one.path.count("{")):
            self._by_length.setdefault(len(route.segments), []).append(route)

    def find(self, method: str, segments: Sequence[str]) -> RouteMatch[ApiRouteT]:
        """The route of a method and the parts of a path (see `split_path`)."""
        shape: list[str] | None = None
        allowed: set[str] = set()
        for route in self._by_length.get(len(segments), ()):
            parameters = route.match(segments)
            if parameters is None or shape not in (None, route.shape):
                continue
            shape = route.shape
            if route.method == method:
                return RouteMatch(route, parameters)
            allowed.add(route.method)
        return RouteMatch(allowed=sorted(allowed))

    def operation_id(self, method: str, segments: Sequence[str]) -> str:
        """The operation id of a request, for counting and faults."""
        route = self.find(method, segments).route
        return UNKNOWN_OPERATION if route is None else route.operation_id


def split_path(raw_path: str) -> list[str]:
    """The parts of a path, each decoded by itself: an encoded slash stays inside its part. For a service that
    decodes first and splits then, decode `raw_path` before."""
    return [unquote(part) for part in raw_path.strip("/").split("/")]


def raw_path_of(scope: Scope) -> str:
    """The path of an ASGI scope as it was sent, still percent-encoded."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.split(b"?")[0].decode("latin-1")


class BodyError(ValueError):
    """A body is not what the operation takes.

    `field` is the place of the first fault, such as `preferences[0].id`; empty where the body is not JSON
    (`is_json`), or of another kind as a whole. `missing` says that a property is not there.
    """

    def __init__(self, message: str, field: str = "", *, missing: bool = False, is_json: bool = True) -> None:
        super().__init__(message)
        self.field = field
        self.missing = missing
        self.is_json = is_json


BodyT = TypeVar("BodyT")


def parse_json(body: bytes) -> Any:
    """The body as JSON values. Raises BodyError."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise BodyError("the body is not JSON", is_json=False) from error


def read_document(document: Any, kind: type[BodyT], *, any_case: bool = False) -> BodyT:
    """JSON values as a msgspec type. Nothing is coerced. With `any_case`, property names are bound without
    regard to their case; names inside of `dict` and `Any` stay as they are. Raises BodyError."""
    try:
        return msgspec.convert(_with_names_of(kind, document) if any_case else document, kind)
    except msgspec.ValidationError as error:
        raise _body_error(str(error)) from error


def read_body(body: bytes, kind: type[BodyT], *, any_case: bool = False) -> BodyT:
    """A JSON body as a msgspec type, as `read_document` reads it. Raises BodyError."""
    return read_document(parse_json(body), kind, any_case=any_case)


type_info = functools.cache(msgspec.inspect.type_info)
"""msgspec's description of a type, which is slow to make."""


def _with_names_of(kind: Any, document: Any) -> Any:
    """`document` with the property names that `kind` has, in its spelling."""
    return _bound(document, type_info(kind))


def _bound(document: Any, kind: Any) -> Any:
    if isinstance(kind, UnionType):
        kind = next((one for one in kind.types if isinstance(one, StructType | ListType)), None)
    if isinstance(document, list) and isinstance(kind, ListType):
        return [_bound(item, kind.item_type) for item in document]
    if isinstance(document, dict) and isinstance(kind, StructType):
        fields = {one.encode_name.lower(): one for one in kind.fields}
        named = ((name, fields.get(name.lower()), value) for name, value in document.items())
        return {
            name if one is None else one.encode_name: value if one is None else _bound(value, one.type)
            for name, one, value in named
        }
    return document


def _body_error(message: str) -> BodyError:
    """msgspec says where a value is at fault in its message only."""
    place = _PLACE.search(message)
    parts = [place.group(1).lstrip(".")] if place else []
    missing = _MISSING.search(message)
    named = missing or _UNKNOWN_FIELD.search(message)
    parts += [named.group(1)] if named else []
    return BodyError(message, ".".join(part for part in parts if part), missing=missing is not None)
