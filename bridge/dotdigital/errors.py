"""Dotdigital's refusals, translated: by the code inside the body first, by the HTTP status second.

v2 sends `{"message": "<text> ERROR_X"}`, v3 `{"errorCode": "service:code", "description": ...}`. Texts vary
and hold the offending value, so they are matched by code only and never repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.core.errors import (
    BadAnswer,
    Forbidden,
    GoalMet,
    MappingStale,
    NotFound,
    OutcomeUnknown,
    Refused,
    ServerTrouble,
    SideError,
    SignInRefused,
    Throttled,
)
from bridge.core.model import Side
from bridge.dotdigital.limits import FLAT_CODE, FLAT_PAUSE, reset_in
from bridge.transport import Answer, retry_after

SUPPRESSED = "ERROR_CONTACT_SUPPRESSED"
_CODE = re.compile(r"ERROR_[A-Z0-9_]+")
_V3_CODE = re.compile(r"[A-Za-z]{1,40}:[A-Za-z0-9]{1,60}")  # anything else in its place is not repeated
_MEANS_OUT = ("unsubscribe-contact", "bulk-suppress-contacts")
_OF_A_PREFERENCE = (
    "get-contacts-opted-into-a-preference",
    "get-contacts-with-modified-preference-opt-in-since-date",
    "update-preference",
    "delete-preference",
)
_MINUTE = 60.0

_PERSON = "Repeating it will not help: look at this person in Dotdigital."
_REPORT = "Nothing can be mended from outside: report the operation and the code."
_MAPPING = "See `bridge mapping check`, then mend the mapping file or restore the preference."
_PLAN = "Enlarge the account's contact allowance or remove contacts there."
_LIST = "The bridge writes no lists: check what else uses this API user."
_WAIT = "It is tried again later."
_SIGN_IN = (
    "Check BRIDGE_DOTDIGITAL__USERNAME and BRIDGE_DOTDIGITAL__PASSWORD, and that the API user is enabled."
)
_REGION = (
    "Unset BRIDGE_DOTDIGITAL__BASE_URL to have the region discovered, and check the API user's permissions;"
    " `bridge doctor` tells which."
)
_FEATURE = (
    "Have the feature switched on for the account, or set BRIDGE_DOTDIGITAL__V3=never if it is the v3 API."
)
_BASE_URL = "Check BRIDGE_DOTDIGITAL__BASE_URL with `bridge doctor`."


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means here, and what mends it."""

    kind: type[SideError]
    hint: str


CODES: Mapping[str, Meaning] = {
    "ERROR_CONTACT_NOT_FOUND": Meaning(NotFound, "The person is not at Dotdigital."),
    "ERROR_CONTACT_SUPPRESSED": Meaning(
        Refused, "The person is suppressed there: a resubscribe comes first."
    ),
    "ERROR_CONTACT_SUPPRESSEDFORADDRESSBOOK": Meaning(Refused, _LIST),
    "ERROR_CONTACT_INVALID": Meaning(Refused, _PERSON),
    "ERROR_CONTACT_TOOMANY": Meaning(Refused, _PLAN),
    "ERROR_CONTACT_RESUBSCRIPTION_INVALID": Meaning(Refused, _PERSON),
    "ERROR_CONTACTS_ARE_NOT_SPECIFIED": Meaning(Refused, _REPORT),
    "ERROR_EMAIL_BANNED": Meaning(Refused, _PERSON),
    "ERROR_INVALID_EMAIL": Meaning(Refused, "Correct the person's address at MyPreferences."),
    "ERROR_NON_UNIQUE_EMAIL": Meaning(Refused, _PERSON),
    "ERROR_PREFERENCE_INVALID": Meaning(Refused, _MAPPING),
    "ERROR_PREFERENCE_NOT_FOUND": Meaning(MappingStale, _MAPPING),
    "ERROR_PARAMETER_INVALID": Meaning(Refused, _PERSON),
    "ERROR_MALFORMED_REQUEST": Meaning(Refused, _REPORT),
    "ERROR_BODY_DOES_NOT_MATCH_CONTENT_TYPE": Meaning(Refused, _REPORT),
    "ERROR_CONTENT_TYPE_IS_NOT_SUPPORTED": Meaning(Refused, _REPORT),
    "ERROR_ADDRESSBOOK_NOT_FOUND": Meaning(Refused, _LIST),
    "ERROR_ADDRESSBOOK_NOTWRITABLE": Meaning(Refused, _LIST),
    "ERROR_ADDRESSBOOK_INVALID": Meaning(Refused, _LIST),
    "ERROR_DATAFIELD_NOTFOUND": Meaning(Refused, _REPORT),
    "ERROR_DATAFIELD_INVALID": Meaning(Refused, _REPORT),
    "ERROR_DATAFIELD_VALUE_OVERFLOW": Meaning(Refused, _REPORT),
    "ERROR_IMPORT_TOOMANYACTIVEIMPORTS": Meaning(Throttled, _WAIT),
    "ERROR_IMPORT_NOT_FOUND": Meaning(NotFound, _REPORT),
    "ERROR_IMPORT_REPORT_NOT_FOUND": Meaning(NotFound, _REPORT),
    "ERROR_NO_EMAIL_COLUMN": Meaning(Refused, _REPORT),
    "ERROR_IMPORT_UNSUPPORTED_FORMAT": Meaning(Refused, _REPORT),
    "ERROR_MULTI_FILE_UPLOAD_NOT_ALLOWED": Meaning(Refused, _REPORT),
    "ERROR_ENROLMENT_ALLOWANCE_EXCEEDED": Meaning(Throttled, _WAIT),
    "ERROR_FEATURENOTACTIVE": Meaning(Forbidden, _FEATURE),
    FLAT_CODE: Meaning(Throttled, "The account's hourly calls are used up; other integrations share them."),
    "ERROR_SYSTEM_SERVICETEMPORARILYUNAVAILABLE": Meaning(ServerTrouble, _WAIT),
    "ERROR_UNKNOWN": Meaning(ServerTrouble, _WAIT),
    "ERROR_INVALID_LOGIN": Meaning(SignInRefused, _SIGN_IN),
    "ERROR_APIUSER_INVALID": Meaning(SignInRefused, _SIGN_IN),
    "contacts:contactNotFound": Meaning(NotFound, "The person is not at Dotdigital."),
    "contacts:importNotFound": Meaning(NotFound, _REPORT),
    "contacts:idAlreadyExists": Meaning(Refused, _PERSON),
    "contacts:invalidId": Meaning(Refused, _PERSON),
    "contacts:invalidContacts": Meaning(Refused, _PERSON),
    "contacts:invalidFilter": Meaning(Refused, _REPORT),
    "contacts:badJson": Meaning(Refused, _REPORT),
    "contacts:badRequest": Meaning(Refused, _REPORT),
    "contacts:noContactsSpecified": Meaning(Refused, _REPORT),
    "contacts:tooManyActiveImports": Meaning(Throttled, _WAIT),
    "contacts:tooManyBulkDeleteJobs": Meaning(Throttled, _WAIT),
}


@dataclass(frozen=True, slots=True)
class _Envelope:
    code: str | None
    text: str  # for matching only: it may hold an address


def judge(operation: str, answer: Answer, is_write: bool) -> SideError | None:
    """The error an answer stands for; None for a good one."""
    if answer.good:
        return None
    said = _envelope(answer.content)
    verdict = _by_code(operation, said) or _by_status(operation, answer.status, said)
    kind = verdict.kind
    if is_write and kind in (ServerTrouble, BadAnswer):
        kind = OutcomeUnknown
    code = said.code if said else None
    return kind(
        f"Dotdigital refused {operation} with status {answer.status}{f' ({code})' if code else ''}.",
        side=Side.DOTDIGITAL,
        operation=operation,
        status=answer.status,
        code=code,
        retry_after=_pause(kind, code, answer),
        hint=verdict.hint,
    )


def _by_code(operation: str, said: _Envelope | None) -> Meaning | None:
    if said is None or said.code is None:
        return None
    if said.code == SUPPRESSED and operation in _MEANS_OUT:
        return Meaning(GoalMet, "The person is suppressed already.")
    return CODES.get(said.code)


def _by_status(operation: str, status: int, said: _Envelope | None) -> Meaning:
    match status:
        case 401:
            return Meaning(SignInRefused, _SIGN_IN)
        case 403:
            return Meaning(SignInRefused, _REGION)
        case 404:
            return _missing(operation, said)
        case 429:
            return Meaning(Throttled, "The account's calls of this minute are used up.")
        case _ if status >= 500:
            return Meaning(ServerTrouble, _WAIT)
        case _ if status >= 400:
            return Meaning(Refused, _PERSON)
        case _:  # a redirect: nothing of the vendor's
            return Meaning(BadAnswer, _BASE_URL)


def _missing(operation: str, said: _Envelope | None) -> Meaning:
    """A 404 without the vendor's own words may be any proxy's, and must not make a person absent."""
    if said is None or "no http resource" in said.text.casefold():
        return Meaning(BadAnswer, _BASE_URL)
    if operation in _OF_A_PREFERENCE:
        return Meaning(MappingStale, _MAPPING)
    return Meaning(NotFound, "It is not at Dotdigital.")


def _envelope(content: bytes) -> _Envelope | None:
    """What a refusal's body says; None where it is not the vendor's."""
    try:
        body = json.loads(content)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    named = body.get("errorCode")
    texts = (body.get(key) for key in ("message", "Message", "description", "error"))
    text = next((text for text in texts if isinstance(text, str)), None)
    if isinstance(named, str):
        return _Envelope(named if _V3_CODE.fullmatch(named) else None, text or "")
    if text is None:
        return None
    found = _CODE.search(text)
    return _Envelope(found.group() if found else None, text)


def _pause(kind: type[SideError], code: str | None, answer: Answer) -> float | None:
    """Seconds to wait before asking again, where the side or its documents say so."""
    asked = retry_after(answer)
    if kind is not Throttled:
        return asked
    if code == FLAT_CODE:
        return max(asked or 0.0, FLAT_PAUSE)
    return asked or reset_in(answer, answer.server_time) or _MINUTE
