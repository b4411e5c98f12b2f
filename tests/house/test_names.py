"""Naming rules: public class names of bridge/ are unique, and banned words occur nowhere in the tree."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.house.tree import files, python, shown

BANNED_WORDS = (
    r"mend(?:s|ed|ing)?", r"heed(?:s|ed|ing)?", r"heard|unheard", r"anew|afresh", r"singly", r"whoever",
    r"hence|whence|thence|henceforth|lest|naught|nought|upon|albeit|whereupon|forthwith|asunder",
    r"(?:there|where)(?:by|in|of|upon)", r"go(?:es|ing)? along", r"desks?", r"told of", r"tells? of",
    r"sp(?:eaks?|oken) of", r"errands?", r"parcels?", r"weather", r"likeness(?:es)?", r"somebody", r"eyes",
    r"hands", r"kin", r"ousts?|ousted", r"untold", r"befalls?|befell", r"in vain", r"in hand",
    r"(?:came|comes?) of", r"becomes? of", r"stands? at", r"(?:a|the|no) yes", r"tales?", r"towns?",
    r"stalls?", r"residents?", r"crowd", r"multitude", r"roster", r"happenings?", r"lookout", r"lookers?",
    r"witness(?:es)?", r"sifted|sifts?", r"spoilt", r"lonely",
)  # fmt: skip
"""Patterns of lower-case words."""
BANNED = re.compile(rf"\b(?:{'|'.join(BANNED_WORDS)})\b")

KEPT = re.compile(r"""["']mend["']|\bheeded_at\b|\bcrowd \{seed\}""")
"""Outward names: a JSON key of `bridge doctor`, a database column, and the seed of the sandbox's people."""
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
    """The text in lower case, with names split into words and broken lines and strings joined."""
    text = KEPT.sub("", path.read_text(encoding="utf-8", errors="replace"))
    text = WORD_OF_A_NAME.sub(" ", SPLIT_STRING.sub("", text))
    return re.sub(r"[\s#\"'`*]+", " ", text).lower()


def banned() -> list[str]:
    """The places of banned words."""
    places = []
    for path in files():
        if NOT_READ.search(shown(path)):
            continue
        found = BANNED.findall(f"{plain(path)} {plain_name(path)}")
        places += [f"{shown(path)}: {word}" for word in found]
    return places


def plain_name(path: Path) -> str:
    return re.sub(r"[_/.]", " ", shown(path))


def test_public_class_names_are_unique() -> None:
    assert {name: where for name, where in classes().items() if len(where) > 1} == {}


def test_banned_words_occur_nowhere() -> None:
    assert banned() == []


def test_a_banned_word_is_found_in_names_and_across_lines(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text('class OddParcel:\n    """A thing one speaks\n    of."""\n    text = "told "\n    "of"\n')
    for words in ("odd parcel", "parcel", "speaks of", "told of"):
        assert re.search(rf"\b{words}\b", plain(file)), words
