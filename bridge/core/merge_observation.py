"""What new observations make of the stored ones. Pure.

A later read replaces an earlier one, except where it knows less: a listing without dates, a status without a
date, one record of several that share an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from operator import attrgetter

from bridge.core.model import Block, Choice, Observation, PersonId, TopicId
from bridge.core.ports import PersonView

CellKey = tuple[PersonId, TopicId]

_LASTING = (Block.COMPLAINT, Block.CONTROLLER)  # not replaced by a mere bounce
_all_but_time = attrgetter(*(one.name for one in fields(Observation) if one.name != "read_at"))


@dataclass(frozen=True, slots=True)
class StoredObservation:
    """What the state DB held of one cell at one side when a page began. `written_at` is when the bridge's
    last write to it had ended."""

    seen: Observation | None
    written_at: datetime | None


@dataclass(frozen=True, slots=True)
class LastRead:
    """The newest read of one person at one side, and whether it found them."""

    at: datetime
    present: bool


@dataclass(slots=True)
class PageMerge:
    """One page of views of one side, merged into what is stored. `ids` and `reads` hold the stored state
    first and become what is to be stored; `changed` holds the new observations."""

    stored: Mapping[CellKey, StoredObservation]
    ids: dict[PersonId, set[str]]
    reads: dict[PersonId, LastRead | None]
    changed: dict[CellKey, Observation] = field(default_factory=dict)
    read_again: dict[PersonId, None] = field(
        default_factory=dict
    )  # of whom a part was read, not to be trusted

    def add(self, person: PersonId, view: PersonView) -> None:
        """Merge one view."""
        mine = self.ids.setdefault(person, set())
        if view.complete:
            mine.clear()
            self.read_again.pop(person, None)
        mine.update(view.ids)
        part = not view.complete and len(mine) > 1 and not mine <= set(view.ids)
        for topic, seen in view.topics.items():
            self._observe((person, topic), seen, part)
        self._note_read(person, view, part)

    def before(self, key: CellKey) -> Observation | None:
        """What was stored of a cell."""
        stored = self.stored.get(key)
        return None if stored is None else stored.seen

    def _observe(self, key: CellKey, seen: Observation, part: bool) -> None:
        stored = self.stored.get(key)
        old = self.changed.get(key, self.before(key))
        written_at = None if stored is None else stored.written_at
        merged = combine(old, seen, written_at=written_at, part=part)
        if merged.read_again:
            self.read_again[key[0]] = None
        if merged.observation is not None and merged.observation is not old:
            self.changed[key] = merged.observation

    def _note_read(self, person: PersonId, view: PersonView, part: bool) -> None:
        if not view.topics:
            return
        before = self.reads.get(person)
        at = max(seen.read_at for seen in view.topics.values())
        present = any(seen.present for seen in view.topics.values())
        if before is None:
            self.reads[person] = LastRead(at, present)
        elif at >= before.at:
            self.reads[person] = LastRead(at, present or (part and before.present))


def is_repeated(old: Observation | None, new: Observation) -> bool:
    """Whether a later read shows exactly what was known, so that only its time is new."""
    return old is not None and bool(_all_but_time(old) == _all_but_time(new))


def is_news(old: Observation | None, new: Observation) -> bool:
    """Whether the side says something else than before: then the cell is decided again."""
    return old is None or old.version != new.version


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What is known now. `read_again`: only a part was read, and that part must not be trusted alone."""

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
    """A listing's silence cannot be told from an opt-out: what is known stays. A new block is added."""
    if new.block is None or old.block in _LASTING:
        return replace(old, read_at=new.read_at)
    return replace(old, read_at=new.read_at, block=new.block, reason=new.reason)


def _says_the_same(old: Observation, new: Observation) -> bool:
    return old.choice is new.choice and old.frequencies == new.frequencies


def _relisted(old: Observation, new: Observation) -> Observation:
    """The listing repeats what a closer read dated: its date, and whose statement it is, stay known."""
    kept = _undated(old, new)
    return new if kept is new else replace(kept, stated=old.stated, undated=old.undated)


def _undated(old: Observation, new: Observation) -> Observation:
    """The same without a date keeps the date that another read gave; a changed block is news, and undated.
    A complaint stays for as long as the person is out, even where the side no longer shows it."""
    block = new.block or (old.block if new.choice is Choice.OPTED_OUT else None)
    if block is not old.block:
        return new
    reason = new.reason if new.block is not None or old.block is None else old.reason
    return replace(new, changed_at=new.changed_at or old.changed_at, block=block, reason=reason)


def _combine_part(old: Observation | None, new: Observation) -> MergeResult:
    """One record of several: trusted where it opts out, or repeats what is known of them all."""
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
