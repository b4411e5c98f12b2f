"""Refusals of the two frameworks, raised by handlers and rendered at the edge."""

from __future__ import annotations

from collections.abc import Sequence


class V2Refusal(Exception):
    """`{"message": "<text> <code>"}`. 404 for what the URL names, 400 for what the body names."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.text = text


class V3Refusal(Exception):
    """`{"errorCode": "service:code", "description", "details"?}`; details are (item, description) pairs."""

    def __init__(
        self, status: int, code: str, description: str, details: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.description = description
        self.details = details


def contact_not_found(status: int) -> V2Refusal:
    """No such contact in the account."""
    return V2Refusal(status, "ERROR_CONTACT_NOT_FOUND", "The contact was not found.")


def contact_suppressed() -> V2Refusal:
    """v2 does not update suppressed contacts."""
    return V2Refusal(400, "ERROR_CONTACT_SUPPRESSED", "Contact is suppressed.")


def preference_not_found(status: int) -> V2Refusal:
    """No preference or category with that id."""
    return V2Refusal(status, "ERROR_PREFERENCE_NOT_FOUND", "The preference was not found.")


def preference_invalid(text: str) -> V2Refusal:
    """A definition, or an entry of a contact's preferences, that contradicts the catalogue."""
    return V2Refusal(400, "ERROR_PREFERENCE_INVALID", text)


def parameter_invalid(text: str) -> V2Refusal:
    """An argument that is out of range or of the wrong form."""
    return V2Refusal(400, "ERROR_PARAMETER_INVALID", text)


def malformed(text: str) -> V2Refusal:
    """A body that is not what the operation takes."""
    return V2Refusal(400, "ERROR_MALFORMED_REQUEST", text)
