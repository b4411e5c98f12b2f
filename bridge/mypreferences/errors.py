"""What a MyPreferences answer stands for. The vendor's texts are read, never repeated: they may hold an
address."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from bridge.core.errors import (
    Ambiguous,
    Forbidden,
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
from bridge.transport import Answer, retry_after

_SEARCHES = ("profiles_by_email",)
_EXPORTS = ("export_status", "export_retrieve")
_MAPPED = re.compile(
    r"\b(FilterId|ConsentType|ConsentVersion|FrequencyId|Locale|EmailAddressType|EmailType|"
    r"Filter|Consent|Frequency)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\b(time|timestamp|date|dated|expired|future|clock|ISO ?8601)\b", re.IGNORECASE)
_SCHEME = re.compile(r"\bscheme\b", re.IGNORECASE)


class _Body(msgspec.Struct, rename="pascal"):
    message: str | None = None
    model_state: dict[str, Any] | None = None


def judge(operation: str, answer: Answer, is_write: bool) -> SideError | None:
    """The error an answer stands for, None for success (MyPreferences "Errors")."""
    if answer.good:
        return None
    status = answer.status
    if status == 408 or status >= 500:
        return _trouble(operation, answer, is_write)
    if status == 429:
        return _error(Throttled, "MyPreferences asks for a pause.", operation, answer)
    if status == 401:
        return _unauthorized(operation, answer)
    if status == 403:
        return _forbidden(operation, answer)
    if status == 404:
        return _not_found(operation, answer)
    if status == 405:
        return _error(
            Forbidden, f"MyPreferences does not know the route of {operation}.", operation, answer,
            "Put the right one into the file named by BRIDGE_MYPREFERENCES__ROUTES_FILE.",
        )  # fmt: skip
    if 400 <= status < 500:
        return _refused(operation, answer)
    return None


def _trouble(operation: str, answer: Answer, is_write: bool) -> SideError:
    if is_write:
        return _error(
            OutcomeUnknown, "MyPreferences failed at a write: it may have been applied, or not.",
            operation, answer, "The next read back settles it.",
        )  # fmt: skip
    what = f"MyPreferences has trouble of its own ({answer.status})."
    return _error(ServerTrouble, what, operation, answer, "It is tried again.")


def _unauthorized(operation: str, answer: Answer) -> SideError:
    text = _text(answer)
    if operation in _EXPORTS and "accesstoken" in text.casefold().replace(" ", ""):
        return _error(NotFound, "The export is no longer there.", operation, answer, "Start it anew.")
    if _SCHEME.search(text):
        what = "MyPreferences does not know this way of signing in."
        hint = "Check BRIDGE_MYPREFERENCES__AUTH against what the account is set up for."
    elif _CLOCK.search(text):
        what = "MyPreferences refused the time of the request."
        hint = "Set this machine's clock right (NTP), then run `bridge doctor`."
    else:
        what = "MyPreferences refused the sign-in."
        hint = (
            "Check BRIDGE_MYPREFERENCES__CLIENT_ID, __CLIENT_SECRET, __ACCOUNT and __USER_ID, "
            "then run `bridge doctor`."
        )
    return _error(SignInRefused, what, operation, answer, hint)


def _forbidden(operation: str, answer: Answer) -> SideError:
    if operation in _SEARCHES:
        return _error(
            Ambiguous, "More than 50 profiles share this address, or the user may not read it.",
            operation, answer,
            "Merge the profiles in MyPreferences, or give the bridge's user the right to search by e-mail.",
        )  # fmt: skip
    return _error(
        Forbidden, f"The MyPreferences user may not call {operation}.", operation, answer,
        "Give the User Group of BRIDGE_MYPREFERENCES__USER_ID this permission.",
    )  # fmt: skip


def _not_found(operation: str, answer: Answer) -> SideError:
    if not answer.content.strip():
        return _error(
            Forbidden, "MyPreferences does not know the account in the path.", operation, answer,
            "Check BRIDGE_MYPREFERENCES__ACCOUNT; it is the account's id, not the OAuth client id.",
        )  # fmt: skip
    if _body(answer) is None:
        return _error(
            Forbidden, f"Nothing of MyPreferences stands at the route of {operation}.", operation, answer,
            "Check BRIDGE_MYPREFERENCES__BASE_URL and BRIDGE_MYPREFERENCES__ROUTES_FILE.",
        )  # fmt: skip
    if _MAPPED.search(_text(answer)):
        return _stale(operation, answer)
    return _error(NotFound, f"MyPreferences did not find what {operation} asks for.", operation, answer)


def _refused(operation: str, answer: Answer) -> SideError:
    if answer.status == 400 and _MAPPED.search(_text(answer)):
        return _stale(operation, answer)
    what = f"MyPreferences refused {operation} ({answer.status})."
    return _error(Refused, what, operation, answer, "Repeating it will not help; look at the person there.")


def _stale(operation: str, answer: Answer) -> SideError:
    return _error(
        MappingStale, "MyPreferences does not know a filter, frequency, consent or e-mail type named to it.",
        operation, answer, "Run `bridge mapping check` and mend the mapping or the account.",
    )  # fmt: skip


def _body(answer: Answer) -> _Body | None:
    try:
        return msgspec.json.decode(answer.content, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(answer: Answer) -> str:
    body = _body(answer)
    if body is None:
        return ""
    return " ".join((body.message or "", *(body.model_state or {})))


def _error(kind: type[SideError], what: str, operation: str, answer: Answer, hint: str = "") -> SideError:
    return kind(
        what,
        side=Side.MYPREFERENCES,
        operation=operation,
        status=answer.status,
        retry_after=retry_after(answer),
        hint=hint,
    )
