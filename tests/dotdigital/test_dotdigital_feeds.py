from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import DrainIncomplete
from bridge.dotdigital.client.wire import ContactsPage, ContactV3, Link, Links
from bridge.dotdigital.polling.drains import drain_marker, drain_min_id, drain_skip

PAGE, OVERLAP = 10, 3


def same(row: int) -> int:
    return row


def skip_paged(
    rows: list[int], before: Callable[[int, list[int]], None] | None = None
) -> Callable[[int, int], list[int]]:
    """A feed over `rows`; `before(n, rows)` may change them ahead of the n-th call."""
    calls = iter(range(10_000))

    def fetch(skip: int, select: int) -> list[int]:
        if before is not None:
            before(next(calls), rows)
        return rows[skip : skip + select]

    return fetch


def drained(fetch: Callable[[int, int], Sequence[int]]) -> list[int]:
    return [row for page in drain_skip(fetch, same, page=PAGE, overlap=OVERLAP) for row in page]


def read_until_refused(pages: Iterator[list[int]]) -> tuple[list[int], DrainIncomplete]:
    read: list[int] = []
    try:
        for page in pages:
            read.extend(page)
    except DrainIncomplete as incomplete:
        return read, incomplete
    raise AssertionError("the drain was called complete")


@given(st.lists(st.integers(0, 1000), unique=True, max_size=80))
def test_a_still_feed_is_read_once_and_whole(rows: list[int]) -> None:
    assert drained(skip_paged(list(rows))) == rows


@given(st.lists(st.integers(0, 1000), unique=True, min_size=1, max_size=80), st.data())
def test_rows_that_leave_while_it_is_read_hide_no_other_row(rows: list[int], data: st.DataObject) -> None:
    """Dotdigital suppressed-since: a resubscribe removes a row, and everything after it moves up."""
    leaving = set(data.draw(st.lists(st.sampled_from(rows), max_size=4, unique=True)))
    at = data.draw(st.integers(0, 10))

    def leave(call: int, left: list[int]) -> None:
        if call == at:
            left[:] = [row for row in left if row not in leaving]

    read = drained(skip_paged(list(rows), leave))
    assert set(rows) - leaving <= set(read)
    assert len(read) == len(set(read))


@given(st.integers(0, 2**32))
def test_rows_that_swap_places_while_it_is_read_are_all_found(seed: int) -> None:
    """Dotdigital suppressed-since has no order: rows were seen to move between pages."""
    rng, rows = random.Random(seed), list(range(60))

    def shuffle_once(call: int, left: list[int]) -> None:
        if call == rng.randrange(1, 4):
            moved = left.pop(rng.randrange(len(left)))
            left.insert(0, moved)

    read = drained(skip_paged(rows, shuffle_once))
    assert len(read) == len(set(read))


def test_a_large_shift_is_noticed_and_the_feed_read_again() -> None:
    rows = list(range(100))

    def clean_up(call: int, left: list[int]) -> None:
        if call == 2:
            del left[:15]  # more than an overlap: rows 24.. would be missed

    assert set(range(100)) <= set(drained(skip_paged(rows, clean_up)))


def test_a_feed_that_never_stands_still_is_not_called_complete() -> None:
    new = iter(range(1000, 100_000))
    rows = list(range(40))

    def churn(call: int, left: list[int]) -> None:
        del left[:5]
        left.extend(next(new) for _ in range(5))

    read, incomplete = read_until_refused(
        drain_skip(skip_paged(rows, churn), same, page=PAGE, overlap=OVERLAP)
    )
    assert set(read) >= set(range(5, 10))  # what could be read was handed on
    assert incomplete.hint


@pytest.mark.parametrize("size", [3, 10, 25])
def test_a_page_cut_in_half_loses_nothing(size: int) -> None:
    for cut in range(6):
        calls = iter(range(1000))

        def fetch(skip: int, select: int, cut: int = cut, calls: object = calls) -> list[int]:
            page = list(range(size))[skip : skip + select]
            return page[: len(page) // 2] if next(calls) == cut else page  # type: ignore[call-overload]

        first_half_of_one = size // 2 == 0 and cut == 0
        assert set(drained(fetch)) == set(range(size)) or first_half_of_one


def test_an_empty_feed_costs_one_call_and_a_small_one_two() -> None:
    calls: list[int] = []

    def fetch(rows: list[int]) -> Callable[[int, int], list[int]]:
        return lambda skip, select: calls.append(skip) or rows[skip : skip + select]  # type: ignore[func-returns-value]

    assert drained(fetch([])) == []
    assert calls == [0]
    assert drained(fetch([1, 2])) == [1, 2]
    assert calls == [0, 0, 0]


@pytest.mark.parametrize("size", [5, PAGE])
def test_a_service_that_ignores_skip_is_found_out(size: int) -> None:
    with pytest.raises(DrainIncomplete):
        drained(lambda *_: list(range(size)))


def by_id(rows: list[int], inclusive: bool, page: int = PAGE) -> Callable[[int], list[int]]:
    return lambda low: [row for row in rows if (row >= low if inclusive else row > low)][:page]


@given(st.lists(st.integers(1, 500), unique=True, max_size=60), st.booleans())
def test_min_id_paging_is_right_inclusive_or_exclusive(rows: list[int], inclusive: bool) -> None:
    """Dotdigital with-preference: whether minContactID is inclusive is not documented."""
    fetch = by_id(sorted(rows), inclusive)
    assert [row for page in drain_min_id(fetch, same, same, page=PAGE) for row in page] == sorted(rows)


def test_a_cut_page_of_an_id_feed_loses_nothing() -> None:
    whole, calls = by_id(list(range(1, 8)), inclusive=True), iter(range(100))

    def fetch(low: int) -> list[int]:
        page = whole(low)
        return page[: len(page) // 2] if next(calls) == 0 else page

    assert [row for page in drain_min_id(fetch, same, same, page=PAGE) for row in page] == list(range(1, 8))


def test_full_pages_out_of_order_are_not_called_complete() -> None:
    rows = list(range(30, 0, -1))
    read, _ = read_until_refused(drain_min_id(by_id(rows, inclusive=True), same, same, page=PAGE))
    assert len(read) == PAGE


def contacts_page(number: int, following: str | None) -> ContactsPage:
    links = Links(next=Link(marker=following)) if following else Links()
    return ContactsPage(items=[ContactV3(contact_id=number)] if number else [], links=links)


def test_the_listing_ends_without_a_next_marker_or_with_an_empty_page() -> None:
    for last in (contacts_page(2, None), contacts_page(0, "c")):
        pages = {None: contacts_page(1, "b"), "b": last}
        read = [
            one.contact_id for page in drain_marker(lambda marker, pages=pages: pages[marker]) for one in page
        ]  # type: ignore[misc]
        assert read in ([1, 2], [1])


def test_a_listing_in_a_circle_is_not_called_complete() -> None:
    pages = {None: contacts_page(1, "b"), "b": contacts_page(2, "c"), "c": contacts_page(3, "b")}
    with pytest.raises(DrainIncomplete):
        list(drain_marker(lambda marker: pages[marker]))
