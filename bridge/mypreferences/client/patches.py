"""Patches: single values changed, taken away or put in, only where others are as they were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bridge.core.errors import PreconditionFailed, SideError, Verdict
from bridge.core.model import Side
from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, written
from bridge.mypreferences.client.routes import Routes
from bridge.transport import Response, Transport

MEDIA_TYPE = "application/json-patch+json"
Envelope = Literal["array", "object"]
"""A bare array of operations, or an object that holds them under Operations: the documents show both."""


@dataclass(frozen=True, slots=True)
class Add:
    """Put a value in; `-` at the end of the path appends to a list."""

    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class Replace:
    """Put a value in the place of one that is there."""

    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a value away."""

    path: str


@dataclass(frozen=True, slots=True)
class Test:
    """Carry out nothing unless this value stands there."""

    __test__ = False  # pytest would collect it by its name

    path: str
    value: Any


Operation = Add | Replace | Remove | Test


def pointer(*parts: str | int) -> str:
    """The JSON pointer of a place in a profile's document, e.g. `pointer("Emails", 0, "EmailAddress")`."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def rendered(operations: Sequence[Operation], envelope: Envelope) -> Any:
    """The body of a patch. Raises ValueError where its order would hit the wrong members (MyPreferences
    `Update profile (PATCH)`): replacements go before removals, removals from one list in descending order."""
    if not operations:
        raise ValueError("a patch needs at least one operation")
    removed: dict[str, int] = {}
    for operation in operations:
        if isinstance(operation, Replace) and removed:
            raise ValueError("in a patch, replacements go before removals")
        if isinstance(operation, Remove):
            parent, _, last = operation.path.rpartition("/")
            if last.isdecimal():
                if int(last) >= removed.get(parent, int(last) + 1):
                    raise ValueError("in a patch, members of one list are removed in descending order")
                removed[parent] = int(last)
            else:
                removed.setdefault(operation.path, 0)
    body = [_plain(operation) for operation in operations]
    return body if envelope == "array" else {"Operations": body}


def _plain(operation: Operation) -> Mapping[str, Any]:
    plain: dict[str, Any] = {"op": type(operation).__name__.lower(), "path": operation.path}
    if not isinstance(operation, Remove):
        plain["value"] = operation.value
    return plain


class Patches(Caller):
    """One method an endpoint. Every method raises SideError."""

    def __init__(
        self,
        transport: Transport,
        *,
        account: str,
        routes: Routes,
        patch_envelope: Envelope = "array",
    ) -> None:
        super().__init__(transport, account=account, routes=routes)
        self._envelope: Envelope = patch_envelope

    def patch_profile(self, profile_id: str, operations: Sequence[Operation]) -> wire.Profile | None:
        """Patch a profile (MyPreferences `Update profile (PATCH)`). Indexes are the server's current order:
        read first, and protect what they mean by a `Test`. Raises PreconditionFailed where a test may have
        failed."""
        return self._patch("patch_profile", operations, {}, {"profile_id": profile_id})

    def patch_profile_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, operations: Sequence[Operation]
    ) -> wire.Profile | None:
        """The same by alternate id (MyPreferences `Update profile by alternate id (PATCH)`)."""
        operation = "patch_profile_by_alternate_id"
        query, path = self._by_alternate_id(operation, alternate_id_type, alternate_id)
        return self._patch(operation, operations, query, path)

    def _patch(
        self,
        operation: str,
        operations: Sequence[Operation],
        query: dict[str, str],
        path: dict[str, Any],
    ) -> wire.Profile | None:
        body = rendered(operations, self._envelope)
        try:
            answer: Response = self._write(operation, body, params=query, content_type=MEDIA_TYPE, **path)
        except SideError as error:
            # Which status a failed test has is not documented: any refusal of the patch itself may be one.
            tested = any(isinstance(item, Test) for item in operations)
            if not tested or error.verdict not in (Verdict.HOLD, Verdict.FIX_CONFIG):
                raise
            raise PreconditionFailed(
                "MyPreferences refused a patch that was to hold only for what had been read: most likely the "
                "profile has changed since.",
                side=Side.MYPREFERENCES,
                operation=operation,
                status=error.status,
                hint="Read the profile again before anything else.",
            ) from None
        return written(operation, answer, wire.Profile)
