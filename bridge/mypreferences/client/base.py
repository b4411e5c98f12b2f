"""What every call of the MyPreferences API shares: its route, its query, its rate limit, and how its answer
is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from bridge import bounds
from bridge.mypreferences.client.routes import Routes
from bridge.mypreferences.wire.codec import T, bad_answer, decode
from bridge.mypreferences.wire.profiles import Profile
from bridge.transport import LONGEST_PAUSE, Response, Transport, retry_after

P = TypeVar("P", bound=Profile)


class Caller:
    """Calls the API as one account. Thread-safe as far as its transport is. Every call raises SideError.

    `operation` is the vendor's operation id. Keyword arguments are values for the path; an alternate id goes
    into the path or the query, whichever the route has.
    """

    def __init__(self, transport: Transport, *, account: str, routes: Routes) -> None:
        self._transport, self._account, self._routes = transport, account, routes

    @property
    def calls(self) -> int:
        """Requests sent so far, sign-ins and repetitions included."""
        return self._transport.calls

    @property
    def account(self) -> str:
        """The account and its host: staging and production share account names."""
        return f"{self._account} at {self._transport.base_url}"

    def close(self) -> None:
        self._transport.close()

    # requests

    def _read(
        self, operation: str, *, params: dict[str, Any] | None = None, json: object = None, **path: str | int
    ) -> Response:
        method, target, query = self._request(operation, params, path)
        return self._transport.read(operation, method, target, params=query, json=json)

    def _write(
        self,
        operation: str,
        body: Any,
        *,
        params: dict[str, Any] | None = None,
        content_type: str | None = None,
        **path: str | int,
    ) -> Response:
        method, target, query = self._request(operation, params, path)
        return self._transport.write(
            operation, method, target, params=query, json=body, content_type=content_type
        )

    def _request(
        self, operation: str, params: dict[str, Any] | None, path: dict[str, str | int]
    ) -> tuple[str, str, dict[str, Any] | None]:
        """Method, path and query."""
        route = self._routes[operation]
        if "alternate_id" in path and "alternate_id" not in route.fields:
            by_id = {"alternateIdType": path["alternate_id_type"], "alternateId": path["alternate_id"]}
            params = by_id | (params or {})
        return route.method, route.path({"account": self._account, **path}), params

    # reads

    def _read_as(self, operation: str, kind: type[T], **request: Any) -> T:
        """An answer of this type."""
        answer = self._read(operation, **request)
        found: T = decode(kind, answer.content, operation=operation)
        return found

    def _read_list(self, operation: str, name: str, kind: type[T], **request: Any) -> list[T]:
        """A list, bare or under `name`."""
        return listed(operation, self._read(operation, **request), name, kind)

    def _read_profile(self, operation: str, kind: type[P], **request: Any) -> P:
        """A profile, or the only one of a list: the documents leave it open. Raises InvalidResponse."""
        found = _profiles(operation, self._read(operation, **request), kind, is_write=False)
        if len(found) != 1 or not found[0].id:
            raise bad_answer(operation)
        return found[0]

    # writes

    def _write_as(self, operation: str, body: Any, kind: type[T], **request: Any) -> T:
        """A write whose answer has this type. Raises OutcomeUnknown for any other answer."""
        answer = self._write(operation, body, **request)
        found: T = decode(kind, answer.content, operation=operation, is_write=True)
        return found

    def _write_profile(self, operation: str, body: Any, **request: Any) -> Profile | None:
        """The profile that a write answers with; None where it is accepted without showing it. Raises
        OutcomeUnknown."""
        answer = self._write(operation, body, **request)
        if answer.status == 204:
            return None
        found = _profiles(operation, answer, Profile, is_write=True)
        if len(found) != 1 or not found[0].id:
            raise bad_answer(operation, is_write=True)
        return found[0]

    def _write_only(self, operation: str, body: Any, **request: Any) -> None:
        """A write whose answer is empty, or any JSON. A proxy's error page proves nothing. Raises
        OutcomeUnknown."""
        answer = self._write(operation, body, **request)
        if answer.content.strip():
            decode(msgspec.Raw, answer.content, operation=operation, is_write=True)


def listed(
    operation: str,
    answer: Response,
    name: str,
    kind: type[T],
    *,
    is_write: bool = False,
    malformed: Callable[[Any], T] | None = None,
) -> list[T]:
    """A list, bare or under `name`: the documents leave it open. `malformed` makes a row of what cannot be
    read; None: then the answer cannot be. Raises InvalidResponse, for a write OutcomeUnknown."""
    content = answer.content.lstrip(b" \t\r\n")
    if content[:1] == b"{":
        wrapped: dict[str, msgspec.Raw] = decode(
            dict[str, msgspec.Raw], content, operation=operation, is_write=is_write
        )
        if name not in wrapped:
            raise bad_answer(operation, is_write=is_write)
        content = bytes(wrapped[name])
    try:
        return bounds.rows(content, kind, malformed or refuse)
    except bounds.Malformed:
        raise bad_answer(operation, is_write=is_write) from None


def refuse(_row: Any) -> Any:
    """A row that cannot be read spoils the answer. Raises `bounds.Malformed`."""
    raise bounds.Malformed("a row cannot be read")


def _profiles(operation: str, answer: Response, kind: type[P], *, is_write: bool) -> list[P]:
    content = answer.content.strip()
    shape: Any = list[kind] if content[:1] == b"[" else kind  # type: ignore[valid-type]
    found = decode(shape, content, operation=operation, is_write=is_write)
    profiles: list[P] = found if isinstance(found, list) else [found]
    return profiles


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
