"""`bridge run`: the daemon, from the settings to its exit code."""

from __future__ import annotations

import logging

from bridge.cli.options import Config, settings_from


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
