"""The daemon's access to a state DB that may not answer: health checks do not wait for it, and neither does
the end of the process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Generic, TypeVar, cast

from bridge.core.errors import StateDbError

ANSWER_SECONDS = 1.0  # that a health check waits
HANGING_SECONDS = 3.0  # after which a call hangs, once the process has to stop
CHECK_SECONDS = 0.5

T = TypeVar("T")
_log = logging.getLogger(__name__)


class BoundedRead(Generic[T]):
    """What `read` returns, by a thread of its own: a caller waits for `patience` seconds at most. However
    many ask, one read is in progress. Thread-safe."""

    def __init__(self, read: Callable[[], T], *, patience: float = ANSWER_SECONDS) -> None:
        self._read, self._patience = read, patience
        self._changed = threading.Condition()
        self._answered = self._wanted = 0  # how many reads have ended, and how many are to
        self._is_reading = False
        self._last: T | Exception | None = None

    def __call__(self) -> T:
        """What a read that begins now returns or raises. Raises StateDbError where it does not end in
        time."""
        with self._changed:
            mine = self._answered + (2 if self._is_reading else 1)
            self._wanted = max(self._wanted, mine)
            if not self._is_reading:
                self._is_reading = True
                threading.Thread(target=self._serve, name="state", daemon=True).start()
            if not self._changed.wait_for(lambda: self._answered >= mine, self._patience):
                raise StateDbError(
                    f"The state DB has not answered within {self._patience:g} s.",
                    hint="Check its server, and the network to it.",
                )
            found = self._last
        if isinstance(found, Exception):
            raise found
        return cast("T", found)

    def _serve(self) -> None:
        is_done = False
        while not is_done:
            found: T | Exception
            try:
                found = self._read()
            except Exception as error:  # noqa: BLE001 - raised in the callers, who report it
                found = error
            with self._changed:
                self._last = found
                self._answered += 1
                self._is_reading = self._answered < self._wanted
                is_done = not self._is_reading
                self._changed.notify_all()


class KnownFeeds:
    """The feeds that `read` finds in the state DB; while that does not answer, those that were known before.
    Thread-safe."""

    def __init__(self, read: Callable[[], Mapping[str, timedelta]]) -> None:
        self._read = BoundedRead(read)
        self._known: Mapping[str, timedelta] = {}

    def __call__(self) -> Mapping[str, timedelta]:
        with suppress(StateDbError):
            self._known = self._read()
        return self._known


@contextmanager
def ending_hanging_calls(
    end: Callable[[float], int], *, after: float = HANGING_SECONDS, every: float = CHECK_SECONDS
) -> Iterator[None]:
    """In this context the process stops: calls to the state DB that hang for `after` seconds are ended by
    `end`, so that they keep nobody waiting."""
    done = threading.Event()
    begun = time.monotonic()

    def watch() -> None:
        patience = after
        while not done.wait(every):
            if time.monotonic() - begun >= after and (ended := end(patience)):
                _log.warning("the state DB does not answer; its calls are ended", extra={"calls": ended})
                patience = every  # the next ones would hang as well

    thread = threading.Thread(target=watch, name="stopping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
