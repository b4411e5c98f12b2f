"""`bridge run` in its own process, with short pauses between export polls."""

from __future__ import annotations

import sys

from bridge.app import App, Options
from bridge.daemon.daemon import Daemon
from bridge.logs import configure
from bridge.settings import load


def main() -> int:
    configure("info", json=True)
    with App(load(), Options(export_poll=0.05)) as app:
        return Daemon(app, check_every=0.1).run()


if __name__ == "__main__":
    sys.exit(main())
