"""`bridge run`, the daemon, and `bridge reconcile`, one run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.options import (
    ApproveMapping,
    ApproveRaises,
    Config,
    DatabaseUrl,
    Full,
    Json,
    MappingFile,
    settings_from,
)

if TYPE_CHECKING:
    from bridge.settings import Settings


def run(config: Config = None) -> int:
    """Run as a daemon: poll, sweep nightly, serve health over HTTP.

    Stops cleanly on SIGTERM or Ctrl-C, after the current run. SIGHUP reloads settings and secrets."""
    settings = settings_from(config)

    from bridge.daemon.service import Service
    from bridge.logs import finish

    debug = logging.getLogger().isEnabledFor(logging.DEBUG)  # --debug was given
    try:
        return Service(
            settings, lambda: settings_from(config), apply=lambda new: _configure_logs(new, debug=debug)
        ).run()
    finally:
        finish()


def _configure_logs(settings: Settings, *, debug: bool) -> None:
    """The log goes to stderr: JSON lines, or columns on a terminal. The daemon never waits for its reader."""
    from bridge.logs import configure

    configure("debug" if debug else settings.log_level.value, buffered=True)
    for library in ("apscheduler", "alembic", "sqlalchemy", "asyncio"):  # they log every call
        logging.getLogger(library).setLevel(logging.WARNING)


def reconcile(
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    full: Full = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; same as `bridge plan`.")] = False,
    approve_raises: ApproveRaises = False,
    approve_mapping: ApproveMapping = False,
    json: Json = False,
) -> int:
    """Sync once: read, decide, write, verify; then exit."""
    from bridge.engine.run import RunOptions, run_once

    settings = settings_from(config, database_url, mapping)
    options = RunOptions(full=full, approve_raises=approve_raises, approve_mapping=approve_mapping)
    if dry_run:
        from bridge.cli.plan import run_plan

        return run_plan(settings, options, json=json)

    from bridge.app import App
    from bridge.cli.db import writing
    from bridge.cli.interrupt import explained
    from bridge.cli.output import keeping_code, show_progress
    from bridge.cli.report import print_report

    with (
        App(settings) as app,
        writing(app.lease()) as heartbeat,
        explained(app),
        show_progress() as progress,
    ):
        report = run_once(app.services(progress=progress, heartbeat=heartbeat), app.writers(), options)
    return keeping_code(report.exit_code, lambda: print_report(report, json=json))
