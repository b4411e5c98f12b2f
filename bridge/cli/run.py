"""`bridge run`: the daemon, from the settings to its exit code."""

from __future__ import annotations

import logging
from pathlib import Path


def run_command(config: Path | None = None) -> int:
    """Run the daemon until it is stopped; `config` is a settings file. Returns the exit code.

    The log goes to stderr: JSON lines, or columns on a terminal. Raises BridgeError where it cannot begin.
    """
    from bridge.cli.options import settings_from

    settings = settings_from(config)

    from bridge.app import App
    from bridge.daemon import Daemon
    from bridge.logs import configure

    wordy = logging.getLogger().isEnabledFor(logging.DEBUG)  # --debug was given
    configure("debug" if wordy else "info")
    for chatty in ("apscheduler", "alembic"):  # they tell of every kick, and of every start
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with App(settings) as app:
        return Daemon(app).run()
