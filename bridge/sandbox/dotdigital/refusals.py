"""Refusals of the two frameworks, and the forms their answers take."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.sandbox.dotdigital.switches import DotdigitalSwitches
from bridge.sandbox.http import HttpReply, Refusal, json_reply


class V2Refusal(Refusal):
    """`{"message": "<text> <code>"}`. 404 for what the URL names, 400 for what the body names."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.text = text

    def reply(self, switches: DotdigitalSwitches) -> HttpReply:
        """The message in one of the forms that clients have seen."""
        forms = {
            "plain": f"{self.text} {self.code}",
            "error_prefix": f"Error: {self.code}",
            "trailing_space": f"{self.text} {self.code} ",
            "no_code": self.text,
        }
        return json_reply({"message": forms[switches.error_text]}, self.status)


class V3Refusal(Refusal):
    """`{"errorCode": "service:code", "description", "details"?}`; details are (item, description) pairs."""

    def __init__(
        self, status: int, code: str, description: str, details: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.description = description
        self.details = details

    def reply(self, switches: DotdigitalSwitches) -> HttpReply:
        """The inner key of details differs between documents."""
        shown: dict[str, object] = {"errorCode": self.code, "description": self.description}
        if self.details:
            key = switches.v3_details_key
            shown["details"] = [{"item": item, key: text} for item, text in self.details]
        return json_reply(shown, self.status)


def failure_code(code: str, switches: DotdigitalSwitches) -> str:
    """The code of a failed contact of a bulk job, in the spelling of the switch."""
    first = code[0].upper() if switches.failure_spelling == "pascal" else code[0].lower()
    return first + code[1:]


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
    """A definition, or an entry of a contact's preferences, that contradicts the definitions."""
    return V2Refusal(400, "ERROR_PREFERENCE_INVALID", text)


def parameter_invalid(text: str) -> V2Refusal:
    """An argument that is out of range or of the wrong form."""
    return V2Refusal(400, "ERROR_PARAMETER_INVALID", text)


def malformed(text: str) -> V2Refusal:
    """A body that is not what the operation takes."""
    return V2Refusal(400, "ERROR_MALFORMED_REQUEST", text)
