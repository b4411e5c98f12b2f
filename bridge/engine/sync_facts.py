"""The facts from which the state of the sync is made: what a run found, and what the state DB tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.errors import SideError
from bridge.core.model import FUTURE_TOLERANCE
from bridge.core.store_port import StorePort
from bridge.core.store_values import Json, RunKind, RunRow
from bridge.core.sync_state import Condition, SyncProblem, counted, named, of_run, ordered, problem_in
from bridge.core.watermark import allowed_lag

SYNCING = (RunKind.FIRST, RunKind.INCREMENTAL, RunKind.FULL)  # kinds of run that read both sides to sync them
_MAPPING = "mapping: "  # begins the reason of a brake that a changed mapping trips
_INTERRUPTS = ("KeyboardInterrupt", "SystemExit")
_RUNS = 20  # how many runs are looked at for errors in a row


# what a run found


def found_by_run(
    *,
    errors: Iterable[SideError],
    incomplete: Iterable[str],
    clocks: Iterable[str],
    brakes: Iterable[str],
    unapproved: Iterable[str],
    gone: Iterable[str],
    failed: int,
    unread: int = 0,
) -> list[SyncProblem]:
    """What only a run can know."""
    waiting = list(unapproved)
    stops = [one for one in brakes if not (waiting and one.startswith(_MAPPING))]
    return [
        *(SyncProblem(Condition.SIDE_DOWN, names=f"{error.side}: {error.what}") for error in errors),
        *named(Condition.INCOMPLETE, incomplete),
        *named(Condition.CLOCKS, clocks),
        *(SyncProblem(Condition.BRAKE, names=one) for one in stops),
        *named(Condition.UNAPPROVED, waiting),
        *named(Condition.GONE, gone),
        *counted(failed=failed, people_unread=unread),
    ]


def found_by_error(error: BaseException) -> list[SyncProblem]:
    """What a run that was ended by an error tells."""
    if isinstance(error, SideError):
        return [SyncProblem(Condition.SIDE_DOWN, names=f"{error.side}: {error.what}")]
    if type(error).__name__ in _INTERRUPTS:
        return [SyncProblem(Condition.RUN_STOPPED)]
    what = getattr(error, "what", None)
    if isinstance(what, str):
        return [SyncProblem(Condition.RUN_REFUSED, names=what)]
    return [SyncProblem(Condition.RUN_FAILED, names=type(error).__name__)]


def report_of_error(error: BaseException) -> Json:
    """What is kept of a run that was ended by an error."""
    return {"error": type(error).__name__, "conditions": [one.shown() for one in found_by_error(error)]}


# what the state DB tells


def found_in_state(state: StorePort) -> list[SyncProblem]:
    """What waits, and what is not trusted, at this moment."""
    counts, facts = state.cells.counts(), state.facts
    return ordered(
        [
            *named(Condition.LEDGER, ledger_problems(state)),
            *([SyncProblem(Condition.FIRST_RUN)] if facts.first_run_completed is None else []),
            *named(Condition.DEAF_FEED, facts.deaf_feeds or ()),
            *counted(
                held=counts.held,
                dead=counts.dead,
                unproven=counts.unproven,
                waiting=counts.waiting,
                lagging=len(facts.lagging_reads or ()),
                unread=state.retry_queue.waiting().count,
                erasures=state.erasures.unfinished(),
                erasure_key=state.erasures.unreadable(),
            ),
        ]
    )


def ledger_problems(state: StorePort) -> Sequence[str]:
    """What a run found wrong with the ledger, or what its head shows now."""
    if (noted := state.facts.ledger_problem) is not None:
        return (noted,)
    trouble = state.ledger.trouble()
    return () if trouble is None else (trouble.text,)


def found_by_last_runs(state: StorePort) -> list[SyncProblem]:
    """What the last runs found, as far as it still stands."""
    rows = state.runs.last_ended(SYNCING, _RUNS)
    if not rows:
        return [SyncProblem(Condition.NEVER_RAN)]
    found = _of_row(rows[0])
    newest = state.runs.last_ended((*SYNCING, RunKind.APPLY))[0]
    if newest.id != rows[0].id and not (newest.report or {}).get("refused"):
        found += _of_row(newest)
    failed = 0
    for row in rows:
        if not any(one.condition is Condition.RUN_FAILED for one in _of_row(row)):
            break
        failed += 1
    return [
        SyncProblem(one.condition, failed, one.names) if one.condition is Condition.RUN_FAILED else one
        for one in ordered(found)
    ]


def _of_row(row: RunRow) -> list[SyncProblem]:
    report = row.report or {}
    if "conditions" in report:
        return of_run(map(problem_in, report["conditions"]))
    if row.state == "stopped":
        return [SyncProblem(Condition.RUN_STOPPED)]
    if row.state == "failed":  # noted by a version that told no more
        return [SyncProblem(Condition.RUN_FAILED, names=str(report.get("error", "a side was unavailable")))]
    return []


# how fresh the feeds are


@dataclass(frozen=True, slots=True)
class Schedule:
    """When feeds are read: a run starts every `poll`, and `turns` gives the longest interval between two
    reads of each feed."""

    poll: timedelta
    overlap: timedelta
    turns: Mapping[str, timedelta]

    def allowed(self, feed: str) -> timedelta:
        """How far the watermark of a feed may lie behind."""
        turn = self.turns.get(feed, self.poll)
        return allowed_lag(self.poll, overlap=self.overlap, turn=turn)


def overdue_by(schedule: Schedule, watermarks: Mapping[str, datetime], now: datetime) -> dict[str, float]:
    """For each scheduled feed that has a watermark, by how many seconds it lies behind more than it may."""
    return {
        feed: round(max(0.0, (now - watermarks[feed] - schedule.allowed(feed)) / timedelta(seconds=1)), 1)
        for feed in schedule.turns
        if feed in watermarks
    }


def found_in_feeds(
    schedule: Schedule, watermarks: Mapping[str, datetime], now: datetime
) -> list[SyncProblem]:
    """Feeds that are not read as their schedule demands."""
    late = overdue_by(schedule, watermarks, now)
    found = []
    for feed in schedule.turns:
        mark = watermarks.get(feed)
        if mark is None:
            text = f"{feed} has never been read to its end"
        elif mark - now > FUTURE_TOLERANCE:
            text = f"the watermark of {feed} is {mark - now} in the future; check the clocks"
        elif late[feed]:
            text = f"{feed} was last read to its end {now - mark} ago"
        else:
            continue
        found.append(SyncProblem(Condition.OVERDUE, int(late.get(feed, 0)), text))
    return found


def last_turns(state: StorePort) -> dict[str, timedelta]:
    """The feeds of the last run that told them, each with the longest interval between two reads of it."""
    for row in state.runs.last_ended(SYNCING, _RUNS):
        feeds = (row.report or {}).get("feeds")
        if feeds:
            return {name: timedelta(seconds=seconds) for name, seconds in feeds.items()}
    return {}


def state_of_sync(state: StorePort, schedule: Schedule, now: datetime) -> list[SyncProblem]:
    """Every condition that holds, as commands see it. Feeds are overdue only while a daemon is to keep them
    fresh: one-shot runs have no schedule."""
    late: Sequence[SyncProblem] = ()
    if state.facts.serving_since is not None:
        late = found_in_feeds(schedule, state.feeds.watermarks(), now)
    return ordered([*found_by_last_runs(state), *late, *found_in_state(state)])
