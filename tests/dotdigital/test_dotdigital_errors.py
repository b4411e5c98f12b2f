from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import httpx
import pytest

from bridge.core import errors as core
from bridge.dotdigital.client.errors import CODES, to_error
from bridge.transport import Response

READ, WRITE = "get-subscriptions-for-contact", "set-preferences-for-contact"


def answer(status: int, body: object = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, httpx.Headers(named), content, datetime(2026, 3, 1, tzinfo=UTC))


def verdict(operation: str, status: int, body: object = None, **headers: str) -> core.SideError:
    error = to_error(operation, answer(status, body, **headers), operation == WRITE)
    assert error is not None
    return error


def test_a_good_answer_is_no_error() -> None:
    assert to_error(READ, answer(200, []), False) is None
    assert to_error(WRITE, answer(201, {}), True) is None


@pytest.mark.parametrize("code", sorted(code for code in CODES if code.startswith("ERROR_")))
@pytest.mark.parametrize("form", ["Some text. {}", "Error: {}", "text {} ", "{}"])
def test_each_code_is_known_in_every_form_of_message(code: str, form: str) -> None:
    """Dotdigital v2 errors: the code is extracted, whole messages are never compared."""
    found = verdict(READ, 400, {"message": form.format(code)})
    assert type(found) is CODES[code].kind
    assert found.code == code
    assert found.hint


@pytest.mark.parametrize("code", sorted(code for code in CODES if ":" in code))
def test_each_v3_code_is_known(code: str) -> None:
    found = verdict("getContacts", 400, {"errorCode": code, "error": "for person@example.com"})
    assert type(found) is CODES[code].kind
    assert found.code == code


def test_every_code_that_touches_consent_has_a_verdict() -> None:
    """Dotdigital v2 errors, the codes that matter to preferences and suppression."""
    named = {
        "CONTACT_NOT_FOUND": core.NotFound, "CONTACT_SUPPRESSED": core.Refused,
        "PREFERENCE_NOT_FOUND": core.MappingStale, "APIUSAGE_EXCEEDED": core.Throttled,
        "INVALID_LOGIN": core.SignInRefused, "APIUSER_INVALID": core.SignInRefused,
        "FEATURENOTACTIVE": core.Forbidden, "UNKNOWN": core.ServerError, "EMAIL_BANNED": core.Refused,
        "SYSTEM_SERVICETEMPORARILYUNAVAILABLE": core.ServerError,
    }  # fmt: skip
    assert {name: CODES[f"ERROR_{name}"].kind for name in named} == named


@pytest.mark.parametrize("operation", ["unsubscribe-contact", "bulk-suppress-contacts"])
def test_suppressed_meets_the_goal_of_an_opt_out_and_of_nothing_else(operation: str) -> None:
    body = {"message": "Contact is suppressed. ERROR_CONTACT_SUPPRESSED"}
    assert isinstance(to_error(operation, answer(400, body), True), core.AlreadyDone)
    for other in (WRITE, "resubscribe-contact", "importContact"):
        assert type(to_error(other, answer(400, body), True)) is core.Refused


def test_the_flat_limit_is_throttling_although_its_status_is_400() -> None:
    """Dotdigital rate limits, flat scheme."""
    found = verdict(WRITE, 400, {"message": "Excess activity. ERROR_APIUSAGE_EXCEEDED"})
    assert isinstance(found, core.Throttled)
    assert found.retry_after == 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X_RateLimit_Reset": str(int(datetime(2026, 3, 1, 0, 0, 40, tzinfo=UTC).timestamp()))}, 40),
        ({"x_ratelimit_reset": str(int(datetime(2026, 3, 1, 0, 0, 40, tzinfo=UTC).timestamp() * 1000))}, 40),
        ({"X_RateLimit_Reset": "17"}, 18),
        ({"X_RateLimit_Reset": "9999"}, 120),
        ({"X_RateLimit_Reset": "-5"}, 1),
        ({"Retry_After": "9", "X_RateLimit_Reset": "17"}, 9),
        ({}, 60),
        ({"X_RateLimit_Reset": "soon"}, 60),
    ],
)
def test_a_429_says_how_long_to_wait_in_each_form(headers: dict[str, str], seconds: float) -> None:
    found = verdict(READ, 429, {"message": "Too many"}, **headers)
    assert isinstance(found, core.Throttled)
    assert found.retry_after == seconds


def test_sign_in_region_and_feature_errors_are_distinguished() -> None:
    bad = verdict(READ, 401, {"message": "Authorization has been denied for this request."})
    assert type(bad) is core.SignInRefused
    assert "BRIDGE_DOTDIGITAL__USERNAME" in bad.hint
    assert type(verdict("getContacts", 401)) is core.SignInRefused  # v3: an empty body
    region = verdict(READ, 403, b"Forbidden: Access is denied.")
    assert type(region) is core.SignInRefused
    assert "BRIDGE_DOTDIGITAL__BASE_URL" in region.hint
    assert type(verdict(READ, 403, {"message": "Not on. ERROR_FEATURENOTACTIVE"})) is core.Forbidden


def test_a_404_makes_nobody_absent_unless_the_vendor_says_so() -> None:
    assert type(verdict(READ, 404, {"message": "Contact not found."})) is core.NotFound
    for body in (None, b"<html>not found</html>", b"gone", {}, {"message": "No HTTP resource was found"}):
        assert type(verdict(READ, 404, body)) is core.InvalidResponse
        assert type(to_error(WRITE, answer(404, body), True)) is core.OutcomeUnknown


@pytest.mark.parametrize("body", [{"message": "No such."}, {"message": "No. ERROR_PREFERENCE_NOT_FOUND"}])
def test_a_missing_preference_is_a_stale_mapping_not_a_missing_person(body: object) -> None:
    operation = "get-contacts-with-modified-preference-opt-in-since-date"
    assert type(verdict(operation, 404, body)) is core.MappingStale


def test_statuses_without_a_code_have_a_verdict() -> None:
    assert type(verdict(READ, 400, {"message": "Email is not valid."})) is core.Refused
    assert type(verdict(READ, 409, {"errorCode": "contacts:news"})) is core.Refused
    assert type(verdict(READ, 503, b"<html>")) is core.ServerError
    assert type(verdict(WRITE, 503, b"<html>")) is core.OutcomeUnknown
    assert type(verdict(READ, 302)) is core.InvalidResponse


def test_a_server_error_code_leaves_a_write_in_doubt() -> None:
    body = {"message": "Something. ERROR_UNKNOWN"}
    assert type(verdict(WRITE, 400, body)) is core.OutcomeUnknown


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
def test_no_error_repeats_what_the_body_said(status: int) -> None:
    for body in (
        {"message": "person@example.com is odd. ERROR_PARAMETER_INVALID"},
        {"errorCode": "person@example.com", "description": "person@example.com"},
        b"<p>person@example.com</p>",
    ):
        found = verdict(READ, status, body)
        assert not re.search("@|example", f"{found} {found.code}")
