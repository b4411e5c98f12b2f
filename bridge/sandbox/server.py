"""An ASGI application served over real HTTP from a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTION = "sandbox.connection"
_START_SECONDS = 10.0
_GRACE_SECONDS = 1.0


class Connection:
    """The TCP connection of a request, found in the scope's extensions under `CONNECTION`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the caller showed, in DER; None where it showed none, or without TLS."""
        tls = self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.getpeercert(binary_form=True)

    def close(self) -> None:
        """Send what is buffered, then close."""
        self._transport.close()

    def reset(self) -> None:
        """Drop the connection with a TCP reset; the peer sees an error, not an end of data."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class _WithConnection:
    def __init__(self, app: Any, connection: Connection) -> None:
        self._app = app
        self._connection = connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope.setdefault("extensions", {})
        extensions[CONNECTION] = self._connection
        await self._app(scope, receive, send)


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _WithConnection(self.app, Connection(transport))


class _Uvicorn(uvicorn.Server):
    """uvicorn checks every 0.1 s whether it should end, then sleeps 0.1 s more. Tests start and stop
    thousands of servers, so here the start and the end are events."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()  # it listens, or has failed: see `started`
        self._leave = asyncio.Event()

    def leave(self) -> None:
        """End the main loop. To be called in the server's event loop."""
        self._leave.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drop open connections, then give their handlers a moment to end before they are cancelled."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        for protocol in list(self.server_state.connections):
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()
        if self.server_state.tasks:
            _, late = await asyncio.wait(self.server_state.tasks, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
        with contextlib.suppress(TimeoutError):  # a connection that was just being accepted stays open
            await asyncio.wait_for(self._closed(), _GRACE_SECONDS)

    async def _closed(self) -> None:
        for server in self.servers:
            await server.wait_closed()


class Server:
    """Serves `app` on `host`:`port` (0 takes a free port). A context manager. With `tls` it speaks HTTPS, and
    the context decides whether it asks for client certificates.

    `start` returns when requests are answered; `stop` drops open connections and ends the thread.
    Raises OSError when the port is taken, RuntimeError when the server does not come up.
    """

    def __init__(
        self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._app = app
        self._host = host
        self._tls = tls
        self._asked_port = port
        self._port = 0
        self._uvicorn: _Uvicorn | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Base address, without a trailing slash. Raises RuntimeError before `start`."""
        if not self._port:
            raise RuntimeError("the sandbox server has no address before start()")
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self._port}"

    def start(self) -> None:
        """Bind, serve, and wait until connections are accepted."""
        if self._thread is not None:
            raise RuntimeError("the sandbox server is already running")
        sock = self._bind()
        config = uvicorn.Config(
            self._app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
        )
        config.load()
        config.ssl = self._tls
        self._uvicorn = _Uvicorn(config)
        self._thread = threading.Thread(
            target=self._serve, args=(self._uvicorn, sock), name=f"sandbox:{self._port}", daemon=True
        )
        self._thread.start()
        self._uvicorn.ready.wait(_START_SECONDS)
        if not self._uvicorn.started:
            self.stop()
            raise RuntimeError("the sandbox server did not start; is the event loop or the port blocked?")

    def stop(self) -> None:
        """Drop open connections and wait for the thread to end. Does nothing when not running."""
        server, thread, loop = self._uvicorn, self._thread, self._loop
        if server is None or thread is None:
            return
        server.should_exit = True
        if loop is not None and thread.is_alive():
            loop.call_soon_threadsafe(server.leave)
        thread.join()
        self._uvicorn = self._thread = self._loop = None
        self._port = 0

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _bind(self) -> socket.socket:
        # asyncio turns Nagle's delay off only where the protocol number is named; else each answer, sent
        # as headers and then body, waits 40 ms for the caller's acknowledgement.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((self._host, self._asked_port))
        except OSError:
            sock.close()
            raise
        self._port = int(sock.getsockname()[1])
        return sock

    def _serve(self, server: _Uvicorn, sock: socket.socket) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve(sockets=[sock])

        try:
            asyncio.run(run())
        finally:
            sock.close()
            server.ready.set()
