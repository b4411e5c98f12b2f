"""The lease is renewed while work makes progress, and given up when it does not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bridge.core.errors import LeaseHeld
from bridge.daemon.liveness import Heartbeat, LeaseRenewer
from tests.daemon.harness import wait_until


class FakeLease:
    """A lease that counts how often it was renewed, and then fails as set."""

    def __init__(self) -> None:
        self.renewed = 0
        self.fails: Exception | None = None

    def renew(self) -> None:
        self.renewed += 1
        if self.fails is not None:
            raise self.fails


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.lost: list[bool] = []
        self.lease = FakeLease()
        self.heartbeat = Heartbeat(timedelta(seconds=10), lambda: self.now)
        self.renewer = LeaseRenewer(
            lease=self.lease, heartbeat=self.heartbeat, lost=lambda: self.lost.append(True), every=0.01
        )

    def renewed_again(self) -> None:
        before = self.lease.renewed
        wait_until(lambda: self.lease.renewed > before + 1, "the lease was renewed again")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.renewer.stop()


def test_it_is_renewed_between_runs_and_while_a_run_makes_progress(bench: Bench) -> None:
    bench.renewer.start()
    bench.renewed_again()
    bench.heartbeat.beat("reading")
    bench.now = 9
    bench.renewed_again()


def test_a_run_that_hangs_lets_it_run_out_until_it_goes_on(bench: Bench) -> None:
    bench.heartbeat.beat("reading")
    bench.now = 11
    bench.renewer.start()
    bench.renewer._thread.join(0.1)
    assert bench.lease.renewed == 0
    bench.renewer.beat()
    assert bench.lease.renewed >= 1
    bench.renewed_again()


def test_an_unavailable_state_db_is_logged_once_and_waited_for(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.lease.fails = OSError("no connection")
    with caplog.at_level(logging.WARNING):
        bench.renewer.start()
        bench.renewed_again()
        bench.lease.fails = None
        bench.renewed_again()
    assert [record.message for record in caplog.records] == ["lease not renewed"]
    assert bench.lost == []


def test_a_lost_lease_is_logged_at_once_and_raised_at_the_next_heartbeat(bench: Bench) -> None:
    bench.lease.fails = LeaseHeld("Another process took over.")
    bench.renewer.start()
    wait_until(lambda: bench.lost == [True], "the loss was reported")
    with pytest.raises(LeaseHeld):
        bench.renewer.beat()
