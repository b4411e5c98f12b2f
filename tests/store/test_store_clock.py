"""The bridge's own times last in the state DB: no process gives one before those that were stored."""

from __future__ import annotations

from datetime import timedelta

from bridge.store import Store
from tests.store.helpers import ANN, IN, THEIRS, Clock, begun, news

HOUR = timedelta(hours=1)


def test_a_restart_with_a_clock_that_was_set_back_goes_on_after_what_was_stored(
    state_url: str, store: Store, clock: Clock
) -> None:
    clock.tick(3600)
    begun(store)
    newest = store.now()
    begun(store)
    clock.tick(-3600)
    with Store.open(state_url, clock) as again:
        assert again.now() > newest


def test_what_was_rolled_back_is_no_reason_to_skip_ahead(state_url: str, store: Store, clock: Clock) -> None:
    begun(store)
    with Store.open(state_url, clock) as again:
        assert again.now() == clock()


def test_the_owner_of_the_lease_follows_the_one_before_it(state_url: str, store: Store, clock: Clock) -> None:
    with Store.open(state_url, lambda: clock() - HOUR) as slow:
        run = begun(store)
        store.observations.record([news(ANN, IN)], THEIRS, run=run)
        newest = store.newest()
        assert newest is not None
        with slow.lease(owner="host:2", ttl=timedelta(minutes=2)):
            assert slow.now() > newest


def test_a_reader_knows_the_newest_time_too(state_url: str, store: Store, clock: Clock) -> None:
    begun(store)
    with Store.reader(state_url, clock) as reading:
        assert reading.newest() is None or reading.newest() == store.newest()
