"""What commands print: one JSON document or text on stdout, everything else on stderr, with progress bars
where that is a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bridge.core.sync_state import Exit
from bridge.printable import csv_cell, escape_json, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.segment import Segment
    from rich.table import Table
    from rich.text import Text

    from bridge.core.sync_state import SyncProblem
    from bridge.engine.context import Progress


UNWRAPPED = 10_000  # columns of what is no terminal
GOOD, WARN, BAD = "green", "yellow", "red"
SIDES: Mapping[str, str] = {"mypreferences": "MyPreferences", "dotdigital": "Dotdigital"}
CHOICES: Mapping[str, str] = {"opted_in": "opted in", "opted_out": "opted out", "unset": "no choice"}


@cache
def _console_class() -> type[Console]:
    from rich.console import Console as RichConsole
    from rich.segment import Segment as RichSegment

    class SafeConsole(RichConsole):
        """Prints no control character of a text. Leaves a closed pipe to the entry point, which knows the
        exit code."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield RichSegment(text if control else printable(text), style, control)

        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    return SafeConsole


def console(*, stderr: bool = False) -> Console:
    """A console that prints text unchanged: no markup, emoji or highlighting. NO_COLOR removes every escape
    code, not only colours. What is not a terminal has no width, unless COLUMNS gives one."""
    options: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    stream = sys.stderr if stderr else sys.stdout
    if not (stream.isatty() or os.environ.get("COLUMNS")):
        options["width"] = UNWRAPPED
    return _console_class()(stderr=stderr, markup=False, emoji=False, highlight=False, **options)


def print_json(document: object) -> None:
    """Print the one document of `--json`."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    text = json.dumps(document, indent=2, ensure_ascii=encoding != "utf8")
    sys.stdout.write(escape_json(text) + "\n")


def print_csv(columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> None:
    """Print rows as CSV with a header. A cell that is missing is empty."""
    import csv

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(columns)
    for line in lines:
        out.writerow([csv_cell(line.get(column)) for column in columns])


def styled(*parts: str | tuple[str, str]) -> Text:
    """A line of plain and styled parts."""
    from rich.text import Text

    return Text.assemble(*parts)


def silence_stdout() -> None:
    """Nobody reads our output, or it cannot be written: discard what is buffered, so that exiting raises no
    error."""
    _silence(sys.stdout)


def silence_stderr() -> None:
    """The same for messages."""
    _silence(sys.stderr)


def keeping_code(code: int, show: Callable[[], int]) -> int:
    """Print the result of a run. Where nobody reads it, the exit code still tells the state of the sync."""
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
    return code


def _silence(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class ExitCode(IntEnum):
    """The exit codes of all commands."""

    DONE = 0
    UNEXPECTED = 1
    INVALID = 2  # usage, settings or mapping
    REVIEW = 3  # finished; manual review needed
    BRAKE = 4
    UNREACHABLE = 5  # a side cannot be reached, refuses the sign-in, or was not read to its end
    LOCKED = 6  # another process holds the state DB
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


class StatusMark(StrEnum):
    """The mark at the start of a line."""

    GOOD = "✓"
    WARN = "!"
    BAD = "✗"
    NEXT = "→"


_MARK_STYLES = {
    StatusMark.GOOD: f"bold {GOOD}",
    StatusMark.WARN: f"bold {WARN}",
    StatusMark.BAD: f"bold {BAD}",
    StatusMark.NEXT: "bold",
}


def note(mark: StatusMark, *parts: str | tuple[str, str], indent: int = 0, stderr: bool = False) -> None:
    """Print a sentence after its mark. On stderr that is no terminal, lines are not wrapped."""
    out = console(stderr=stderr)
    head = styled(" " * indent, (mark.value, _MARK_STYLES[mark]), " ")
    if stderr and not out.is_terminal:
        out.print(head + styled(*parts), soft_wrap=True)
    else:
        print_wrapped(out, head, styled(*parts))


def print_problems(problems: Iterable[SyncProblem], *, indent: int = 0) -> None:
    """Print each condition of the sync that holds, with what to do about it; one hint of several once."""
    hints: list[str] = []
    for problem in problems:
        mark = StatusMark.WARN if problem.row.exit_code is Exit.WAITS else StatusMark.BAD
        text = with_side_name(problem.text)
        note(mark, f"{text[:1].upper()}{text[1:]}".rstrip(".") + ".", indent=indent)
        if problem.row.hint and problem.row.hint not in hints:
            hints.append(problem.row.hint)
    for hint in hints:
        note(StatusMark.NEXT, hint, indent=indent)


def print_wrapped(out: Console, head: Text, words: Text) -> None:
    """Print words after `head`, further lines indented. A command between backticks is not broken, so that it
    can be copied."""
    width = max(20, out.width - head.cell_len)
    begin, end, lines = 0, 0, []
    for token in re.finditer(r"\S*`[^`]*`\S*|\S+", words.plain):
        if end and token.end() - begin > width:
            lines.append(words[begin:end])
            begin = token.start()
        end = token.end()
    lines.append(words[begin:end])
    for line in lines:
        out.print(head + line, soft_wrap=True)
        head = styled(" " * head.cell_len)


def failure(what: str, hint: str = "", problems: Iterable[str] = ()) -> None:
    """Print what happened, why, and how to fix it, on stderr."""
    out = console(stderr=True)
    whole = not out.is_terminal
    out.print(styled(("Error: ", f"bold {BAD}"), one_line(what)), soft_wrap=whole)
    for problem in problems:
        out.print(styled("  - ", one_line(problem)), soft_wrap=whole)
    if hint:
        note(StatusMark.NEXT, hint, stderr=True)


def table(*columns: str, right: Sequence[int] = (), fixed: Sequence[int] = ()) -> Table:
    """A table with a line below its header only. `right` are right-aligned columns, `fixed` those that must
    not be wrapped."""
    from rich import box
    from rich.table import Table

    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for at, column in enumerate(columns):
        justify = "right" if at in right else "left"
        made.add_column(column, justify=justify, no_wrap=at in fixed, overflow="fold")  # type: ignore[arg-type]
    return made


def rows(out: Console, under: Mapping[str, Sequence[Sequence[str]]], *, style: str = "cyan") -> None:
    """Print rows grouped under a heading, all in the same columns, so that a long reason is printed once."""
    widths = [max(map(len, column)) for column in zip(*chain(*under.values()), strict=True)]
    for head, lines in under.items():
        print_wrapped(out, styled(""), styled((f"{head} ({len(lines):,})", style)))
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            out.print(f"  {'  '.join(cells).rstrip()}", soft_wrap=True)


def with_side_name(warning: str) -> str:
    """An engine warning (`dotdigital: …`) with the side's display name."""
    side, colon, words = warning.partition(": ")
    if not colon or side not in SIDES:
        return warning
    return words if SIDES[side] in words else f"{SIDES[side]}: {words}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 hold`, `2 holds`, `1,234 people`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def join_words(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def format_time(at: datetime | str | None) -> str:
    """A time in UTC, to the second."""
    if at is None:
        return "no date"
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def format_duration(seconds: float) -> str:
    """A duration with its unit."""
    if seconds < 0:
        return "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


class _Steps:
    """The engine's steps as bars, one visible at a time. Called from several threads."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._unbounded: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, step: str, done: int, total: int | None = None) -> None:
        with self._lock:
            if step not in self._tasks:
                self._tasks[step] = self._bars.add_task(step, total=None, of="")
            for name, task in self._tasks.items():
                if name != step:
                    self._bars.update(task, visible=False)
            if total is not None and done > total and step not in self._unbounded:
                self._unbounded.add(step)  # there is more than the side said: its total tells nothing
                self._bars.remove_task(self._tasks[step])
                self._tasks[step] = self._bars.add_task(step, total=None, of="")
            total = None if step in self._unbounded else total
            of = "" if total is None else f"of {total:,}"
            self._bars.update(self._tasks[step], completed=done, total=total, of=of, visible=True)


@contextmanager
def show_progress() -> Iterator[Progress]:
    """The progress callback to pass to the engine."""
    from bridge.engine.context import silent

    if not sys.stderr.isatty():
        yield silent
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}"),
        TextColumn("{task.fields[of]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        yield _Steps(bars)
