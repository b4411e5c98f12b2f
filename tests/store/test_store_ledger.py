"""The ledger: append-only, and any change is detected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import rfc8785
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.model import PersonId
from bridge.core.store_values import LedgerEntry
from bridge.store import LedgerBroken, LedgerHead, Store, Verified
from bridge.store import tables as t
from bridge.store.ledger import NOTHING
from tests.store.helpers import NEWS, Clock, begun, logged

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
        logged(store, run, entry)
    return store


def tamper(store: Store, *statements: str) -> None:
    """Change the ledger behind the program's back, its guards removed."""
    with store._unit.engine.begin() as conn:
        for statement in (*UNGUARD[conn.dialect.name], *statements):
            conn.exec_driver_sql(statement)


def test_an_untouched_ledger_is_verified(written: Store) -> None:
    *_, last = written.ledger.export()
    assert written.ledger.verify() == Verified(5, last["hash"])


def test_a_head_that_was_kept_elsewhere_proves_everything_up_to_it(written: Store) -> None:
    kept = written.ledger.head()
    assert kept is not None
    logged(written, begun(written), LedgerEntry("decided", {"n": 5}, PersonId(6), NEWS))
    assert written.ledger.verify(kept).entries > kept.seq


@pytest.mark.parametrize("change", ["another hash", "an entry that is not there"])
def test_a_ledger_that_does_not_hold_the_kept_head_is_broken(written: Store, change: str) -> None:
    """Also where the chain in itself is whole: it was rewritten, or an older backup was restored."""
    head = written.ledger.head()
    assert head is not None
    kept = LedgerHead(head.seq, "0" * 64) if change == "another hash" else LedgerHead(head.seq + 1, head.hash)
    written.ledger.verify()
    with pytest.raises(LedgerBroken) as broken:
        written.ledger.verify(kept)
    assert broken.value.seq == kept.seq


def test_an_empty_ledger_has_no_head(store: Store) -> None:
    assert store.ledger.head() is None


def test_an_empty_ledger_is_verified(store: Store) -> None:
    assert store.ledger.verify() == Verified(0, NOTHING)


def test_an_export_can_be_checked_without_the_state_db(written: Store) -> None:
    previous = NOTHING
    for number, entry in enumerate(written.ledger.export(), 1):
        entry = json.loads(json.dumps(entry))
        found = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == found
        assert (entry["seq"], entry["prev"]) == (number, previous)
        previous = found
    assert previous == written.ledger.verify().head


def test_an_entry_of_an_earlier_version_is_verified(store: Store) -> None:
    """Earlier versions made the canonical JSON themselves; this hash is one of theirs."""
    known = "c61a62489a5ab783adfc68bfe9469b87274951e0c848b65521f487a7afc5df3e"
    row = {
        "seq": 1,
        "at": datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC),
        "run": "20260301-120000-1",
        "person_id": 1,
        "topic": NEWS,
        "kind": "decided",
        "body": '{"n":0,"ü":[1,null]}',
        "prev_hash": NOTHING,
        "hash": known,
    }
    with store._unit.engine.begin() as conn:
        conn.execute(sa.insert(t.ledger), row)
        conn.execute(sa.update(t.ledger_head).values(seq=1, hash=known))
    assert store.ledger.verify() == Verified(1, known)
    logged(store, None, LedgerEntry("note", {"n": 1}))
    assert store.ledger.verify().entries == 2


WORDS = st.text(st.characters(max_codepoint=0xD7FF), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES)
def test_the_canonical_form_is_that_of_earlier_versions(value: object) -> None:
    """All that entries hold: no floats, and no keys beyond the range in which both orders are the same."""
    before = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert rfc8785.dumps(value).decode() == before  # type: ignore[arg-type]


@pytest.mark.parametrize("statement", ["UPDATE ledger SET kind = 'x'", "DELETE FROM ledger WHERE seq = 5"])
def test_the_db_itself_refuses_to_change_an_entry(written: Store, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), written._unit.engine.begin() as conn:
        conn.exec_driver_sql(statement)
    assert written.ledger.verify().entries == 5


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
        written.ledger.verify()
    assert caught.value.seq == seq
    assert "ledger" in str(caught.value)


@pytest.mark.parametrize(("seq", "found_at"), [(3, 4), (5, 5)])
def test_a_forged_entry_with_a_fitting_hash_is_found_by_what_follows_it(
    written: Store, seq: int, found_at: int
) -> None:
    forged = next(entry for entry in written.ledger.export() if entry["seq"] == seq)
    del forged["hash"]
    forged["kind"] = "agreed"
    text = json.dumps(forged, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    fitting = hashlib.sha256(text.encode()).hexdigest()
    tamper(written, f"UPDATE ledger SET kind = 'agreed', hash = '{fitting}' WHERE seq = {seq}")  # noqa: S608
    with pytest.raises(LedgerBroken) as caught:
        written.ledger.verify()
    assert caught.value.seq == found_at


def test_an_entry_slipped_in_at_the_end_is_found(written: Store) -> None:
    *_, last = written.ledger.export()
    values = f"(6, 0, 'decided', '{{}}', '{last['hash']}', '{'a' * 64}')"
    tamper(written, f"INSERT INTO ledger (seq, at, kind, body, prev_hash, hash) VALUES {values}")  # noqa: S608
    with pytest.raises(LedgerBroken):
        written.ledger.verify()


def test_long_ledgers_are_read_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.ledger.PAGE", 3)
    logged(store, None, *(LedgerEntry("note", {"n": number}) for number in range(7)))
    assert store.ledger.verify().entries == 7
    assert [entry["body"]["n"] for entry in store.ledger.export()] == list(range(7))


@pytest.mark.parametrize(
    "read", [lambda store: store.ledger.verify(), lambda store: list(store.ledger.export())]
)
def test_entries_hold_no_address(store: Store, read: Callable[[Store], object]) -> None:
    logged(store, None, LedgerEntry("note", {"error": "no such user: ann.o'neil+x@mail.example.com!"}))
    read(store)
    (entry,) = store.ledger.export()
    assert entry["body"] == {"error": "no such user: [address]!"}
