"""Progress bars on a terminal's stderr; nothing anywhere else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.cli.output import console

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from bridge.engine.context import Progress


class _Steps:
    """The engine's steps as bars, one visible at a time. Called from several threads."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __call__(self, step: str, done: int, total: int | None = None) -> None:
        with self._lock:
            if step not in self._tasks:
                self._tasks[step] = self._bars.add_task(step, total=None, of="")
            for name, task in self._tasks.items():
                if name != step:
                    self._bars.update(task, visible=False)
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
