"""What webhooks named: stored durably and once, while a run writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bridge.core.ports import Hint
from bridge.core.store_values import WebhookEvent
from bridge.store import InboxResult, Store, WebhookInbox
from bridge.store import tables as t
from bridge.store.engine import make_engine
from bridge.store.webhook_events import PAGE
from tests.store.helpers import MINE, THEIRS, Clock, begun


@pytest.fixture
def box(state_url: str, store: Store, clock: Clock) -> Iterator[WebhookInbox]:
    made = WebhookInbox(state_url, clock, side=MINE, depth=5, patience=0.3)
    yield made
    made.close()


def notice(number: int, profile: str = "1001") -> WebhookEvent:
    return WebhookEvent(f"evt-{number}", "preference.updated", profile)


def test_what_was_kept_is_there_for_another_process(box: WebhookInbox, state_url: str, clock: Clock) -> None:
    assert box.put([notice(1), notice(2, "1002")]) is InboxResult.KEPT
    with Store.open(state_url, clock) as other:
        assert [one.hint for one in other.webhooks.pending(MINE)] == [Hint("1001"), Hint("1002")]
        assert other.webhooks.pending(THEIRS) == []


def test_the_same_event_is_kept_once_however_often_it_comes(box: WebhookInbox, store: Store) -> None:
    for _ in range(3):
        assert box.put([notice(1), notice(1)]) is InboxResult.KEPT
    (one,) = store.webhooks.pending(MINE)
    store.webhooks.mark_processed([one.id])
    assert box.put([notice(1)]) is InboxResult.KEPT
    assert store.webhooks.pending(MINE) == []


def test_a_repetition_is_known_for_a_day(box: WebhookInbox, store: Store, clock: Clock) -> None:
    box.put([notice(1)])
    store.webhooks.mark_processed([one.id for one in store.webhooks.pending(MINE)])
    clock.tick(2 * 86_400)
    store.observations.record([], THEIRS, run=begun(store), feed="dotdigital.suppressed", watermark=clock())
    assert box.put([notice(1)]) is InboxResult.KEPT
    assert len(store.webhooks.pending(MINE)) == 1


def test_a_full_inbox_refuses_and_has_room_again_after_a_run(box: WebhookInbox, store: Store) -> None:
    assert box.put([notice(number) for number in range(5)]) is InboxResult.KEPT
    assert box.put([notice(6)]) is InboxResult.FULL
    store.webhooks.mark_processed([one.id for one in store.webhooks.pending(MINE)])
    assert box.put([notice(6)]) is InboxResult.KEPT


def test_many_events_are_read_in_parts(state_url: str, store: Store, clock: Clock) -> None:
    flooded = WebhookInbox(state_url, clock, side=MINE, depth=10 * PAGE)
    assert flooded.put([notice(number) for number in range(PAGE + 3)]) is InboxResult.KEPT
    flooded.close()
    first = store.webhooks.pending(MINE)
    assert len(first) == PAGE
    store.webhooks.mark_processed([one.id for one in first])
    assert len(store.webhooks.pending(MINE)) == 3


def test_what_a_feed_has_led_to_since_is_marked(box: WebhookInbox, store: Store, clock: Clock) -> None:
    run = begun(store)
    store.observations.record([], MINE, run=run, feed="mypreferences.events", followed=["evt-1"])
    clock.tick()
    box.put([notice(1), notice(2)])
    assert [one.followed for one in store.webhooks.pending(MINE)] == [False, False]
    clock.tick()
    store.observations.record([], MINE, run=run, feed="mypreferences.events", followed=["evt-1"])
    store.observations.record([], THEIRS, run=run, feed="dotdigital.suppressed", followed=["evt-2"])
    assert [one.followed for one in store.webhooks.pending(MINE)] == [True, False]


def test_a_long_transaction_of_a_run_makes_it_busy_and_no_more(box: WebhookInbox, store: Store) -> None:
    with store._unit.write() as conn:
        conn.execute(sa.text("LOCK TABLE hook_hints")) if conn.dialect.name == "postgresql" else None
        assert box.put([notice(1)]) is InboxResult.BUSY
    assert box.put([notice(1)]) is InboxResult.KEPT
    assert len(store.webhooks.pending(MINE)) == 1


def test_nobody_waits_behind_one_who_waits(box: WebhookInbox, store: Store) -> None:
    with store._unit.write() as conn, ThreadPoolExecutor(4) as pool:
        conn.execute(sa.text("LOCK TABLE hook_hints")) if conn.dialect.name == "postgresql" else None
        found = list(pool.map(lambda number: box.put([notice(number)]), range(4)))
    assert set(found) == {InboxResult.BUSY}
    assert box.put([notice(9)]) is InboxResult.KEPT


def test_a_run_writes_on_while_a_burst_is_kept(state_url: str, store: Store, clock: Clock) -> None:
    box = WebhookInbox(state_url, clock, side=MINE, depth=1000, patience=30)
    run = begun(store)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            store.observations.record([], THEIRS, run=run, feed="f", followed=["k"])

    with ThreadPoolExecutor(9) as pool:
        working = pool.submit(work)
        found = list(pool.map(lambda number: box.put([notice(number)]), range(200)))
        stop.set()
        working.result()
    box.close()
    assert set(found) == {InboxResult.KEPT}
    assert len(store.webhooks.pending(MINE)) == 200


def test_a_lease_that_another_process_has_does_not_matter(
    box: WebhookInbox, state_url: str, clock: Clock
) -> None:
    with (
        Store.open(state_url, clock) as other,
        other.lease(owner="other", ttl=timedelta(minutes=1)),
    ):
        assert box.put([notice(1)]) is InboxResult.KEPT


def test_a_state_db_that_is_away_is_busy_not_an_error(tmp_path: object, clock: Clock) -> None:
    box = WebhookInbox("postgresql://nobody@127.0.0.1:1/none", clock, side=MINE, depth=5, patience=0.3)
    assert box.put([notice(1)]) is InboxResult.BUSY
    box.close()


def test_nothing_but_ids_the_kind_and_the_time_is_kept(box: WebhookInbox, state_url: str) -> None:
    columns = {"id", "side", "event_id", "event_type", "profile_id", "received_at", "heeded_at"}
    engine = make_engine(state_url)
    assert {column["name"] for column in sa.inspect(engine).get_columns(t.hook_hints.name)} == columns
    engine.dispose()
