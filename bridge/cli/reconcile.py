"""`bridge reconcile`: one run."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.cli.options import ApproveRaises, Config, DatabaseUrl, Full, Json, MappingFile, settings_from


def reconcile(
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    full: Full = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; same as `bridge plan`.")] = False,
    approve_raises: ApproveRaises = False,
    json: Json = False,
) -> int:
    """Sync once: read, decide, write, verify; then exit."""
    from bridge.engine.run import RunOptions, run_once

    settings = settings_from(config, database_url, mapping)
    options = RunOptions(full=full, approve_raises=approve_raises)
    if dry_run:
        from bridge.cli.plan import run_plan

        return run_plan(settings, options, json=json)

    from bridge.app import App
    from bridge.cli.progress import show_progress
    from bridge.cli.report import print_report
    from bridge.cli.store_access import writing

    with App(settings) as app, writing(app.lease()) as heartbeat, show_progress() as progress:
        report = run_once(app.services(progress=progress, heartbeat=heartbeat), app.writers(), options)
    return print_report(report, json=json)
