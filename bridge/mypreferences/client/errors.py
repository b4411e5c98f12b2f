"""Which error an answer of MyPreferences means. The vendor's texts are read, never repeated: they may hold an
address."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from bridge import bounds
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
from bridge.mypreferences.auth import SignIn
from bridge.mypreferences.auth.oauth import OAUTH_FIX
from bridge.transport import ErrorMapper, Response, retry_after

_SEARCHES = (
    "retrieveProfilesByEmail",
    "retrieveProfilesByPhone",
    "retrieveProfilesByAddress",
    "retrieveProfilesByPreferenceAttributes",
    "retrieveGroupProfilesById",
    "retrieveGroupProfilesByEmail",
    "retrieveGroupProfilesByPhone",
)
_SUBSCRIBING = ("createSubscription", "updateSubscription")
_BY_TOKEN = {
    "exportStatus": "export",
    "retrieveExport": "export",
    "stageImport": "import",
    "executeImport": "import",
    "importStatus": "import",
    "importExceptions": "import",
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
_NTP = "Synchronise this machine's clock (NTP), then run `bridge doctor`."
_EXACT = 2.0  # seconds: a Date header has whole seconds, and the answer took some time
_OLDEST = 900.0  # seconds: how old a signed time may be, unless the account is set up otherwise


class _Body(msgspec.Struct, rename="pascal"):
    message: str | None = None
    model_state: dict[str, Any] | None = None


def error_mapper(sign_in: SignIn, clock: Callable[[], datetime]) -> ErrorMapper:
    """`to_error` for requests that `sign_in` signs. `clock` is the one that dates them."""

    def mapped(operation: str, answer: Response, is_write: bool) -> SideError | None:
        there = answer.server_time
        ahead = None if there is None else (clock() - there).total_seconds()
        return to_error(operation, answer, is_write, fix=sign_in.fix, is_dated=sign_in.is_dated, ahead=ahead)

    return mapped


def to_error(
    operation: str,
    answer: Response,
    is_write: bool,
    *,
    fix: str = OAUTH_FIX,
    is_dated: bool = False,
    ahead: float | None = None,
) -> SideError | None:
    """The error that an answer means, None for success (MyPreferences "Errors").

    `fix` says what to check about the credentials. `is_dated`: the request has our time in it. `ahead` is by
    how many seconds our clock is ahead of the answer's Date (None: not known).
    """
    if answer.good:
        return None
    status = answer.status
    if status == 401:
        return _unauthorized(operation, answer, fix, is_dated, ahead)
    if status == 408 or status >= 500:
        return _server_error(operation, answer, is_write)
    if operation == "initiateImport" and status < 500 and _QUOTA.search(_text(answer)):
        return _error(
            Throttled, "The daily import limit of MyPreferences is reached.", operation, answer,
            "Writes are sent one at a time; see BRIDGE_MYPREFERENCES__IMPORTS_PER_DAY.",
        )  # fmt: skip
    if status == 429:
        return _error(Throttled, "MyPreferences asks for a pause (429).", operation, answer)
    if status == 403:
        return _forbidden(operation, answer)
    if status == 404:
        return _not_found(operation, answer)
    if status == 405:
        return _error(
            Forbidden, f"Wrong method for {operation}: it is not allowed at this URL.", operation, answer,
            "Put the right route into the file that BRIDGE_MYPREFERENCES__ROUTES_FILE names.",
        )  # fmt: skip
    if 400 <= status < 500:
        return _refused(operation, answer)
    return None


def _server_error(operation: str, answer: Response, is_write: bool) -> SideError:
    if is_write:
        return _error(
            OutcomeUnknown, "MyPreferences failed during a write: it may or may not have been applied.",
            operation, answer, "The profile will be read back to find out.",
        )  # fmt: skip
    what = f"MyPreferences returned a server error ({answer.status})."
    return _error(ServerError, what, operation, answer, "It will be retried.")


def _unauthorized(
    operation: str, answer: Response, fix: str, is_dated: bool, ahead: float | None
) -> SideError:
    text = _text(answer)
    if operation in _BY_TOKEN and "accesstoken" in text.casefold().replace(" ", ""):
        what = f"The {_BY_TOKEN[operation]} no longer exists at MyPreferences."
        return _error(NotFound, what, operation, answer, "Start it again.")
    if _SCHEME.search(text):
        what = "MyPreferences does not accept this authentication scheme."
        hint = "Check BRIDGE_MYPREFERENCES__AUTH against what the account is set up for."
    elif _CLOCK.search(text):
        what = "MyPreferences rejected the request timestamp."
        hint = _clock_hint(ahead)
    elif is_dated and ahead is not None and not -_OLDEST <= ahead <= _EXACT:
        # The answer names no cause, but a request with such a time cannot be accepted.
        what = "MyPreferences refused the sign-in, most likely because of the request timestamp."
        hint = f"{_clock_hint(ahead)} If it is still refused, the credentials are wrong. {fix}"
    else:
        what, hint = "MyPreferences refused the sign-in.", fix
    return _error(SignInRefused, what, operation, answer, hint)


def _clock_hint(ahead: float | None) -> str:
    """How to fix a rejected time, with the difference of the clocks."""
    if ahead is None:
        return _NTP
    if abs(ahead) > _EXACT:
        way = "ahead of" if ahead > 0 else "behind"
        return f"This machine's clock is {abs(ahead):.0f} s {way} that of MyPreferences. {_NTP}"
    return (
        f"{_NTP} Both clocks agree to within {_EXACT:.0f} s, but a time ahead by less is refused too; if "
        "ours is exact, ask PossibleNOW about the account's PNAUTHINFO_EXPIRATION_IN_SECONDS."
    )


def _forbidden(operation: str, answer: Response) -> SideError:
    if operation in _SEARCHES:
        return _error(
            Ambiguous, "More than 50 profiles match, or the API user may not search for them.",
            operation, answer,
            "Merge the profiles in MyPreferences, or give the bridge's user the search permission.",
        )  # fmt: skip
    if operation == "createUser":
        what = "This MyPreferences user may not create users."
        return _error(Forbidden, what, operation, answer, "Sign in as an administrator: --as USER_ID.")
    return _error(
        Forbidden, f"The MyPreferences user may not call {operation}.", operation, answer,
        "Give the User Group of BRIDGE_MYPREFERENCES__USER_ID this permission.",
    )  # fmt: skip


def _not_found(operation: str, answer: Response) -> SideError:
    if not answer.content.strip():
        return _error(
            Forbidden, "MyPreferences does not know this account.", operation, answer,
            "Check BRIDGE_MYPREFERENCES__ACCOUNT: the account's id, not the OAuth client id.",
        )  # fmt: skip
    if _body(answer) is None:
        return _error(
            Forbidden, f"Wrong URL for {operation}: no MyPreferences endpoint answers there.",
            operation, answer, "Check BRIDGE_MYPREFERENCES__BASE_URL and BRIDGE_MYPREFERENCES__ROUTES_FILE.",
        )  # fmt: skip
    if _MAPPED.search(_text(answer)):
        return _stale(operation, answer)
    return _error(NotFound, f"MyPreferences found nothing for {operation}.", operation, answer)


def _refused(operation: str, answer: Response) -> SideError:
    if operation in _SUBSCRIBING:
        return _subscription_refused(operation, answer)
    if operation == "createUser":
        return _user_refused(operation, answer)
    if answer.status == 400 and _MAPPED.search(_text(answer)):
        return _stale(operation, answer)
    what = f"MyPreferences refused {operation} ({answer.status})."
    return _error(
        Refused, what, operation, answer, "Retrying will not help: check the profile in MyPreferences."
    )


def _subscription_refused(operation: str, answer: Response) -> SideError:
    if answer.status == 409:
        what = (
            "A MyPreferences webhook subscription with this URL and one of these event types exists already."
        )
        return _error(Refused, what, operation, answer, "See `bridge hooks list`; delete or resume it.")
    what = f"MyPreferences refused {operation} ({answer.status})."
    hint = "Check the URL (https, answering the validation request) and that PossibleNOW has enabled Events."
    return _error(Refused, what, operation, answer, hint)


def _user_refused(operation: str, answer: Response) -> SideError:
    if answer.status == 409:
        what = "An active MyPreferences user with this name exists already."
        hint = "Check that the OAuth client may sign in as it, or set another BRIDGE_MYPREFERENCES__USER_ID."
        return _error(Refused, what, operation, answer, hint)
    what = f"MyPreferences refused to create the user ({answer.status})."
    hint = "Check BRIDGE_MYPREFERENCES__SOURCE_GROUP and --user-group; the account may ask for --user-email."
    return _error(Refused, what, operation, answer, hint)


def _stale(operation: str, answer: Response) -> SideError:
    return _error(
        MappingStale,
        "MyPreferences does not know a filter, frequency, consent or e-mail type that the mapping names.",
        operation, answer, "Run `bridge mapping check`; fix the mapping or the account.",
    )  # fmt: skip


def _body(answer: Response) -> _Body | None:
    try:
        found: _Body = bounds.decode(answer.content, _Body)
    except bounds.Malformed:
        return None
    return found


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
