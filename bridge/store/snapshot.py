"""Copies of the state DB: a private one to plan on while another process writes to it, backups, and putting
one back in its place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from bridge.core.clocks import Clock
from bridge.core.erasure import ErasureSettings
from bridge.core.errors import ConfigError, StateDbBusy, StateDbError
from bridge.store import tables as t
from bridge.store.engine import file_of, is_in_memory, make_engine
from bridge.store.lease import is_gone, this_process
from bridge.store.ledger_check import Verified
from bridge.store.migrate import check, refuse_newer, require_current, state_of, upgrade
from bridge.store.store import Store

_ROWS = 1000  # copied at a time
_BESIDE = ("", "-wal", "-shm")  # the files of an SQLite database
_TURN = timedelta(minutes=2)


def copy_state(url: str, target: Path) -> str:
    """Copy the state DB into a new SQLite file, as it is at one moment, with no lease on it. Where
    there is no state DB yet, the copy is a new one. Returns the file's URL. Raises ConfigError where it
    cannot be read, and SchemaOutOfDate."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    source = file_of(url)
    if source is not None and source.exists():
        _copy_file(source, target)
    elif source is None and not is_in_memory(url):
        upgrade(url_of(target))
        _copy_rows(url, url_of(target))
    return url_of(target)


def url_of(file: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{file}"


def _copy_file(source: Path, target: Path) -> None:
    mode = "mode=ro" if os.access(source.parent, os.W_OK) else "immutable=1"  # no journal can be made there
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source.absolute()))}?{mode}", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
            writing.execute(f"DELETE FROM {t.lease.name}")  # noqa: S608 - a name of ours
            writing.commit()
            writing.execute("PRAGMA journal_mode = delete")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise ConfigError(
            f"The state DB {source.absolute()} cannot be copied: {error}.", hint="See `bridge db check`."
        ) from None


def _copy_rows(url: str, copied: str) -> None:
    reading, writing = make_engine(url, read_only=True), make_engine(copied)
    try:
        require_current(state_of(reading))
        with (
            reading.connect().execution_options(isolation_level="REPEATABLE READ") as source,
            writing.begin() as target,
        ):
            for table in t.metadata.sorted_tables:
                if table is t.lease:
                    continue
                target.execute(sa.delete(table))  # a new schema has rows of its own
                rows = source.execution_options(yield_per=_ROWS).execute(sa.select(table))
                for some in rows.mappings().partitions():
                    target.execute(sa.insert(table), [dict(row) for row in some])
    finally:
        reading.dispose()
        writing.dispose()


# backups


@dataclass(frozen=True, slots=True)
class BackupContent:
    """What a backup holds: its schema, its ledger, and the newest of the bridge's own times in it."""

    schema: str | None
    ledger: Verified
    newest: datetime | None


@contextmanager
def verified_copy(
    backup: Path, folder: Path, clock: Clock, erasing: ErasureSettings
) -> Iterator[tuple[Path, BackupContent]]:
    """A copy of a backup in this folder, its schema up to date, and what it holds. It is removed at the end
    if it is still there; the backup itself stays as it is. Raises StateDbError where it is damaged or no
    state DB, SchemaOutOfDate where a later version made it, LedgerBroken where its ledger is not intact."""
    copy = folder / f".{backup.name}.{os.getpid()}"
    try:
        schema = check(url_of(backup))
        refuse_newer(schema)
        if schema.current is None:
            raise StateDbError(
                f"{backup} holds no state DB.", hint="Name a file that `bridge db backup` made."
            )
        copy_state(url_of(backup), copy)
        _require_sound(copy, backup)
        with Store.open(url_of(copy), clock, erasing=erasing) as store:
            content = BackupContent(schema.current, store.ledger.verify(), store.newest())
        yield copy, content
    finally:
        for suffix in _BESIDE:
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _require_sound(copy: Path, backup: Path) -> None:
    """Raises StateDbError for a damaged file."""
    with closing(sqlite3.connect(copy)) as opened:
        try:
            (found,) = opened.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise StateDbError(f"{backup} is damaged: {found}.", hint="Use another backup.")


def put_in_place(copy: Path, target: Path, clock: Clock) -> Path | None:
    """Put a copy in the place of the state DB, and keep the file that was there beside it. Returns its path;
    None where there was none. Raises LeaseHeld while another process has the lease."""
    kept = None
    if target.exists():
        kept = target.with_name(f"{target.name}.replaced-{clock():%Y%m%d-%H%M%S}")
        _take_for_good(target, clock)
        for suffix in _BESIDE:
            with suppress(FileNotFoundError):
                target.with_name(target.name + suffix).rename(kept.with_name(kept.name + suffix))
    with closing(sqlite3.connect(copy)) as opened:
        opened.execute("PRAGMA journal_mode = delete")
    copy.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return kept


def _take_for_good(target: Path, clock: Clock) -> None:
    """Take the lease and never give it back: nobody begins to work with a file that is about to be moved. A
    file that cannot be read has no lease."""
    try:
        store = Store.open(url_of(target), clock)
    except StateDbBusy:
        raise
    except ConfigError:
        return
    with store:
        store.lease(owner=str(this_process()), ttl=_TURN, is_gone=is_gone).__enter__()
