from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Running, ScriptedRunner

Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons with conducted runs, and ends those that still run."""
    started: list[Running] = []

    def begin(runner: ScriptedRunner | None = None, **more: Any) -> Running:
        running = Running(tmp_path, runner or ScriptedRunner(), **more)
        started.append(running)
        return running.up()

    yield begin
    for running in started:
        running.end()
