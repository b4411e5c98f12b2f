"""`make bench` at a size that fits into the ordinary run: the same ratios hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import call_path, idle, reading, writing
from tests.bench.measure import MOST, Measured, shown
from tests.bench.snapshot import MOST_MEMORY, snapshot

JOBS: dict[str, Callable[[], Measured]] = {
    "idle": lambda: idle.runs(40, 10),
    "idle polls by v2": lambda: idle.polls(40, "v2 only", 10),
    "idle polls before v3 has shown anything": lambda: idle.polls(40, "v3 not shown", 10),
    "idle polls with v3": lambda: idle.polls(40, "v3 shown", 60),
    "idle polls in turns": lambda: idle.in_turns(200, 35),
    "changes of one preference": lambda: reading.changes(20_000, 1),
    "changes of many": lambda: reading.changes(3000, 20),
    "unsubscribes": lambda: reading.unsubscribes(2000),
    "writes of topics": lambda: writing.topics(6000),
    "writes of the channel": lambda: writing.unsubscribes(6000),
}

MOST_CODE = {"whole": (795, 102, 26), "steps": (480, 78, 23)}
"""Functions, files and nested frames of the path of one opt-out: to be lowered whenever it gets shorter.
A few functions more or less depend on how the rows fall into pages."""


@pytest.mark.parametrize("job", JOBS)
def test_a_job_takes_hardly_more_calls_than_it_must(job: str) -> None:
    measured = JOBS[job]()
    assert measured.good, shown([measured])


@pytest.mark.slow
def test_a_snapshot_takes_few_calls_and_little_memory_however_many_people_there_are() -> None:
    few, memory_of_few = snapshot(5000, 40, recorded=1000)
    many, memory_of_many = snapshot(20_000, 40, recorded=1000)
    assert few.calls <= 5000 // 5000 + 2
    assert many.calls <= 20_000 // 5000 + 2
    assert memory_of_many < MOST_MEMORY
    assert memory_of_many < memory_of_few * 1.25


def test_one_opt_out_passes_through_no_more_code_than_it_did(tmp_path: Path) -> None:
    whole, steps = call_path.measure(tmp_path)
    for name, path in (("whole", whole), ("steps", steps)):
        assert all(figure <= most for figure, most in zip(path.figures, MOST_CODE[name], strict=True)), (
            name,
            path.figures,
        )
    assert steps.functions.keys() <= whole.functions.keys()
    assert len(call_path.listing(steps).splitlines()) == steps.figures[0]
    assert f"{steps.figures[0]} functions" in call_path.table(steps)


def test_the_table_names_what_is_too_much() -> None:
    table = shown([Measured("a job", 11, 10, "a formula"), Measured("another", 1, 1, "")])
    assert f"MORE THAN {MOST}" in table
    assert table.count("MORE") == 1
