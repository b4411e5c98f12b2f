"""Limits on connections: how many, how many of one address, and how long one may be idle. Where there are too
many, the one that has been idle longest is closed, so that idle connections never keep out a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 500  # connections
MOST_OF_ONE = 100  # of one address; a proxy in front of us is one
HEADER_SECONDS = (
    10.0  # from the connection, or from the last answer, to the end of the next request's headers
)
BODY_SECONDS = 10.0  # for the rest of a request


class LimitedConnection(H11Protocol):
    """One connection of a client."""

    since = 0.0  # when it was opened, or last became idle, by the loop's clock
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._become_idle()
        mine = [one for one in self._others() if one.address == self.address]
        if len(mine) >= MOST_OF_ONE:
            self._make_room(mine)
        elif len(self.connections) > MOST:
            self._make_room(list(self._others()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._wait(BODY_SECONDS)
        elif not self.is_idle and not self.cycle.more_body:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self._become_idle()
        super().on_response_complete()

    @property
    def address(self) -> str:
        """The client's address; connections without one count together."""
        return self.client[0] if self.client else ""

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _others(self) -> Iterator[LimitedConnection]:
        return (
            one
            for one in cast("set[Any]", self.connections)
            if isinstance(one, LimitedConnection) and one is not self and not one.transport.is_closing()
        )

    def _make_room(self, others: list[LimitedConnection]) -> None:
        """Close the one that has been idle longest; this one where all others are busy."""
        idle = [one for one in others if one.is_idle]
        min(idle, key=lambda one: one.since, default=self).transport.abort()

    def _become_idle(self) -> None:
        self.since = self.loop.time()
        self._wait(HEADER_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        """Too slow. A request whose headers have arrived is answered by the application's own deadline."""
        if self.is_idle or self.cycle.more_body:
            self.transport.abort()
