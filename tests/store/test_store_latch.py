"""Opt-outs that are latched with the observation that shows them, and when they are sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from bridge.core.model import CHANNEL, Block, HoldState, Latch, RunId, Side, TopicId
from bridge.core.store_values import AttemptFinished, AttemptState, Settlement
from bridge.store import Store, migrate
from bridge.store.engine import make_engine
from tests.prepared import real_migrations
from tests.store.helpers import (
    ANN,
    BOB,
    IN,
    MINE,
    NEWS,
    OFFERS,
    OUT,
    OUTCOME,
    START,
    THEIRS,
    UNSET,
    Clock,
    agreement,
    at,
    attempt,
    begun,
    cell,
    dirty_topics,
    news,
    person,
    seen,
    settled,
    view,
)

__all__ = ["real_migrations"]

SAID = at(-50)
EXISTING = Latch(THEIRS, SAID, START)
TOPICS = [NEWS, OFFERS, CHANNEL]


@pytest.fixture
def run(store: Store) -> RunId:
    """A run in a state DB with nothing in it."""
    return begun(store)


def unsubscribed(store: Store, run: RunId, address: str = ANN, read: float = 0) -> None:
    store.observations.record([news(address, OUT, read, changed_at=SAID)], THEIRS, run=run)


def test_an_opt_out_is_latched_with_its_observation_and_outlives_it(store: Store, run: RunId) -> None:
    store.observations.record([news(ANN, IN)], MINE, run=run)
    unsubscribed(store, run)
    assert cell(store).latch == EXISTING
    bounced = news(ANN, UNSET, 1, stated=False, block=Block.UNREACHABLE)
    store.observations.record([bounced], THEIRS, run=run)
    assert cell(store).latch == EXISTING
    store.observations.record([news(ANN, IN, 2, changed_at=at(1))], THEIRS, run=run)
    assert cell(store).latch == EXISTING


def test_a_page_that_is_not_stored_latches_nothing(store: Store, run: RunId) -> None:
    store.observations.record([news(ANN, IN)], THEIRS, run=run)
    with pytest.raises(sa.exc.IntegrityError):
        store.observations.record([news(ANN, OUT, 1), news("", IN)], THEIRS, run=run)
    assert cell(store).latch is None


def test_a_newer_opt_out_at_either_side_is_latched_in_its_place(store: Store, run: RunId) -> None:
    unsubscribed(store, run)
    store.observations.record([news(ANN, OUT, 1, changed_at=at(-60))], MINE, run=run)
    assert cell(store).latch == EXISTING
    store.observations.record([news(ANN, OUT, 2, changed_at=at(-10))], MINE, run=run)
    assert cell(store).latch == Latch(MINE, at(-10), at(2))


def test_an_agreement_ends_the_latch_that_it_rests_on(store: Store, run: RunId) -> None:
    unsubscribed(store, run)
    settled(store, run)
    assert cell(store).latch is None
    assert dirty_topics(store) == []
    unsubscribed(store, run, read=1)
    assert cell(store).latch is None


def test_an_agreement_on_other_ground_leaves_the_latch(store: Store, run: RunId) -> None:
    store.observations.record([news(ANN, IN)], MINE, run=run)
    before = cell(store)
    unsubscribed(store, run)
    opted_in = Settlement(before.person, NEWS, before.ground, agreement(before, IN))
    store.cells.settle(run, [opted_in])
    assert cell(store).latch == EXISTING
    assert dirty_topics(store) == [(before.person, NEWS)]


def test_a_decision_without_an_agreement_leaves_the_latch(store: Store, run: RunId) -> None:
    unsubscribed(store, run)
    now = cell(store)
    store.cells.settle(run, [Settlement(now.person, NEWS, now.ground)])
    assert cell(store).latch == EXISTING


def test_an_agreement_that_leaves_more_to_decide_ends_the_latch_all_the_same(
    store: Store, run: RunId
) -> None:
    unsubscribed(store, run)
    now = cell(store)
    agreed = Settlement(now.person, NEWS, now.ground, agreement(now), unfinished=True)
    store.cells.settle(run, [agreed])
    assert cell(store).latch is None
    assert dirty_topics(store) == [(now.person, NEWS)]


@pytest.mark.parametrize("spreads", [True, False])
def test_an_unsubscribe_that_spreads_is_latched_for_each_topic(
    store: Store, run: RunId, spreads: bool
) -> None:
    def record(read: float, channel: object, side: Side = THEIRS) -> None:
        shown = {NEWS: seen(IN, read), OFFERS: seen(UNSET, read), CHANNEL: channel}
        store.observations.record(
            [view(ANN, shown), view(BOB, {NEWS: seen(IN, read), CHANNEL: seen(IN, read)})],  # type: ignore[dict-item]
            side,
            run=run,
            unsubscribe_withdraws_topics=spreads,
        )

    record(0, seen(IN, stated=False))
    record(1, seen(OUT, 1, changed_at=SAID))
    record(2, seen(UNSET, 2, stated=False, block=Block.UNREACHABLE))
    latch = Latch(THEIRS, SAID, at(1))
    assert cell(store, topic=CHANNEL).latch == latch
    assert [cell(store, topic=topic).latch for topic in (NEWS, OFFERS)] == [latch if spreads else None] * 2
    assert cell(store, BOB).latch is None


# sent again


def failed(store: Store, run: RunId, address: str = ANN) -> None:
    now = cell(store, address)
    store.holds.open(run, now.person, NEWS, reason="refused", why="no", ground="g", retry=True)
    store.cells.settle(run, [Settlement(now.person, NEWS, now.ground)])


def retried(store: Store, topics: Sequence[TopicId] = TOPICS) -> bool:
    store.cells.retry_due(topics)
    return bool(dirty_topics(store))


def test_an_opt_out_without_effect_is_decided_again_when_its_time_has_come(
    store: Store, clock: Clock, run: RunId
) -> None:
    unsubscribed(store, run)
    failed(store, run)
    failed(store, run)
    now = cell(store)
    assert (now.tries, now.retry_at) == (2, START + timedelta(minutes=5))
    assert not retried(store)
    clock.tick(300)
    assert not retried(store, [OFFERS]), "what is not mapped rests"
    assert retried(store)
    now = cell(store)
    assert (now.tries, now.retry_at) == (2, None)


def test_an_agreement_ends_the_tries(store: Store, run: RunId) -> None:
    unsubscribed(store, run)
    failed(store, run)
    settled(store, run)
    now = cell(store)
    assert (now.tries, now.retry_at) == (0, None)
    assert not retried(store)


def test_a_change_of_the_channel_at_dotdigital_has_the_persons_opt_outs_sent_again(
    store: Store, run: RunId
) -> None:
    for address in (ANN, BOB):
        store.observations.record([news(address, OUT, changed_at=SAID)], MINE, run=run)
        for _ in range(4):
            failed(store, run, address)
    blocked = seen(UNSET, 1, stated=False, block=Block.UNREACHABLE)
    store.observations.record([view(ANN, {CHANNEL: blocked})], MINE, run=run)
    store.cells.retry_due([NEWS])
    assert (person(store), NEWS) not in dirty_topics(store)
    store.observations.record([view(ANN, {CHANNEL: blocked})], THEIRS, run=run)
    store.cells.retry_due([NEWS])
    assert (person(store), NEWS) in dirty_topics(store)
    assert (person(store, BOB), NEWS) not in dirty_topics(store)


# earlier state DBs


def cell_row(topic: str, **values: object) -> dict[str, object]:
    return {"person_id": 1, "topic": topic, "dirty": False, **values}


def shown(side: str, choice: str, changed: int | None = None) -> dict[str, object]:
    told = {"choice": choice, "read_at": 90, "changed_at": changed, "frequencies": "[]", "records": 1}
    flags = {"present": True, "stated": True, "shallow": False, "uniform": True}
    return {f"{side}_{name}": value for name, value in (told | flags).items()}


def was_agreed(choice: str, when: int) -> dict[str, object]:
    rest = {"agreed_rule": "r", "agreed_decided_at": when, "agreed_frequencies": "[]"}
    return {"agreed_choice": choice, "agreed_at": when, **rest}


STORED = {
    "new": cell_row("new", **shown("dotdigital", "opted_out", 50)),
    "over an opt-in": cell_row("over", **shown("dotdigital", "opted_out", 50), **was_agreed("opted_in", 10)),
    "undated": cell_row("undated", **shown("mypreferences", "opted_out")),
    "both": cell_row(
        "both", **shown("mypreferences", "opted_out", 60), **shown("dotdigital", "opted_out", 50)
    ),
    "agreed": cell_row("agreed", **shown("dotdigital", "opted_out", 50), **was_agreed("opted_out", 50)),
    "agreed, undated": cell_row(
        "agreed-2", **shown("dotdigital", "opted_out"), **was_agreed("opted_out", 50)
    ),
    "agreed, and dated later by our own write": cell_row(
        "agreed-3",
        **shown("mypreferences", "opted_out", 50),
        **shown("dotdigital", "opted_out", 60),
        **was_agreed("opted_out", 50),
    ),
    "agreed, and said again over an opt-in": cell_row(
        "agreed-4",
        **shown("mypreferences", "opted_in", 55),
        **shown("dotdigital", "opted_out", 60),
        **was_agreed("opted_out", 50),
    ),
    "opted in": cell_row("in", **shown("dotdigital", "opted_in", 50)),
}
EXPECTED = {
    "new": ("dotdigital", 50, 90),
    "over an opt-in": ("dotdigital", 50, 90),
    "undated": ("mypreferences", None, 90),
    "both": ("mypreferences", 60, 90),
    "agreed": (None, None, None),
    "agreed, undated": (None, None, None),
    "agreed, and dated later by our own write": (None, None, None),
    "agreed, and said again over an opt-in": ("dotdigital", 60, 90),
    "opted in": (None, None, None),
}


@pytest.mark.usefixtures("real_migrations")
def test_opt_outs_that_an_earlier_version_saw_and_did_not_deliver_are_latched(url: str) -> None:
    engine = make_engine(url)
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0007")
        put(conn, "people", {"id": 1, "address": "a", "address_key": "a", "created_at": 1})
        for row in STORED.values():
            put(conn, "cells", row)
        hold = {"person_id": 1, "topic": "new", "why": "w", "ground": "g", "proposed": "[]", "opened_at": 1}
        put(conn, "holds", hold | {"reason": "refused", "state": HoldState.OPEN.value})
    migrate.upgrade(url)
    with engine.begin() as conn:
        query = "SELECT topic, withdrawal_side, withdrawal_at, withdrawal_seen_at, tries, retry_at FROM cells"
        found = {row[0]: tuple(row[1:]) for row in conn.exec_driver_sql(query)}
    engine.dispose()
    for name, row in STORED.items():
        tried = (1, 0) if name == "new" else (0, None)
        assert found[str(row["topic"])] == (*EXPECTED[name], *tried), name


def put(conn: sa.Connection, table: str, row: dict[str, object]) -> None:
    conn.execute(sa.insert(sa.table(table, *map(sa.column, row))).values(row))


def test_our_own_unsubscribe_withdraws_the_topics_as_of_the_statement_that_it_carries(
    store: Store, clock: Clock, run: RunId
) -> None:
    """A person leaves the channel at MyPreferences and opts in to a topic; then our unsubscribe lands."""
    said = at(-600)
    left = view(ANN, {CHANNEL: seen(OUT, changed_at=said), NEWS: seen(IN, changed_at=at(-60))})
    store.observations.record([left], MINE, run=run)
    store.observations.record([view(ANN, {CHANNEL: seen(IN), NEWS: seen(UNSET)})], THEIRS, run=run)
    writes = [{"topic": CHANNEL, "kind": "withdrawal", "said_at": said.isoformat()}]
    number = attempt(store, run, writes=writes)
    clock.tick(5)
    shown = view(ANN, {CHANNEL: seen(OUT, 5, changed_at=at(3)), NEWS: seen(UNSET, 5)}, complete=True)
    end = AttemptFinished(
        number, person(store), AttemptState.DONE, OUTCOME, [CHANNEL], written_at=at(4), shown={CHANNEL: at(3)}
    )
    store.attempts.end(run, THEIRS, [end], views=[shown], unsubscribe_withdraws_topics=True)
    assert cell(store).latch == Latch(THEIRS, said, at(5))


def test_an_unsubscribe_of_the_person_withdraws_the_topics_as_of_its_own_date(
    store: Store, run: RunId
) -> None:
    store.observations.record(
        [view(ANN, {CHANNEL: seen(OUT, changed_at=at(-3)), NEWS: seen(UNSET)})],
        THEIRS,
        run=run,
        unsubscribe_withdraws_topics=True,
    )
    assert cell(store).latch == Latch(THEIRS, at(-3), START)
