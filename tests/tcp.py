"""A TCP relay between the bridge and a server, which can fall silent, drip, or break its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

import sqlalchemy as sa


class Relay:
    """Relays connections to `target`: a host and port, or the path of a socket. `fall_silent` keeps all
    that arrives from then on, `drip` passes one byte in a while, `cut` ends every connection, `refuse` takes
    no more."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._drip: float | None = None
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def to_url(cls, url: str) -> Self:
        """To the server that a database URL names."""
        parsed = sa.make_url(url)
        folder = str(parsed.query.get("host") or parsed.host or "localhost")
        port = int(str(parsed.query.get("port") or parsed.port or 5432))
        return cls(f"{folder}/.s.PGSQL.{port}" if folder.startswith("/") else (folder, port))

    @classmethod
    def to_http(cls, url: str) -> Self:
        """To the server of an http URL."""
        parts = urlsplit(url)
        return cls((parts.hostname or "", parts.port or 80))

    def url(self, url: str) -> str:
        """The same database, by way of this relay."""
        there = sa.make_url(url).difference_update_query(["host", "port"])
        return there.set(host="127.0.0.1", port=self.port).render_as_string(hide_password=False)

    def fall_silent(self) -> None:
        """Pass nothing on, and say nothing."""
        self._flows.clear()

    def refuse(self) -> None:
        """End every connection, and take none."""
        self._refuses = True
        self.cut()

    def resume(self) -> None:
        """Take connections and pass everything on again, what was kept included."""
        self._drip = None
        self._refuses = False
        self._flows.set()

    def drip(self, seconds: float) -> None:
        """Pass answers on byte by byte, each after `seconds`."""
        self._drip = seconds

    def cut(self) -> None:
        """End every connection."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._ended.set()
        self._flows.set()
        self._listening.close()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = None if self._refuses else self._connect()
            except OSError:
                far = None
            if far is None:
                near.close()
                continue
            self._open |= {near, far}
            for source, sink, answers in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(source, sink, answers), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, tuple):
            return socket.create_connection(self._target)
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._target)
        return far

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                self._pass(sink, data, answers)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()

    def _pass(self, sink: socket.socket, data: bytes, answers: bool) -> None:
        if not answers or self._drip is None:
            sink.sendall(data)
            return
        for byte in data:
            pause = self._drip
            if pause is not None:
                self._ended.wait(pause)
            sink.sendall(bytes([byte]))
