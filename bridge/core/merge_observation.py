"""What a new observation makes of the stored one. Pure.

A later read replaces an earlier one, except where it knows less: a listing without dates, a status without a
date, one record of several that share an address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bridge.core.model import Block, Choice, Observation

_LASTING = (Block.COMPLAINT, Block.CONTROLLER)  # not replaced by a mere bounce


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What is known now. `read_again`: only a part was read, and that part must not be believed alone."""

    observation: Observation | None
    read_again: bool = False


def combine(
    old: Observation | None, new: Observation, *, written_at: datetime | None = None, part: bool = False
) -> MergeResult:
    """What is known after `new` was read.

    `written_at` is when our last write to that side had ended: a read that began before it shows what was
    there before. `part`: the person has several records at that side, and the read shows not all of them.
    """
    if written_at is not None and new.read_at < written_at:
        return MergeResult(old)
    if old is not None and new.read_at < old.read_at:
        return MergeResult(old)
    new = _in_utc(new)
    return _combine_part(old, new) if part else MergeResult(merge(old, new))


def merge(old: Observation | None, new: Observation) -> Observation:
    """A later read of the whole person."""
    if old is None or old.present is not new.present:
        return new
    if new.undated and new.choice is Choice.UNSET and old.choice is not Choice.OPTED_IN:
        return _behind_silence(old, new)
    if not _says_the_same(old, new):
        return new
    if new.undated:
        return _relisted(old, new)
    if new.changed_at is None and old.changed_at is not None:
        return _undated(old, new)
    return new


def _behind_silence(old: Observation, new: Observation) -> Observation:
    """A listing's silence cannot be told from a no: what is known stays. What bars mailing is added."""
    if new.block is None or old.block in _LASTING:
        return replace(old, read_at=new.read_at)
    return replace(old, read_at=new.read_at, block=new.block, reason=new.reason)


def _says_the_same(old: Observation, new: Observation) -> bool:
    return old.choice is new.choice and old.frequencies == new.frequencies


def _relisted(old: Observation, new: Observation) -> Observation:
    """The listing repeats what a closer look dated: its date, and whose statement it is, stay known."""
    kept = _undated(old, new)
    return new if kept is new else replace(kept, stated=old.stated, undated=old.undated)


def _undated(old: Observation, new: Observation) -> Observation:
    """The same without a date keeps the date that another read gave; a changed block is news, and undated.
    Somebody who complained and is still out has complained, whatever word stands for it now."""
    block = new.block or (old.block if new.choice is Choice.OPTED_OUT else None)
    if block is not old.block:
        return new
    reason = new.reason if new.block is not None or old.block is None else old.reason
    return replace(new, changed_at=new.changed_at or old.changed_at, block=block, reason=reason)


def _combine_part(old: Observation | None, new: Observation) -> MergeResult:
    """One record of several: believed where it withdraws, or repeats what is known of them all."""
    if old is not None and old.present and _says_the_same(old, new):
        whole = merge(old, new)
        uniform, records = old.consistent and new.consistent, max(old.records, new.records)
        return MergeResult(replace(whole, consistent=uniform, records=records))
    if new.choice is Choice.OPTED_OUT:
        records = max(2, new.records, 0 if old is None else old.records)
        return MergeResult(replace(new, consistent=False, records=records), read_again=True)
    return MergeResult(old, read_again=True)


def _in_utc(seen: Observation) -> Observation:
    """Times are stored in UTC, and versions must not differ by the way a time is written."""
    if seen.changed_at is None or seen.changed_at.tzinfo is UTC:
        return seen
    return replace(seen, changed_at=seen.changed_at.astimezone(UTC))
