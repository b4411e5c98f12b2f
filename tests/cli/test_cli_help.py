"""Help, usage errors, unexpected errors, and what output never holds."""

from __future__ import annotations

import pytest
from cli_world import Call

COMMANDS = [
    "demo", "sandbox", "doctor", "plan", "apply", "reconcile", "run", "status", "explain", "mapping check",
    "mapping schema", "holds list", "holds release", "holds dismiss", "ledger verify", "ledger export",
    "db upgrade", "db check", "hooks list", "hooks create", "hooks pause", "hooks resume", "hooks delete",
    "hooks settings", "forget",
]  # fmt: skip
LONG_RUNNING = ("sandbox", "run")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(call: Call, command: str) -> None:
    result = call(*command.split(), "--help")
    assert result.code == 0
    assert "Examples" in result.out
    assert f"bridge {command}" in result.out.partition("Examples")[2]
    assert "--config" in result.out
    assert ("--json" in result.out) is (command not in LONG_RUNNING)
    assert "\x1b" not in result.out
    assert all(len(line) <= 80 for line in result.out.splitlines())


def test_the_whole_lists_every_command(call: Call) -> None:
    result = call("--help")
    assert result.code == 0
    for command in COMMANDS:
        assert command.split()[0] in result.out
    assert "consent-bridge" in call("--version").out


@pytest.mark.parametrize(
    "args", [["reconcile", "--nope"], ["nonsense"], ["apply"], ["demo", "--people", "3"]]
)
def test_a_wrong_command_line_ends_with_2_and_names_the_help(call: Call, args: list[str]) -> None:
    result = call(*args)
    assert result.code == 2
    assert result.out == ""
    assert "--help" in result.err
    assert call(*args, "--json").json["error"]["exit_code"] == 2


def test_an_unexpected_error_is_one_sentence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        secret = "hunter2"  # a local variable, which no traceback may show
        raise RuntimeError(f"no room for maria@example.com{secret[:0]}")

    call("reconcile")
    monkeypatch.setattr("bridge.cli.status.status_document", broken)
    result = call("status")
    assert result.code == 1
    assert "RuntimeError" in result.err
    assert "--debug" in result.err
    assert "Traceback" not in result.err
    assert "maria" not in result.err
    loud = call("status", "--debug", "--json")
    assert loud.code == 1
    assert "Traceback" in loud.err
    assert "maria" not in loud.err
    assert "hunter2" not in loud.err.replace('secret = "hunter2"', "")
    assert loud.json["error"]["kind"] == "RuntimeError"


def test_output_that_nobody_watches_has_no_escape_codes(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for args in (["reconcile"], ["status"], ["doctor"], ["reconcile", "--nope"]):
        result = call(*args)
        assert "\x1b" not in result.out + result.err


def test_no_color_takes_out_every_escape_code(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    call("reconcile")
    assert "\x1b" in call("status").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in call("status").out
    assert "\x1b" not in call("doctor").out
