"""Run commands in this process, or as separate processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cli_world import EXAMPLE, Call, CliWorld, CommandResult, environment

from bridge import app
from bridge.app import Options
from bridge.cli import main
from bridge.cli.entry import run
from bridge.sandbox.world import World
from tests.forked import ForkedProcess, text


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """--debug configures logging for the whole process, to a stream that a test closes."""
    root = logging.getLogger()
    level, handlers = root.level, set(root.handlers)
    yield
    root.setLevel(level)
    for handler in set(root.handlers) - handlers:
        root.removeHandler(handler)


@pytest.fixture
def cli_world() -> Iterator[CliWorld]:
    with World(20, 1) as world:
        yield CliWorld(world)


@pytest.fixture
def settings(cli_world: CliWorld, tmp_path: Path) -> dict[str, str]:
    """Settings for both services. Without a segment, so that no run waits for an export."""
    given = cli_world.services.settings() | {
        "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'bridge.db'}",
        "BRIDGE_MAPPING": str(EXAMPLE),
        "BRIDGE_MYPREFERENCES__RATE": "1000",
    }
    del given["BRIDGE_MYPREFERENCES__SEGMENT"]
    return given


def _short_sleep(seconds: float) -> None:
    time.sleep(min(seconds, 0.01))


@pytest.fixture
def call(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run a command in this process. Its pauses between tries and between polls are short."""
    monkeypatch.setattr(
        app, "Options", partial(Options, sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
    )
    monkeypatch.setenv("COLUMNS", "80")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def run_command(*args: str | Path, **changed: str) -> CommandResult:
        for name, value in changed.items():
            monkeypatch.setenv(f"BRIDGE_{name}", value)
        capsys.readouterr()
        try:
            code = run([str(arg) for arg in args])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        printed = capsys.readouterr()
        return CommandResult(code, printed.out, printed.err)

    return run_command


@pytest.fixture
def process(settings: dict[str, str]) -> Call:
    """Run a command as a separate process."""

    def run_command(*args: str | Path, **more: str) -> CommandResult:
        done = ForkedProcess(main, args, environ=environment(settings, **more))
        return CommandResult(done.ended(), text(done.out), text(done.err))

    return run_command
