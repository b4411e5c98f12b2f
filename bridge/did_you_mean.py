"""The known name that reads most like an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that reads most like `name`; `known` holds one at least."""
    return max(sorted(known), key=lambda one: SequenceMatcher(None, name.casefold(), one.casefold()).ratio())
