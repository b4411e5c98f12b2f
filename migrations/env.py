"""Runs migrations on the connection that `bridge.store.migrate` passes in, inside its transaction."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

_LOCK = 7_305_440_611  # any fixed number: of several upgrades at once, the others wait for the first


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("migrations are run by `bridge db upgrade`, not by the alembic command")
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    context.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


run()
