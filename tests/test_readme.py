"""The README is correct: its commands work in the order given, and its tables match the code."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bridge.cli import main
from bridge.cli.entry import run
from bridge.core.errors import BridgeError, ConfigError, LeaseHeld, SideError
from bridge.sandbox.world import World
from bridge.settings import load
from tests.forked import ForkedProcess
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DONE, WAITS = 0, 3
NOT_YET = "What it does not do yet"
EXIT_CODES = {
    0: "done",
    1: "unexpected error",
    2: "usage, settings, mapping or state DB; an outdated plan or schema",
    3: "finished, and something waits",
    4: "a brake stopped the run",
    5: "a side could not be reached, refused the sign-in, or was not read to its end",
    6: "another process writes to the state DB",
}
NEWS, ASKED_FOR = "NEWS_EMAIL", 1002


def shell_commands() -> list[str]:
    """Every line of the README's shell blocks, without its comment."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^\1```$", README, flags=re.MULTILINE | re.DOTALL)
    lines = (line.partition(" #")[0].strip() for _, block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def section(title: str) -> str:
    """The text below a heading."""
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def recipe(target: str) -> str:
    """What `make` runs for a target, in this environment; empty for one that only needs others."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", MAKEFILE, flags=re.MULTILINE)
    assert found is not None, f"the Makefile has no target {target}"
    return found[1].strip().lstrip("@").replace("$(BIN)/python", sys.executable)


def targets(text: str) -> set[str]:
    """What is typed behind `make`, between backticks or at the beginning of a line."""
    return set(re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE))


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**plain, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **settings}


def start(args: list[str], settings: Mapping[str, str], folder: Path) -> ForkedProcess:
    """`bridge` with these arguments, as a process of its own in `folder`."""
    return ForkedProcess(main, args, environ=environment(settings), folder=folder)


def add_person(world: World, address: str, *, mine: bool, theirs: bool | None) -> None:
    """Adds a person with a newsletter choice at each side; `theirs` None is no choice."""
    said = datetime.now(UTC) - timedelta(days=30)
    choice = ("opted_in" if mine else "opted_out", said, None)
    rows = {} if theirs is None else {ASKED_FOR: (theirs, said - timedelta(days=1))}
    world.mypreferences.add_profile([("Primary", address)], preferences={NEWS: choice})
    world.dotdigital.add_contact(address, opt_ins=rows)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Points a bridge at two services with three people: one withdrew, one is agreed on, one to be held."""
    with World(20, 1) as world:
        add_person(world, "ada@example.com", mine=False, theirs=True)
        add_person(world, "ben@example.com", mine=True, theirs=True)
        add_person(world, "cora@example.com", mine=True, theirs=None)
        given = world.settings() | {
            "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'bridge.db'}",
            "BRIDGE_MAPPING": str(ROOT / "mappings" / "bridge.toml"),
            "BRIDGE_MYPREFERENCES__RATE": "1000",
            "BRIDGE_WEB__PORT": "0",
        }
        del given["BRIDGE_MYPREFERENCES__SEGMENT"]  # no run waits for an export
        yield given


def answers(url: str) -> int:
    return httpx.get(url, timeout=PATIENCE, trust_env=False).status_code


def runs_and_ends_cleanly(args: list[str], settings: Mapping[str, str], folder: Path) -> None:
    """Start the daemon, see it ready, end it as a service manager does."""
    process = start(args, settings, folder)
    try:
        found = re.search(r"http://[\d.]+:\d+", process.first_line())
        assert found is not None, process.out
        wait_until(lambda: answers(f"{found[0]}/readyz") == 200, "the daemon is ready")
        assert answers(f"{found[0]}/healthz") == 200
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
    finally:
        process.close()


def test_every_command_of_the_readme_is_one_that_is_tried_here() -> None:
    first_words = {command.split()[0] for command in shell_commands()}
    assert first_words == {"make", "bridge"}
    assert "bridge explain ada@example.com" in shell_commands()


@pytest.mark.slow
def test_the_bridge_commands_of_the_readme_work_in_their_order(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Exit code 3 is expected too: one person is held, until `--approve-raises` lets them through."""
    codes: dict[str, int] = {}
    for command in shell_commands():
        name, *args = shlex.split(command)
        if name != "bridge":
            continue
        if args == ["run"]:
            runs_and_ends_cleanly(args, settings, tmp_path)
            continue
        process = start(args, settings, tmp_path)
        codes[command] = process.ended()
        said = "\n".join([command, *process.out, *process.err])
        assert codes[command] in (DONE, WAITS), said
        assert "Error" not in "\n".join(process.err), said
    assert codes["bridge reconcile"] == WAITS, "the first run holds an opt-in"
    assert codes["bridge reconcile --approve-raises"] == DONE
    assert codes["bridge status"] == DONE


@pytest.mark.slow
def test_make_demo_shows_both_sides_agreeing(tmp_path: Path) -> None:
    assert "make demo" in shell_commands()
    done = subprocess.run(
        shlex.split(recipe("demo")),
        env=environment({}),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == DONE, done.stderr
    assert "Both sides agree" in done.stdout


def test_every_make_target_that_is_named_exists() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in targets(README) | targets(contributing) | {"demo", "test", "install"}:
        recipe(target)
    for named in re.findall(r"tests/\S+\.py", MAKEFILE):
        assert (ROOT / named).is_file(), f"the Makefile names {named}"


def test_ci_runs_exactly_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    commands = [line for line in lines if not line.startswith(("set ", "cd "))]
    assert commands == [command for command in shell_commands() if command == "make test"]
    assert "-m pytest" in recipe("test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_place_that_is_named_exists() -> None:
    column = [row.split("|")[1] for row in section("Where things live").splitlines() if row.startswith("|")]
    places = re.findall(r"`([^`]+)`", " ".join(column))
    places += re.findall(r"`((?:config|mappings)/[^`]+)`", README)
    places += re.findall(r"\]\(([^):]+)\)", README)
    assert len(places) > 15
    assert [place for place in places if not (ROOT / place).exists()] == []
    packages = {f"bridge/{one.parent.name}/" for one in (ROOT / "bridge").glob("*/__init__.py")}
    assert packages - set(places) == set(), "packages that the table leaves out"


def test_the_exit_codes_are_those_that_scripts_may_rely_on() -> None:
    rows = dict(re.findall(r"^\| (\d) \| (.*?) \|$", section("Operating it"), flags=re.MULTILINE))
    documented = {int(code): words.partition(":")[0] for code, words in rows.items()}
    assert documented == EXIT_CODES
    assert (BridgeError.exit_code, ConfigError.exit_code, SideError.exit_code) == (1, 2, 5)
    assert LeaseHeld.exit_code == 6


def test_every_command_in_the_text_exists_and_what_is_not_there_yet_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    later = set(re.findall(r"`bridge ([a-z ]+)`", section(NOT_YET)))
    text = " ".join(README.replace(section(NOT_YET), "").split())
    for words in set(re.findall(r"`bridge ((?:[a-z]+ ?)+)`", text)):
        assert run([*words.split(), "--help"]) == 0, f"bridge {words}"
    for words in later:
        assert run([*words.split(), "--help"]) == 2, f"`bridge {words}` is there: {NOT_YET!r} is out of date"
    capsys.readouterr()


def test_the_port_the_readme_names_is_the_default() -> None:
    web = load(None, environ={}).web
    assert f"{web.host}, port {web.port}" in README
