"""A private copy of the state DB, to plan on while another process writes to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from bridge.core.errors import ConfigError
from bridge.store import tables as t
from bridge.store.engine import make_engine
from bridge.store.migrate import upgrade

_ROWS = 1000  # copied at a time


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite state DB; None for any other."""
    scheme, _, path = url.partition(":///")
    return Path(path) if scheme.startswith("sqlite") and path not in ("", ":memory:") else None


def copy_state(url: str, target: Path) -> str:
    """Copy the state DB into a new SQLite file, as it is at one moment, with no lease on it. Returns the
    file's URL. Raises ConfigError where it cannot be read."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    copied = f"sqlite:///{target}"
    source = sqlite_file(url)
    if source is None:
        upgrade(copied)
        _copy_rows(url, copied)
    else:
        _copy_file(source, target)
    return copied


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
    except sqlite3.Error as error:
        raise ConfigError(
            f"The state DB {source.absolute()} cannot be copied: {error}.", hint="See `bridge db check`."
        ) from None


def _copy_rows(url: str, copied: str) -> None:
    reading, writing = make_engine(url, read_only=True), make_engine(copied)
    try:
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
