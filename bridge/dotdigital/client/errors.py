"""Dotdigital's refusals as errors: by the code inside the body first, by the HTTP status second.

v2 sends `{"message": "<text> ERROR_X"}`, v3 `{"errorCode": "service:code", "description": ...,
"details": [...]}`, where details spell their text `description` or `error`. Texts vary and hold the offending
value, so only the code is read, and no text is ever repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge import bounds
from bridge.core.errors import (
    InvalidResponse,
    MappingStale,
    NotFound,
    OutcomeUnknown,
    Refused,
    ServerError,
    SideError,
    SignInRefused,
    Throttled,
)
from bridge.core.model import Side
from bridge.dotdigital.client.codes import (
    CODES,
    FLAT_CODE,
    FLAT_PAUSE,
    MAPPING,
    PERSON,
    REPORT,
    SIGN_IN,
    WAIT,
    CodeMeaning,
)
from bridge.dotdigital.client.wire import reset_in
from bridge.transport import Response, retry_after

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
_REGION = (
    "Unset BRIDGE_DOTDIGITAL__BASE_URL to have the region discovered, and check the API user's permissions;"
    " `bridge doctor` tells which."
)
_BASE_URL = "Check BRIDGE_DOTDIGITAL__BASE_URL with `bridge doctor`."


@dataclass(frozen=True, slots=True)
class _Envelope:
    code: str | None
    text: str  # for matching only: it may hold an address


def to_error(operation: str, answer: Response, is_write: bool) -> SideError | None:
    """The error that an answer means; None for a good one."""
    if answer.good:
        return None
    said = _envelope(answer.content)
    verdict = _by_code(operation, said) or _by_status(operation, answer.status, said)
    kind = verdict.kind
    if is_write and kind in (ServerError, InvalidResponse):
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


def _by_code(operation: str, said: _Envelope | None) -> CodeMeaning | None:
    if said is None or said.code is None:
        return None
    known = CODES.get(said.code)
    if known is not None and known.for_opt_out is not None and operation in _MEANS_OUT:
        return CodeMeaning(known.for_opt_out, "The contact is suppressed already.")
    return known


def _by_status(operation: str, status: int, said: _Envelope | None) -> CodeMeaning:
    match status:
        case 401:
            return CodeMeaning(SignInRefused, SIGN_IN)
        case 403:
            return CodeMeaning(SignInRefused, _REGION)
        case 404:
            return _missing(operation, said)
        case 413:
            return CodeMeaning(Refused, REPORT)
        case 429:
            return CodeMeaning(Throttled, "The account's calls of this minute are used up.")
        case _ if status >= 500:
            return CodeMeaning(ServerError, WAIT)
        case _ if status >= 400:
            return CodeMeaning(Refused, PERSON)
        case _:  # a redirect: not the vendor's
            return CodeMeaning(InvalidResponse, _BASE_URL)


def _missing(operation: str, said: _Envelope | None) -> CodeMeaning:
    """A 404 without the vendor's own words may be any proxy's, and must not make a person absent."""
    if said is None or "no http resource" in said.text.casefold():
        return CodeMeaning(InvalidResponse, _BASE_URL)
    if operation in _OF_A_PREFERENCE:
        return CodeMeaning(MappingStale, MAPPING)
    return CodeMeaning(NotFound, "Dotdigital does not have it.")


def _envelope(content: bytes) -> _Envelope | None:
    """What a refusal's body says; None where it is not the vendor's."""
    try:
        body = bounds.parse(content)
    except bounds.Malformed:
        return None
    if not isinstance(body, dict):
        return None
    named = body.get("errorCode")
    texts = (body.get(key) for key in ("message", "Message", "description", "error"))
    text = next((text for text in texts if isinstance(text, str)), None)
    if isinstance(named, str) and _V3_CODE.fullmatch(named):
        return _Envelope(named, text or "")
    if text is None and not isinstance(named, str):
        return None
    text = text or ""
    found = _CODE.search(f"{named} {text}")
    return _Envelope(found.group() if found else None, text)


def _pause(kind: type[SideError], code: str | None, answer: Response) -> float | None:
    """Seconds to wait before asking again, where the side or its documents say so."""
    asked = retry_after(answer)
    if kind is not Throttled:
        return asked
    if code == FLAT_CODE:
        return max(asked or 0.0, FLAT_PAUSE)
    return asked or reset_in(answer, answer.server_time) or _MINUTE
