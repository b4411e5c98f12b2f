"""Progress of a long run, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from bridge.cli.output import _Steps, show_progress
from bridge.engine.context import silent


def test_a_bar_shows_rows_of_the_total_where_the_side_gives_one() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} {task.fields[of]}"))
    bars = Progress(*columns, console=console)
    steps = _Steps(bars)
    shown = []
    for done, total in ((0, None), (1000, 100_000), (2000, 100_000)):
        steps("reading everybody", done, total)
        (task,) = bars.tasks
        shown.append((task.completed, task.total, task.fields["of"]))
    assert shown == [(0, None, ""), (1000, 100_000, "of 100,000"), (2000, 100_000, "of 100,000")]


def test_a_total_that_was_passed_is_shown_no_longer() -> None:
    """A bar at 100 % that goes on, or "500 of 302", tells nothing."""
    bars = Progress(console=Console(file=io.StringIO(), force_terminal=True))
    steps = _Steps(bars)
    for done in (100, 302, 500, 900):
        steps("reading everybody", done, 302)
    (task,) = bars.tasks
    assert (task.completed, task.total, task.fields["of"]) == (900, None, "")


def test_nothing_is_drawn_where_the_output_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with show_progress() as progress:
        assert progress is silent
