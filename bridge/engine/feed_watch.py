"""Feeds that bring nothing, and reads that show what was: neither is taken for silence.

Our own writes must come back by the feed that names changed records. Where one does not, or its side says
that nothing is collected for us, the feed is deaf: nobody is opted in on what it reports. A record whose read
does not show what an event said about it is read again, ever less often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock

from bridge.core.facts import AwaitedEvent, LaggingRead
from bridge.core.model import Side
from bridge.core.ports import Hint
from bridge.engine.context import RunContext

NAMING = Side.MYPREFERENCES  # its feed names changed records; Dotdigital's show who is in a state
DEAF_AFTER = timedelta(minutes=15)  # how long an event of a write of ours may take
CLOCKS = timedelta(minutes=5)  # how far an event may be dated before the write that it is about
_CHANGING = Lock()  # several threads write and read, and note it
_OWN_WRITES = 50  # kept at most, the oldest: newer ones would push each out before it is overdue
_DISTANCES = tuple(timedelta(minutes=minutes) for minutes in (0, 2, 5, 15, 60, 360, 1440))


# own writes


def note_own_writes(run: RunContext, side: Side, records: Sequence[Sequence[str]], at: datetime) -> None:
    """These records were changed by us: for each person the ids of their records, one of which must come back
    by a feed."""
    added = [AwaitedEvent(side, tuple(ids), at) for ids in records if ids]
    if added and side is NAMING:
        with _CHANGING:
            run.state.facts.own_writes = (*(run.state.facts.own_writes or ()), *added)[:_OWN_WRITES]


def is_deaf(run: RunContext, side: Side, named: Mapping[str, datetime]) -> bool:
    """Whether a feed that was read to its end has left out what we wrote. `named` are the records that it
    named, each with the newest time of an event. What comes back proves the feed for all that we wrote
    before; so does any event from long after a write, since some writes change nothing."""
    with _CHANGING:
        return _is_deaf(run, side, named)


def _is_deaf(run: RunContext, side: Side, named: Mapping[str, datetime]) -> bool:
    kept = run.state.facts.own_writes or ()
    mine = [one for one in kept if one.side is side]
    if not mine:
        return False
    newest = max(named.values(), default=None)
    returned = [one.at for one in mine if _has_returned(one, named)]
    if newest is not None:
        returned += [one.at for one in mine if newest > one.at + DEAF_AFTER + CLOCKS]
    waiting = [one for one in mine if not returned or one.at > max(returned)]
    if len(waiting) < len(mine):
        run.state.facts.own_writes = tuple(one for one in kept if one.side is not side or one in waiting)
    return any(run.now() - one.at > DEAF_AFTER for one in waiting)


def _has_returned(write: AwaitedEvent, named: Mapping[str, datetime]) -> bool:
    return any(named[record] >= write.at - CLOCKS for record in write.records if record in named)


def note_deaf(run: RunContext, side: Side, feed: str) -> None:
    """The side says that nothing is collected for a feed. What we wrote meanwhile never comes back."""
    note_hearing(run, feed, deaf=True)
    with _CHANGING:
        kept = run.state.facts.own_writes or ()
        run.state.facts.own_writes = tuple(one for one in kept if one.side is not side)


def note_hearing(run: RunContext, feed: str, *, deaf: bool) -> None:
    """Note whether a feed is deaf. What happened while it was is found by a sweep."""
    before = set(run.state.facts.deaf_feeds or ())
    after = before | {feed} if deaf else before - {feed}
    if after == before:
        return
    if not deaf:  # noted before it counts as returned
        run.state.facts.sweep_due = feed
    run.state.facts.deaf_feeds = tuple(sorted(after))


# reads that lag


def with_earlier_claims(run: RunContext, hints: Sequence[Hint]) -> list[Hint]:
    """The hints, each with what earlier ones said about the same record and no read has shown since."""
    kept = {one.record: one.claims for one in run.state.facts.lagging_reads or ()}
    if not kept:
        return list(hints)
    return [
        replace(hint, claims={**kept[hint.id], **hint.claims}) if hint.id in kept else hint for hint in hints
    ]


def note_reads(run: RunContext, side: Side, lagging: Sequence[Hint], shown: Set[str]) -> None:
    """Note which records did not show what their hints told, and which do now."""
    with _CHANGING:
        _note_reads(run, side, lagging, shown)


def _note_reads(run: RunContext, side: Side, lagging: Sequence[Hint], shown: Set[str]) -> None:
    before = {one.record: one for one in run.state.facts.lagging_reads or ()}
    if not lagging and not shown & before.keys():
        return
    after = {record: one for record, one in before.items() if record not in shown}
    now = run.now()
    for hint in lagging:
        if hint.id is None:
            continue
        tries = before[hint.id].tries + 1 if hint.id in before else 0
        due_at = now + _DISTANCES[min(tries, len(_DISTANCES) - 1)]
        after[hint.id] = LaggingRead(side, hint.id, dict(hint.claims), tries, due_at)
    run.state.facts.lagging_reads = tuple(after.values())


def due_reads(run: RunContext, side: Side) -> list[Hint]:
    """The records that are to be read again now. What is claimed of them is now claimed to the second only: a
    read may round the dates that events give in full. The read before took nothing rounded for shown, since
    it may as well have been an earlier choice of that second."""
    kept = run.state.facts.lagging_reads or ()
    return [
        Hint(one.record, claims={name: at.replace(microsecond=0) for name, at in one.claims.items()})
        for one in kept
        if one.side is side and one.due_at <= run.now()
    ]


def distrust_lagging(run: RunContext) -> None:
    """Nobody is opted in by a record that does not show yet what was said about it."""
    kept = run.state.facts.lagging_reads or ()
    for one in kept:
        run.health.unchecked[one.side].update(
            who.person for who in run.state.people.of_record(one.side, one.record)
        )
    if kept:
        run.health.warn(
            f"{kept[0].side}: records that do not show yet what its events told: {len(kept)}; read again"
        )
