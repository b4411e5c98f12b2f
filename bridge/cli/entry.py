"""From arguments to an exit code: the one place that turns errors into messages and codes."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from typing import Any

from bridge.cli.output import ExitCode, silence_stdout
from bridge.core.errors import BridgeError, ConfigError

DEBUG = "--debug"


def run(argv: Sequence[str]) -> int:
    """Run one command line. Returns its exit code."""
    _escape_unprintable()
    args = [arg for arg in argv if arg != DEBUG]
    _configure_logs(debug=DEBUG in argv)
    try:
        code = _invoke(args)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return ExitCode.PIPE_CLOSED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost handler: every error becomes a message here
        return _report_error(error, json="--json" in args, debug=DEBUG in argv)
    return code


def _invoke(args: list[str]) -> int:
    from bridge.cli.commands import build

    code = build()(args=args, prog_name="bridge", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _configure_logs(*, debug: bool) -> None:
    """Without --debug a command reports errors itself and writes no log."""
    if debug:
        from bridge.logs import configure

        configure("debug")
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def _escape_unprintable() -> None:
    """Print an escape for a character that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _report_error(error: Exception, *, json: bool, debug: bool) -> int:
    """Print what happened, why, and how to fix it."""
    import typer

    if isinstance(error, BridgeError):
        code = error.exit_code
        described = {"what": error.what, "hint": error.hint}
        problems = list(error.problems) if isinstance(error, ConfigError) else []
    elif isinstance(error, typer.Abort):
        code, problems = ExitCode.INVALID, []
        described = {
            "what": "Not confirmed.",
            "hint": "Pass --yes to confirm.",
        }
    elif (usage := _usage_text(error)) is not None:
        code, problems = ExitCode.INVALID, []
        described = {"what": usage, "hint": _help_hint(error)}
        if not usage:  # the help was printed instead
            return ExitCode.INVALID
    else:
        code, problems, described = ExitCode.UNEXPECTED, [], _unexpected(error, debug=debug)
    _print(code, {"kind": type(error).__name__, **described}, problems, json=json)
    return code


def _print(code: int, described: dict[str, str], problems: list[str], *, json: bool) -> None:
    from bridge.cli.output import failure, print_json

    failure(described["what"], described["hint"], problems)
    if json:
        print_json({"error": {**described, "problems": problems, "exit_code": code}})


def _usage_text(error: Exception) -> str | None:
    """The parser's message for a wrong command line; None for any other error. typer changes the names of
    these error classes between versions, so the method is looked up."""
    styled: Any = getattr(error, "format_message", None)
    if not callable(styled):
        return None
    return "" if type(error).__name__ == "NoArgsIsHelpError" else str(styled())


def _help_hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    path = "bridge" if context is None else context.command_path
    return f"See `{path} --help`."


def _unexpected(error: Exception, *, debug: bool) -> dict[str, str]:
    from bridge.logs import redact_text

    if debug:
        import traceback

        sys.stderr.write(redact_text("".join(traceback.format_exception(error))))
    first = str(error).strip().partition("\n")[0]
    words = redact_text(f"{type(error).__name__}: {first}" if first else type(error).__name__)
    hint = "" if debug else "Run the same command with --debug to see where."
    return {"what": f"Unexpected error ({words}).", "hint": hint}
