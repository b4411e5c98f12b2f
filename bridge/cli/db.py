"""The state DB: opening it read-only, or as the one process that writes; and `bridge db`, its schema."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import ExitCode, StatusMark, note, print_json
from bridge.core.errors import LeaseHeld

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.core.erasure import ErasureKey
    from bridge.settings import Settings
    from bridge.store import Lease, Store
    from bridge.store.migrate import SchemaState

TURN_PAUSE = 0.3  # seconds between tries to take the lease
RENEW_SECONDS = 15.0  # between renewals of the lease while a step takes long
NO_PROGRESS = timedelta(minutes=15)  # after which a command that hangs loses its lease


def upgrade(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Bring the schema up to date. Safe to repeat.

    Names what differs afterwards: exit code 2."""
    from bridge.store.migrate import upgrade as upgrade_schema

    url = settings_from(config, database_url).database_url
    return _report(upgrade_schema(url), url, json=json)


def check(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Check whether the schema is up to date and whole; exit code 2 if not."""
    from bridge.store.engine import file_of
    from bridge.store.migrate import check as check_schema

    url = settings_from(config, database_url).database_url
    path, state = file_of(url), check_schema(url)
    if path is not None and not path.exists() and not json:
        note(StatusMark.WARN, f"There is no state DB at {path}.")
    return _report(state, url, json=json)


def adopt(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Let the next run link this DB to the accounts in the settings.

    For the same accounts under new settings, for example another URL.
    """
    from bridge.core.model import Side

    with opened(settings_from(config, database_url)) as store:
        before = {side.value: store.facts.account(side) for side in Side}
        for side in Side:
            store.facts.set_account(side, None)
    if json:
        print_json({"was": before})
        return 0
    for name, known in before.items():
        note(StatusMark.GOOD, f"{name}: no longer linked to {known or 'any account'}.")
    note(
        StatusMark.NEXT,
        "The next run links this database to the accounts in your settings. Check that they are the same.",
    )
    return 0


def _report(state: SchemaState, url: str, *, json: bool) -> int:
    """Print the state of the schema, and what differs from it in the state DB. Returns the exit code."""
    from bridge.store.schema_check import differences

    found = differences(url) if state.up_to_date else []
    _print(state, found, json=json)
    return 0 if state.up_to_date and not found else ExitCode.INVALID


def _print(state: SchemaState, found: list[str], *, json: bool) -> None:
    if json:
        shown = {"current": state.current, "head": state.head, "up_to_date": state.up_to_date}
        print_json(shown | {"differences": found})
        return
    if found:
        note(StatusMark.BAD, f"The schema calls itself {state.current}, and differs from it:")
        for one in found:
            note(StatusMark.BAD, f"  {one}")
        note(
            StatusMark.NEXT,
            "It was changed by hand, or made by an unreleased version: restore a backup, or begin a new one.",
        )
        return
    if state.up_to_date:
        note(StatusMark.GOOD, f"The schema is up to date ({state.head}).")
        return
    has = "no schema yet" if state.current is None else f"schema {state.current}"
    note(StatusMark.WARN, f"The state DB has {has}; this program needs {state.head}.")
    if state.is_newer:
        note(StatusMark.NEXT, "A newer version of the bridge made it. Install that version again.")
    else:
        note(StatusMark.NEXT, "Run `bridge db upgrade`.")


def now() -> datetime:
    """The bridge's own clock."""
    return datetime.now(UTC)


@contextmanager
def reading(settings: Settings, key: ErasureKey | None = None) -> Iterator[Store]:
    """The state DB, read-only. With `key` it can tell erased people."""
    from bridge.core.erasure import ErasureSettings
    from bridge.settings.load import key_of
    from bridge.store import Store

    key = key or key_of(settings)
    erasing, file = ErasureSettings(key), settings.ledger_head_file
    with Store.reader(settings.database_url, now, erasing=erasing, head_file=file) as store:
        yield store


def is_taken(settings: Settings) -> str:
    """Why this process may not write to the state DB, as the beginning of a sentence; empty where it may."""
    from bridge.store import Store
    from bridge.store.engine import file_of
    from bridge.store.lease import is_gone, shown_owner

    file = file_of(settings.database_url)
    if file is not None and not file.exists():
        return ""
    if file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return "this user cannot write to"
    with Store.reader(settings.database_url, now) as store:
        holder = store.lease_holder()
    return f"{shown_owner(holder[0])} writes to" if holder and not is_gone(holder[0]) else ""


@contextmanager
def private_copy(settings: Settings) -> Iterator[Settings]:
    """The settings with a copy of the state DB, or with an empty one where there is none, which is removed at
    the end: a dry run stores nothing. The key of erasure markers goes with it."""
    import shutil
    import tempfile

    from bridge.settings.load import key_file
    from bridge.store.snapshot import copy_state

    with tempfile.TemporaryDirectory(prefix="bridge-plan-") as folder:
        url = copy_state(settings.database_url, Path(folder) / "bridge.db")
        copied = settings.model_copy(update={"database_url": url})
        key, beside = key_file(settings), key_file(copied)
        if key is not None and beside is not None and key.exists():
            shutil.copy(key, beside)
        yield copied


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The state DB, writable, for commands that call neither side and need no lease. Never created here."""
    from bridge.core.erasure import ErasureSettings
    from bridge.settings.load import key_of
    from bridge.store import Store
    from bridge.store.engine import require_present

    require_present(settings.database_url)
    erasing, file = ErasureSettings(key_of(settings)), settings.ledger_head_file
    with Store.open(settings.database_url, now, erasing=erasing, head_file=file) as store, checked(store):
        yield store


@contextmanager
def checked(store: Store) -> Iterator[None]:
    """Check the head of the ledger before something is written, and publish it after."""
    from bridge.engine.ledger_guard import check_head
    from bridge.engine.sync_facts import ledger_problems

    check_head(store)
    yield
    if not ledger_problems(store) and (why := store.ledger.publish()):
        note(StatusMark.WARN, why, stderr=True)


@contextmanager
def writing(lease: Lease) -> Iterator[Callable[[], None]]:
    """Hold the lease. Yields the heartbeat to call as work makes progress. Raises LeaseHeld, and SystemExit
    on SIGTERM, so that the lease is released."""
    from bridge.daemon.liveness import Heartbeat, LeaseRenewer

    heartbeat = Heartbeat(NO_PROGRESS, time.monotonic)
    heartbeat.beat()
    renewer = LeaseRenewer(lease=lease, heartbeat=heartbeat, lost=lambda: None, every=RENEW_SECONDS)
    with _exit_on_sigterm(), lease:
        renewer.start()
        try:
            yield renewer.beat
        finally:
            renewer.stop()


@contextmanager
def in_turn(app: App, *, patience: float) -> Iterator[Callable[[], None]]:
    """As `writing`, but wait for the process that has the lease, `patience` seconds at most. A daemon gives
    way between two runs. Raises LeaseHeld."""
    from bridge.store.lease import this_process

    me = str(this_process())
    with ExitStack() as held:
        try:
            heartbeat = _take(app, held, me, time.monotonic() + patience)
        finally:
            app.store.turns.withdraw(me)
        with checked(app.store):
            yield heartbeat


def _take(app: App, held: ExitStack, me: str, until: float) -> Callable[[], None]:
    waits = False
    while True:
        try:
            return held.enter_context(writing(app.lease()))
        except LeaseHeld:
            if time.monotonic() >= until:
                raise
        holder = app.store.lease_holder()
        if holder is not None and not waits:
            name = holder[0].partition(" [")[0]
            note(StatusMark.NEXT, f"Waiting until {name} gives way (Ctrl-C ends this).", stderr=True)
            waits = True
        app.store.turns.ask(me)
        time.sleep(TURN_PAUSE)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    def exit_process(*_: object) -> NoReturn:
        raise SystemExit(ExitCode.TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, exit_process)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
