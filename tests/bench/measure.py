"""One measurement, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 1.05  # times the fewest calls that the service's documents allow


@dataclass(frozen=True, slots=True)
class Measured:
    """One job: the calls it took, and the fewest that could do it by what `formula` says. `note` says what
    else is to be known of it."""

    job: str
    calls: int
    fewest: int
    formula: str
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.calls / self.fewest

    @property
    def good(self) -> bool:
        return self.ratio <= MOST


def shown(measures: Sequence[Measured]) -> str:
    """The table, for people."""
    head = ("job", "calls", "fewest", "ratio", "fewest by", "")
    rows = [head, *(_row(one) for one in measures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if at in (1, 2, 3) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths).rstrip())
    return "\n".join(lines)


def _row(one: Measured) -> tuple[str, ...]:
    verdict = "" if one.good else f"MORE THAN {MOST}"
    note = ", ".join(part for part in (verdict, one.note) if part)
    return one.job, f"{one.calls:,}", f"{one.fewest:,}", f"{one.ratio:.3f}", one.formula, note
