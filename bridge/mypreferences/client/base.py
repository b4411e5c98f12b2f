"""What every call to the MyPreferences API goes through: the route, the query, the list or the object."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bridge.mypreferences import wire
from bridge.mypreferences.client.routes import Routes
from bridge.transport import Response, Transport

P = TypeVar("P", bound=wire.Profile)


class Caller:
    """Calls as one account. Thread-safe as far as its transport is."""

    def __init__(self, transport: Transport, *, account: str, routes: Routes) -> None:
        self._transport, self._account, self._routes = transport, account, routes

    @property
    def calls(self) -> int:
        """Requests sent so far, sign-ins and repetitions included."""
        return self._transport.calls

    @property
    def account(self) -> str:
        """The account and where it is served: staging and production share names."""
        return f"{self._account} at {self._transport.base_url}"

    def close(self) -> None:
        self._transport.close()

    def _read(
        self, operation: str, *, params: dict[str, Any] | None = None, json: object = None, **path: str | int
    ) -> Response:
        route = self._routes[operation]
        target = route.path({"account": self._account, **path})
        return self._transport.read(operation, route.method, target, params=_plain(params), json=json)

    def _write(
        self,
        operation: str,
        body: Any,
        *,
        params: dict[str, Any] | None = None,
        content_type: str | None = None,
        **path: str | int,
    ) -> Response:
        route = self._routes[operation]
        target = route.path({"account": self._account, **path})
        return self._transport.write(
            operation, route.method, target, params=_plain(params), json=body, content_type=content_type
        )

    def _by_alternate_id(
        self, operation: str, alternate_id_type: str, alternate_id: str
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Query and path of a call by alternate id: the documents have it in either place, the routes table
        says where."""
        path: dict[str, Any] = {"alternate_id_type": alternate_id_type, "alternate_id": alternate_id}
        query = {"alternateIdType": alternate_id_type, "alternateId": alternate_id}
        return {} if "alternate_id" in self._routes[operation].fields else query, path


def _plain(params: dict[str, Any] | None) -> dict[str, Any] | None:
    if params is None:
        return None
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}


def items(
    operation: str, answer: Response, name: str, kind: type[wire.T], *, is_write: bool = False
) -> list[wire.T]:
    """A list, bare or under `name`, whichever the service sends: the documents leave it open."""

    def decoded(kind: Any, content: bytes) -> Any:
        return wire.decode(kind, content, operation=operation, is_write=is_write)

    content = bytes(decoded(msgspec.Raw, answer.content)).lstrip()
    if content[:1] == b"{":
        wrapped: dict[str, msgspec.Raw] = decoded(dict[str, msgspec.Raw], content)
        if name not in wrapped:
            raise wire.bad_answer(operation, is_write=is_write)
        content = bytes(wrapped[name])
    items: list[wire.T] = decoded(list[kind], content)  # type: ignore[valid-type]
    return items


def one(operation: str, answer: Response, kind: type[P]) -> P:
    """A profile, or the only one of a list: the documents leave it open. Raises InvalidResponse."""
    found = _profiles(operation, answer, kind, is_write=False)
    if len(found) != 1 or not found[0].id:
        raise wire.bad_answer(operation)
    return found[0]


def written(operation: str, answer: Response, kind: type[P]) -> P | None:
    """The profile that a write answers with; None where it was accepted without showing it. Raises
    OutcomeUnknown."""
    if answer.status == 204:
        return None
    found = _profiles(operation, answer, kind, is_write=True)
    if len(found) != 1 or not found[0].id:
        raise wire.bad_answer(operation, is_write=True)
    return found[0]


def accepted(operation: str, answer: Response) -> None:
    """Looks at the answer to a write that has nothing to say: nothing, or anything in JSON. A page of some
    proxy proves nothing. Raises OutcomeUnknown."""
    if answer.content.strip():
        wire.decode(msgspec.Raw, answer.content, operation=operation, is_write=True)


def _profiles(operation: str, answer: Response, kind: type[P], *, is_write: bool) -> list[P]:
    content = answer.content.strip()
    shape: Any = list[kind] if content[:1] == b"[" else kind  # type: ignore[valid-type]
    found = wire.decode(shape, content, operation=operation, is_write=is_write)
    profiles: list[P] = found if isinstance(found, list) else [found]
    return profiles
