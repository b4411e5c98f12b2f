"""Agreements are in the ledger: whatever else than the bridge changes them is found. Heads kept elsewhere
show a ledger that was cut, rewritten or replaced by an older one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.core.approval import Operator
from bridge.core.erasure import ErasureKey, ErasureSettings
from bridge.core.ledger import LedgerFault, LedgerHead, LedgerKey
from bridge.core.model import Choice, RunId
from bridge.core.store_values import LedgerEntry, Settlement, TopicReset
from bridge.store import LedgerBroken, Store
from bridge.store.ledger import NOTHING
from tests.store.helpers import (
    ANN,
    BOB,
    IN,
    MINE,
    NEWS,
    OFFERS,
    OUT,
    THEIRS,
    Clock,
    agreement,
    begun,
    cell,
    logged,
    news,
    person,
    view,
)

SECRET = ErasureSettings(ErasureKey("a-secret-of-the-tests"))
UNGUARD = {
    "sqlite": ["DROP TRIGGER ledger_no_update", "DROP TRIGGER ledger_no_delete"],
    "postgresql": ["SET session_replication_role = replica"],
}
CHANGES = {
    "edited": "UPDATE cells SET agreed_choice = 'opted_in' WHERE topic = 'newsletter' AND person_id = 1",
    "edited in its date": "UPDATE cells SET agreed_at = agreed_at + 1 WHERE person_id = 1",
    "edited in its versions": "UPDATE cells SET agreed_dotdigital_version = 'x' WHERE person_id = 1",
    "deleted": "DELETE FROM cells WHERE person_id = 1",
    "forgotten": (
        "UPDATE cells SET agreed_choice = NULL, agreed_at = NULL, agreed_rule = NULL, "
        "agreed_decided_at = NULL, agreed_frequencies = NULL, agreed_mypreferences_version = NULL, "
        "agreed_dotdigital_version = NULL "
        "WHERE person_id = 1"
    ),
    "added": (
        "INSERT INTO cells (person_id, topic, agreed_choice, agreed_at, agreed_rule, agreed_decided_at, "
        "agreed_frequencies, dirty) "
        "SELECT person_id, 'invented', agreed_choice, agreed_at, agreed_rule, agreed_decided_at, "
        "agreed_frequencies, dirty FROM cells WHERE person_id = 1 AND topic = 'newsletter'"
    ),
    "given to another topic": "UPDATE cells SET topic = 'x' WHERE person_id = 1 AND topic = 'newsletter'",
}


@pytest.fixture(params=["keyed", "without a key"])
def sealed(request: pytest.FixtureRequest, state_url: str, clock: Clock) -> Iterator[Store]:
    """Two people about whom one page agreed."""
    with Store.open(state_url, clock, erasing=SECRET if request.param == "keyed" else None) as store:
        settle(store, begun(store))
        yield store


def settle(store: Store, run: RunId, choice: Choice = OUT) -> None:
    """Both sides say the same about two people, and one page settles it."""
    for side in (MINE, THEIRS):
        store.observations.record([news(ANN, choice), news(BOB, choice)], side, run=run)
    cells = [cell(store, name) for name in (ANN, BOB)]
    store.cells.settle(
        run, [Settlement(one.person, NEWS, one.ground, agreement(one, choice)) for one in cells]
    )


def change(store: Store, *statements: str) -> None:
    with store._unit.engine.begin() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)


def test_a_page_of_agreements_is_one_entry(sealed: Store) -> None:
    (entry,) = sealed.ledger.export()
    assert (entry["kind"], entry["person"], entry["body"]["changed"]) == ("settled", None, 2)
    assert sealed.ledger.verify().agreements == 2
    stored_at = cell(sealed, BOB).agreed_stored_at
    assert stored_at is not None
    assert sealed.ledger.settled_at(stored_at) == entry


@pytest.mark.parametrize("how", CHANGES)
def test_an_agreement_changed_by_sql_is_found(sealed: Store, how: str) -> None:
    change(sealed, CHANGES[how])
    with pytest.raises(LedgerBroken, match="agreements were edited, added or deleted") as broken:
        sealed.ledger.verify()
    assert broken.value.seq == 1


def test_an_agreement_put_back_to_an_earlier_one_is_found(sealed: Store, clock: Clock) -> None:
    """The row with its own old content: no digest of a single row would show it."""
    names = "agreed_choice, agreed_at, agreed_rule, agreed_decided_at, agreed_frequencies, agreed_stored_at"
    with sealed._unit.engine.connect() as conn:
        old = conn.exec_driver_sql(f"SELECT {names} FROM cells WHERE person_id = 1").one()  # noqa: S608
    clock.tick(60)
    settle(sealed, begun(sealed), IN)
    assert sealed.ledger.verify().agreements == 2
    sets = ", ".join(f"{name} = {value!r}" for name, value in zip(names.split(", "), old, strict=True))
    change(sealed, f"UPDATE cells SET {sets} WHERE person_id = 1")  # noqa: S608
    with pytest.raises(LedgerBroken):
        sealed.ledger.verify()


def test_what_was_changed_stays_found_when_the_bridge_agrees_on_it_again(sealed: Store, clock: Clock) -> None:
    change(sealed, CHANGES["edited"])
    clock.tick(60)
    settle(sealed, begun(sealed), IN)
    with pytest.raises(LedgerBroken):
        sealed.ledger.verify()


def test_what_the_bridge_itself_changes_keeps_the_total(sealed: Store, clock: Clock) -> None:
    run = begun(sealed)
    sealed.observations.record([view(ANN, {OFFERS: news(ANN, OUT).topics[NEWS]})], MINE, run=run)
    clock.tick(1)
    settle(sealed, run, IN)
    assert sealed.ledger.verify().agreements == 2
    sealed.cells.remap([NEWS], run=run, resets=[TopicReset(NEWS, (), (Choice.OPTED_IN,))])
    assert sealed.ledger.verify().agreements == 0


def test_erasing_a_person_keeps_the_total(state_url: str, clock: Clock) -> None:
    with Store.open(state_url, clock, erasing=SECRET) as store:
        settle(store, begun(store))
        store.erasures.finish(ANN, {}, {})
        assert store.ledger.verify().agreements == 1


def test_a_key_that_comes_later_seals_everything_at_the_next_change(state_url: str, clock: Clock) -> None:
    with Store.open(state_url, clock) as store:
        settle(store, begun(store))
    with Store.open(state_url, clock, erasing=SECRET) as store:
        assert store.ledger.verify().agreements == 2
        clock.tick(1)
        settle(store, begun(store), IN)
        assert store.ledger.verify().agreements == 2
        assert store.ledger.signature() is not None
    with (
        Store.open(state_url, clock) as without,
        pytest.raises(LedgerBroken, match="another BRIDGE_ERASURE_KEY"),
    ):
        without.ledger.verify()


def test_agreements_of_earlier_versions_are_sealed_at_the_next_change(sealed: Store, clock: Clock) -> None:
    empty = f"seq = 0, hash = '{NOTHING}', settled = 0, key_id = NULL, signature = NULL"
    with sealed._unit.engine.begin() as conn:
        for one in (
            *UNGUARD[conn.dialect.name],
            "DELETE FROM ledger",
            f"UPDATE ledger_head SET {empty}",  # noqa: S608
        ):
            conn.exec_driver_sql(one)
    assert sealed.ledger.verify().agreements == 0
    clock.tick(60)
    settle(sealed, begun(sealed), IN)
    assert sealed.ledger.verify().agreements == 2


def test_a_total_and_a_head_made_without_the_key_are_found(state_url: str, clock: Clock) -> None:
    """Who can write to the state DB, but has no key, can make a chain that fits, and no signature."""
    with Store.open(state_url, clock, erasing=SECRET) as store:
        settle(store, begun(store))
        change(store, *UNGUARD[store._unit.engine.dialect.name], "UPDATE ledger_head SET signature = 'x'")
        with pytest.raises(LedgerBroken, match="signature"):
            store.ledger.verify()
        assert store.ledger.trouble() is not None


def test_an_operator_accepts_what_is_broken_and_the_ledger_says_so(sealed: Store) -> None:
    change(sealed, CHANGES["edited"], *UNGUARD[sealed._unit.engine.dialect.name][:1])
    sealed.ledger.accept(Operator("ann", "edited on purpose"))
    *_, accepted, total = sealed.ledger.export()
    assert (accepted["kind"], accepted["body"]["by"], accepted["body"]["note"]) == (
        "accepted",
        "ann",
        "edited on purpose",
    )
    assert "agreements were edited" in accepted["body"]["found"]
    verified = sealed.ledger.verify()
    assert (verified.agreements, verified.accepted) == (2, total["seq"])
    change(sealed, "UPDATE cells SET agreed_at = agreed_at + 1 WHERE person_id = 2")
    with pytest.raises(LedgerBroken):
        sealed.ledger.verify()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger WHERE seq = 3",
        "UPDATE ledger_head SET seq = 2, hash = (SELECT hash FROM ledger WHERE seq = 2)",
        "DELETE FROM ledger_head",
    ],
)
def test_entries_can_still_be_added_once_what_is_broken_was_noted(store: Store, statement: str) -> None:
    """Opt-outs go on whatever was done to the ledger."""
    logged(store, None, *(LedgerEntry("note", {"n": number}) for number in range(3)))
    with store._unit.engine.begin() as conn:
        for one in (*UNGUARD[conn.dialect.name], statement):
            conn.exec_driver_sql(one)
    found = store.ledger.trouble()
    assert found is not None
    assert found.fault is LedgerFault.BROKEN
    store.ledger.note_trouble(found)
    logged(store, None, LedgerEntry("note", {"n": 9}))
    assert store.facts.ledger_problem == found.text


# the head file


@pytest.fixture(params=["keyed", "without a key"])
def published(
    request: pytest.FixtureRequest, state_url: str, clock: Clock, tmp_path: Path
) -> Iterator[tuple[Store, Path]]:
    """A ledger of three entries whose head was published."""
    file, erasing = tmp_path / "head.json", SECRET if request.param == "keyed" else None
    with Store.open(state_url, clock, erasing=erasing, head_file=file) as store:
        logged(store, None, *(LedgerEntry("note", {"n": number}) for number in range(3)))
        assert store.ledger.publish() is None
        yield store, file


def test_the_head_file_holds_count_hash_signature_and_time(published: tuple[Store, Path]) -> None:
    store, file = published
    told = json.loads(file.read_text(encoding="utf-8"))
    assert f"{told['entries']}:{told['hash']}" == str(store.ledger.head())
    assert told["signature"] == store.ledger.signature()
    assert told.keys() == {"entries", "hash", "signature", "key", "at"}
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_entries_after_the_published_head_are_no_trouble(published: tuple[Store, Path]) -> None:
    store, _ = published
    logged(store, None, LedgerEntry("note", {"n": 3}))
    assert store.ledger.trouble(whole=True) is None


def test_a_head_file_that_is_not_there_yet_is_no_trouble(published: tuple[Store, Path]) -> None:
    store, file = published
    file.unlink()
    assert store.ledger.trouble() is None


def test_a_ledger_that_was_cut_with_its_head_set_back_is_noticed(published: tuple[Store, Path]) -> None:
    store, file = published
    key = store.ledger.signature() is not None
    with store._unit.engine.begin() as conn:
        (_, two) = [row["hash"] for row in store.ledger.export()][:2]
        signed = ", key_id = NULL, signature = NULL" if key else ""
        for one in (
            *UNGUARD[conn.dialect.name],
            "DELETE FROM ledger WHERE seq = 3",
            f"UPDATE ledger_head SET seq = 2, hash = '{two}'{signed}",  # noqa: S608
        ):
            conn.exec_driver_sql(one)
    store.ledger.verify()  # in itself it is whole
    found = store.ledger.trouble()
    assert found is not None
    assert found.fault is LedgerFault.ROLLED_BACK
    assert "ends at entry 2" in found.text
    assert str(file) in found.text


def test_another_whole_ledger_is_noticed(published: tuple[Store, Path]) -> None:
    store, file = published
    told = json.loads(file.read_text(encoding="utf-8"))
    key = LedgerKey(SECRET.key if told["key"] else None)
    other = LedgerHead(3, "0" * 64)
    file.write_text(json.dumps(told | {"hash": other.hash, "signature": key.sign(str(other))}))
    found = store.ledger.trouble()
    assert found is not None
    assert found.fault is LedgerFault.ROLLED_BACK
    assert "is not the one" in found.text


def test_a_head_file_that_was_edited_is_noticed(published: tuple[Store, Path]) -> None:
    store, file = published
    told = json.loads(file.read_text(encoding="utf-8"))
    forged = json.dumps(told | {"entries": 2, "signature": "x"})
    another = json.dumps(told | {"signature": "x", "key": "0" * 16})
    for text, fault in {
        "{": LedgerFault.UNREADABLE,
        "[]": LedgerFault.UNREADABLE,
        another: LedgerFault.OTHER_KEY,
        **({} if told["key"] is None else {forged: LedgerFault.BROKEN}),
    }.items():
        file.write_text(text, encoding="utf-8")
        found = store.ledger.trouble()
        assert found is not None
        assert found.fault is fault


def test_a_head_file_that_cannot_be_written_is_said(state_url: str, clock: Clock, tmp_path: Path) -> None:
    with Store.open(state_url, clock, head_file=tmp_path / "no" / "head.json") as store:
        logged(store, None, LedgerEntry("note", {"n": 0}))
        assert "cannot be written" in (store.ledger.publish() or "")


def test_long_tables_are_summed_page_by_page(
    store: Store, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.agreement_seals._PAGE", 1)
    settle(store, run)
    assert store.ledger.verify().agreements == 2
    assert person(store, ANN) != person(store, BOB)


def test_the_index_of_settled_entries_serves_their_search(store: Store) -> None:
    if store._unit.engine.dialect.name == "sqlite":
        with store._unit.engine.connect() as conn:
            query = "SELECT * FROM ledger WHERE kind = 'settled' AND at = 5 ORDER BY seq DESC LIMIT 1"
            plan = conn.execute(sa.text(f"EXPLAIN QUERY PLAN {query}")).all()
            assert "ix_ledger_settled" in str(plan)


def test_while_another_key_is_set_nobody_can_tell_and_with_the_right_one_all_is_well(
    state_url: str, clock: Clock
) -> None:
    with Store.open(state_url, clock, erasing=SECRET) as store:
        settle(store, begun(store))
    other = ErasureSettings(ErasureKey("another-secret-of-the-tests"))
    with Store.open(state_url, clock, erasing=other) as store:
        for _ in range(2):  # what is added meanwhile changes nothing
            found = store.ledger.trouble()
            assert found is not None
            assert found.fault is LedgerFault.OTHER_KEY
            clock.tick(60)
            settle(store, begun(store), IN)
    with Store.open(state_url, clock, erasing=SECRET) as store:
        assert store.ledger.trouble() is None
        clock.tick(60)
        settle(store, begun(store))
        assert store.ledger.verify().agreements == 2
        assert store.ledger.signature() is not None


def test_an_operator_accepts_another_key(state_url: str, clock: Clock) -> None:
    with Store.open(state_url, clock, erasing=SECRET) as store:
        settle(store, begun(store))
    with Store.open(state_url, clock, erasing=ErasureSettings(ErasureKey("another-secret"))) as store:
        store.ledger.accept(Operator("ann", "the key was lost"))
        assert store.ledger.trouble(whole=True) is None
        assert store.ledger.verify().agreements == 2
