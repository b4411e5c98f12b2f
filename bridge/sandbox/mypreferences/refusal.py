"""An answer that is not success."""

from __future__ import annotations

FORBIDDEN = "You do not have permission to perform this operation."
"""The same words for a missing permission and for more than 50 matches: the two cannot be told apart."""


class Refused(Exception):
    """The service refuses with a status and a message (None: an empty body)."""

    def __init__(self, status: int, message: str | None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message or str(status))
        self.status = status
        self.message = message
        self.headers = headers or {}


def not_found(what: str) -> Refused:
    """404 with a message."""
    return Refused(404, f"{what} was not found.")


def invalid(message: str) -> Refused:
    """400 with a message."""
    return Refused(400, message)
