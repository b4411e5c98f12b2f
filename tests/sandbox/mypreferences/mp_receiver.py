"""A webhook receiver on loopback that records what it receives."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send


class Receiver:
    """An ASGI application. `answers` are given in turn, then `status`; it echoes validation codes."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.raw: list[tuple[bytes, dict[str, str]]] = []
        self.codes: list[str] = []
        self.answers: list[int] = []
        self.status = 200
        self.echo: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/_sandbox"):
            await PlainTextResponse("ready")(scope, receive, send)
            return
        request = Request(scope, receive)
        await self._answer(request, await request.body())(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        code = request.query_params.get("validationCode")
        if code is not None:
            self.codes.append(code)
            return PlainTextResponse(self.echo or code)
        document = json.loads(body)
        if "validationCode" in document:
            self.codes.append(document["validationCode"])
            shown = json.dumps({"validationResponse": document["validationCode"]})
            return Response(self.echo or shown, media_type="application/json")
        status = self.answers.pop(0) if self.answers else self.status
        if status == 200:
            self.bodies.append(document)
            self.raw.append((body, dict(request.headers)))
        return Response(status_code=status)
