"""Text of others on its way out: nothing in it steers a terminal, forges a line or runs in a spreadsheet."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.printable import csv_cell, escape_json, one_line, printable

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\u200e\u200f]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Newsletter é 日本", "Newsletter é 日本"),
        ("\x1b[31mred", "\ufffdred"),
        ("\x1b]0;title\x07x", "\ufffdx"),
        ("\x9b31mx", "\ufffdx"),
        ("a\u202eb", "a\ufffdb"),
        ("a\rb", "a\ufffdb"),
        ("a\tb\nc", "a\tb\nc"),
    ],
)
def test_what_steers_a_terminal_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_control_character_is_left_in_a_text(text: str) -> None:
    assert not CONTROLS.search(printable(text))
    assert "\n" not in one_line(text)
    assert printable(printable(text)) == printable(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_keeps_its_meaning_without_control_characters(text: str) -> None:
    document = escape_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(document) == {"name": text}
    assert not CONTROLS.search(document)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1+1"])
def test_no_csv_cell_is_a_formula(text: str) -> None:
    assert not csv_cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_other_csv_cells_stay() -> None:
    assert [csv_cell(value) for value in ("a", 3, None)] == ["a", "3", ""]
