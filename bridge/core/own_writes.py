"""What our own writes said, and which of a side's rows they left there. Pure.

A side may date a row that we wrote by its own clock, later than anything the person said. Such a row carries
the date of the statement that was written, however late it shows. For an opt-in it is enough that a write of
ours may have left the row; an opt-out that is not known to be ours is the person's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_CLOCKS = timedelta(minutes=15)  # how far behind the bridge's clock a side's may be
_AT_ONCE = timedelta(seconds=10)
"""So soon after a write was begun its row shows, unless it waited, timed out, or is part of a job. A later
row may as well be the person's own, which the write then left as it was."""


@dataclass(frozen=True, slots=True)
class OwnWrite:
    """A write of ours to one topic at one side.

    `said_at` is the date of the statement that it carries (None: it had none), `begun_at` the bridge's time
    before it was sent, `shown_at` the date of the row that proved it (None: nothing did). `may_apply` says
    that it may be applied at any time since it was begun: nobody knows what became of it, or the row that
    proved it showed only after the call. `target` is what the topic was mapped to there
    (`bridge.core.scope.target_of`; None: not known): a write is about no row of anything else.
    """

    withdraws: bool
    said_at: datetime | None
    begun_at: datetime
    shown_at: datetime | None = None
    may_apply: bool = True
    target: str | None = None

    def is_about(self, target: str) -> bool:
        """Whether it wrote any of what `target` names."""
        return self.target is None or not set(self.target.split()).isdisjoint(target.split())

    def left(self, at: datetime) -> bool:
        """Whether a row of this date counts as left by it."""
        if self.withdraws:
            return (
                self._has_shown(at) and not self.may_apply and timedelta(0) <= at - self.begun_at <= _AT_ONCE
            )
        return (self._has_shown(at) or self.may_apply) and at >= self.begun_at - _CLOCKS

    def may_have_left(self, at: datetime) -> bool:
        """Whether a row of this date may have been left by it, as far as anybody can know."""
        return self.left(at) or ((self._has_shown(at) or self.may_apply) and at >= self.begun_at)

    def taken_for(self, at: datetime) -> OwnWrite:
        """The write as it is if it left the row of this date, which is only assumed."""
        if not self.may_have_left(at):
            return self
        return replace(self, begun_at=at, shown_at=at, may_apply=False)

    def _has_shown(self, at: datetime) -> bool:
        return self.shown_at is not None and at <= self.shown_at


def statement_date(shown: datetime, writes: Iterable[OwnWrite]) -> datetime:
    """The date of the statement in a row that a side dates `shown`; `writes` are ours of the same choice. Of
    several that may have left it the oldest statement counts."""
    return min((shown, *(one.said_at for one in writes if one.said_at is not None and one.left(shown))))


def is_doubtful(shown: datetime, writes: Sequence[OwnWrite]) -> bool:
    """Whether nobody can tell a row from one that one of these writes left."""
    return any(not one.left(shown) and one.may_have_left(shown) for one in writes)
