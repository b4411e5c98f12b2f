"""Text of others on its way out: what could steer a terminal, or make a line look like another, is replaced.

Names and reasons come from both services, and people may have chosen them.
"""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# C0 without tab and line feed, DEL and C1; marks, embeddings, overrides and isolates of the text direction;
# line and paragraph separators; invisible characters; tags; lone surrogates.
_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_ANY = re.compile(f"[{_UNSAFE}]")
_ESCAPE_SEQUENCES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # commands with a text
    "|\x1b[ -/]*[0-~]"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def printable(text: str) -> str:
    """The text without escape sequences, and with a mark for every other character that is not to be
    printed. Tab and line feed stay."""
    if text.isascii() and text.isprintable():
        return text
    return _ANY.sub(REPLACEMENT, _ESCAPE_SEQUENCES.sub(REPLACEMENT, text))


def one_line(text: str) -> str:
    """The same on one line."""
    return printable(" ".join(text.split("\n")))


def escape_json(document: str) -> str:
    """JSON with such characters as escapes, which mean the same. They stand within strings only."""
    return _ANY.sub(lambda found: _escaped(found[0]), document)


def csv_cell(value: object) -> str:
    """A value as a CSV cell that no spreadsheet takes for a formula."""
    text = one_line("" if value is None else str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _escaped(character: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in _utf16(ord(character)))


def _utf16(point: int) -> tuple[int, ...]:
    """A character as UTF-16 units, which is how JSON escapes it."""
    if point < 0x10000:
        return (point,)
    high, low = divmod(point - 0x10000, 0x400)
    return 0xD800 + high, 0xDC00 + low
