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
from bridge.core.writes import Raise, Withdrawal, Write
from bridge.engine.context import RunContext
from bridge.engine.serialize import time_out


@dataclass(slots=True)
class WriteCounts:
    """Writes by side and kind, and what did not go well."""

    raises: Counter[Side] = field(default_factory=Counter)
    withdrawals: Counter[Side] = field(default_factory=Counter)
    other: Counter[Side] = field(default_factory=Counter)
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
        self.failed += more.failed

    @property
    def writes(self) -> int:
        return self.raises.total() + self.withdrawals.total() + self.other.total()


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
    gone: bool = False  # the mapping names what no longer exists
    unapproved: Sequence[TopicId] = ()  # their change of the mapping waits for approval
    swept: bool = False  # everybody was read, to a proven end
    partial: bool = False  # a feed, a sweep or a person was not read to the end
    budget: Mapping[str, Any] = field(default_factory=dict)
    people: int = 0

    @property
    def in_sync(self) -> bool:
        """Nothing is left to do, to prove or to review, and everything was read."""
        waits = self.counts.waiting or self.counts.held or self.counts.unproven or self.counts.dead
        return not (
            waits or self.errors or self.written.failed or self.gone or self.unapproved or self.partial
        )

    @property
    def exit_code(self) -> int:
        """0 done · 3 manual review needed · 4 a brake · 5 a side could not be reached."""
        if self.errors:
            return max(error.exit_code for error in self.errors)
        if self.brakes:
            return 4
        return 3 if self.counts.held or self.counts.dead or self.written.failed or self.gone else 0

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
            "held": self.counts.held,
            "unproven": self.counts.unproven,
            "failed": self.written.failed + self.counts.dead,
            "waiting": self.counts.waiting,
            "in_sync": self.in_sync,
            "calls": {side.value: self.calls[side] for side in Side},
            "brakes": self.brakes,
            "warnings": self.warnings,
            "budget": dict(self.budget),
        }


def make_report(
    run: RunContext, written: WriteCounts, *, brakes: Sequence[str] = (), swept: bool = False
) -> Report:
    """The report of a run that comes to its end."""
    counts = run.state.cells.counts()
    return Report(
        run=run.id,
        kind=run.kind,
        started_at=run.started_at,
        seconds=(run.clock() - run.started_at) / timedelta(seconds=1),
        observed=run.observed,
        written=written,
        counts=replace(counts, waiting=counts.waiting + len(run.state.facts.lagging_reads or ())),
        calls={side: reader.calls - run.calls_before[side] for side, reader in run.readers.items()},
        brakes=list(brakes),
        warnings=run.health.warnings,
        errors=run.health.errors,
        gone=bool(run.health.gone),
        unapproved=sorted(run.health.unapproved),
        swept=swept,
        partial=bool(run.health.untrusted_topics) or any(run.health.unread_people.values()),
        budget=run.budget(),
        people=run.state.people.count(),
    )
