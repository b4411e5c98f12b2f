"""How often each operation of an emulated service was asked for."""

from __future__ import annotations

import threading
from collections import Counter


class Calls:
    """Counts per operation id. Refused and faulted requests count too: the vendor bills them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def record(self, operation: str) -> None:
        """Note one request for `operation`."""
        with self._lock:
            self._counts[operation] += 1

    def count(self, operation: str) -> int:
        """Requests for `operation` since the last reset."""
        with self._lock:
            return self._counts[operation]

    def total(self) -> int:
        """Requests for all operations since the last reset."""
        with self._lock:
            return self._counts.total()

    def counts(self) -> dict[str, int]:
        """A copy of all counts, by operation id in alphabetical order."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def reset(self) -> None:
        """Begin counting from zero."""
        with self._lock:
            self._counts.clear()
