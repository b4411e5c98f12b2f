"""Reading a feed to a proven end, while its rows move.

None of Dotdigital's feeds promises an order or a snapshot, so a short page alone proves nothing: an end is
proven by asking once more and getting nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import TypeVar

from bridge.bounds import PAGES_MAX, ROWS_MAX, is_cursor
from bridge.core.errors import DrainIncomplete
from bridge.dotdigital.client.wire import ContactsPage, ContactV3

Row = TypeVar("Row")

PAGE = 1000  # rows, the largest `select` and the size of a minContactID page
OVERLAP = 100  # rows read again by each page
PASSES = 5
_AGAIN = "Nothing is lost: its watermark stays, and the next run reads it again."


class DrainBounds:
    """How much one drain may bring. What brings more does not end, or is nobody's list of contacts."""

    def __init__(self, pages: int = PAGES_MAX, rows: int = ROWS_MAX) -> None:
        self._pages, self._rows = pages, rows
        self._unnamed = 0

    def count(self, rows: int) -> None:
        """Another page, with so many rows. Raises DrainIncomplete."""
        self._pages -= 1
        self._rows -= rows
        if min(self._pages, self._rows) < 0:
            raise DrainIncomplete("A Dotdigital feed does not end.", hint=_AGAIN)

    def note_unnamed(self, rows: int) -> None:
        """So many rows could not be read, and name nobody who could be read instead."""
        self._unnamed += rows

    def check(self) -> None:
        """Raise DrainIncomplete at the end of a drain where such rows were among it."""
        if self._unnamed:
            raise DrainIncomplete(f"Rows of a Dotdigital feed cannot be read: {self._unnamed}.", hint=_AGAIN)


def drain_skip(
    fetch: Callable[[int, int], Sequence[Row]],
    key: Callable[[Row], Hashable],
    *,
    page: int = PAGE,
    overlap: int = OVERLAP,
    passes: int = PASSES,
    bounds: DrainBounds | None = None,
) -> Iterator[list[Row]]:
    """All rows of a skip-paged feed, each once. `fetch(skip, select)` reads a page.

    Each page reads the end of the one before again. Where those rows do not come back, rows have moved to
    pages already read, and the feed is read from the start: until a pass is undisturbed or brings nothing
    new. Raises DrainIncomplete, after all rows that could be read, when `passes` were not enough.
    """
    seen: set[Hashable] = set()
    bounds = bounds or DrainBounds()
    for _ in range(passes):
        before = len(seen)
        undisturbed = yield from _one_pass(fetch, key, seen, page, overlap, bounds)
        if undisturbed or len(seen) == before:
            return
    raise DrainIncomplete(f"A Dotdigital feed kept changing while it was read {passes} times.", hint=_AGAIN)


def _one_pass(
    fetch: Callable[[int, int], Sequence[Row]],
    key: Callable[[Row], Hashable],
    seen: set[Hashable],
    page: int,
    overlap: int,
    bounds: DrainBounds,
) -> Generator[list[Row], None, bool]:
    """Reads from the start to the end; returns whether every overlap came back."""
    skip, idle, undisturbed = 0, 0, True
    tail: list[Hashable] = []
    in_pass: set[Hashable] = set()
    while True:
        rows = fetch(skip, page)
        bounds.count(len(rows))
        keys = [key(row) for row in rows]
        undisturbed = undisturbed and set(tail) <= set(keys)
        fresh = [row for row, one in zip(rows, keys, strict=True) if _add(seen, one)]
        if fresh:
            yield fresh
        known = len(in_pass)
        in_pass.update(keys)
        if len(rows) <= len(tail):
            return undisturbed
        idle = idle + 1 if len(in_pass) == known else 0
        if idle > 1:  # once may be rows that new ones have moved; twice, and `skip` has no effect
            raise DrainIncomplete("A Dotdigital feed repeats the same page.", hint=_AGAIN)
        end = skip + len(rows)
        tail = keys[-overlap:]
        skip = end - len(tail)


def drain_min_id(
    fetch: Callable[[int], Sequence[Row]],
    id_of: Callable[[Row], int | None],
    key: Callable[[Row], Hashable],
    *,
    page: int = PAGE,
    bounds: DrainBounds | None = None,
) -> Iterator[list[Row]]:
    """All rows of a feed that is read upwards by contact id, each once. `fetch(min_id)` reads a page.

    Continues with the last id of a page, which is right whether the service includes it or not, and ends when
    a page brings nothing new. Raises DrainIncomplete where full pages are not ordered by id.
    """
    seen: set[Hashable] = set()
    bounds = bounds or DrainBounds()
    min_id = 0
    while True:
        rows = fetch(min_id)
        bounds.count(len(rows))
        fresh = [row for row in rows if _add(seen, key(row))]
        if not fresh:
            return
        yield fresh
        ids = [number for row in rows if (number := id_of(row))]
        if len(rows) >= page and (len(ids) < len(rows) or ids != sorted(ids)):
            raise DrainIncomplete("A Dotdigital feed is not in order of contact ids.", hint=_AGAIN)
        min_id = max(ids, default=min_id)


def drain_upwards(
    fetch: Callable[[int], Sequence[Row]],
    id_of: Callable[[Row], int | None],
    *,
    page: int = PAGE,
    bounds: DrainBounds | None = None,
) -> Iterator[list[Row]]:
    """As `drain_min_id` for a feed of one row a contact, in order of ids and in constant memory; rows without
    an id are left out. Raises DrainIncomplete where full pages are not ordered by id."""
    last = 0
    bounds = bounds or DrainBounds(rows=2 * ROWS_MAX)
    while True:
        rows = fetch(last)
        bounds.count(len(rows))
        numbered = [(number, row) for row in rows if (number := id_of(row)) is not None]
        ids = [number for number, _ in numbered]
        if len(rows) >= page and ids != sorted(ids):
            raise DrainIncomplete("A Dotdigital feed is not in order of contact ids.", hint=_AGAIN)
        fresh = {number: row for number, row in numbered if number > last}
        if not fresh:
            return
        yield [fresh[number] for number in sorted(fresh)]
        last = max(fresh)


def drain_marker(fetch: Callable[[str | None], ContactsPage]) -> Iterator[list[ContactV3]]:
    """All pages of a marker-paged listing: until no next marker is given, or a page is empty. Raises
    DrainIncomplete where a marker is repeated."""
    marker: str | None = None
    used: set[str] = set()
    bounds = DrainBounds(rows=PAGES_MAX * PAGE)
    while True:
        page = fetch(marker)
        bounds.count(len(page.items))
        if page.items:
            yield page.items
        marker = page.next_marker
        if marker is None or not page.items:
            return
        if marker in used:
            raise DrainIncomplete("Dotdigital's contact listing repeats a page marker.", hint=_AGAIN)
        if not is_cursor(marker):
            raise DrainIncomplete("Dotdigital's contact listing has a page marker too long.", hint=_AGAIN)
        used.add(marker)


def _add(seen: set[Hashable], key: Hashable) -> bool:
    if key in seen:
        return False
    seen.add(key)
    return True
