"""Errors: what happened, why, and how to fix it; never an address, and never a secret."""

from __future__ import annotations

import inspect

import pytest

from bridge.core import errors
from bridge.core.errors import BridgeError, ConfigError, SideError, Verdict

ALL = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BridgeError)]
OF_A_SIDE = [one for one in ALL if issubclass(one, SideError)]

VERDICTS = {
    "SideError": Verdict.RETRY,
    "Unreachable": Verdict.RETRY,
    "OutcomeUnknown": Verdict.IN_DOUBT,
    "InvalidResponse": Verdict.RETRY,
    "Throttled": Verdict.RETRY,
    "TooLate": Verdict.RETRY,
    "ServerError": Verdict.RETRY,
    "SignInRefused": Verdict.STOP,
    "Forbidden": Verdict.STOP,
    "Ambiguous": Verdict.HOLD,
    "NotFound": Verdict.HOLD,
    "Refused": Verdict.HOLD,
    "AlreadyDone": Verdict.DONE,
    "PreconditionFailed": Verdict.IN_DOUBT,
    "MappingStale": Verdict.FIX_CONFIG,
}
EXITS = {
    "ConfigError": 2,
    "SchemaOutOfDate": 2,
    "StateDbError": 2,
    "StateDbBusy": 6,
    "StateDbReplaced": 2,
    "LeaseHeld": 6,
    "PlanMoved": 2,
    "BrakeTripped": 4,
}


def of_a_side(kind: type[SideError], **more: object) -> SideError:
    return kind("the answer was not understood", side="dotdigital", operation="get-contact", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", OF_A_SIDE, ids=lambda kind: kind.__name__)
def test_each_error_of_a_side_has_its_verdict(kind: type[SideError]) -> None:
    assert kind.verdict is VERDICTS[kind.__name__]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_error_ends_the_program_as_the_contract_says(kind: type[BridgeError]) -> None:
    assert kind.exit_code == (5 if issubclass(kind, SideError) else EXITS.get(kind.__name__, 1))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_error_says_when_it_is_raised(kind: type[BridgeError]) -> None:
    assert kind.__doc__
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", OF_A_SIDE, ids=lambda kind: kind.__name__)
def test_an_error_shows_nothing_but_what_and_hint(kind: type[SideError]) -> None:
    error = of_a_side(kind, status=400, code="ERROR_X", retry_after=3.0, hint="Try later.")
    error.__cause__ = ValueError("subscriber@example.com sent token-123")
    assert str(error) == "the answer was not understood Try later."
    assert "subscriber" not in str(error) + repr(error)
    assert "token-123" not in str(error) + repr(error)
    assert (error.side, error.operation) == ("dotdigital", "get-contact")
    assert (error.status, error.code, error.retry_after) == (400, "ERROR_X", 3.0)


def test_an_error_without_a_hint_ends_with_what_happened() -> None:
    assert str(BridgeError("the lease is held")) == "the lease is held"


def test_all_problems_of_a_configuration_are_told_at_once() -> None:
    error = ConfigError("2 settings are wrong:", problems=("one", "two"), hint="See `bridge doctor`.")
    assert str(error) == "2 settings are wrong:\n  - one\n  - two\nSee `bridge doctor`."
    assert str(ConfigError("no mapping")) == "no mapping"


def test_only_a_write_that_must_be_read_back_is_in_doubt() -> None:
    assert [kind.__name__ for kind in OF_A_SIDE if kind.verdict is Verdict.IN_DOUBT] == [
        "OutcomeUnknown",
        "PreconditionFailed",
    ]
