"""Opt-outs that were seen and have not been agreed yet. Pure.

The transaction that stores an observation of an opt-out also latches it. While it is latched, its side counts
as opted out, although the address bounces, the record is deleted or blocked, or shows an opt-in without a
date. It ends when an opt-out is agreed, or an opt-in on a newer, dated statement; nothing else ends it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bridge.core.conflict import evidence_of
from bridge.core.model import (
    Agreement,
    Cell,
    Choice,
    ClockReading,
    Latch,
    Observation,
    Side,
    newest,
)
from bridge.core.writes import Evidence

_RETRY_AFTER = (timedelta(0), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6), timedelta(days=1))


def latch_after(
    latch: Latch | None, old: Observation | None, new: Observation, side: Side, agreed_out_at: datetime | None
) -> Latch | None:
    """The latch of a cell once `side`, which showed `old`, shows `new`. `agreed_out_at` is the date of an
    agreed opt-out. The newest opt-out of both sides is latched, unless what is agreed is as new."""
    at = new.changed_at
    if not new.opted_out or not new.stated or new.pending:
        return latch
    repeated = old is not None and old.opted_out
    if old is not None and repeated and old.changed_at == at:
        return latch
    if at is not None:
        if agreed_out_at is not None and at <= agreed_out_at:
            return latch
        if latch is not None and latch.at is not None and at <= latch.at:
            return latch
        if latch is not None and latch.at is None and not (repeated and latch.side is side):
            return (
                latch  # nothing is newer than an opt-out without a date, but a closer read may find its date
            )
    return Latch(side, at, new.read_at)


def under_latch(cell: Cell, clocks: ClockReading, mapped: datetime | None = None) -> Cell:
    """The cell as it is decided: the side of a latched opt-out still counts as opted out, as late as
    it was then. `mapped` is when its topic came to mean what it does now: no opt-in from before ends it."""
    latch = cell.latch
    seen = None if latch is None else cell.seen.get(latch.side)
    if latch is None or seen is None or (seen.opted_out and not _is_older(seen, latch)):
        return cell
    latched = replace(cell, seen={**cell.seen, latch.side: _latched(latch, seen)})
    said = latched.dated(latch.side)
    if said is not None and _is_overtaken(cell, latch.side, newest(said, mapped), clocks):
        return cell
    return latched


def _is_older(seen: Observation, latch: Latch) -> bool:
    """Whether a side shows an older opt-out than the latched one: another record, or row, is left there."""
    if seen.changed_at is None:
        return False
    return latch.at is None or seen.changed_at < latch.at


def _latched(latch: Latch, seen: Observation) -> Observation:
    out = Choice.OPTED_OUT
    return replace(
        seen,
        choice=out,
        read_at=latch.seen_at,
        changed_at=latch.at,
        frequencies=(),
        stated=True,
        undated=False,
    )


def _is_overtaken(cell: Cell, side: Side, newer_than: datetime | None, clocks: ClockReading) -> bool:
    """Whether the side of a latch is opted in again, on a dated statement at either side that is newer. Where
    we wrote the opt-in, the date of what we wrote counts: it may have landed after the opt-out."""
    if not cell.seen[side].opted_in:
        return False
    found = (
        evidence_of(one, seen, newer_than=newer_than, clocks=clocks, dated=cell.dated(one))
        for one, seen in cell.seen.items()
        if seen.opted_in
    )
    return any(isinstance(one, Evidence) for one in found)


def is_incomplete(cell: Cell, agreement: Agreement) -> bool:
    """Whether a side has yet to receive an opt-out once it is agreed: the one that showed it first may show
    something else by now."""
    if agreement.choice is not Choice.OPTED_OUT:
        return False
    after = replace(cell, agreed=agreement, latch=None)
    return any(seen.opted_in or after.lacks_withdrawal(side) for side, seen in cell.seen.items())


def hold_ground(cell: Cell) -> str:
    """What a hold of this cell rests on. What the side of a latched opt-out shows since does not count, or a
    bounce would end the hold; only a later opt-in does."""
    latch = cell.latch
    if latch is None or _shows_later_opt_in(cell, latch):
        return cell.ground
    out = Observation(Choice.OPTED_OUT, latch.seen_at, latch.at)
    return replace(cell, seen={**cell.seen, latch.side: out}, latch=None).ground


def _shows_later_opt_in(cell: Cell, latch: Latch) -> bool:
    seen = cell.seen.get(latch.side)
    said = None if seen is None else cell.dated(latch.side)
    if seen is None or said is None or latch.at is None:
        return False
    return seen.opted_in and seen.stated and said > latch.at


def retry_delay(tries: int) -> timedelta:
    """How long after that many opt-outs without effect the next one is sent: for ever, ever less often."""
    return _RETRY_AFTER[min(tries, len(_RETRY_AFTER)) - 1]
