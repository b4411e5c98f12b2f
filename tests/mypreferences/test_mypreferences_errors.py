"""Each refusal of MyPreferences means one thing to the engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

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
from bridge.mypreferences.auth.pnauthinfo import PnAuthInfo3
from bridge.mypreferences.client.errors import error_mapper, to_error
from bridge.transport import Response

SCHEME = "Invalid Authorization Header: The scheme is invalid. The scheme should contain either PNAUTHINFO3-"
UNKNOWN = "Unable to authenticate."
TABLE: list[tuple[str, int, str | None, type[SideError], str]] = [
    ("retrievePrograms", 401, SCHEME, SignInRefused, "AUTH"),
    ("retrievePrograms", 401, "The timestamp is in the future.", SignInRefused, "clock"),
    ("retrievePrograms", 401, "The date is not in ISO 8601.", SignInRefused, "clock"),
    ("retrievePrograms", 401, UNKNOWN, SignInRefused, "__CLIENT_SECRET"),
    ("retrievePrograms", 401, None, SignInRefused, "__USER_ID"),
    ("retrieveExport", 401, "The AccessToken is invalid or has expired.", NotFound, "again"),
    ("retrieveExport", 401, UNKNOWN, SignInRefused, "__CLIENT_ID"),
    ("retrieveProfilesByEmail", 403, "No.", Ambiguous, "Merge"),
    ("updateProfilePost", 403, "No.", Forbidden, "User Group"),
    ("retrievePrograms", 404, "", Forbidden, "BRIDGE_MYPREFERENCES__ACCOUNT"),
    ("retrievePrograms", 404, "<html>IIS</html>", Forbidden, "ROUTES_FILE"),
    ("retrievePrograms", 405, "", Forbidden, "ROUTES_FILE"),
    ("retrieveProfileById", 404, "The profile was not found.", NotFound, ""),
    ("updateProfilePost", 404, "The EmailAddressType 'X' was not found.", MappingStale, "mapping check"),
    ("updateProfilePost", 400, "The FilterId 'X' is not valid.", MappingStale, "mapping check"),
    ("updateProfilePost", 400, "The ConsentType 'X' is not valid.", MappingStale, "mapping check"),
    ("updateProfilePost", 400, "The request is invalid.", Refused, ""),
    ("updateProfilePost", 402, None, Refused, ""),
    ("createSubscription", 409, "Exists.", Refused, ""),
    ("retrievePrograms", 429, None, Throttled, ""),
    ("retrievePrograms", 503, None, ServerError, ""),
    ("retrievePrograms", 500, "Boom.", ServerError, ""),
    ("retrievePrograms", 408, None, ServerError, ""),
]


def an_answer(status: int, message: str | None, **headers: str) -> Response:
    raw = message is not None and (message == "" or message.startswith("<"))
    body = str(message) if raw else json.dumps({"Message": message})
    return Response(status, httpx.Headers(headers), body.encode(), None)


@pytest.mark.parametrize(("operation", "status", "message", "kind", "hint"), TABLE)
def test_a_refusal_is_judged(
    operation: str, status: int, message: str | None, kind: type[SideError], hint: str
) -> None:
    """MyPreferences "Errors" and "Authorization": statuses and named conditions."""
    error = to_error(operation, an_answer(status, message), False)
    assert type(error) is kind
    assert (error.operation, error.status) == (operation, status)
    assert hint in error.hint


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_is_no_error(status: int) -> None:
    assert to_error("retrievePrograms", an_answer(status, None), False) is None


@pytest.mark.parametrize("status", [408, 500, 503])
def test_a_server_error_on_a_write_leaves_its_outcome_unknown(status: int) -> None:
    assert isinstance(to_error("updateProfilePost", an_answer(status, None), True), OutcomeUnknown)


def test_the_pause_asked_for_is_handed_on() -> None:
    headers = {"Retry-After": "12"}
    for status in (429, 503):
        error = to_error("retrievePrograms", an_answer(status, None, **headers), False)
        assert error is not None
        assert error.retry_after == 12


def test_a_named_model_state_counts_like_a_message() -> None:
    body = {
        "Message": "The request is invalid.",
        "ModelState": {"Emails[0].EmailPreferences[0].FilterId": ["?"]},
    }
    answer = Response(400, httpx.Headers(), json.dumps(body).encode(), None)
    assert isinstance(to_error("updateProfilePost", answer, True), MappingStale)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
def test_the_vendors_words_are_never_repeated(status: int) -> None:
    error = to_error("updateProfilePost", an_answer(status, "ann@example.com is not known"), False)
    assert "ann" not in str(error)


NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
FUTURE = "Invalid Authorization Header: The date is in the future."
FAR = "Invalid Authorization Header: The issued time is too far from now."


@pytest.mark.parametrize(
    ("message", "ahead", "words", "is_clock"),
    [
        (FUTURE, 90, "clock is 90 s ahead of that of MyPreferences. Synchronise", True),
        (FAR, -3600, "clock is 3600 s behind that of MyPreferences. Synchronise", True),
        (FUTURE, 0, "agree to within 2 s", True),
        (FAR, 0, "PNAUTHINFO_EXPIRATION_IN_SECONDS", True),
        (UNKNOWN, 90, "clock is 90 s ahead of", True),
        (None, -1000, "clock is 1000 s behind", True),
        (UNKNOWN, 2, "PRIVATE_KEY", False),
        (UNKNOWN, -890, "PRIVATE_KEY", False),
        (SCHEME, 90, "BRIDGE_MYPREFERENCES__AUTH", False),
    ],
)
def test_a_signed_request_is_refused_for_its_time_or_for_its_credentials(
    message: str | None, ahead: float, words: str, is_clock: bool
) -> None:
    """MyPreferences "Authorization": the named conditions of a 401; 900 s is how long a time holds."""
    auth = PnAuthInfo3(account="A", user_id="u", key="k", clock=lambda: NOON)
    refusal = an_answer(401, message)
    answer = Response(401, refusal.headers, refusal.content, NOON - timedelta(seconds=ahead))
    error = error_mapper(auth, lambda: NOON)("retrievePrograms", answer, False)
    assert isinstance(error, SignInRefused)
    assert words in error.hint
    assert ("clock" in str(error)) is is_clock


def test_a_refused_time_without_a_date_to_compare_still_names_the_clock() -> None:
    auth = PnAuthInfo3(account="A", user_id="u", key="k", clock=lambda: NOON)
    error = error_mapper(auth, lambda: NOON)("retrievePrograms", an_answer(401, FAR), False)
    assert error is not None
    assert error.hint == "Synchronise this machine's clock (NTP), then run `bridge doctor`."


def test_a_token_carries_no_time_of_ours_so_its_refusal_is_not_the_clocks() -> None:
    error = to_error("retrievePrograms", an_answer(401, UNKNOWN), False, ahead=5000.0)
    assert error is not None
    assert "clock" not in str(error)
