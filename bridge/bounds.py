"""What an answer or a delivery may hold. The one place for both sides and the webhooks.

What crosses a bound is malformed: a row, a page, a header or a whole answer. It is reported, and it is never
read as if nothing had been there.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

BYTES_MAX = 64 * 2**20  # of an answer, after inflation
ANSWER_SECONDS = 240.0  # until an answer is complete: both services give up after 120 s themselves
PAGES_MAX = 20_000  # of one drain of a feed or a listing
ROWS_MAX = 3_000_000  # of one drain of a feed
ADDRESS_MAX = 254  # characters (RFC 5321, 4.5.3.1.3)
ID_MAX = 64  # characters of a record's id
CURSOR_MAX = 4096  # characters of the marker of a page
WORD_MAX = 200  # characters of a status, a reason or a name that is kept
NUMBER_MAX = 1e15  # of a header: an epoch in milliseconds fits in
SECONDS_MAX = 86_400.0  # that a header may ask to wait
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # nobody said anything by e-mail before
LATEST = datetime(2100, 1, 1, tzinfo=UTC)  # a later date is none; the core judges what lies before it
_UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_ID = re.compile(r"[-A-Za-z0-9_.:{}]{1,64}")
_INVISIBLE = "Cf"  # the Unicode category of marks that cannot be seen


class Malformed(ValueError):
    """Content that crosses a bound, or is not what was asked for. Its text quotes nothing."""


class TooLong(Malformed):
    """An answer has more bytes, or took more time, than any that is meant."""


# bytes


def inflated(chunks: Iterable[bytes], coding: str, most: int = BYTES_MAX) -> Iterator[bytes]:
    """The content of an answer, piece by piece; no more than `most` bytes of it are ever made. `coding` is
    its Content-Encoding. Raises TooLong past `most`, Malformed for another coding or a damaged content."""
    done = 0
    for chunk in _pieces(chunks, coding.strip().lower(), most):
        done += len(chunk)
        if done > most:
            raise TooLong(f"the answer has more than {most} bytes")
        yield chunk


def _pieces(chunks: Iterable[bytes], coding: str, most: int) -> Iterator[bytes]:
    if coding in ("", "identity"):
        yield from chunks
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Malformed("the answer has an unknown content encoding")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
    try:
        for chunk in chunks:
            yield inflate.decompress(chunk, most + 1)
    except zlib.error:
        raise Malformed("the answer cannot be inflated") from None
    if not inflate.eof:
        raise Malformed("the answer was cut off")


# JSON


def decode(content: bytes, kind: Any) -> Any:
    """JSON as `kind`; only what `kind` names is read. Characters that no text can hold are replaced. Raises
    Malformed, also for what is nested too deeply."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        repaired = _as_unicode(content)
    try:
        return msgspec.json.decode(repaired, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the content is not what was asked for") from None


def parse(content: bytes) -> Any:
    """JSON as plain values. Raises Malformed."""
    return decode(content, Any)


def rows(content: bytes, kind: type[T], malformed: Callable[[Any], T]) -> list[T]:
    """A JSON list, decoded one by one where it cannot be as a whole: `malformed` makes the row of what cannot
    be read, from its plain values (None: there are none). Raises Malformed for what is no list."""
    try:
        found: list[T] = decode(content, list[kind])  # type: ignore[valid-type]
    except Malformed:
        parts: list[msgspec.Raw] = decode(content, list[msgspec.Raw])
        found = [_row(bytes(part), kind, malformed) for part in parts]
    return found


def _row(content: bytes, kind: type[T], malformed: Callable[[Any], T]) -> T:
    try:
        row: T = decode(content, kind)
    except Malformed:
        pass
    else:
        return row
    try:
        return malformed(parse(content))
    except Malformed:
        return malformed(None)


def _as_unicode(content: bytes) -> bytes:
    """The content with a replacement for each lone surrogate; as it is where it has none."""
    if b"\\ud" not in content.lower():
        return content
    try:
        text = json.dumps(json.loads(content), ensure_ascii=False)
    except (ValueError, RecursionError):
        return content
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


# fields


def is_address(text: object) -> bool:
    """Whether both databases, a URL and the other side can hold it as an e-mail address, and a person can
    tell it from another: no control, no invisible mark, 254 characters at most."""
    if not isinstance(text, str) or not 3 <= len(text) <= ADDRESS_MAX:
        return False
    local, at, domain = text.rpartition("@")
    return bool(local and at and domain) and text.isprintable() and _UNPRINTED.search(text) is None


def address(value: object) -> str | None:
    """An address of an answer, without surrounding blanks and invisible marks; None for what is none."""
    if not isinstance(value, str) or len(value) > 2 * ADDRESS_MAX:
        return None
    text = value.strip()
    while text and unicodedata.category(text[0]) == _INVISIBLE:
        text = text[1:].lstrip()
    while text and unicodedata.category(text[-1]) == _INVISIBLE:
        text = text[:-1].rstrip()
    return text if is_address(text) else None


def is_cursor(text: str | None) -> bool:
    """Whether a marker of a page can be kept, and sent back in a URL."""
    return text is None or (len(text) <= CURSOR_MAX and text.isprintable())


def is_id(text: str) -> bool:
    """Whether it can be a record's id, and be kept as one."""
    return _ID.fullmatch(text) is not None


def word(value: object) -> str | None:
    """A status, a reason or a name, as it may be kept: one line, cut to its greatest length. None for what is
    empty or no text."""
    if not isinstance(value, str):
        return None
    return _UNPRINTED.sub("?", value.strip()[:WORD_MAX]) or None


def number(value: object) -> int | None:
    """A record's positive number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < 2**63 else None


def moment(value: object) -> datetime | None:
    """A date in ISO 8601 as aware UTC; without a time zone it is UTC. None for what is no date, and for one
    at which nobody can have said anything."""
    if isinstance(value, datetime):
        return plausible(value)
    if not isinstance(value, str) or len(value) > ID_MAX:
        return None
    try:
        return plausible(datetime.fromisoformat(value.strip()))
    except ValueError:
        return None


def plausible(at: datetime | None) -> datetime | None:
    """The date as aware UTC; None outside the range in which anything can have been said."""
    if at is None:
        return None
    try:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        return None
    return at if EARLIEST <= at < LATEST else None


def header_number(raw: str | None) -> float | None:
    """A number of a header; None where it is none, or none that a header can mean."""
    try:
        found = float(raw or "") if len(raw or "") <= ID_MAX else math.inf
    except ValueError:
        return None
    return found if -NUMBER_MAX <= found <= NUMBER_MAX else None
