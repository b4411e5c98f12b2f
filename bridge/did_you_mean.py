"""Suggestions for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import fuzz, process

ALIKE = 50.0  # of 100: names less alike than this are no suggestion


def closest(name: str, known: Iterable[str], *, at_least: float = 0.0) -> str | None:
    """The known name most similar to `name`, in any case; None where none reaches `at_least` (0 to 100)."""
    found = process.extractOne(
        name, sorted(known), scorer=fuzz.ratio, processor=str.casefold, score_cutoff=at_least
    )
    return None if found is None else found[0]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'X'?`, or nothing where no known name is similar."""
    found = closest(name, known, at_least=ALIKE)
    return "" if found is None else f"Did you mean '{found}'?"
