"""The HTTP application (routes, access and errors), and the server that runs it: uvicorn in its own thread.
The daemon keeps handling signals."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from bridge.core.errors import ConfigError
from bridge.web.access import ALIVE, NO_STORE, AllowedHosts, BearerAuth, SecurityHeaders
from bridge.web.connections import LimitedConnection
from bridge.web.page import status_page
from bridge.web.webhooks import PATH, WebhookReceiver

_START_SECONDS = 15.0
_GRACE_SECONDS = 3  # for requests in progress when the server stops

_log = logging.getLogger(__name__)


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon: uvicorn would end before the current run does."""
        yield


class WebServer:
    """Serves `app`; port 0 takes a free one. `ended` is called if it ends without `stop`."""

    def __init__(
        self, app: ASGIApp, *, host: str, port: int, ended: Callable[[], None] = lambda: None
    ) -> None:
        self._host, self._port = host, port
        self._ended = ended
        self._socket: socket.socket | None = None
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=LimitedConnection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,  # it would write URLs, and one contains a secret
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    @property
    def url(self) -> str:
        """The address without a trailing slash. Raises RuntimeError before `start`."""
        if self._socket is None:
            raise RuntimeError("the web server has no address before it is started")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Listen, and return once requests are served. Raises ConfigError where it cannot listen."""
        self._socket = self._bind()
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise ConfigError("The web server did not start.", hint="See the log for the cause.")
            time.sleep(0.005)

    def stop(self) -> None:
        """Finish requests in progress, then close. Does nothing if never started."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _bind(self) -> socket.socket:
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            # Naming the protocol makes asyncio turn off Nagle's delay.
            listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        except OSError as error:
            raise self._error_response(error) from None
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except OSError as error:
            listening.close()
            raise self._error_response(error) from None
        return listening

    def _error_response(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"The web server cannot listen on {self._host} port {self._port}: {error.strerror}.",
            hint="Set BRIDGE_WEB__HOST and BRIDGE_WEB__PORT to a free address; port 0 takes any free port.",
        )

    def _serve(self) -> None:
        if self._socket is None:
            raise RuntimeError("the web server has no socket before it is started")
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except Exception:  # noqa: BLE001 - logged here; `ended` then ends the daemon
            _log.exception("the web server failed")
        if not self._server.should_exit:
            self._ended()


READY = "/readyz"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The result of a health check, and its details."""

    ok: bool
    body: Mapping[str, Any]


class HealthSource(Protocol):
    """Answers health checks. Called from the web server's threads."""

    def alive(self) -> HttpAnswer:
        """Whether the current run, if any, makes progress."""
        ...

    def ready(self) -> HttpAnswer:
        """Whether new choices will be synced soon."""
        ...


def make_app(
    health: HealthSource,
    *,
    token: str | None = None,
    receiver: WebhookReceiver | None = None,
    hosts: Collection[str] | None = None,
    own: Collection[str] = (),
) -> Starlette:
    """Build the application. With a `token`, everything but liveness and webhooks needs `Authorization:
    Bearer` and that token. Without a `receiver` there is no webhook route. `hosts` are the host names that
    are answered, None for the local ones, to which `own` are added."""

    def alive(_: Request) -> JSONResponse:
        return _to_response(health.alive())

    def ready(_: Request) -> JSONResponse:
        return _to_response(health.ready())

    def page(_: Request) -> HTMLResponse:
        return HTMLResponse(status_page(health.alive().body, health.ready().body))

    middleware = [Middleware(SecurityHeaders), Middleware(AllowedHosts, names=hosts, own=own)]
    if token is not None:
        middleware.append(Middleware(BearerAuth, token=token))
    app = Starlette(
        routes=[Route("/", page), Route(ALIVE, alive), Route(READY, ready), *_webhook_route(receiver)],
        middleware=middleware,
        exception_handlers={HTTPException: _error_answer, Exception: _error_answer},
    )
    app.router.redirect_slashes = False  # a redirect would name the host that the caller gave
    return app


def _webhook_route(receiver: WebhookReceiver | None) -> list[Route]:
    if receiver is None:
        return []
    return [Route(f"{PATH}{{secret:path}}", receiver.__call__, methods=["GET", "POST"])]


def _to_response(answer: HttpAnswer) -> JSONResponse:
    return JSONResponse(dict(answer.body), 200 if answer.ok else 503, NO_STORE)


def _error_answer(_: Request, error: Exception) -> JSONResponse:
    status, headers = 500, dict(NO_STORE)
    if isinstance(error, HTTPException):
        status = error.status_code
        headers |= dict(error.headers or {})
    words = {404: "Not found.", 405: "Method not allowed."}
    return JSONResponse({"error": words.get(status, "Internal error.")}, status, headers)
