"""What a run did, counted. `Report.shown()` is the JSON of `bridge reconcile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.core.errors import SideError
from bridge.core.model import RunId, Side, TopicId
from bridge.core.store_values import Counts, RunKind
from bridge.core.sync_state import Exit, SyncProblem, exit_code, in_sync, ordered
from bridge.core.writes import Raise, Withdrawal, Write
from bridge.engine.context import RunContext
from bridge.engine.serialize import time_out
from bridge.engine.sync_facts import found_by_run, found_in_state


@dataclass(slots=True)
class WriteCounts:
    """Writes by side and kind, and what did not go well."""

    raises: Counter[Side] = field(default_factory=Counter)
    withdrawals: Counter[Side] = field(default_factory=Counter)
    other: Counter[Side] = field(default_factory=Counter)
    mails: Counter[Side] = field(default_factory=Counter)  # confirmation mails: opted in is who answers them
    failed: int = 0

    def count(self, write: Write) -> None:
        """Count a write that was sent."""
        match write:
            case Withdrawal():
                self.withdrawals[write.side] += 1
            case Raise():
                self.raises[write.side] += 1
            case _:
                self.other[write.side] += 1

    def add(self, more: WriteCounts) -> None:
        """Add other counts to these."""
        self.raises.update(more.raises)
        self.withdrawals.update(more.withdrawals)
        self.other.update(more.other)
        self.mails.update(more.mails)
        self.failed += more.failed

    @property
    def writes(self) -> int:
        return self.raises.total() + self.withdrawals.total() + self.other.total() + self.mails.total()


@dataclass(slots=True)
class Report:
    """One run."""

    run: RunId
    kind: RunKind
    started_at: datetime
    seconds: float
    observed: dict[Side, int]
    written: WriteCounts
    counts: Counts
    calls: dict[Side, int]
    brakes: list[str]
    warnings: list[str]
    errors: list[SideError] = field(default_factory=list)
    gone_topics: Sequence[TopicId] = ()  # the mapping names what no longer exists
    unapproved: Sequence[TopicId] = ()  # their change of the mapping waits for approval
    swept: bool = False  # everybody was read, to a proven end
    incomplete: Sequence[str] = ()  # feeds and sweeps that were not read to their end
    unread: int = 0  # people whose read failed, or showed what was
    clocks: Sequence[str] = ()  # why the clocks suspend opt-ins
    standing: Sequence[SyncProblem] = ()  # what the state DB told at the end of the run
    feeds: Mapping[str, float] = field(default_factory=dict)  # seconds between two reads of each, at most
    budget: Mapping[str, Any] = field(default_factory=dict)
    people: int = 0
    ledger_head: str | None = None

    @property
    def gone(self) -> bool:
        return bool(self.gone_topics)

    @property
    def problems(self) -> list[SyncProblem]:
        """Every condition that holds at the end of the run."""
        found = found_by_run(
            errors=self.errors,
            incomplete=self.incomplete,
            clocks=self.clocks,
            brakes=self.brakes,
            unapproved=self.unapproved,
            gone=self.gone_topics,
            failed=self.written.failed,
            unread=self.unread,
        )
        return ordered([*found, *self.standing])

    @property
    def in_sync(self) -> bool:
        """Nothing is left to do, to prove or to review, and everything was read."""
        return in_sync(self.problems)

    @property
    def exit_code(self) -> Exit:
        """The exit code of the command that made this run."""
        return exit_code(self.problems)

    def shown(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "run": self.run,
            "kind": self.kind.value,
            "started_at": time_out(self.started_at),
            "seconds": round(self.seconds, 3),
            "observed": {side.value: self.observed[side] for side in Side},
            "writes": {
                side.value: {
                    "raises": self.written.raises[side],
                    "withdrawals": self.written.withdrawals[side],
                    "other": self.written.other[side],
                }
                for side in Side
            },
            "confirmation_mails": self.written.mails.total(),
            "held": self.counts.held,
            "unproven": self.counts.unproven,
            "failed": self.written.failed + self.counts.dead,
            "waiting": self.counts.waiting,
            "unread": self.unread,
            "in_sync": self.in_sync,
            "calls": {side.value: self.calls[side] for side in Side},
            "brakes": self.brakes,
            "warnings": self.warnings,
            "budget": dict(self.budget),
            "feeds": dict(self.feeds),
            "ledger_head": self.ledger_head,
            "exit_code": int(self.exit_code),
            "conditions": [problem.shown() for problem in self.problems],
        }


def make_report(
    run: RunContext, written: WriteCounts, *, brakes: Sequence[str] = (), swept: bool = False
) -> Report:
    """The report of a run that comes to its end."""
    warn_of_other_versions(run)
    counts = run.state.cells.counts()
    unread = run.state.retry_queue.waiting()
    if unread.oldest is not None:
        run.health.warn(
            f"people who could not be read: {unread.count}, the longest since "
            f"{unread.oldest:%Y-%m-%d %H:%M:%SZ}; they are read again in each run"
        )
    return Report(
        run=run.id,
        kind=run.kind,
        started_at=run.started_at,
        seconds=(run.clock() - run.started_at) / timedelta(seconds=1),
        observed=run.observed,
        written=written,
        counts=replace(
            counts, waiting=counts.waiting + len(run.state.facts.lagging_reads or ()) + unread.count
        ),
        calls={side: reader.calls - run.calls_before[side] for side, reader in run.readers.items()},
        brakes=list(brakes),
        warnings=run.health.warnings,
        errors=run.health.errors,
        gone_topics=sorted(run.health.gone),
        unapproved=sorted(run.health.unapproved),
        swept=swept,
        incomplete=_incomplete(run),
        unread=len(run.health.all_unread),
        clocks=run.health.clocks,
        standing=found_in_state(run.state),
        feeds=_feeds(run),
        budget=run.budget(),
        people=run.state.people.count(),
        ledger_head=run.state.ledger.published(),
    )


def warn_of_other_versions(run: RunContext) -> None:
    """Say of how many people read in this run a consent is granted in a version that is not mapped."""
    for topic, people in sorted(run.other_versions.items()):
        run.health.warn(
            f"topic '{topic}': {len(people)} of the people read granted the consent in another version or "
            "locale than the mapping names. That counts as no choice; `bridge explain EMAIL` shows it."
        )


def problems_of(run: RunContext, brakes: Sequence[str]) -> list[SyncProblem]:
    """What a run has found so far, but for the writes that failed."""
    return found_by_run(
        errors=run.health.errors,
        incomplete=_incomplete(run),
        clocks=run.health.clocks,
        brakes=brakes,
        unapproved=sorted(run.health.unapproved),
        gone=sorted(run.health.gone),
        failed=0,
        unread=len(run.health.all_unread),
    )


def _incomplete(run: RunContext) -> list[str]:
    """What was not read to its end. A side that was down, a feed that brings nothing, and one about topics
    that are gone are told apart."""
    apart, down = {*(run.state.facts.deaf_feeds or ()), *_feeds_of_gone(run)}, tuple(run.health.down)
    return [
        name
        for name in run.health.incomplete
        if name not in apart and not name.startswith(down) and not name.endswith(down)
    ]


def _feeds_of_gone(run: RunContext) -> list[str]:
    """The feeds of which all topics have lost their counterpart."""
    if not run.health.gone:
        return []
    return [
        feed.name
        for reader in run.readers.values()
        for feed in reader.feeds(run.tuning.poll)
        if feed.topics and run.health.gone.keys() >= feed.topics
    ]


def _feeds(run: RunContext) -> dict[str, float]:
    """The feeds that show choices, without those that only give hints."""
    return {
        feed.name: feed.period.total_seconds()
        for reader in run.readers.values()
        for feed in reader.feeds(run.tuning.poll)
        if feed.topics
    }
