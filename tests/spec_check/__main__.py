"""`make spec-check`: sandbox and client against the published description. Exit code 1 for a deviation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.spec_check import client, sandbox
from tests.spec_check.published import Failed, Skipped, description

CHECKS: dict[str, Callable[[Path], str]] = {"sandbox": sandbox.check, "client": client.check}


def main(names: list[str]) -> int:
    """Run the named checks, or all of them. What a check needs and does not find here is said, not failed."""
    if unknown := set(names) - CHECKS.keys():
        print(f"spec-check: no check is called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
        return 2
    failed = False
    for name in names or CHECKS:
        try:
            print(f"spec-check {name}: {CHECKS[name](description())}", flush=True)
        except Skipped as why:
            print(f"spec-check {name}: skipped: {why}", flush=True)
        except Failed as why:
            failed = True
            print(f"spec-check {name}: FAILED: {why}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
