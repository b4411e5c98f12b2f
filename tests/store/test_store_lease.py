"""One writer at a time: by a lease with an owner, an expiry and a fence."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from bridge.core.errors import LeaseHeld
from bridge.core.store_values import RunKind
from bridge.store import Store
from tests.store.helpers import ANN, IN, THEIRS, Clock, at, begun, news
from tests.waiting import PATIENCE

TTL = timedelta(seconds=30)


@pytest.fixture
def other(state_url: str, store: Store, clock: Clock) -> Iterator[Store]:
    """The same state DB, as another process opens it."""
    with Store.open(state_url, clock) as opened:
        yield opened


def test_a_second_writer_is_refused_with_the_holder_and_the_expiry(store: Store, other: Store) -> None:
    with (
        store.lease(owner="host:1", ttl=TTL),
        pytest.raises(LeaseHeld, match=r"host:1.*2026-03-01T12:00:30Z.*Wait"),
        other.lease(owner="host:2", ttl=TTL),
    ):
        pass


def test_a_lease_holder_is_named_without_its_internal_token(store: Store, other: Store) -> None:
    with (
        store.lease(owner="mill pid 7 [1234-56 abc]", ttl=TTL),
        pytest.raises(LeaseHeld, match=r"\(mill pid 7\) writes"),
        other.lease(owner="host:2", ttl=TTL),
    ):
        pass


def test_an_owner_that_is_suspended_within_a_transaction_is_named(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite it keeps the whole file locked. PostgreSQL is tested beside the connections."""
    monkeypatch.setattr("bridge.store.engine.BUSY_SECONDS", 0.2)
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with Store.open(url, clock) as first, Store.open(url, clock) as second:
        with first.lease(owner="mill pid 7 [1234-56 abc]", ttl=TTL):
            pass
        with (
            first._unit.write(),
            pytest.raises(LeaseHeld, match=r"\(mill pid 7\) keeps this state DB locked.*suspended") as caught,
            second.lease(owner="host:2", ttl=TTL),
        ):
            pass
    assert caught.value.exit_code == 6


def test_a_lease_given_back_is_free_at_once(store: Store, other: Store) -> None:
    with store.lease(owner="host:1", ttl=TTL) as first:
        pass
    with other.lease(owner="host:2", ttl=TTL) as second:
        assert second.fence > first.fence


def test_a_lease_is_given_back_after_an_error_too(store: Store, other: Store) -> None:
    with pytest.raises(RuntimeError), store.lease(owner="host:1", ttl=TTL):
        raise RuntimeError
    with other.lease(owner="host:2", ttl=TTL):
        pass


def test_a_lease_that_ran_out_may_be_taken_over_and_the_first_is_refused(
    store: Store, other: Store, clock: Clock
) -> None:
    run = begun(store)
    with store.lease(owner="host:1", ttl=TTL) as first:
        clock.tick(30)
        with other.lease(owner="host:2", ttl=TTL) as second:
            assert second.fence == first.fence + 1
            with pytest.raises(LeaseHeld):
                first.renew()
            with pytest.raises(LeaseHeld):
                store.observations.record([news(ANN, IN)], THEIRS, run=run)
            other.observations.record([news(ANN, IN)], THEIRS, run=run)
    assert store.people.count() == 1


def test_the_overtaken_does_not_end_the_lease_of_the_other(store: Store, other: Store, clock: Clock) -> None:
    first = store.lease(owner="host:1", ttl=TTL)
    first.__enter__()
    clock.tick(31)
    with other.lease(owner="host:2", ttl=TTL):
        first.__exit__(None, None, None)
        with pytest.raises(LeaseHeld, match="host:2"), store.lease(owner="host:3", ttl=TTL):
            pass


def test_a_renewed_lease_lasts(store: Store, other: Store, clock: Clock) -> None:
    with store.lease(owner="host:1", ttl=TTL) as lease:
        for _ in range(5):
            clock.tick(20)
            lease.renew()
        with pytest.raises(LeaseHeld), other.lease(owner="host:2", ttl=TTL):
            pass


def test_a_late_renewal_is_good_if_nobody_came(store: Store, clock: Clock) -> None:
    with store.lease(owner="host:1", ttl=TTL) as lease:
        clock.tick(300)
        lease.renew()
        store.runs.begin(RunKind.FULL)


def test_renewing_often_writes_seldom(store: Store, clock: Clock) -> None:
    with store.lease(owner="host:1", ttl=TTL) as lease:
        untils = set()
        for _ in range(30):
            clock.tick(1)
            lease.renew()
            untils.add(lease._renewed)
    assert len(untils) <= 4


def test_a_lease_that_was_given_back_cannot_be_renewed(store: Store) -> None:
    with store.lease(owner="host:1", ttl=TTL) as lease:
        pass
    with pytest.raises(LeaseHeld):
        lease.renew()


def test_leases_of_different_names_do_not_meet(store: Store, other: Store) -> None:
    with store.lease(owner="host:1", ttl=TTL), other.lease(owner="host:2", ttl=TTL, name="else"):
        pass


def test_a_lease_needs_a_time_to_live(store: Store) -> None:
    with pytest.raises(ValueError, match="time to live"):
        store.lease(owner="host:1", ttl=timedelta(0))


def test_taking_the_lease_ends_runs_that_were_killed(store: Store, clock: Clock) -> None:
    begun(store)
    clock.tick()
    with store.lease(owner="host:1", ttl=TTL):
        pass
    (run,) = store.runs.last(1)
    assert (run.state, run.ended_at) == ("stopped", at(1))


def test_of_two_who_take_it_at_once_one_gets_it(store: Store, other: Store) -> None:
    together = Barrier(2, timeout=PATIENCE)

    def take(one: Store) -> str:
        together.wait()
        try:
            with one.lease(owner="host", ttl=TTL):
                together.wait()
                return "taken"
        except LeaseHeld:
            together.wait()
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(take, [store, other])) == ["refused", "taken"]
