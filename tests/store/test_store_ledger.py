"""The ledger: appended to, never changed, and found out where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from bridge.core.model import PersonId
from bridge.core.store_port import LedgerEntry
from bridge.store import LedgerBroken, Store, Verified
from bridge.store.ledger import NOTHING
from tests.store.desk import NEWS, Clock, begun

UNGUARD = {
    "sqlite": ["DROP TRIGGER ledger_no_update", "DROP TRIGGER ledger_no_delete"],
    "postgresql": ["SET session_replication_role = replica"],
}


@pytest.fixture
def written(store: Store, clock: Clock) -> Store:
    """A ledger of five entries."""
    run = begun(store)
    for number in range(5):
        clock.tick(0.25)
        entry = LedgerEntry("decided", {"n": number, "ü": [1, None]}, PersonId(number + 1), NEWS)
        store.ledger_append(run, [entry])
    return store


def tamper(store: Store, *statements: str) -> None:
    """Change the ledger behind the program's back, its guards removed."""
    with store._unit.engine.begin() as conn:
        for statement in (*UNGUARD[conn.dialect.name], *statements):
            conn.exec_driver_sql(statement)


def test_an_untouched_ledger_is_verified(written: Store) -> None:
    *_, last = written.export_ledger()
    assert written.verify_ledger() == Verified(5, last["hash"])


def test_an_empty_ledger_is_verified(store: Store) -> None:
    assert store.verify_ledger() == Verified(0, NOTHING)


def test_an_export_can_be_checked_without_the_state_db(written: Store) -> None:
    previous = NOTHING
    for number, entry in enumerate(written.export_ledger(), 1):
        entry = json.loads(json.dumps(entry))
        found = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == found
        assert (entry["seq"], entry["prev"]) == (number, previous)
        previous = found
    assert previous == written.verify_ledger().head


@pytest.mark.parametrize("statement", ["UPDATE ledger SET kind = 'x'", "DELETE FROM ledger WHERE seq = 5"])
def test_the_db_itself_refuses_to_change_an_entry(written: Store, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), written._unit.engine.begin() as conn:
        conn.exec_driver_sql(statement)
    assert written.verify_ledger().entries == 5


SWAP = (
    "UPDATE ledger SET seq = 99 WHERE seq = 2",
    "UPDATE ledger SET seq = 2 WHERE seq = 3",
    "UPDATE ledger SET seq = 3 WHERE seq = 99",
)
TAMPERED = {
    "an edited body": (3, ["UPDATE ledger SET body = '{\"n\":9}' WHERE seq = 3"]),
    "a body that means the same": (3, ["UPDATE ledger SET body = body || ' ' WHERE seq = 3"]),
    "a body that is no JSON": (3, ["UPDATE ledger SET body = 'gone' WHERE seq = 3"]),
    "another person": (2, ["UPDATE ledger SET person_id = 77 WHERE seq = 2"]),
    "another topic": (2, ["UPDATE ledger SET topic = 'offers' WHERE seq = 2"]),
    "another time": (2, ["UPDATE ledger SET at = at + 1 WHERE seq = 2"]),
    "another run": (2, ["UPDATE ledger SET run = NULL WHERE seq = 2"]),
    "another kind": (5, ["UPDATE ledger SET kind = 'agreed' WHERE seq = 5"]),
    "a removed entry": (3, ["DELETE FROM ledger WHERE seq = 3"]),
    "a removed beginning": (1, ["DELETE FROM ledger WHERE seq = 1"]),
    "a cut tail": (5, ["DELETE FROM ledger WHERE seq = 5"]),
    "a cut tail of several": (3, ["DELETE FROM ledger WHERE seq >= 3"]),
    "an emptied ledger": (1, ["DELETE FROM ledger"]),
    "two entries in another order": (2, SWAP),
    "a removed head": (5, ["DELETE FROM ledger_head"]),
    "a head that was put back": (5, ["UPDATE ledger_head SET seq = 4"]),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_whatever_is_done_to_the_past_is_found(written: Store, how: str) -> None:
    seq, statements = TAMPERED[how]
    tamper(written, *statements)
    with pytest.raises(LedgerBroken) as caught:
        written.verify_ledger()
    assert caught.value.seq == seq
    assert "ledger" in str(caught.value)


@pytest.mark.parametrize(("seq", "found_at"), [(3, 4), (5, 5)])
def test_a_forged_entry_with_a_fitting_hash_is_found_by_what_follows_it(
    written: Store, seq: int, found_at: int
) -> None:
    forged = next(entry for entry in written.export_ledger() if entry["seq"] == seq)
    del forged["hash"]
    forged["kind"] = "agreed"
    text = json.dumps(forged, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    fitting = hashlib.sha256(text.encode()).hexdigest()
    tamper(written, f"UPDATE ledger SET kind = 'agreed', hash = '{fitting}' WHERE seq = {seq}")  # noqa: S608
    with pytest.raises(LedgerBroken) as caught:
        written.verify_ledger()
    assert caught.value.seq == found_at


def test_an_entry_slipped_in_at_the_end_is_found(written: Store) -> None:
    *_, last = written.export_ledger()
    values = f"(6, 0, 'decided', '{{}}', '{last['hash']}', '{'a' * 64}')"
    tamper(written, f"INSERT INTO ledger (seq, at, kind, body, prev_hash, hash) VALUES {values}")  # noqa: S608
    with pytest.raises(LedgerBroken):
        written.verify_ledger()


def test_long_ledgers_are_read_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.ledger.PAGE", 3)
    store.ledger_append(None, [LedgerEntry("note", {"n": number}) for number in range(7)])
    assert store.verify_ledger().entries == 7
    assert [entry["body"]["n"] for entry in store.export_ledger()] == list(range(7))


@pytest.mark.parametrize("read", [Store.verify_ledger, lambda store: list(store.export_ledger())])
def test_entries_hold_no_address(store: Store, read: Callable[[Store], object]) -> None:
    store.ledger_append(
        None, [LedgerEntry("note", {"error": "no such user: ann.o'neil+x@mail.example.com!"})]
    )
    read(store)
    (entry,) = store.export_ledger()
    assert entry["body"] == {"error": "no such user: [address]!"}
