"""Records that the bridge has written recently."""

from __future__ import annotations

from bridge.store import Store
from tests.store.helpers import ANN, BOB, IN, MINE, NEWS, THEIRS, at, attempt, begun, news


def test_it_returns_the_records_of_people_with_a_started_write(store: Store) -> None:
    run = begun(store)
    store.observations.record([news(ANN, IN, 0, "7"), news(BOB, IN, 0, "8")], THEIRS, run=run)
    store.observations.record([news(BOB, IN, 0, "9")], MINE, run=run)
    attempt(store, run, NEWS)
    attempt(store, run, NEWS, address=BOB, side=MINE)
    assert store.attempts.written_since(THEIRS, ["7", "8", "99"], at(-60)) == {"7"}
    assert store.attempts.written_since(MINE, ["9"], at(-60)) == {"9"}
    assert store.attempts.written_since(THEIRS, ["7", "8"], at(60)) == set()
    assert store.attempts.written_since(THEIRS, [], at(-60)) == set()
