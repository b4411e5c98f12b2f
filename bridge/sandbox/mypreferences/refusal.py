"""An answer that is not success."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.sandbox.http import HttpReply, Refusal, json_reply

FORBIDDEN = "You do not have permission to perform this operation."
"""The same text for a missing permission and for more than 50 matches: the two cannot be distinguished."""


class MyPreferencesRefusal(Refusal):
    """The service refuses with a status and a message (None: an empty body)."""

    def __init__(self, status: int, message: str | None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message or str(status))
        self.status = status
        self.message = message
        self.headers = headers or {}

    def reply(self, switches: Any) -> HttpReply:  # noqa: ARG002 - the form of errors is documented
        if self.message is None:
            return HttpReply(self.status, headers=self.headers)
        return json_reply({"Message": self.message}, self.status, self.headers)


def not_found(what: str) -> MyPreferencesRefusal:
    """404 with a message."""
    return MyPreferencesRefusal(404, f"{what} was not found.")


def invalid(message: str) -> MyPreferencesRefusal:
    """400 with a message."""
    return MyPreferencesRefusal(400, message)
