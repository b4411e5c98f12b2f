"""JSON patches: change single values of a profile, and only where others still are as they were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bridge.core.errors import PreconditionFailed, SideError, Verdict
from bridge.core.model import Side
from bridge.mypreferences.client.base import Caller
from bridge.mypreferences.client.routes import Routes
from bridge.mypreferences.wire.profiles import Profile
from bridge.transport import Transport

MEDIA_TYPE = "application/json-patch+json"
Envelope = Literal["array", "object"]
"""A bare array of operations, or an object with them under Operations: the documents show both."""


@dataclass(frozen=True, slots=True)
class Add:
    """Insert a value; `-` at the end of the path appends to a list."""

    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace an existing value."""

    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a value."""

    path: str


@dataclass(frozen=True, slots=True)
class Test:
    """Apply nothing of the patch unless this value is there."""

    __test__ = False  # pytest would collect it by its name

    path: str
    value: Any


Operation = Add | Replace | Remove | Test


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901) into a profile's document, e.g. `pointer("Emails", 0, "EmailAddress")`."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def rendered(operations: Sequence[Operation], envelope: Envelope) -> Any:
    """The body of a patch. Raises ValueError where its order would change the wrong members (MyPreferences
    `Update profile (PATCH)`): replacements come before removals, removals from one list in descending
    order."""
    if not operations:
        raise ValueError("a patch needs at least one operation")
    removed: dict[str, int] = {}
    for operation in operations:
        if isinstance(operation, Replace) and removed:
            raise ValueError("in a patch, replacements come before removals")
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
    """One method for each endpoint. Every method raises SideError."""

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

    def update_profile_patch(self, profile_id: str, operations: Sequence[Operation]) -> Profile | None:
        """Patch a profile (MyPreferences `Update profile (PATCH)`). Indexes count in the server's current
        order: read first, and guard them by a `Test`. Raises PreconditionFailed where a test may have
        failed."""
        return self._patch("updateProfilePatch", operations, profile_id=profile_id)

    def patch_profile_by_alternate_id(
        self, alternate_id_type: str, alternate_id: str, operations: Sequence[Operation]
    ) -> Profile | None:
        """The same by alternate id (MyPreferences `Update profile by alternate id (PATCH)`)."""
        return self._patch(
            "patchProfileByAlternateId",
            operations,
            alternate_id_type=alternate_id_type,
            alternate_id=alternate_id,
        )

    def _patch(self, operation: str, operations: Sequence[Operation], **path: str) -> Profile | None:
        body = rendered(operations, self._envelope)
        try:
            return self._write_profile(operation, body, content_type=MEDIA_TYPE, **path)
        except SideError as error:
            # Which status a failed test has is not documented: any refusal of the patch itself may be one.
            tested = any(isinstance(item, Test) for item in operations)
            if not tested or error.verdict not in (Verdict.HOLD, Verdict.FIX_CONFIG):
                raise
            raise PreconditionFailed(
                "MyPreferences refused a patch that depends on values read before: most likely the profile "
                "has changed since.",
                side=Side.MYPREFERENCES,
                operation=operation,
                status=error.status,
                hint="Read the profile again, then repeat the change.",
            ) from None
