"""One request as a handler sees it, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from bridge.sandbox.mypreferences.drafts import canonical
from bridge.sandbox.mypreferences.records import Actor, Profile, User
from bridge.sandbox.mypreferences.refusal import Refused, invalid, not_found
from bridge.sandbox.mypreferences.state import State


@dataclass(frozen=True)
class Reply:
    """An answer; `body` None is an empty one."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Call:
    """A request to one operation. Query names and JSON property names are bound without regard to case."""

    def __init__(
        self,
        state: State,
        user: User,
        params: Mapping[str, str],
        query: str,
        raw_body: bytes,
    ) -> None:
        self.state = state
        self.actor = Actor(user)
        self.params = params
        self._raw_body = raw_body
        self._query = [(name.lower(), value) for name, value in parse_qsl(query, keep_blank_values=True)]

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self._raw_body)

    def body(self) -> Any:
        """The JSON body; None when there is none. Raises Refused 400 for anything but JSON."""
        if not self._raw_body.strip():
            return None
        try:
            return canonical(json.loads(self._raw_body))
        except (ValueError, RecursionError):
            raise Refused(400, "The request is invalid.") from None

    def text(self, name: str) -> str | None:
        """A query parameter; None when absent or empty."""
        return next((value for key, value in self._query if key == name.lower() and value), None)

    def query(self) -> list[tuple[str, str]]:
        """All query parameters, their names in lower case."""
        return list(self._query)

    def needed(self, name: str) -> str:
        """A query parameter that must be there. Raises Refused 400."""
        value = self.text(name)
        if value is None:
            raise invalid(f"{name} is required.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A boolean query parameter. Raises Refused 400 for other words."""
        value = self.text(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise invalid(f"The value '{value}' is not valid for {name}.")
        return value.lower() == "true"

    def number(self, name: str, default: int) -> int:
        """An integer query parameter. Raises Refused 400."""
        value = self.text(name)
        if value is None:
            return default
        if not value.lstrip("-").isdecimal():
            raise invalid(f"The value '{value}' is not valid for {name}.")
        return int(value)

    def listed(self, name: str) -> tuple[str, ...]:
        """An indexed array such as `name[0]=A&name[1]=B`; repeating the bare name does too."""
        wanted = name.lower()
        return tuple(value for key, value in self._query if key == wanted or key.startswith(f"{wanted}["))

    def id_param(self, name: str) -> int:
        """A numeric path parameter. Raises Refused 400."""
        value = self.params[name]
        if not value.isdecimal():
            raise invalid(f"The value '{value}' is not valid for {name}.")
        return int(value)

    def profile(self) -> Profile:
        """The profile named by `profileId` in the path. Raises Refused 404."""
        profile = self.state.registry.get(self.id_param("profileId"))
        if profile is None:
            raise not_found("The profile")
        return profile


Handler = Callable[[Call], Reply]
