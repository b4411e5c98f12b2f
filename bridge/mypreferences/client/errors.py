"""What a MyPreferences answer stands for. The vendor's texts are read, never repeated: they may hold an
address."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from bridge.core.errors import (
    Ambiguous,
    Forbidden,
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
from bridge.mypreferences.auth.base import SignIn
from bridge.mypreferences.auth.oauth import OAUTH_MEND
from bridge.transport import ErrorMapper, Response, retry_after

_SEARCHES = (
    "profiles_by_email",
    "profiles_by_phone",
    "profiles_by_address",
    "profiles_by_preference_attributes",
    "group_members",
    "group_members_by_email",
    "group_members_by_phone",
)
_SUBSCRIBING = ("create_subscription", "update_subscription")
_TOKENED = {
    "export_status": "export",
    "export_retrieve": "export",
    "import_stage": "import",
    "import_execute": "import",
    "import_status": "import",
    "import_exceptions": "import",
}
_QUOTA = re.compile(r"\b(maximum|limit|quota|exceeded|too many)\b", re.IGNORECASE)
_MAPPED = re.compile(
    r"\b(FilterId|ConsentType|ConsentVersion|FrequencyId|Locale|EmailAddressType|EmailType|PhoneType|"
    r"AddressType|AlternateIdType|CustomerType|TypeName|"
    r"Filter|Consent|Frequency)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\b(time|timestamp|date|dated|expired|future|clock|ISO ?8601)\b", re.IGNORECASE)
_SCHEME = re.compile(r"\bscheme\b", re.IGNORECASE)
_NTP = "Set this machine's clock right (NTP), then run `bridge doctor`."
_EXACT = 2.0  # seconds: a Date header has whole ones, and the answer took its time to come
_OLDEST = 900.0  # seconds a signed time holds, unless the account is set up otherwise


class _Body(msgspec.Struct, rename="pascal"):
    message: str | None = None
    model_state: dict[str, Any] | None = None


def error_mapper(sign_in: SignIn, clock: Callable[[], datetime]) -> ErrorMapper:
    """`judge`, for answers to requests that were signed in this way. `clock` is the one that dates them."""

    def verdict(operation: str, answer: Response, is_write: bool) -> SideError | None:
        there = answer.server_time
        ahead = None if there is None else (clock() - there).total_seconds()
        return to_error(
            operation, answer, is_write, mend=sign_in.mend, is_dated=sign_in.is_dated, ahead=ahead
        )

    return verdict


def to_error(
    operation: str,
    answer: Response,
    is_write: bool,
    *,
    mend: str = OAUTH_MEND,
    is_dated: bool = False,
    ahead: float | None = None,
) -> SideError | None:
    """The error an answer stands for, None for success (MyPreferences "Errors").

    `mend` says what to check about the credentials. `is_dated` tells whether the request carried our time.
    `ahead` is by how many seconds our clock is ahead of the answer's Date (None: not known).
    """
    if answer.good:
        return None
    status = answer.status
    if status == 401:
        return _unauthorized(operation, answer, mend, is_dated, ahead)
    if status == 408 or status >= 500:
        return _trouble(operation, answer, is_write)
    if operation == "import_initiate" and status < 500 and _QUOTA.search(_text(answer)):
        return _error(
            Throttled, "MyPreferences begins no more imports today.", operation, answer,
            "What is to be written goes one by one; see BRIDGE_MYPREFERENCES__IMPORTS_PER_DAY.",
        )  # fmt: skip
    if status == 429:
        return _error(Throttled, "MyPreferences asks for a pause.", operation, answer)
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


def _trouble(operation: str, answer: Response, is_write: bool) -> SideError:
    if is_write:
        return _error(
            OutcomeUnknown, "MyPreferences failed at a write: it may have been applied, or not.",
            operation, answer, "The next read back settles it.",
        )  # fmt: skip
    what = f"MyPreferences has trouble of its own ({answer.status})."
    return _error(ServerError, what, operation, answer, "It is tried again.")


def _unauthorized(
    operation: str, answer: Response, mend: str, is_dated: bool, ahead: float | None
) -> SideError:
    text = _text(answer)
    if operation in _TOKENED and "accesstoken" in text.casefold().replace(" ", ""):
        what = f"The {_TOKENED[operation]} is no longer there."
        return _error(NotFound, what, operation, answer, "Start it anew.")
    if _SCHEME.search(text):
        what = "MyPreferences does not know this way of signing in."
        hint = "Check BRIDGE_MYPREFERENCES__AUTH against what the account is set up for."
    elif _CLOCK.search(text):
        what = "MyPreferences refused the time of the request."
        hint = _of_clock(ahead)
    elif is_dated and ahead is not None and not -_OLDEST <= ahead <= _EXACT:
        # The words name no cause, but a request of such a time could not be accepted.
        what = "MyPreferences refused the sign-in, most likely for the time of the request."
        hint = f"{_of_clock(ahead)} If it is refused even so, the credentials are wrong. {mend}"
    else:
        what, hint = "MyPreferences refused the sign-in.", mend
    return _error(SignInRefused, what, operation, answer, hint)


def _of_clock(ahead: float | None) -> str:
    """What mends a refused time, with how far the clocks are apart."""
    if ahead is None:
        return _NTP
    if abs(ahead) > _EXACT:
        way = "ahead of" if ahead > 0 else "behind"
        return f"This machine's clock is {abs(ahead):.0f} s {way} the one of MyPreferences. {_NTP}"
    return (
        f"{_NTP} Both clocks agree to within {_EXACT:.0f} s, but a time ahead by less is refused too; if "
        "ours is exact, ask PossibleNOW about the account's PNAUTHINFO_EXPIRATION_IN_SECONDS."
    )


def _forbidden(operation: str, answer: Response) -> SideError:
    if operation in _SEARCHES:
        return _error(
            Ambiguous, "More than 50 profiles match, or the user may not search for them.",
            operation, answer,
            "Merge the profiles in MyPreferences, or give the bridge's user the right to search.",
        )  # fmt: skip
    if operation == "create_user":
        what = "The MyPreferences user that was signed in as may not create users."
        return _error(Forbidden, what, operation, answer, "Sign in as an administrator: --as USER_ID.")
    return _error(
        Forbidden, f"The MyPreferences user may not call {operation}.", operation, answer,
        "Give the User Group of BRIDGE_MYPREFERENCES__USER_ID this permission.",
    )  # fmt: skip


def _not_found(operation: str, answer: Response) -> SideError:
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


def _refused(operation: str, answer: Response) -> SideError:
    if operation in _SUBSCRIBING:
        return _unsubscribable(operation, answer)
    if operation == "create_user":
        return _uncreatable(operation, answer)
    if answer.status == 400 and _MAPPED.search(_text(answer)):
        return _stale(operation, answer)
    what = f"MyPreferences refused {operation} ({answer.status})."
    return _error(Refused, what, operation, answer, "Repeating it will not help; look at the person there.")


def _unsubscribable(operation: str, answer: Response) -> SideError:
    if answer.status == 409:
        what = "A webhook subscription of MyPreferences has this URL and one of these event types already."
        return _error(Refused, what, operation, answer, "See `bridge hooks list`; delete it, or resume it.")
    what = f"MyPreferences refused {operation} ({answer.status})."
    hint = "Check the URL (https, answering the validation request) and that PossibleNOW has enabled Events."
    return _error(Refused, what, operation, answer, hint)


def _uncreatable(operation: str, answer: Response) -> SideError:
    if answer.status == 409:
        what = "An active MyPreferences user has this name already."
        hint = (
            "Check that the OAuth client may sign in as it, or choose another BRIDGE_MYPREFERENCES__USER_ID."
        )
        return _error(Refused, what, operation, answer, hint)
    what = f"MyPreferences refused to create the user ({answer.status})."
    hint = "Check BRIDGE_MYPREFERENCES__SOURCE_GROUP and --user-group; the account may ask for --user-email."
    return _error(Refused, what, operation, answer, hint)


def _stale(operation: str, answer: Response) -> SideError:
    return _error(
        MappingStale, "MyPreferences does not know a filter, frequency, consent or e-mail type named to it.",
        operation, answer, "Run `bridge mapping check` and mend the mapping or the account.",
    )  # fmt: skip


def _body(answer: Response) -> _Body | None:
    try:
        return msgspec.json.decode(answer.content, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(answer: Response) -> str:
    body = _body(answer)
    if body is None:
        return ""
    return " ".join((body.message or "", *(body.model_state or {})))


def _error(kind: type[SideError], what: str, operation: str, answer: Response, hint: str = "") -> SideError:
    return kind(
        what,
        side=Side.MYPREFERENCES,
        operation=operation,
        status=answer.status,
        retry_after=retry_after(answer),
        hint=hint,
    )
