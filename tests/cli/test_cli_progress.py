"""Progress of a long run, on a terminal and elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from bridge.cli.output import _Steps, show_progress
from bridge.core.model import Side
from bridge.engine.context import Writers, silent
from bridge.engine.run import RunOptions, run_once
from tests.engine.crash_world import CrashWorld
from tests.engine.world import IN, MINE, NEWS, OUT, THEIRS


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


def test_every_step_of_a_run_counts_up_to_its_total_and_waiting_for_a_job_is_a_step(tmp_path: Path) -> None:
    world = CrashWorld(tmp_path)
    people = [f"p{number}@example.com" for number in range(30)]
    for address in people:
        world.both(address, NEWS, IN)
    world.started()
    for side in Side:
        world.crash_side(side).bulk_from = 5
    for number, address in enumerate(people):
        world.say(MINE if number % 2 else THEIRS, address, NEWS, OUT)
    world.pass_time(minutes=1)
    shown: list[tuple[str, int, int | None]] = []
    services = replace(world.services(), progress=lambda *one: shown.append((*one, None)[:3]))
    assert run_once(services, Writers(world.sides), RunOptions(full=True)).written.writes == 30
    world.close()
    for step, some in groupby(shown, key=itemgetter(0)):
        rows = list(some)
        assert [done for _, done, _ in rows] == sorted(done for _, done, _ in rows), step
        assert all(total is None or done <= total for _, done, total in rows), step
    steps = list(dict.fromkeys(step for step, _, _ in shown))
    for side in Side:
        at = steps.index(f"sending many writes to {side}")
        assert f"reading back what was written to {side}" in steps[at:]
