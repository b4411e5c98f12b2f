"""The true history of a simulated world: what people did, what a side showed of it to the bridge, and what
the bridge sent. The bridge sees none of this; the oracle judges by nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.core.model import Choice, Side, TopicId
from bridge.core.writes import Write

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)


class TrueTime:
    """The true time, which moves with every look at a clock, and the clocks that show it: one of each side,
    and under None the bridge's."""

    def __init__(self) -> None:
        self.now = START
        self.ahead: dict[Side | None, timedelta] = {}
        self._due: list[tuple[datetime, Callable[[], None]]] = []

    def shown(self, clock: Side | None) -> datetime:
        """What a clock shows."""
        self.now += _TICK
        self._let_happen()
        return self.now + self.ahead.get(clock, timedelta())

    def add(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        self._let_happen()

    def later(self, wait: timedelta, act: Callable[[], None]) -> None:
        """Something happens after some time."""
        self._due.append((self.now + wait, act))

    def _let_happen(self) -> None:
        while due := [one for one in self._due if one[0] <= self.now]:
            self._due.remove(due[0])
            due[0][1]()


@dataclass(slots=True)
class PersonAct:
    """What a person said at a side. `date` is what the side shows of it, `honest` whether that is the moment
    itself by the side's clock; `shown_at` the true time at which the bridge read it first, `kept_at` that of
    a run that read it and came to its end."""

    at: datetime
    person: int
    side: Side
    topic: TopicId
    choice: Choice
    date: datetime | None
    honest: bool
    shown_at: datetime | None = None
    kept_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SentWrite:
    """A write that reached a side, applied or not."""

    at: datetime
    side: Side
    person: int
    write: Write


@dataclass(slots=True)
class TrueHistory:
    """Everything that happened, and a digest of it all."""

    time: TrueTime = field(default_factory=TrueTime)
    acts: list[PersonAct] = field(default_factory=list)
    sent: list[SentWrite] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _new: list[PersonAct] = field(default_factory=list)
    _digest: Any = field(default_factory=hashlib.sha256)

    def note(self, *parts: object) -> None:
        """Add to the trace: the same seed makes the same one."""
        self._digest.update(f"{self.time.now.isoformat()} {parts}\n".encode())

    @property
    def digest(self) -> str:
        """Stands for the whole trace."""
        return str(self._digest.hexdigest())[:16]

    def show(self, act: PersonAct | None) -> None:
        """A side has shown this to the bridge."""
        if act is None or act.kept_at is not None:
            return
        if act.shown_at is None:
            act.shown_at = self.time.now
        self._new.append(act)

    def keep_shown(self) -> None:
        """A run came to its end: what was shown to it is stored."""
        for act in self._new:
            act.kept_at = act.kept_at or self.time.now
        self._new.clear()

    def forget_shown(self) -> None:
        """A process died: nobody knows whether what was shown to it was stored."""
        for act in self._new:
            if act.kept_at is None:
                act.shown_at = None
        self._new.clear()
