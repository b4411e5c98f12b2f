"""Two ways to type commands: in this process, and as a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_town import EXAMPLE, Call, Said, Town, command, environment

from bridge.cli.entry import run
from bridge.sandbox.world import World


@pytest.fixture
def town() -> Iterator[Town]:
    with World(20, 1) as world:
        yield Town(world)


@pytest.fixture
def settings(town: Town, tmp_path: Path) -> dict[str, str]:
    """Points a bridge at the town. Without a segment, so that no run waits for an export."""
    given = town.world.settings() | {
        "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'bridge.db'}",
        "BRIDGE_MAPPING": str(EXAMPLE),
        "BRIDGE_MYPREFERENCES__RATE": "1000",
    }
    del given["BRIDGE_MYPREFERENCES__SEGMENT"]
    return given


@pytest.fixture
def call(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Type a command in this process."""
    monkeypatch.setenv("COLUMNS", "80")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def typed(*args: str | Path, **changed: str) -> Said:
        for name, value in changed.items():
            monkeypatch.setenv(f"BRIDGE_{name}", value)
        capsys.readouterr()
        try:
            code = run([str(arg) for arg in args])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return typed


@pytest.fixture
def process(settings: dict[str, str]) -> Call:
    """Type a command as a process of its own."""

    def typed(*args: str | Path, **more: str) -> Said:
        done = subprocess.run(
            command(*args),
            env=environment(settings, **more),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return typed
