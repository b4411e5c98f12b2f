"""docs/least-privilege.md names every operation that the bridge uses, at its side, and no other."""

from __future__ import annotations

import re

import pytest

from bridge.dotdigital.surplus import READS
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "least-privilege.md").read_text(encoding="utf-8")
UNUSED = ("not used", "never used")
SIDES = {"MyPreferences": "operations-mypreferences.md", "Dotdigital": "operations-dotdigital.md"}
by_side = pytest.mark.parametrize("side", SIDES)


def operations(page: str) -> dict[str, str]:
    """What each operation of a table is used for; several rows of one are one operation."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 6 and cells[0] not in ("operation", "---"):
            found.setdefault(cells[3].strip("`"), []).append(cells[5])
    return {
        name: next((use for use in uses if not use.startswith(UNUSED)), uses[0])
        for name, uses in found.items()
    }


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def named(title: str) -> set[str]:
    """The operations in the second column of a section's table."""
    rows = [line.split("|") for line in section(title).splitlines() if line.startswith("|")]
    return {name for row in rows[2:] for name in re.findall(r"`([^`]+)`", row[2])}


@by_side
def test_every_operation_in_use_is_named_with_its_right(side: str) -> None:
    table = operations(SIDES[side])
    used = {name for name, use in table.items() if not use.startswith((*UNUSED, "surplus"))}
    assert len(used) > 20
    assert named(side) == used


def test_what_the_doctor_tries_is_used_by_nothing_else_and_named() -> None:
    tried = set(re.findall(r"`((?:retrieve|get-)[^`]+)`", section("What `bridge doctor` tries")))
    surplus = {name for name, use in operations(SIDES["MyPreferences"]).items() if use.startswith("surplus")}
    assert tried == surplus | {operation for operation, _ in READS.values()}
    assert not tried & (named("MyPreferences") | named("Dotdigital"))


def test_the_doctor_tries_reads_only() -> None:
    text = (ROOT / "docs" / SIDES["MyPreferences"]).read_text(encoding="utf-8")
    tried = [line for line in text.splitlines() if "surplus: " in line]
    assert tried
    assert all("`GET /" in line for line in tried)
