"""Sizes of large tests: large enough to prove the property, or full size by BRIDGE_TEST_SIZE."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("BRIDGE_TEST_SIZE") == "full"


def size(ordinary: int, full: int) -> int:
    """The number for this run; `make proof` takes the full one."""
    return full if FULL else ordinary


def part(cases: Iterable[T], of: int, turn: int) -> Iterator[T]:
    """Every `of`-th case, or all in full size. Tests that share their cases each take another turn, so that
    together they meet every one."""
    return islice(cases, 0 if FULL else turn % of, None, 1 if FULL else of)
