"""How similar two names are: why, for a draft that a person reads, and which known name an unknown one may
mean. By words and spelling only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz, process

_STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "by",
        "e",
        "email",
        "emails",
        "for",
        "mail",
        "mails",
        "my",
        "of",
        "our",
        "the",
        "to",
        "via",
        "your",
    ]
)
_FREQUENCIES = (  # the first that matches counts: "every two weeks" is not weekly
    ("", r"twice|bi ?monthly|bi ?annual"),
    ("fortnightly", r"fortnight|bi ?weekly|every (two|2|other|second) weeks?"),
    ("daily", r"\bdaily\b|\b(every|each|once a|per) ?day\b"),
    ("weekly", r"\bweekly\b|\b(every|each|once a|per) ?week\b"),
    ("monthly", r"\bmonthly\b|\b(every|each|once a|per) ?month\b"),
    ("quarterly", r"\bquarterly\b|\b(every|each|once a|per) ?quarter\b"),
    ("yearly", r"\byearly\b|\bannual(ly)?\b|\b(every|each|once a|per) ?year\b"),
    ("at once", r"\b(at once|immediate(ly)?|instant(ly)?|real ?time)\b"),
)
ALIKE = 50.0  # of 100: names less alike than this are no suggestion


@dataclass(frozen=True, slots=True, order=True)
class Similarity:
    """0 (nothing in common) to 100 (same words), and why."""

    score: int
    reason: str = ""


def best_similarity(some: Iterable[str], others: Iterable[str]) -> Similarity:
    """The similarity of the two most similar names."""
    pairs = [(one, other) for one in dict.fromkeys(some) for other in dict.fromkeys(others) if one and other]
    return max(
        (similarity(one, other) for one, other in pairs), default=Similarity(0), key=lambda one: one.score
    )


def similarity(one: str, other: str) -> Similarity:
    """How similar two names are."""
    first, second = words(one), words(other)
    quoted = f'"{one}" and "{other}"'
    if not first or not second:
        return Similarity(0)
    if first == second:
        return Similarity(100, f"the same words, {quoted}")
    if set(first) == set(second):
        return Similarity(95, f"the same words in another order, {quoted}")
    few, many = sorted((set(first), set(second)), key=len)
    if few < many:
        return Similarity(60 + 30 * len(few) // len(many), f"one has all words of the other, {quoted}")
    shared = 80 * len(few & many) // len(few | many)
    spelling = int(0.85 * fuzz.ratio(" ".join(first), " ".join(second)))
    if shared >= spelling:
        return Similarity(shared, f"some words are the same, {quoted}")
    return Similarity(spelling, f"similar spelling, {quoted}")


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The significant words, without case, accents, plural and filler words, as in `NEWS_EMAIL`."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain).casefold()
    found = re.findall(r"[^\W_]+", apart)
    significant = [_singular(word) for word in found if word not in _STOP_WORDS]
    return tuple(significant or found)


def frequency_of(name: str) -> str:
    """The frequency in a name: `daily`, `weekly`, …; empty where there is none."""
    plain = re.sub(r"[\W_]+", " ", name).casefold()
    return next((quoted for quoted, pattern in _FREQUENCIES if re.search(pattern, plain)), "")


def without_frequency(name: str) -> str:
    """A name without its frequency."""
    plain = re.sub(r"[\W_]+", " ", name).casefold()
    for _, pattern in _FREQUENCIES:
        plain = re.sub(pattern, " ", plain)
    return " ".join(plain.split())


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


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
