"""Erased people: nothing of them is left in the state DB, and old data never re-creates them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.core.erasure import ErasureKey, ErasureSettings
from bridge.core.model import RunId
from bridge.core.ports import Hint
from bridge.core.store_values import WebhookEvent
from bridge.store import Store
from bridge.store import tables as t
from bridge.store.engine import make_engine
from bridge.store.webhook_events import WebhookInbox
from tests.store.helpers import ANN, BOB, IN, MINE, NEWS, OUT, THEIRS, Clock, at, attempt, cell, news, person

KEY = ErasureSettings(ErasureKey("a long random word"))


@pytest.fixture
def store(state_url: str, clock: Clock) -> Iterator[Store]:
    with Store.open(state_url, clock, erasing=KEY) as opened:
        yield opened


def erase(store: Store, clock: Clock, address: str = ANN) -> None:
    store.erasures.begin(address)
    clock.tick()
    store.erasures.finish(address, {}, {})
    clock.tick(3600)


def everything(url: str) -> str:
    """Every value of every table."""
    engine = make_engine(url)
    with engine.connect() as conn:
        rows = [str(row) for table in t.metadata.sorted_tables for row in conn.execute(sa.select(table))]
    engine.dispose()
    return "\n".join(rows)


def full_of(store: Store, run: RunId, url: str, clock: Clock, address: str) -> None:
    """A person who is named in every table that can name one."""
    who = person(store, address)
    store.observations.record(
        [news(address, IN, 0, "4711")], THEIRS, run=run, feed="dotdigital.suppressed", followed=["4711 x"]
    )
    attempt(store, run, NEWS, address=address, note=address)
    store.holds.open(run, who, NEWS, reason="first_run", why="because", ground="g")
    store.retry_queue.add(THEIRS, hint=Hint("4711", address), error=f"no answer about {address}")
    store.retry_queue.add(MINE, hint=Hint("a"), error="no answer")
    store.observations.record_former_addresses(MINE, "a-before", [(address, at(-5))])
    with_box = WebhookInbox(url, clock, side=MINE, depth=10)
    with_box.put([WebhookEvent("e1", "profile.updated", "a")])
    with_box.close()


def test_nothing_of_an_erased_person_is_left(store: Store, run: RunId, state_url: str, clock: Clock) -> None:
    full_of(store, run, state_url, clock, ANN)
    who = person(store, ANN)
    erase(store, clock)
    left = everything(state_url).casefold()
    assert ANN not in left
    assert "4711" not in left
    assert store.people.find(ANN) is None
    assert store.cells.of(who) == []
    assert not store.retry_queue.of(MINE)
    assert not store.webhooks.pending(MINE)
    assert store.people.find(BOB) is not None
    assert [entry["kind"] for entry in store.ledger.history(who)][-1] == "erased"
    store.ledger.verify()


def test_not_even_a_byte_of_the_address_is_left_in_the_file(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with Store.open(url, clock, erasing=KEY) as store:
        run = store.runs.begin("incremental")  # type: ignore[arg-type]
        store.observations.record(
            [news(f"p{n}@example.com", IN, 0, str(n)) for n in range(300)], MINE, run=run
        )
        store.observations.record([news(ANN, IN, 0, "a")], MINE, run=run)
        erase(store, clock)
        held = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"p299@example.com" in held
    assert ANN.encode() not in held


def test_a_record_shared_with_another_person_is_still_read(store: Store, run: RunId, clock: Clock) -> None:
    store.observations.record([news(BOB, IN, 1, "a")], MINE, run=run)
    store.retry_queue.add(MINE, hint=Hint("a"), error="no answer")
    erase(store, clock)
    assert [kept.hint.id for kept in store.retry_queue.of(MINE)] == ["a"]


@pytest.mark.parametrize("other", ["straße@example.com", "anna@example.com"])
@pytest.mark.parametrize("other_first", [False, True])
def test_an_erased_person_stays_erased_in_a_page_with_one_who_looks_alike(
    store: Store, run: RunId, clock: Clock, other: str, other_first: bool
) -> None:
    erase(store, clock, "strasse@example.com")
    page = [news("strasse@example.com", IN, 4000, "a"), news(other, IN, 4000, "b", changed_at=at(5000))]
    store.observations.record(page[::-1] if other_first else page, MINE, run=run)
    assert store.people.find("strasse@example.com") is None
    assert store.people.find(other) is not None


def test_an_opt_in_of_one_person_ends_no_erasure_of_one_who_looks_alike(
    store: Store, run: RunId, clock: Clock
) -> None:
    erase(store, clock, "strasse@example.com")
    store.observations.record([news("straße@example.com", IN, 4000, "b", changed_at=at(3990))], MINE, run=run)
    assert cell(store, "straße@example.com").erased_at is None
    store.observations.record([news("strasse@example.com", IN, 4100, "a", changed_at=at(-60))], MINE, run=run)
    assert store.people.find("strasse@example.com") is None


def test_repeating_an_erasure_that_an_earlier_version_began_finishes_it(
    store: Store, clock: Clock, state_url: str
) -> None:
    assert KEY.key is not None
    row = {"token": KEY.key.earlier_tokens(ANN)[0], "key_id": KEY.key.id, "erased_at": at(-60), "known": {}}
    engine = make_engine(state_url)
    with engine.begin() as conn:
        conn.execute(sa.insert(t.erased), row)
    engine.dispose()
    assert store.erasures.unfinished() == 1
    erase(store, clock)
    assert store.erasures.unfinished() == 0


def test_erasing_one_person_removes_nothing_of_one_who_looks_alike(
    store: Store, run: RunId, clock: Clock
) -> None:
    alike = ["straße@example.com", "someone@straße.example", "someone@strasse.example"]
    page = [news(one, IN, 1, str(number)) for number, one in enumerate(["strasse@example.com", *alike])]
    store.observations.record(page, MINE, run=run)
    erase(store, clock, "strasse@example.com")
    assert store.people.find("strasse@example.com") is None
    for one in alike:
        assert cell(store, one).seen[MINE].opted_in
    erase(store, clock, "someone@straße.example")
    assert store.people.find("someone@straße.example") is None
    assert cell(store, "someone@strasse.example").seen[MINE].opted_in


@pytest.mark.parametrize("side", [MINE, THEIRS])
@pytest.mark.parametrize("said", [None, -60, 0])
def test_an_old_opt_in_makes_nobody_known_again(
    store: Store, run: RunId, clock: Clock, side: object, said: float | None
) -> None:
    erase(store, clock)
    when = None if said is None else at(said)
    found = store.observations.record(
        [news(ANN.upper(), IN, 4000, "a", changed_at=when), news("new@example.com", IN, 4000)], side, run=run
    )  # type: ignore[arg-type]
    assert store.people.find(ANN) is None
    assert store.people.find("new@example.com") is not None
    assert found.people == 1


def test_a_later_opt_in_brings_them_back_and_ends_the_mark(store: Store, run: RunId, clock: Clock) -> None:
    erase(store, clock)
    store.observations.record([news(ANN, IN, 3700, "a", changed_at=at(3600))], MINE, run=run)
    assert cell(store).erased_at == at(1)
    with store._unit.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(t.erased)) == 0
    history = store.ledger.history(person(store))
    assert [(entry["kind"], entry["body"]) for entry in history] == [("erased_known_again", {"by": "opt_in"})]


def test_an_old_opt_in_beside_a_later_one_raises_nobody(store: Store, run: RunId, clock: Clock) -> None:
    erase(store, clock)
    store.observations.record([news(ANN, IN, 3700, "a", changed_at=at(3600))], MINE, run=run)
    store.observations.record([news(ANN, IN, 3800, "d", changed_at=at(-9))], THEIRS, run=run)
    assert cell(store).erased_at == at(1)


def test_a_withdrawal_makes_them_known_and_leaves_the_mark(store: Store, run: RunId, clock: Clock) -> None:
    erase(store, clock)
    store.observations.record([news(ANN, OUT, 3700, "d")], THEIRS, run=run)
    assert cell(store).erased_at == at(1)
    assert [who.person for page in store.people.known() for who in page] != []
    with store._unit.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(t.erased)) == 1


def test_a_person_still_being_erased_keeps_the_mark(store: Store, run: RunId, clock: Clock) -> None:
    store.erasures.begin(ANN)
    clock.tick(10)
    store.observations.record([news(ANN, IN, 20, "a", changed_at=at(5))], MINE, run=run)
    assert cell(store).erased_at == at(0)
    assert store.erasures.unfinished() == 1


def test_erasing_twice_ends_as_once(store: Store, run: RunId, clock: Clock) -> None:
    erase(store, clock)
    erase(store, clock)
    assert store.people.find(ANN) is None
    assert store.erasures.unfinished() == 0


def test_an_unknown_person_can_be_marked(store: Store, run: RunId, clock: Clock) -> None:
    erase(store, clock, "nobody@example.com")
    store.observations.record([news("nobody@example.com", IN, 4000, changed_at=at(0))], MINE, run=run)
    assert store.people.find("nobody@example.com") is None


def test_a_failed_read_of_an_erased_person_is_kept_by_record_alone(
    store: Store, run: RunId, state_url: str, clock: Clock
) -> None:
    erase(store, clock)
    store.retry_queue.add(THEIRS, hint=Hint("4711", ANN), error="no answer")
    assert ANN not in everything(state_url)
    assert [kept.hint for kept in store.retry_queue.of(THEIRS)] == [Hint("4711")]


def test_where_there_is_no_record_the_address_goes_when_it_was_read(
    store: Store, run: RunId, clock: Clock
) -> None:
    """A withdrawal may be behind it: it must be read."""
    erase(store, clock)
    store.retry_queue.add(THEIRS, hint=Hint(address=ANN), error="no answer")
    (kept,) = store.retry_queue.of(THEIRS)
    assert kept.hint.address == ANN
    store.retry_queue.drop(kept.id)
    assert store.people.find(ANN) is None


def test_people_who_share_or_shared_a_record_are_related(store: Store, run: RunId, clock: Clock) -> None:
    store.observations.record([news("work@example.com", IN, 1, "a")], MINE, run=run)
    store.observations.record_former_addresses(MINE, "a", [(BOB, at(-5))])
    found = [who.address for who in store.people.related(person(store, ANN))]
    assert found == [BOB, "work@example.com"]
    assert store.people.related(person(store, BOB))


# the key


def test_without_the_key_a_new_person_counts_as_erased_when_first_seen(
    store: Store, run: RunId, state_url: str, clock: Clock
) -> None:
    erase(store, clock)
    with Store.open(state_url, clock) as blind:
        blind.observations.record(
            [news(ANN, IN, 4000, "a", changed_at=at(-9)), news(BOB, IN, 4000)], MINE, run=run
        )
        assert cell(blind).erased_at == clock.now
        assert cell(blind, BOB).erased_at is None
        assert (blind.erasures.unreadable(), blind.erasures.recheck()) == (1, 1)


def test_with_the_key_restored_they_are_distinguished(
    store: Store, run: RunId, state_url: str, clock: Clock
) -> None:
    erase(store, clock)
    erase(store, clock, "out@example.com")
    with Store.open(
        state_url, clock, erasing=ErasureSettings(ErasureKey("not the same word at all"))
    ) as blind:
        for address in (ANN, "new@example.com"):
            blind.observations.record([news(address, IN, 4000, changed_at=at(-9))], MINE, run=run)
        blind.observations.record([news("out@example.com", OUT, 4000)], MINE, run=run)
        assert blind.erasures.unreadable() == 2
    clock.tick(3600)
    assert store.erasures.recheck() == 0
    assert store.people.find(ANN) is None
    assert cell(store, "new@example.com").erased_at is None
    assert cell(store, "out@example.com").erased_at == at(3602)


def test_marks_of_a_key_that_is_lost_can_be_given_up(
    store: Store, run: RunId, state_url: str, clock: Clock
) -> None:
    erase(store, clock)
    with Store.open(state_url, clock) as blind:
        assert blind.erasures.drop_unreadable() == 1
        assert blind.erasures.drop_unreadable() == 0
        blind.observations.record([news(ANN, IN, 4000, changed_at=at(-9))], MINE, run=run)
        assert cell(blind).erased_at is None


def test_one_query_a_page_is_all_it_costs_where_nobody_was_erased(store: Store, run: RunId) -> None:
    seen: list[str] = []
    sa.event.listen(store._unit.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    store.observations.record([news(f"p{n}@example.com", IN) for n in range(50)], MINE, run=run)
    assert sum("FROM erased" in statement for statement in seen) == 1
