"""`bridge run`, the daemon, and `bridge reconcile`, one run."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.options import (
    ApproveMapping,
    ApproveRaises,
    ApproveVanished,
    Config,
    DatabaseUrl,
    Full,
    Json,
    MappingFile,
    Note,
    Yes,
    author,
    confirmed,
    settings_from,
)
from bridge.cli.output import SIDES, StatusMark, join_words, note, plural
from bridge.core.approval import ApprovalKind, Operator
from bridge.core.errors import LeaseHeld

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.engine.plan import Plan
    from bridge.engine.run import RunOptions
    from bridge.settings import Settings


def run(config: Config = None) -> int:
    """Run as a daemon: poll, sweep nightly, serve health over HTTP.

    Stops cleanly on SIGTERM or Ctrl-C, within seconds. SIGHUP reloads settings and secrets."""
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
    approve_vanished: ApproveVanished = False,
    why: Note = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Sync once: read, decide, write, verify; then exit.

    On a terminal, the first run shows what it would write and asks. Approvals are kept until a run used them,
    so they can be given beside `bridge run`: its next run uses them.
    """
    from bridge.engine.run import RunOptions, run_once

    settings = settings_from(config, database_url, mapping)
    options = RunOptions(
        full=full,
        approve_raises=approve_raises,
        approve_mapping=approve_mapping,
        approve_vanished=approve_vanished,
    )
    if dry_run:
        from bridge.cli.plan import run_plan

        return run_plan(settings, options, json=json)

    from bridge.app import App
    from bridge.cli.db import writing
    from bridge.cli.interrupt import explained
    from bridge.cli.output import keeping_code, show_progress
    from bridge.cli.report import print_report

    with App(settings) as app:
        given = _approve(app, options, author(why))
        try:
            with writing(app.lease()) as heartbeat, explained(app):
                if not _first_run_confirmed(app, heartbeat, options, yes=yes):
                    return 0
                with show_progress() as progress:
                    services = app.services(progress=progress, heartbeat=heartbeat)
                    report = run_once(services, app.writers(), RunOptions(full=full))
        except LeaseHeld as error:
            raise _with_approvals_kept(error) if given else error from None
    return keeping_code(report.exit_code, lambda: print_report(report, json=json))


def _approve(app: App, options: RunOptions, by: Operator) -> bool:
    """Store what the operator approves; whether there is anything."""
    asked = {
        ApprovalKind.RAISES: options.approve_raises,
        ApprovalKind.MAPPING: options.approve_mapping,
        ApprovalKind.VANISHED: options.approve_vanished,
    }
    kinds = [kind for kind, wanted in asked.items() if wanted]
    if kinds:
        app.require_confirmed()
    for kind in kinds:
        app.store.approvals.give(kind, app.mapping.digest, by)
    return bool(kinds)


def _with_approvals_kept(error: LeaseHeld) -> LeaseHeld:
    return LeaseHeld(error.what, hint="Your approval is stored: the next run of that process uses it.")


def _first_run_confirmed(app: App, heartbeat: Callable[[], None], options: RunOptions, *, yes: bool) -> bool:
    """On a terminal, show what a first run would write, and ask."""
    if yes or not sys.stdin.isatty() or app.store.facts.first_run_completed is not None:
        return True
    from bridge.cli.output import show_progress
    from bridge.engine.plan import make_plan

    with show_progress() as progress:
        made = make_plan(app.services(progress=progress, heartbeat=heartbeat), options)
    if not made.writes:
        return True
    note(StatusMark.WARN, f"This first run would send: {_summary(made)}.", stderr=True)
    if made.held:
        note(StatusMark.WARN, f"It would hold {plural(len(made.held), 'choice')} for review.", stderr=True)
    note(StatusMark.NEXT, "See each of them, with its reason: `bridge plan`.", stderr=True)
    return confirmed("Send these writes?", yes=False)


def _summary(made: Plan) -> str:
    """What a plan writes, counted by side and direction."""
    found = Counter((row["side"], row["to"] == "opted_out") for row in made.writes)
    words = [
        f"{plural(number, 'opt-out' if out else 'opt-in or frequency')} to {SIDES[side]}"
        for (side, out), number in sorted(found.items())
    ]
    return join_words(words)
