"""Connections that end a call in time: by the deadline of its answer, and soon after the process is to stop.

httpx bounds the time between two pieces of an answer. A side that sends one byte every few seconds, or
nothing at all while the process is to end, would hold a call for ever without a bound on the whole of it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from bridge.bounds import TooLong
from bridge.core.stopping import StopSignal

_SLICE = 0.5  # seconds: how soon a wait notices that it is to end
WRITE_GRACE = 5.0  # seconds that the answer to a write may still take after the process is to stop


@dataclass(slots=True)
class CallLimit:
    """Until when the answer of one call is awaited, in seconds of the monotonic clock."""

    until: float
    stop: StopSignal
    is_write: bool

    def check(self) -> None:
        """Raises TooLong past the deadline, RunStopped for a read of a process that is to end. A write is
        awaited a little longer, and its outcome is unknown then."""
        now = time.monotonic()
        if self.stop.requested:
            if not self.is_write:
                self.stop.check()
            self.until = min(self.until, now + WRITE_GRACE)
        if now >= self.until:
            raise TooLong("the answer took too long")


_LIMIT: ContextVar[CallLimit | None] = ContextVar("call_limit", default=None)


@contextmanager
def limited(limit: CallLimit) -> Iterator[None]:
    """Calls of this thread end by this limit."""
    before = _LIMIT.set(limit)
    try:
        yield
    finally:
        _LIMIT.reset(before)


class BoundedStream(httpcore.NetworkStream):
    """A connection whose reads end by the limit of the call under way."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            if (limit := _LIMIT.get()) is not None:
                limit.check()
            left = _SLICE if ends is None else min(_SLICE, max(0.001, ends - time.monotonic()))
            try:
                return self._inner.read(max_bytes, left)
            except httpcore.ReadTimeout:
                if ends is not None and time.monotonic() >= ends:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return BoundedStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class BoundedBackend(httpcore.NetworkBackend):
    """Opens such connections."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return BoundedStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


def bounded(transport: httpx.BaseTransport) -> httpx.BaseTransport:
    """A transport whose connections end by the limit of the call under way; one without any is unchanged."""
    pool = getattr(transport, "_pool", None)
    if pool is not None:
        pool._network_backend = BoundedBackend(pool._network_backend)
    return transport
