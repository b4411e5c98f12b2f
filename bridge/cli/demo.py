"""`bridge sandbox`, both services emulated to try a mapping or a policy against, and `bridge demo`, a
complete sync between them with no setup. Nothing leaves this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli import demo_report
from bridge.cli.demo_report import DemoResult
from bridge.cli.options import IgnoredConfig, Json
from bridge.cli.output import plural, print_json
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.engine.report import Report
    from bridge.sandbox.compare import Comparison
    from bridge.sandbox.population import Population
    from bridge.sandbox.world import World
    from bridge.settings import Settings

People = Annotated[
    int, typer.Option("--people", metavar="N", min=20, max=100_000, help="How many people to create.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="Seed for the people and their changes.")]
Port = Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0: any free port.")]


def sandbox(
    people: People = 200,
    seed: Seed = 1,
    mypreferences_port: Port = 0,
    dotdigital_port: Port = 0,
    config: IgnoredConfig = None,
) -> int:
    """Emulate both services with test people on loopback, until Ctrl-C."""
    from bridge.sandbox.serve import serve

    del config
    try:
        return serve(people, seed, mypreferences_port, dotdigital_port, sys.stdout)
    except OSError as error:
        raise ConfigError(
            f"The sandbox cannot use this port: {error.strerror}.", hint="Choose other ports, or give none."
        ) from None


_DEMO_SETTINGS = {
    "BRIDGE_MYPREFERENCES__RATE": "1000",  # requests per second; the emulated service sets no limit
    "BRIDGE_POLL_SECONDS": "5",
    "BRIDGE_WEB__PORT": "0",
}


def demo(
    people: People = 200,
    seed: Seed = 1,
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep both services and the daemon running until Ctrl-C.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep the state DB in this folder."),
    ] = None,
    config: IgnoredConfig = None,
    json: Json = False,
) -> int:
    """Try a complete sync: emulated services, test people, real HTTP."""
    from bridge.app import App, Options
    from bridge.sandbox.population import Population
    from bridge.sandbox.world import World

    del config
    began = time.monotonic()
    with _state_folder(keep) as folder, World(people, seed) as world:
        settings = _settings(world, folder)
        options = Options(clock=world.clock.now, export_poll=0.05, import_poll=0.05)
        with App(settings, options) as app:
            population = Population(world, seed)
            result = _run_demo(app, world, population, began)
            if json:
                print_json(result.shown())
            else:
                demo_report.print_demo(result, kept=folder if keep else None, serve=serve)
            if serve:
                return _serve(app, world, population, json=json)
    return result.exit_code


def example_mapping() -> Path:
    """The example mapping: inside the installed package, or beside it in a checkout."""
    from importlib import resources

    package = Path(str(resources.files("bridge")))
    inside = package / "_mappings" / "bridge.toml"
    return inside if inside.is_file() else package.parent / "mappings" / "bridge.toml"


@contextmanager
def _state_folder(keep: Path | None) -> Iterator[Path]:
    import tempfile

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="bridge-demo-") as made:
            yield Path(made)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot create {keep}: {error.strerror}.", hint="Choose another folder.") from None
    if (keep / "bridge.db").exists():
        raise ConfigError(f"{keep} already holds a state DB.", hint="Choose a new folder.")
    yield keep


def _settings(world: World, folder: Path) -> Settings:
    """The demo's own settings; the operator's settings are neither read nor changed."""
    from bridge.settings import load

    flags = {"database_url": f"sqlite:///{folder / 'bridge.db'}", "mapping": example_mapping()}
    return load(None, environ={**world.settings(), **_DEMO_SETTINGS}, flags=flags)


def _run_demo(app: App, world: World, population: Population, began: float) -> DemoResult:
    from bridge.cli.output import show_progress

    with show_progress() as progress:
        progress("creating people", 0)
        population.create()
        first = _run_once(app, progress)
        progress("people make changes", 0)
        acts = population.act()
        second = _run_once(app, progress)
        again = _run_once(app, progress)
        progress("comparing both services", 0)
        agreement = _compare(app, world)
    result = DemoResult(
        world.people, world.seed, first, acts, second, again, agreement, time.monotonic() - began
    )
    _add_decisions(app, result)
    return result


def _run_once(app: App, progress: Any) -> Report:
    from bridge.cli.db import writing
    from bridge.engine.run import run_once

    with writing(app.lease()) as heartbeat:
        return run_once(app.services(progress=progress, heartbeat=heartbeat), app.writers())


def _compare(app: App, world: World) -> Comparison:
    """Compare both services by a check that shares only the mapping with the bridge."""
    from bridge.core.mapping import ConsentRef, FilterRef
    from bridge.sandbox.compare import compare
    from bridge.sandbox.vendor_reads import (
        ConsentOf,
        DotdigitalAccess,
        FilterOf,
        MyPreferencesAccess,
        Source,
        TopicPair,
    )

    def source(ref: FilterRef | ConsentRef | None) -> Source | None:
        match ref:
            case FilterRef():
                return FilterOf(ref.filter, ref.email_type)
            case ConsentRef():
                return ConsentOf(ref.consent, ref.version, ref.locale)
        return None

    pairs = [
        TopicPair(topic.id, made, topic.preferences)
        for topic in app.mapping.topics
        if (made := source(topic.source)) is not None
    ]
    where = world.settings()
    mypreferences, dotdigital = MyPreferencesAccess.of(where), DotdigitalAccess.of(where)
    return compare(mypreferences, dotdigital, pairs, source(app.mapping.channel.source))


def _add_decisions(app: App, result: DemoResult) -> None:
    """Add to the result what the ledger says about the run that synced the changes."""
    from bridge.core.model import PersonId, mask

    run = result.reconcile.run
    entries = app.store.ledger.export()
    result.decided = [one for one in entries if one["run"] == run and one["kind"] == "decided"]
    people = app.store.people.get_many(list({PersonId(one["person"]) for one in result.decided}))
    result.names = {who.person: mask(who.address) for who in people}


def _serve(app: App, world: World, population: Population, *, json: bool) -> int:
    """Keep both services up, let people act on request, and run the daemon."""
    import threading
    from dataclasses import asdict

    from bridge.daemon.daemon import Daemon

    lock = threading.Lock()

    def act(count: int) -> list[dict[str, Any]]:
        with lock:
            done = population.act(count, pause=0)
            _announce(f"{plural(len(done), 'change')}, for the bridge to carry over:", to_stderr=json)
            for one in done:
                _announce(demo_report.act_line(one.side, one.person, one.topic, one.words), to_stderr=json)
            return [asdict(one) for one in done]

    world.acting = act
    database = Path(app.settings.database_url.partition(":///")[2])
    demo_report.print_serving(world.mypreferences_url, world.dotdigital_url, database, stderr=json)
    return Daemon(app, announce=lambda line: _announce(line, to_stderr=json)).run()


def _announce(line: str, *, to_stderr: bool) -> None:
    out = sys.stderr if to_stderr else sys.stdout
    with suppress(OSError, ValueError):  # nobody reads it any more
        out.write(f"{line}\n")
        out.flush()
