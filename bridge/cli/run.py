"""`bridge run`, the daemon, and `bridge reconcile`, one run."""

from __future__ import annotations

import logging
from typing import Annotated

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


def run(config: Config = None) -> int:
    """Run as a daemon: poll, sweep nightly, serve health over HTTP.

    Stops cleanly on SIGTERM or Ctrl-C, after the current run."""
    settings = settings_from(config)

    from bridge.app import App
    from bridge.daemon.daemon import Daemon
    from bridge.logs import configure

    # The log goes to stderr: JSON lines, or columns on a terminal.
    debug = logging.getLogger().isEnabledFor(logging.DEBUG)  # --debug was given
    configure("debug" if debug else "info")
    for library in ("apscheduler", "alembic"):  # they log every scheduled call and every start
        logging.getLogger(library).setLevel(logging.WARNING)
    with App(settings) as app:
        return Daemon(app).run()


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
    from bridge.cli.output import show_progress
    from bridge.cli.report import print_report

    with App(settings) as app, writing(app.lease()) as heartbeat, show_progress() as progress:
        report = run_once(app.services(progress=progress, heartbeat=heartbeat), app.writers(), options)
    return print_report(report, json=json)
