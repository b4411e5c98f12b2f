"""Every kind of hostile answer, listed once. Each is made from the real answer of the emulated service."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sandbox.http import raw_path_of
from bridge.sandbox.server import CONNECTION

DEEP = 100_000
BOMB = 80 * 2**20  # bytes after inflation: more than any answer may have
_DATE = re.compile(rb'"\d{4}-\d\d-\d\d[T ][^"]{5,30}"')
_NUMBER = re.compile(rb"(?<=[:\[,])\s*\d+(?=[,}\]])")
_TEXT = re.compile(rb'(?<=:)\s*"[^"\\]*"')


@dataclass(frozen=True)
class Reply:
    """A complete answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """`change` makes the hostile answer of the real one. `after`: the request is applied first. `breaks`: the
    connection ends instead of an answer. `drips`: seconds between two bytes."""

    name: str
    change: Callable[[Reply], Reply] = lambda reply: reply
    after: bool = True
    breaks: bool = False
    drips: float = 0.0
    is_silent: bool = False  # what it changes means nothing: no report names it


def _body(make: Callable[[bytes], bytes]) -> Callable[[Reply], Reply]:
    return lambda reply: Reply(reply.status, make(reply.body), reply.headers)


def _fixed(body: bytes, status: int = 200, **headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda reply: Reply(status, body, {**reply.headers, **named})


def _headers(**headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return lambda reply: Reply(reply.status, reply.body, {**reply.headers, **named})


def _values(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """Change every value of a document that holds no other."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walk(one) for name, one in value.items()}
        if isinstance(value, list):
            return [walk(one) for one in value]
        return change(value)

    def make(body: bytes) -> bytes:
        try:
            return json.dumps(walk(json.loads(body))).encode()
        except ValueError:
            return b"\x00"

    return make


def _rows(change: Callable[[list[Any]], list[Any]]) -> Callable[[bytes], bytes]:
    """Change each list of a document, outermost first."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return change(value)
        return {name: walk(one) for name, one in value.items()} if isinstance(value, dict) else value

    def make(body: bytes) -> bytes:
        try:
            return json.dumps(walk(json.loads(body))).encode()
        except ValueError:
            return body

    return make


def _deep_member(body: bytes) -> bytes:
    inner = b"[" * DEEP + b"]" * DEEP
    return body[:-1] + b',"deep":' + inner + b"}" if body[-1:] == b"}" else b"[" + inner + b"]"


LONG = "9" * 500
KINDS: tuple[Kind, ...] = (
    Kind("no answer, not applied", after=False, breaks=True),
    Kind("no answer, applied", breaks=True),
    Kind("a drip", drips=0.05),
    Kind("a page of HTML", _fixed(b"<html>Sign in</html>", content_type="text/html")),
    Kind("null", _fixed(b"null")),
    Kind("nothing", _fixed(b"")),
    Kind("a number", _fixed(b"7")),
    Kind("an empty object", _fixed(b"{}")),
    Kind("no JSON", _fixed(b"{'")),
    Kind("cut off", _body(lambda body: body[: len(body) // 2] or b"[")),
    Kind("deep", _fixed(b"[" * DEEP + b"]" * DEEP)),
    Kind("a deep member", _body(_deep_member)),
    Kind("a deep refusal", _fixed(b'{"message":' + b"[" * DEEP + b"]" * DEEP + b"}", 400)),
    Kind("a bomb", _fixed(gzip.compress(b" " * BOMB + b"[]", 1), content_encoding="gzip")),
    Kind("a damaged gzip", _fixed(b"\x1f\x8b\x08\x00 no", content_encoding="gzip")),
    Kind("an unknown encoding", _headers(content_encoding="br")),
    Kind("far dates", _body(lambda body: _DATE.sub(b'"9999-12-31T23:59:59-14:00"', body)), is_silent=True),
    Kind("first dates", _body(lambda body: _DATE.sub(b'"0001-01-01T00:00:00+14:00"', body)), is_silent=True),
    Kind("no dates", _body(lambda body: _DATE.sub(b'""', body)), is_silent=True),
    Kind("huge numbers", _body(lambda body: _NUMBER.sub(b"1" + b"0" * 500, body))),
    Kind("negative numbers", _body(lambda body: _NUMBER.sub(b"-1", body))),
    Kind("NUL in texts", _body(lambda body: _TEXT.sub(lambda _: b'"a\\u0000b"', body))),
    Kind("lone surrogates", _body(lambda body: _TEXT.sub(lambda _: b'"\\ud800@example.com"', body))),
    Kind("giant texts", _body(lambda body: _TEXT.sub(b'"' + b"x" * 70_000 + b'@example.com"', body))),
    Kind("no values", _body(_values(lambda _: None))),
    Kind("values of another type", _body(_values(lambda value: {"is": value}))),
    Kind("unknown words", _body(_values(lambda value: "Zzz" if isinstance(value, str) else value))),
    Kind("one malformed row more", _body(_rows(lambda rows: [*rows, {"id": []}, 7]))),
    Kind("only malformed rows", _body(_rows(lambda _: [7, None, {}, []]))),
    Kind("rows twice", _body(_rows(lambda rows: [*rows, *rows])), is_silent=True),
    Kind("header numbers", _headers(x_ratelimit_limit=LONG, x_ratelimit_remaining=LONG,
                                    x_ratelimit_reset=LONG, retry_after=LONG), is_silent=True),
    Kind("headers that are no numbers", _headers(x_ratelimit_limit="nan", x_ratelimit_remaining="-inf",
                                                 x_ratelimit_reset="1e400"), is_silent=True),
    Kind("a date two days ahead", _headers(date="Thu, 05 Mar 2026 12:00:00 GMT"), is_silent=True),
    Kind("the last date", _headers(date="Fri, 31 Dec 9999 23:59:59 -1400"), is_silent=True),
    Kind("a redirect", _fixed(b"", 302, location="http://127.0.0.1:9/elsewhere")),
    Kind("refused", _fixed(b'{"message":"no ERROR_X"}', 400)),
    Kind("legal reasons", _fixed(b'{"message":"no"}', 451)),
    Kind("not found", _fixed(b"<html>nothing here</html>", 404)),
    Kind("a wait until the year 5000", _fixed(b"{}", 429, retry_after="Fri, 31 Dec 5000 23:59:59 GMT")),
    Kind("broken", _fixed(b'{"message":"broken"}', 500)),
)  # fmt: skip
NAMED = {kind.name: kind for kind in KINDS}


class HostileService:
    """A service whose answers to one operation are changed. `hits` counts them; `only` limits them."""

    def __init__(self, app: ASGIApp, operation_of: Callable[[str, str], str]) -> None:
        self.app, self._operation_of = app, operation_of
        self.operation, self.kind = "", KINDS[0]
        self.hits, self.called = 0, set[str]()
        self.any_operation = False  # all but the sign-in

    def arm(self, operation: str, kind: Kind) -> None:
        """From now on."""
        self.operation, self.kind, self.hits = operation, kind, 0

    def disarm(self) -> None:
        """Answer as usual."""
        self.operation = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._operation_of(scope["method"], raw_path_of(scope))
        self.called.add(operation)
        hostile = operation != "token" if self.any_operation else operation == self.operation
        if not hostile:
            await self.app(scope, receive, send)
            return
        reply = await self._real(scope, receive) if self.kind.after else Reply(500, b"")
        if self.kind.breaks:
            self.hits += 1
            scope["extensions"][CONNECTION].close()
            while (await receive())["type"] != "http.disconnect":
                continue
            return
        changed = self.kind.change(reply)
        self.hits += changed != reply or bool(self.kind.drips)
        await self._send(changed, send)

    async def _real(self, scope: Scope, receive: Receive) -> Reply:
        parts: list[bytes] = []
        started: list[Message] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
            parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        headers = {name.decode().lower(): value.decode() for name, value in started[0]["headers"]}
        return Reply(started[0]["status"], b"".join(parts), headers)

    async def _send(self, reply: Reply, send: Send) -> None:
        headers = {**reply.headers, "content-length": str(len(reply.body))}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        if not self.kind.drips:
            await send({"type": "http.response.body", "body": reply.body})
            return
        for position in range(len(reply.body)):
            more = {"body": reply.body[position : position + 1], "more_body": True}
            try:
                await send({"type": "http.response.body", **more})
            except OSError:
                return
            await asyncio.sleep(self.kind.drips)
        await send({"type": "http.response.body", "body": b""})
