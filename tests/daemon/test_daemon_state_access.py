"""A state DB that does not answer keeps neither a health check nor the end of the process waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bridge.core.errors import StateDbError
from bridge.daemon.state_access import BoundedRead, KnownFeeds, ending_hanging_calls
from tests.waiting import PATIENCE, wait_until


class HangingDb:
    """A state DB whose reads wait at a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.reads = 0

    def read(self) -> int:
        self.reads += 1
        assert self.gate.wait(PATIENCE)
        return self.reads


@pytest.fixture
def db() -> Iterator[HangingDb]:
    made = HangingDb()
    yield made
    made.gate.set()


def test_who_asks_waits_no_longer_than_the_patience_and_one_read_hangs_for_all(db: HangingDb) -> None:
    read = BoundedRead(db.read, patience=0.02)
    for _ in range(5):
        with pytest.raises(StateDbError, match="has not answered within"):
            read()
    assert db.reads == 1


def test_what_is_returned_was_read_after_it_was_asked_for(db: HangingDb) -> None:
    impatient, patient = BoundedRead(db.read, patience=0.0), BoundedRead(db.read, patience=PATIENCE)
    with pytest.raises(StateDbError):
        impatient()
    db.gate.set()
    before = db.reads
    assert patient() == before + 1
    assert patient() == before + 2


def test_what_the_read_raises_is_raised_to_who_asked() -> None:
    def failing() -> int:
        raise StateDbError("The disk is full.")

    with pytest.raises(StateDbError, match="disk is full"):
        BoundedRead(failing, patience=PATIENCE)()


def test_feeds_stay_known_while_the_state_db_is_away() -> None:
    answers: list[dict[str, timedelta] | StateDbError] = [{"a.feed": timedelta(1)}, StateDbError("away")]

    def read() -> dict[str, timedelta]:
        answer = answers.pop(0)
        if isinstance(answer, StateDbError):
            raise answer
        return answer

    feeds = KnownFeeds(read)
    assert feeds() == {"a.feed": timedelta(1)}
    assert feeds() == {"a.feed": timedelta(1)}
    assert answers == []


def test_calls_are_ended_again_and_again_until_the_process_has_stopped() -> None:
    ended: list[float] = []

    def end(after: float) -> int:
        ended.append(after)
        return 1

    with ending_hanging_calls(end, after=0.02, every=0.01):
        wait_until(lambda: len(ended) > 2, "calls were ended more than once")
    number = len(ended)
    assert ended == [0.02, *(number - 1) * [0.01]]  # once the state DB hangs, nobody waits as long again
    assert not [thread for thread in threading.enumerate() if thread.name == "stopping"]
    assert len(ended) == number
