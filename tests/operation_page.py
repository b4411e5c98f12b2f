"""The operation tables of docs/, as rows for the tests that hold them to what is there."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    operation: str
    request: str
    client: str
    sandbox: str
    test: str

    def has_test(self) -> bool:
        """Whether the test that it names stands where it says."""
        file, _, name = self.test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        return name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def rows_of(page: str) -> list[Row]:
    """All rows of all tables of a page of docs/."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return [Row(*row[:5]) for row in cells if row[0] != "operation" and set(row[0]) != {"-"}]


def never_called(page: str) -> set[tuple[str, str]]:
    """What a page of docs/ lists as answered by the sandbox though no client calls it: (name, request)."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return set(re.findall(r"^- `(\w[\w-]*)`, `([A-Z]+ /[^`]+)`", text, re.MULTILINE))


def named(row: Row) -> str:
    """A row's name among the parameters of a test."""
    return row.operation
