from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn.server

from tests.daemon.harness import Running, ScriptedRunner

Start = Callable[..., Running]


class _ShortPauses:
    """`asyncio`, with pauses of a twentieth."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)


@pytest.fixture(autouse=True, scope="session")
def servers_stop_at_once() -> Iterator[None]:
    """uvicorn checks every 0.1 s whether it should end, then waits 0.1 s more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _ShortPauses())
        yield


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
