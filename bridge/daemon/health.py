"""The daemon's health: statistics of its runs, and the answers to health checks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from bridge.core.model import FUTURE_TOLERANCE
from bridge.daemon.liveness import Heartbeat
from bridge.engine.report import Report
from bridge.web.server import HttpAnswer

Clock = Callable[[], datetime]
MOST_IN_A_ROW = 3  # consecutive unexpected errors after which the daemon is not ready


class FeedSource(Protocol):
    """The watermark of each feed, from the state DB."""

    def watermarks(self) -> dict[str, datetime]: ...


class RunStats:
    """Results of the runs so far. Thread-safe."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._ended_at = monotonic()  # when the last run ended; the start before the first
        self._lock = threading.Lock()
        self._done = self._troubled = self._failed = self._in_a_row = 0
        self._last: dict[str, Any] | None = None

    def done(self, report: Report) -> None:
        """A run finished; a side may have failed in it."""
        with self._lock:
            self._done += 1
            self._troubled += bool(report.errors)
            self._in_a_row = 0
            self._last = {
                **self._ended("trouble" if report.errors else "done"),
                "run": report.run,
                "kind": report.kind.value,
                "in_sync": report.in_sync,
                "errors": [str(error) for error in report.errors],
                "brakes": list(report.brakes),
                "unapproved": list(report.unapproved),
            }

    def refused(self, reason: str) -> None:
        """A run could not start, for a known reason."""
        with self._lock:
            self._troubled += 1
            self._in_a_row = 0
            self._last = {**self._ended("trouble"), "errors": [reason]}

    def failed(self, kind: str) -> None:
        """A run ended with an unexpected error."""
        with self._lock:
            self._failed += 1
            self._in_a_row += 1
            self._last = {**self._ended("failed"), "errors": [kind]}

    def _ended(self, how: str) -> dict[str, Any]:
        self._ended_at = self._monotonic()
        return {"ended": how, "at": self._clock().isoformat().replace("+00:00", "Z")}

    @property
    def idle(self) -> timedelta:
        """How long ago the last run ended, or the daemon started, whatever the machine's clock says."""
        return timedelta(seconds=self._monotonic() - self._ended_at)

    @property
    def in_a_row(self) -> int:
        """Consecutive runs that ended with an unexpected error."""
        with self._lock:
            return self._in_a_row

    @property
    def last(self) -> Mapping[str, Any] | None:
        """The result of the last run."""
        with self._lock:
            return self._last

    def counts(self) -> dict[str, int]:
        """Runs that finished, those of them in which a side failed, and those that ended with an unexpected
        error."""
        with self._lock:
            return {"done": self._done, "troubled": self._troubled, "failed": self._failed}


class Health:
    """Answers health checks (`bridge.web.server.HealthSource`). A run starts every `every`. A feed is fresh
    within `fresh` of the time it is due; `feeds` gives the longest interval between two reads of each."""

    def __init__(
        self,
        *,
        heartbeat: Heartbeat,
        stats: RunStats,
        store: FeedSource,
        feeds: Callable[[], Mapping[str, timedelta]],
        schedule: Callable[[], Mapping[str, int]],
        clock: Clock,
        every: timedelta,
        fresh: timedelta,
        webhooks: Callable[[], Mapping[str, int] | None] = lambda: None,
    ) -> None:
        self._heartbeat, self._stats, self._store = heartbeat, stats, store
        self._feeds, self._schedule, self._clock = feeds, schedule, clock
        self._every, self._fresh = every, fresh
        self._hooks = webhooks
        self._stopping = threading.Event()

    def stop(self) -> None:
        """No more runs will start."""
        self._stopping.set()

    def alive(self) -> HttpAnswer:
        hung = self._heartbeat.hung()
        state = self._heartbeat.now()
        body: dict[str, Any] = {
            "alive": hung is None,
            "stopping": self._stopping.is_set(),
            "round": None
            if state is None
            else {"step": state.step, "silent_seconds": round(state.silent, 1)},
            "rounds": self._stats.counts(),
            "schedule": dict(self._schedule()),
        }
        if (webhooks := self._hooks()) is not None:
            body["hooks"] = dict(webhooks)
        return HttpAnswer(hung is None, body)

    def ready(self) -> HttpAnswer:
        reasons: list[str] = []
        if self._stopping.is_set():
            reasons.append("the daemon is stopping")
        if (hung := self._heartbeat.hung()) is not None:
            reasons.append(f"the current run has hung for {hung.silent:.0f} s at: {hung.step}")
        if (failures := self._stats.in_a_row) >= MOST_IN_A_ROW:
            reasons.append(f"the last {failures} runs ended with unexpected errors; see the log")
        if self._heartbeat.now() is None and (idle := self._stats.idle) > self._fresh:
            reasons.append(f"no run has started for {idle.total_seconds():.0f} s")
        ages = self._ages(reasons)
        last = self._stats.last
        if last is not None and (waiting := last.get("unapproved")):
            topics = ", ".join(waiting)
            reasons.append(f"topics wait for `bridge reconcile --approve-mapping`: {topics}")
        body = {
            "ready": not reasons,
            "reasons": reasons,
            "feeds": ages,
            "fresh_seconds": self._fresh.total_seconds(),
            "last_round": None if last is None else dict(last),
        }
        return HttpAnswer(not reasons, body)

    def _ages(self, reasons: list[str]) -> dict[str, float | None]:
        """Each feed's age in seconds. Adds what is wrong to `reasons`."""
        feeds = self._feeds()
        if not feeds:
            reasons.append("no run has read a feed yet")
        try:
            watermarks = self._store.watermarks()
        except Exception as error:  # noqa: BLE001 - any failure of the state DB is reported, not raised
            reasons.append(f"the state DB is unavailable ({type(error).__name__})")
            return {}
        now = self._clock()
        ages: dict[str, float | None] = {}
        for feed, turn in feeds.items():
            at = watermarks.get(feed)
            ages[feed] = None if at is None else round(max(0.0, (now - at).total_seconds()), 1)
            if at is None:
                reasons.append(f"{feed} has never been read to its end")
            elif at - now > FUTURE_TOLERANCE:
                reasons.append(f"the watermark of {feed} is {at - now} in the future; check the clocks")
            elif now - at > self._fresh + max(turn - self._every, timedelta(0)):
                reasons.append(f"{feed} was last read to its end {now - at} ago")
        return ages
