"""One name for one thing: public classes of bridge/ and the words of everything a reader meets.

`WORDS_LEFT` may only shrink: it allows what is left to be renamed.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.house.tree import files, python, shown

WORDS_LEFT: dict[str, int] = {
    r"mend(?:s|ed|ing)?": 131,
    r"heed(?:s|ed|ing)?": 24,
    r"heard|unheard": 105,
    r"anew|afresh": 52,
    r"singly": 30,
    r"whoever": 71,
    r"hence|whence|thence|henceforth|lest|naught|nought|upon|albeit|whereupon|forthwith|asunder": 1,
    r"(?:there|where)(?:by|in|of|upon)": 0,
    r"go(?:es|ing)? along": 18,
    r"desks?": 244,
    r"told of": 25,
    r"tells? of": 34,
    r"sp(?:eaks?|oken) of": 39,
    r"errands?": 116,
    r"parcels?": 293,
    r"weather": 198,
    r"likeness(?:es)?": 25,
    r"somebody": 251,
    r"eyes": 376,
    r"hands": 65,
    r"kin": 8,
    r"ousts?|ousted": 5,
    r"untold": 7,
    r"befalls?|befell": 5,
    r"in vain": 3,
    r"in hand": 17,
    r"(?:came|comes?) of": 15,
    r"becomes? of": 18,
    r"stands? at": 7,
    r"(?:a|the|no) yes": 32,
    r"tales?": 26,
    r"towns?": 506,
    r"stalls?": 12,
    r"residents?": 83,
    r"crowd": 309,
    r"multitude": 21,
    r"roster": 41,
    r"happenings?": 35,
    r"lookout": 3,
    r"lookers?": 69,
    r"witness(?:es)?": 29,
    r"sifted|sifts?": 28,
    r"spoilt": 4,
    r"lonely": 28,
}
"""Banned words, as patterns of lower-case words, and how often each still stands in the tree."""

CONTRACT = re.compile(r"""["']mend["']""")  # a key of `bridge doctor --json`, which scripts may rely on
NOT_READ = re.compile(r"\.lock$|^LICENSE$|/cassettes/|^tests/house/test_names\.py$")
SPLIT_STRING = re.compile(r"""["']\s*\n\s*[rf]*["']""")
WORD_OF_A_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")


def classes() -> dict[str, list[str]]:
    """Where each public class of bridge/ is defined."""
    found = defaultdict(list)
    for path in python("bridge"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(shown(path))
    return found


def plain(path: Path) -> str:
    """The text in lower case, names taken apart, and sentences in one piece that lines or quotes break."""
    text = CONTRACT.sub("", path.read_text(encoding="utf-8", errors="replace"))
    text = WORD_OF_A_NAME.sub(" ", SPLIT_STRING.sub("", text))
    return re.sub(r"[\s#\"'`*]+", " ", text).lower()


def counted(patterns: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """How often each pattern is found, and where."""
    counts, places = dict.fromkeys(patterns, 0), []
    for path in files():
        if NOT_READ.search(shown(path)):
            continue
        text = f"{plain(path)} {plain_name(path)}"
        for pattern in patterns:
            if here := len(re.findall(rf"\b(?:{pattern})\b", text)):
                counts[pattern] += here
                places.append(f"{shown(path)}: {pattern} ({here})")
    return counts, places


def plain_name(path: Path) -> str:
    return re.sub(r"[_/.]", " ", shown(path))


def test_no_public_class_name_stands_twice() -> None:
    assert {name: where for name, where in classes().items() if len(where) > 1} == {}


def test_banned_words_stand_nowhere() -> None:
    counts, places = counted(WORDS_LEFT)
    more = [pattern for pattern in counts if counts[pattern] > WORDS_LEFT[pattern]]
    assert [place for place in places if place.split(": ")[1].rpartition(" ")[0] in more] == []
    assert counts == WORDS_LEFT, f"fewer are left: lower the counts to\n{counts}"


def test_a_banned_word_is_found_in_names_and_across_lines(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text('class OddParcel:\n    """A thing one speaks\n    of."""\n    text = "told "\n    "of"\n')
    for words in ("odd parcel", "parcel", "speaks of", "told of"):
        assert re.search(rf"\b{words}\b", plain(file)), words
