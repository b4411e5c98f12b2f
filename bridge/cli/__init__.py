"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command of `sys.argv` and exit with its code."""
    from bridge.cli.entry import run

    sys.exit(run(sys.argv[1:]))
