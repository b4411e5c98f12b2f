"""Sizes of large tests: large enough to prove the property, or full size by BRIDGE_TEST_SIZE."""

from __future__ import annotations

import os

FULL = os.environ.get("BRIDGE_TEST_SIZE") == "full"


def size(ordinary: int, full: int) -> int:
    """The number for this run; `make proof` takes the full one."""
    return full if FULL else ordinary
