"""What is kept per operation: how often it was called, and the faults injected into its calls."""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from bridge.sandbox.http import HttpRequest

KINDS: dict[str, str] = {
    "status": "answer with `status` and `body`; the request is not applied",
    "status_after": "apply the request, then answer with `status` and `body`",
    "timeout_before": "never apply; hang for `delay` seconds, then close",
    "timeout_after": "apply, hang for `delay` seconds, then close without an answer",
    "reset": "reset the connection at once; not applied",
    "reset_after": "apply, then reset the connection without an answer",
    "reset_late": "reset the connection at once; apply `delay` seconds later by the service's clock",
    "truncate": "apply, send the right headers and half the body, then close",
    "html": "answer 200 with an HTML page; not applied",
    "null": "answer 200 with JSON null; not applied",
    "empty": "answer 200 with an empty body; not applied",
    "half_page": "apply; when the answer is a JSON list (or an object with one list), keep its first half",
    "slow": "wait `delay` seconds, then serve as usual",
}


@dataclass(frozen=True)
class InjectedFault:
    """One misbehaviour of the service.

    `operation` is an operation id or "*" for all. It fires on calls nth .. nth+times-1 of that operation,
    counted from the moment the fault was added. `delay` is in seconds.
    Raises ValueError for an unknown kind or impossible numbers.
    """

    operation: str
    kind: str
    nth: int = 1
    times: int = 1
    status: int = 500
    body: str | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}{nearest(self.kind, KINDS)}")
        if self.nth < 1 or self.times < 1:
            raise ValueError("nth and times count from 1")
        if not 100 <= self.status <= 599:
            raise ValueError(f"{self.status} is not an HTTP status")
        if self.delay < 0:
            raise ValueError("delay is in seconds and cannot be negative")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> InjectedFault:
        """Build a fault from a JSON object. Raises ValueError that names what is wrong."""
        known = [item.name for item in fields(cls)]
        for name in document:
            if name not in known:
                raise ValueError(f"a fault has no field {name!r}{nearest(name, known)}")
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError(f"not a fault: {error}") from error


def nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """A hint such as `; did you mean 'slow'?`, or the choices when nothing is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


@dataclass
class _Armed:
    fault: InjectedFault
    seen: int = 0


class Faults:
    """The faults in force. Thread-safe; nothing in it is random."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._late: list[tuple[datetime, HttpRequest]] = []

    def add(self, fault: InjectedFault) -> None:
        """Arm `fault`; its count of calls starts now."""
        with self._lock:
            self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def record(self, operation: str) -> InjectedFault | None:
        """Note a call; return the fault it meets (the earliest added, if several are due)."""
        due: InjectedFault | None = None
        with self._lock:
            for armed in self._armed:
                if armed.fault.operation not in ("*", operation):
                    continue
                armed.seen += 1
                fires = 0 <= armed.seen - armed.fault.nth < armed.fault.times
                if fires and due is None:
                    due = armed.fault
        return due

    def postpone(self, due: datetime, request: HttpRequest) -> None:
        """Keep a request that is applied when it is `due`."""
        with self._lock:
            self._late.append((due, request))

    def take_due(self, now: datetime) -> list[HttpRequest]:
        """The requests whose time has come, in the order they came in; each once."""
        with self._lock:
            taken = [request for due, request in self._late if due <= now]
            self._late = [(due, request) for due, request in self._late if due > now]
        return taken


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
