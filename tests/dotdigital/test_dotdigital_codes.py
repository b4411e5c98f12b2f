"""Every code that Dotdigital can refuse with has a meaning here."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.core import errors as core
from bridge.core.errors import Verdict
from bridge.dotdigital.client.codes import (
    CODES,
    IMPORT_FAILURES,
    V2,
    V3,
    CodeMeaning,
    failure_key,
    import_failure,
)
from bridge.dotdigital.client.errors import to_error
from bridge.transport import Response


@pytest.fixture(scope="module")
def enums() -> Any:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "apis" / "specs"
    path = Path(os.environ.get("BRIDGE_SPECS_DIR", beside)) / "dotdigital-enums.json"
    if not path.is_file():
        pytest.skip("dotdigital-enums.json is not here; point BRIDGE_SPECS_DIR at the specifications")
    return json.loads(path.read_text(encoding="utf-8"))


def judged(body: object, operation: str = "get-preferences", status: int = 400) -> core.SideError:
    content = json.dumps(body).encode()
    answer = Response(status, httpx.Headers(), content, datetime(2026, 3, 1, tzinfo=UTC))
    error = to_error(operation, answer, operation in ("unsubscribe-contact", "set-preferences-for-contact"))
    assert error is not None
    return error


def test_all_published_v2_codes_have_a_meaning_and_no_other_is_made_up(enums: Any) -> None:
    """Dotdigital v2 errors."""
    assert len(enums["v2.errorCodes"]) == 95
    assert V2.keys() == set(enums["v2.errorCodes"])


def test_all_v3_codes_seen_have_a_meaning(enums: Any) -> None:
    """Dotdigital v3 errors."""
    assert V3.keys() == set(enums["v3.errorCodes.seen"])


def test_all_import_failures_have_a_meaning_in_both_spellings(enums: Any) -> None:
    """Dotdigital v3 import: the page and the specification's examples spell failure codes differently."""
    named = enums["v3.import.failureCode.docs"] + enums["v3.import.failureCode.specExamples"]
    assert {failure_key(code) for code in named} == IMPORT_FAILURES.keys()
    for code in named:
        other = code[0].swapcase() + code[1:]
        assert import_failure(code) is import_failure(other) is import_failure(code.upper())
        assert import_failure(code) is IMPORT_FAILURES[failure_key(code)]


def test_the_codes_cover_every_verdict_that_a_refusal_can_have() -> None:
    """A write in doubt is no refusal: its result is unknown."""
    kinds = {meaning.kind for meaning in V2.values()}
    kinds |= {meaning.for_opt_out for meaning in V2.values() if meaning.for_opt_out is not None}
    assert {kind.verdict for kind in kinds} == set(Verdict) - {Verdict.IN_DOUBT}


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_says_what_fixes_it_in_our_own_words(code: str) -> None:
    meaning = CODES[code]
    assert issubclass(meaning.kind, core.SideError)
    assert meaning.hint.endswith(".")
    assert code not in meaning.hint


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("ERROR_APIUSAGE_EXCEEDED", Verdict.RETRY), ("ERROR_IMPORT_TOOMANYACTIVEIMPORTS", Verdict.RETRY),
        ("ERROR_SYSTEM_SERVICETEMPORARILYUNAVAILABLE", Verdict.RETRY), ("ERROR_UNKNOWN", Verdict.RETRY),
        ("ERROR_EMAIL_BANNED", Verdict.HOLD), ("ERROR_INVALID_EMAIL", Verdict.HOLD),
        ("ERROR_CONTACT_INVALID", Verdict.HOLD), ("ERROR_CONTACT_TOOMANY", Verdict.HOLD),
        ("ERROR_CAMPAIGN_READONLY", Verdict.HOLD), ("ERROR_ADDRESSBOOK_NOTWRITABLE", Verdict.HOLD),
        ("ERROR_INVALID_LOGIN", Verdict.STOP), ("ERROR_FEATURENOTACTIVE", Verdict.STOP),
        ("ERROR_UNKNOWN_ACCOUNT", Verdict.STOP), ("ERROR_OAUTH_TOKEN_INVALID", Verdict.STOP),
        ("ERROR_PREFERENCE_NOT_FOUND", Verdict.FIX_CONFIG), ("ERROR_PREFERENCE_INVALID", Verdict.FIX_CONFIG),
    ],
)  # fmt: skip
def test_the_code_decides_whatever_the_status(code: str, verdict: Verdict) -> None:
    for status in (400, 404, 409, 422, 429, 503):
        error = judged({"message": f"Some words. {code} "}, status=status)
        assert (error.verdict, error.code) == (verdict, code)


def test_only_a_suppressed_contact_meets_the_goal_of_an_opt_out() -> None:
    """Dotdigital unsubscribe: every other refusal leaves the withdrawal waiting."""
    done = {
        code for code in V2 if isinstance(judged({"message": code}, "unsubscribe-contact"), core.AlreadyDone)
    }
    assert done == {"ERROR_CONTACT_SUPPRESSED"}
    assert {key for key, one in IMPORT_FAILURES.items() if one.for_opt_out} == {"globallysuppressed"}


def test_an_unknown_code_is_judged_by_its_status_and_named() -> None:
    error = judged({"message": "Odd. ERROR_OF_TOMORROW"})
    assert (type(error), error.code) == (core.Refused, "ERROR_OF_TOMORROW")
    error = judged({"message": "Odd. ERROR_OF_TOMORROW"}, status=429)
    assert (type(error), error.code) == (core.Throttled, "ERROR_OF_TOMORROW")


@pytest.mark.parametrize("inner", ["description", "error"])
def test_v3_details_may_spell_their_text_either_way(inner: str) -> None:
    """Dotdigital v3 errors: one page spells the inner key otherwise than the specification does."""
    details = [{"item": "person@example.com", inner: "ERROR_INVALID_LOGIN person@example.com"}]
    body = {"errorCode": "contacts:invalidContacts", inner: "Some are odd.", "details": details}
    error = judged(body)
    assert (type(error), error.code) == (core.Refused, "contacts:invalidContacts")
    assert "@" not in str(error)


def test_a_v2_code_in_the_envelope_of_v3_is_known_too() -> None:
    error = judged({"errorCode": "ERROR_FEATURENOTACTIVE", "description": "Not on."}, status=403)
    assert (type(error), error.code) == (core.Forbidden, "ERROR_FEATURENOTACTIVE")


def test_an_import_failure_nobody_knows_is_held() -> None:
    found = import_failure("SomethingNew")
    assert isinstance(found, CodeMeaning)
    assert (found.kind.verdict, found.partly) == (Verdict.HOLD, False)
    assert import_failure("ConsentRecordsNotApplied").partly
