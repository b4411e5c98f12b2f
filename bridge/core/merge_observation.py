"""What new observations make of the stored ones. Pure.

A later read replaces an earlier one, except where it knows less: a listing without dates, a status without a
date, one record of several that share an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from operator import attrgetter

from bridge.core.latch import latch_after
from bridge.core.model import CHANNEL, Block, Choice, Latch, Observation, PersonId, Side, TopicId
from bridge.core.own_writes import OwnWrite, statement_date
from bridge.core.ports import PersonView

CellKey = tuple[PersonId, TopicId]

_LASTING = (Block.COMPLAINT, Block.CONTROLLER)  # not replaced by a mere bounce
_all_but_time = attrgetter(*(one.name for one in fields(Observation) if one.name != "read_at"))


@dataclass(frozen=True, slots=True)
class StoredObservation:
    """What the state DB held of one cell at one side when a page began. `written_at` is when the bridge's
    last write to it had ended, `agreed_out_at` the date of an agreed opt-out."""

    seen: Observation | None = None
    written_at: datetime | None = None
    latch: Latch | None = None
    agreed_out_at: datetime | None = None


_NOTHING_STORED = StoredObservation()


@dataclass(frozen=True, slots=True)
class LastRead:
    """The newest read of one person at one side, and whether it found them."""

    at: datetime
    present: bool


@dataclass(slots=True)
class PageMerge:
    """One page of views of one side, merged into what is stored: `bound` and `read_before` are the records
    and the last read of each person, `stored` the cells. `ids`, `reads`, `changed` and `latches` are to be
    stored."""

    side: Side
    bound: Mapping[PersonId, set[str]]
    read_before: dict[PersonId, LastRead] = field(default_factory=dict)
    stored: dict[CellKey, StoredObservation] = field(default_factory=dict)
    ids: dict[PersonId, set[str]] = field(default_factory=dict)
    reads: dict[PersonId, LastRead] = field(default_factory=dict)
    changed: dict[CellKey, Observation] = field(default_factory=dict)
    latches: dict[CellKey, Latch] = field(default_factory=dict)
    read_again: dict[PersonId, None] = field(default_factory=dict)
    """People of whom a part was read that is not to be trusted."""

    def add(self, person: PersonId, view: PersonView) -> None:
        """Merge one view."""
        mine = self.ids.setdefault(person, set(self.bound.get(person, ())))
        if view.complete:
            mine.clear()
            self.read_again.pop(person, None)
        mine.update(view.ids)
        part = not view.complete and len(mine) > 1 and not mine <= set(view.ids)
        before = self.last_read(person)
        read: LastRead | None = None
        for topic, seen in view.topics.items():
            self._observe((person, topic), seen, part)
            if read is None:
                read = LastRead(seen.read_at, seen.present)
            else:
                read = LastRead(max(read.at, seen.read_at), read.present or seen.present)
        if read is None or (before is not None and read.at < before.at):
            return
        if part and before is not None:
            read = LastRead(read.at, read.present or before.present)
        if read != before:
            self.reads[person] = read

    def before(self, key: CellKey) -> Observation | None:
        """What was stored of a cell."""
        stored = self.stored.get(key)
        return None if stored is None else stored.seen

    def last_read(self, person: PersonId) -> LastRead | None:
        """The newest read of a person, this page included."""
        return self.reads.get(person, self.read_before.get(person))

    def moved_records(
        self, now: datetime
    ) -> tuple[list[tuple[PersonId, str, datetime]], list[tuple[PersonId, str]]]:
        """The records that people turned out to have, each with the time of the read, and those that they
        turned out to have lost."""
        added: list[tuple[PersonId, str, datetime]] = []
        removed: list[tuple[PersonId, str]] = []
        for person, ids in self.ids.items():
            known = self.bound.get(person, set())
            if ids != known:
                read = self.last_read(person)
                at = now if read is None else read.at
                added += [(person, one, at) for one in sorted(ids - known)]
                removed += [(person, one) for one in sorted(known - ids)]
        return added, removed

    def _observe(self, key: CellKey, seen: Observation, part: bool) -> None:
        stored = self.stored.get(key, _NOTHING_STORED)
        old = self.changed.get(key, stored.seen)
        merged = combine(old, seen, self.side, written_at=stored.written_at, part=part)
        if merged.read_again:
            self.read_again[key[0]] = None
        if merged.observation is not None and merged.observation is not old:
            self.changed[key] = merged.observation
            self._latch(key, old, merged.observation)

    def unsubscribed(self) -> list[PersonId]:
        """Those who are unsubscribed at this side, of the people about whom the page brings anything new."""
        people = {who for who, _ in self.changed}
        return sorted(who for who in people if self._withdrawn_channel(who) is not None)

    def latch_topics(self, own: Mapping[PersonId, Sequence[OwnWrite]]) -> None:
        """An unsubscribe at this side withdraws the topics too: it is latched for each, also for those
        that are seen here for the first time after it. `own` are our unsubscribes: one of these carries the
        date of what was written, and takes back no opt-in that the person gave to a topic since."""
        channels = {
            who for who, topic in self.changed if topic == CHANNEL and self.changed[who, topic].opted_out
        }
        for key in {*self.stored, *self.changed} if channels else ():
            person, topic = key
            if person in channels and topic != CHANNEL:
                channel, mine = (person, CHANNEL), own.get(person, ())
                before = self.before(channel)
                old = None if before is None else _as_said(before, mine)
                self._latch(key, old, _as_said(self.changed[channel], mine))
        for key in [key for key in self.changed if key[1] != CHANNEL and self.before(key) is None]:
            if (shown := self._withdrawn_channel(key[0])) is not None:
                self._latch(key, None, _as_said(shown, own.get(key[0], ())))

    def _withdrawn_channel(self, person: PersonId) -> Observation | None:
        """The unsubscribe of a person that this side shows, or that is latched for it."""
        channel = (person, CHANNEL)
        stored = self.stored.get(channel, _NOTHING_STORED)
        shown = self.changed.get(channel, stored.seen)
        if shown is not None and shown.opted_out:
            return shown
        latch = stored.latch
        if latch is None or latch.side is not self.side:
            return None
        return Observation(Choice.OPTED_OUT, latch.seen_at, latch.at)

    def _latch(self, key: CellKey, old: Observation | None, new: Observation) -> None:
        stored = self.stored.get(key, _NOTHING_STORED)
        before = self.latches.get(key, stored.latch)
        latch = latch_after(before, old, new, self.side, stored.agreed_out_at)
        if latch is not None and latch is not before:
            self.latches[key] = latch


def _as_said(shown: Observation, own: Sequence[OwnWrite]) -> Observation:
    """An unsubscribe with the date of its statement, also where a write of ours left it."""
    at = shown.changed_at
    return shown if at is None else replace(shown, changed_at=statement_date(at, own))


def is_repeated(old: Observation, new: Observation) -> bool:
    """Whether a later read shows exactly what was known, so that only its time is new."""
    return bool(_all_but_time(old) == _all_but_time(new))


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What is known now. `read_again`: only a part was read, and that part must not be trusted alone."""

    observation: Observation | None
    read_again: bool = False


def combine(
    old: Observation | None,
    new: Observation,
    side: Side,
    *,
    written_at: datetime | None = None,
    part: bool = False,
) -> MergeResult:
    """What is known after `new` was read at `side`.

    `written_at` is when our last write to that side had ended: a read that began before it shows what was
    there before. `part`: the person has several records at that side, and the read shows not all of them.
    """
    if written_at is not None and new.read_at < written_at:
        return MergeResult(old)
    if old is not None and new.read_at < old.read_at:
        return MergeResult(old)
    if new.changed_at is not None and new.changed_at.tzinfo is not UTC:
        # Times are stored in UTC, and versions must not differ by the way a time is written.
        new = replace(new, changed_at=new.changed_at.astimezone(UTC))
    return _combine_part(old, new, side) if part else MergeResult(merge(old, new, side))


def merge(old: Observation | None, new: Observation, side: Side) -> Observation:
    """A later read of the whole person."""
    if old is None or old.present is not new.present:
        return new
    if new.undated and new.choice is Choice.UNSET and old.choice is not Choice.OPTED_IN:
        return _behind_silence(old, new)
    if not _says_the_same(old, new):
        return new
    if new.undated:
        return _relisted(old, new)
    if side is Side.DOTDIGITAL and new.changed_at is None and old.changed_at is not None:
        return _undated(old, new)
    return new  # at MyPreferences a choice that has lost its date was made again, nobody knows when


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
    """The same without a date keeps the date that another read gave: Dotdigital dates a status in its feeds
    only, a listing dates nothing. A changed block is news, and undated.
    A complaint stays for as long as the person is out, even where the side no longer shows it."""
    block = new.block or (old.block if new.choice is Choice.OPTED_OUT else None)
    if block is not old.block:
        return new
    reason = new.reason if new.block is not None or old.block is None else old.reason
    return replace(new, changed_at=new.changed_at or old.changed_at, block=block, reason=reason)


def _combine_part(old: Observation | None, new: Observation, side: Side) -> MergeResult:
    """One record of several: trusted where it opts out, or repeats what is known of them all."""
    if old is not None and old.present and _says_the_same(old, new):
        whole = merge(old, new, side)
        uniform, records = old.consistent and new.consistent, max(old.records, new.records)
        return MergeResult(replace(whole, consistent=uniform, records=records))
    if new.choice is Choice.OPTED_OUT:
        records = max(2, new.records, 0 if old is None else old.records)
        return MergeResult(replace(new, consistent=False, records=records), read_again=True)
    return MergeResult(old, read_again=True)
