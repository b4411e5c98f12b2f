"""The command line. Slow imports wait until a command needs them."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command in `sys.argv` and exit with its code."""
    from bridge.cli.entry import run

    sys.exit(run(sys.argv[1:]))
