"""The schema's version: read with one query, brought up to date by Alembic, which is imported only then."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import sqlalchemy as sa

from bridge.core.errors import ConfigError, SchemaOutOfDate
from bridge.store.engine import READ_ONLY, file_of, make_engine

REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
)  # those it knows, the newest last
HEAD = REVISIONS[-1]


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The state DB's revision (None: it has no schema yet) and the one this program needs."""

    current: str | None
    head: str

    @property
    def up_to_date(self) -> bool:
        return self.current == self.head

    @property
    def is_newer(self) -> bool:
        """Whether a later version of the program made it."""
        return self.current is not None and self.current not in REVISIONS


def check(url: str) -> SchemaState:
    """Read the schema's revision, and create nothing. Raises StateDbError and ConfigError where the state DB
    cannot be reached."""
    path = file_of(url)
    if path is not None and not path.exists():
        return SchemaState(None, HEAD)
    engine = make_engine(url, read_only=True)
    try:
        return state_of(engine)
    finally:
        engine.dispose()


def upgrade(url: str) -> SchemaState:
    """Bring the schema up to date. Raises SchemaOutOfDate where it is newer than this program."""
    engine = make_engine(url)
    try:
        upgrade_engine(engine)
        return state_of(engine)
    finally:
        engine.dispose()


def state_of(engine: sa.Engine) -> SchemaState:
    """Read the schema's revision. Raises ConfigError where the state DB cannot be reached."""
    try:
        with engine.connect() as plain, plain.execution_options(**{READ_ONLY: True}) as conn:
            current = _revision(conn)
    except sa.exc.DatabaseError as error:
        raise _unreachable(error) from None
    return SchemaState(current, HEAD)


def _revision(conn: sa.Connection) -> str | None:
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    found = conn.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def upgrade_engine(engine: sa.Engine) -> None:
    """Run all missing revisions in one transaction. Of several processes at once, one does the work."""
    from alembic import command  # slow to import, and rarely needed
    from alembic.config import Config

    refuse_newer(state_of(engine))
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    try:
        with engine.begin() as conn:
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    except sa.exc.DatabaseError as error:
        raise _unreachable(error) from None


def refuse_newer(state: SchemaState) -> None:
    """Raises SchemaOutOfDate where a later version of the program made the schema."""
    if state.is_newer:
        raise SchemaOutOfDate(
            f"The state DB has schema {state.current}, which is newer than this program ({state.head}).",
            hint="Install the newer version of the bridge again, or restore a backup of the state DB.",
        )


def require_current(state: SchemaState) -> None:
    """Raises SchemaOutOfDate unless the schema is the one this program needs."""
    refuse_newer(state)
    if not state.up_to_date:
        has = "no schema yet" if state.current is None else f"schema {state.current}"
        raise SchemaOutOfDate(
            f"The state DB has {has}; this program needs {state.head}.", hint="Run `bridge db upgrade`."
        )


def scripts() -> Path:
    """The folder of the migrations: inside the package where it was installed, beside it in a checkout."""
    package = Path(str(resources.files("bridge")))
    inside = package / "_migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _unreachable(error: sa.exc.DatabaseError) -> ConfigError:
    words = str(error.orig).strip().splitlines()
    return ConfigError(
        f"The state DB cannot be opened: {words[0] if words else 'no reason given'}.",
        hint="Check BRIDGE_DATABASE_URL, and that its server runs and lets this user in.",
    )
