"""The part of a mapping that says what goes to Dotdigital as a consent record."""

from __future__ import annotations

import pytest

from bridge.core.mapping import RecordKeys
from bridge.mapping_file import check_mapping_text, read_mapping

A, C, P = '{ filter = "A" }', '{ consent = "A", version = "1", locale = "x" }', "{ preference = 7 }"
RECORD = 'consent_record = { text = "T", url = "U", ip = "I", agent = "B" }'


def topic(source: str, target: str, rest: str = "") -> str:
    return f'[[topics]]\nid = "a"\nmypreferences = {source}\ndotdigital = {target}\n{rest}\n'


def problems(text: str) -> list[str]:
    return [str(problem) for problem in check_mapping_text(f"version = 1\n{text}", "m.toml")]


def test_a_consent_record_names_what_holds_it() -> None:
    mapping = read_mapping(f"version = 1\n{topic(A, P, RECORD)}", "m.toml")
    assert mapping.topics[0].record == RecordKeys("T", "U", "I", "B")
    assert read_mapping(f"version = 1\n{topic(A, P)}", "m.toml").topics[0].record is None


@pytest.mark.parametrize(
    ("source", "rest", "key", "what"),
    [
        (A, "consent_record = true", "consent_record", "it is not a table"),
        (A, 'consent_record = { text = "T", url = "U", ip = "I" }', "consent_record.agent", "it is missing"),
        (A, RECORD.replace('"I"', '""'), "consent_record.ip", "it is empty"),
        (A, RECORD.replace("agent", "agnet"), "consent_record.agnet", 'known key is "agent"'),
        (A, f'direction = "to_mypreferences"\n{RECORD}', "consent_record", "no opt-in is sent to Dotdigital"),
        (C, RECORD, "consent_record", "a consent has no attributes"),
    ],
)
def test_a_wrong_consent_record_is_reported_by_key(source: str, rest: str, key: str, what: str) -> None:
    found = problems(topic(source, P, rest))
    assert any(f'topic "a", key {key}: ' in one and what in one for one in found), found
