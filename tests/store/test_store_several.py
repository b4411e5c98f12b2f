"""Several processes and threads on one state DB, and processes that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.core.store_values import AttemptState, Settlement
from bridge.store import Store
from tests.forked import ForkedProcess, run_code
from tests.store.helpers import (
    IN,
    MINE,
    NEWS,
    OUT,
    START,
    THEIRS,
    Clock,
    agreement,
    at,
    attempt,
    begun,
    cell,
    ended,
    news,
    person,
)

PRELUDE = """
import sys
from bridge.core.store_values import LedgerEntry
from bridge.store import Store
from bridge.store.key_values import facts_in
from tests.store.helpers import IN, THEIRS, Clock, at, begun, logged, news
clock = Clock()
store = Store.open(sys.argv[1], clock)
"""
ENDLESS_PAGES = """
run = begun(store)
number = store.people.count()
print("ready", flush=True)
while True:
    number += 1
    page = [news(f"p{number}@example.com", IN, number, str(number))]
    store.observations.record(page, THEIRS, run=run, feed="f", watermark=at(number))
"""
COUNTING = """
for _ in range(100):
    with store._unit.write() as conn:
        values = facts_in(conn).values
        values.set("count", str(int(values.get("count") or 0) + 1))
"""
APPENDING = """
for number in range(50):
    logged(store, None, LedgerEntry("note", {"n": number}))
"""


Python = Callable[[str, str], ForkedProcess]


@pytest.fixture
def python() -> Iterator[Python]:
    """Starts other processes at a state DB; none of them outlives its test."""
    started: list[ForkedProcess] = []

    def start(code: str, url: str) -> ForkedProcess:
        started.append(ForkedProcess(run_code, [PRELUDE + code, url], environ=os.environ))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.mark.slow
def test_no_kill_comes_between_a_page_and_its_watermark(state_url: str, store: Store, python: Python) -> None:
    for _ in range(3):
        before = store.people.count()
        process = python(ENDLESS_PAGES, state_url)
        assert process.first_line() == "ready"
        while store.people.count() < before + 20:
            assert process.running
        process.signal(signal.SIGKILL)
        assert process.ended() == -signal.SIGKILL
        people = store.people.count()
        assert store.feeds.watermark("f") == at(people)
        assert len(store.people.of_record(THEIRS, str(people))) == 1


def test_two_processes_that_count_lose_nothing(tmp_path: Path, clock: Clock, python: Python) -> None:
    """SQLite's driver by itself would read first and lock later, and lose updates without an error."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with Store.open(url, clock) as store:
        processes = [python(COUNTING, url) for _ in range(2)]
        assert [process.ended() for process in processes] == [0, 0]
        assert store.key_values.get("count") == "200"


def test_two_processes_append_to_one_chain(state_url: str, store: Store, python: Python) -> None:
    processes = [python(APPENDING, state_url) for _ in range(2)]
    assert [process.ended() for process in processes] == [0, 0]
    assert store.ledger.verify().entries == 100


def test_threads_work_on_the_same_people_side_by_side(store: Store, clock: Clock) -> None:
    run = begun(store)
    names = [f"p{number}@example.com" for number in range(12)]
    store.observations.record([news(name, IN) for name in names], MINE, run=run)
    store.observations.record([news(name, OUT) for name in names], THEIRS, run=run)

    def carry(name: str) -> None:
        who = person(store, name)
        number = attempt(store, run, NEWS, address=name)
        ended(
            store,
            run,
            number,
            AttemptState.DONE,
            address=name,
            written_at=START,
            topics=[NEWS],
            views=[news(name, IN, 1)],
        )
        now = cell(store, name)
        store.cells.settle(run, [Settlement(who, NEWS, now.ground, agreement(now, IN))])

    def read(number: int) -> None:
        order = names if number % 2 else list(reversed(names))
        store.observations.record([news(name, IN, 1) for name in order], THEIRS, run=run)

    with ThreadPoolExecutor(6) as pool:
        list(
            pool.map(
                lambda job: job(),
                [*(lambda n=n: carry(n) for n in names), *(lambda i=i: read(i) for i in range(8))],
            )
        )
    assert store.cells.counts().waiting == 0
    assert store.ledger.verify().entries == 36


def test_a_process_that_leaves_takes_no_journal_from_one_that_opened_the_file_twice(
    tmp_path: Path, clock: Clock, python: Python
) -> None:
    """Closing a file ends the locks that its process holds on it: https://www.sqlite.org/howtocorrupt.html
    (section 2.2). The next process to leave then takes itself for the last and deletes the journal."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with Store.open(url, clock) as store:
        Store.open(url, clock).close()
        with Store.reader(url, clock) as reader:
            assert reader.people.count() == 0
        assert python("store.people.count(); store.close()", url).ended() == 0
        assert (tmp_path / "bridge.db-wal").exists()
        run = begun(store)
        store.observations.record([news(f"p{n}@example.com", IN, n) for n in range(3)], THEIRS, run=run)
        code = "raise SystemExit(store.people.count())"
        assert python(code, url).ended() == 3, "the other process reads what this one wrote"


def test_a_state_db_in_memory_serves_several_threads(clock: Clock) -> None:
    with Store.open("sqlite://", clock) as store, ThreadPoolExecutor(4) as pool:
        run = begun(store)
        jobs = [[news(f"p{number}@example.com", IN)] for number in range(20)]
        list(pool.map(lambda page: store.observations.record(page, THEIRS, run=run), jobs))
        assert sum(len(page) for page in store.people.known()) == 20
