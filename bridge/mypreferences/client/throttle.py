"""The bridge's own rate limit, since MyPreferences documents none, and the pauses that a 429 asks for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bridge.transport import LONGEST_PAUSE, Response, retry_after


class RateLimit:
    """Lets `rate` calls a second through (None: any number), after a rest up to `burst` of them at once.

    `monotonic` gives seconds that never run backwards, `sleep` takes seconds. Thread-safe.
    """

    def __init__(
        self,
        rate: float | None = 5.0,
        *,
        burst: int = 2,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if (rate is not None and rate <= 0) or burst < 1:
            raise ValueError("a rate limit needs a positive rate and a burst of 1 or more")
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._slack = self._gap * (burst - 1)
        self._monotonic, self._sleep = monotonic, sleep
        self._lock = threading.Lock()
        self._next = float("-inf")  # when the next call is due at an even rate
        self._closed_until = float("-inf")

    def before(self, operation: str) -> None:  # noqa: ARG002 - all operations share one limit
        """Wait until this call may be sent."""
        with self._lock:
            now = self._monotonic()
            due = max(self._next, now)
            self._next = due + self._gap
            wait = max(due - self._slack, self._closed_until) - now
        if wait > 0:
            self._sleep(wait)

    def after(self, operation: str, answer: Response) -> None:  # noqa: ARG002
        """A 429 holds back all calls for as long as it asks."""
        if answer.status != 429:
            return
        pause = min(retry_after(answer) or 1.0, LONGEST_PAUSE)
        with self._lock:
            self._closed_until = max(self._closed_until, self._monotonic() + pause)
