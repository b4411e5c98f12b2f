"""From arguments to an exit code: the one place that turns errors into messages and codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from bridge.cli.interrupt import Interrupted
from bridge.cli.output import ExitCode, failure, silence_stderr, silence_stdout
from bridge.core.errors import BridgeError, ConfigError

DEBUG = "--debug"
ANYWHERE = ("--config", "--json")  # options of commands that may also stand before the command


def run(argv: Sequence[str]) -> int:
    """Run one command line. Returns its exit code, whether or not its output can be written."""
    _replace_closed_streams()
    _escape_unprintable()
    args = _after_command([arg for arg in argv if arg != DEBUG])
    _configure_logs(debug=DEBUG in argv)
    try:
        return _run(args, debug=DEBUG in argv)
    except OSError:  # not even the message about an error can be written
        silence_stderr()
        return ExitCode.UNEXPECTED
    finally:
        _flush_stderr()


def _run(args: list[str], *, debug: bool) -> int:
    try:
        code = _invoke(args)
        return _flush_stdout(code)
    except BrokenPipeError:
        silence_stdout()
        return ExitCode.PIPE_CLOSED
    except KeyboardInterrupt:
        return _report_error(Interrupted(), json="--json" in args, debug=debug)
    except Exception as error:  # noqa: BLE001 - the outermost handler: every error becomes a message here
        if isinstance(error, OSError) and error.errno in _NO_ROOM and not _is_writable():
            return _report_lost_output(error, ExitCode.UNEXPECTED)
        return _report_error(error, json="--json" in args, debug=debug)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def _flush_stdout(code: int) -> int:
    """Write out what is buffered. A command that ended with a code of its own keeps it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return code or ExitCode.PIPE_CLOSED
    except OSError as error:
        return _report_lost_output(error, code or ExitCode.UNEXPECTED)
    return code


def _is_writable() -> bool:
    """Whether the output is not what had no room."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _report_lost_output(error: OSError, code: int) -> int:
    silence_stdout()
    failure(f"The output cannot be written: {error.strerror}.", "Only the output is lost, not what was done.")
    return code


def _flush_stderr() -> None:
    try:
        sys.stderr.flush()
    except OSError:
        silence_stderr()


def _replace_closed_streams() -> None:
    """A closed stream is None in Python, and its number would go to the next file that is opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(
                sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)
            )


def _after_command(args: list[str]) -> list[str]:
    """`bridge --config FILE status` as `bridge status --config FILE`. What the command is given itself is
    stronger."""
    moved: dict[str, list[str]] = {}
    rest = list(args)
    while rest and (name := rest[0].partition("=")[0]) in ANYWHERE:
        size = 2 if rest[0] == "--config" else 1
        moved[name], rest = rest[:size], rest[size:]
    if all(arg.startswith("-") for arg in rest):
        return args  # no command: its help
    given = {arg.partition("=")[0] for arg in rest}
    kept = [word for name, words in moved.items() if name not in given for word in words]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *kept, *rest[end:]]


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
    from bridge.cli.output import print_json

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
