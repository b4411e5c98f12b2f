"""Whose records the bridge has written to of late."""

from __future__ import annotations

from bridge.core.store_port import LedgerEntry
from bridge.store import Store
from tests.store.desk import ANN, BOB, IN, MINE, NEWS, THEIRS, at, begun, body, news, person


def test_it_tells_the_records_of_those_to_whom_a_write_was_begun(store: Store) -> None:
    run = begun(store)
    store.record([news(ANN, IN, 0, "7"), news(BOB, IN, 0, "8")], THEIRS, run=run)
    store.record([news(BOB, IN, 0, "9")], MINE, run=run)
    who = person(store, ANN)
    store.begin_attempt(run, who, THEIRS, body(NEWS), LedgerEntry("decided", {}, who))
    other = person(store, BOB)
    store.begin_attempt(run, other, MINE, body(NEWS, side=MINE), LedgerEntry("decided", {}, other))
    assert store.written_since(THEIRS, ["7", "8", "99"], at(-60)) == {"7"}
    assert store.written_since(MINE, ["9"], at(-60)) == {"9"}
    assert store.written_since(THEIRS, ["7", "8"], at(60)) == set()
    assert store.written_since(THEIRS, [], at(-60)) == set()
