"""What a state DB knows about itself: single facts, each with a fixed key, kept as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Self, TypeVar, overload

from bridge.core.brakes import Burst, Moment
from bridge.core.clocks import LostPeriod
from bridge.core.model import Side, TopicId
from bridge.core.ports import KeyValue, ListingCursor
from bridge.core.scope import Names, Scopes, scope_in, scope_out

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CatalogueCheck:
    """When both catalogues were last compared with the mapping, and the mapped topics that had lost their
    counterpart, each with what was missing."""

    at: datetime
    gone: Mapping[TopicId, str]


@dataclass(frozen=True, slots=True)
class AwaitedEvent:
    """A write of ours that a feed must bring back: the person's records there, and when it was sent."""

    side: Side
    records: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class LaggingRead:
    """A record whose read did not show what an event said about it; `claims` as in `Hint`. `tries`: reads
    since then; `due_at`: the next one."""

    side: Side
    record: str
    claims: Mapping[str, datetime]
    tries: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ErasedWrites:
    """The writes about a person who was erased: when the last opt-in and the last opt-out were begun, and the
    moments of the opt-ins that were carried."""

    raised_at: datetime | None
    withdrawn_at: datetime | None
    said: Sequence[Moment]

    @property
    def newest(self) -> datetime:
        """When the last of them was begun."""
        return max(at for at in (self.raised_at, self.withdrawn_at) if at is not None)


class _Fact(Generic[T]):
    """One fact as an attribute of `Facts`. None: not known; stored as an empty text."""

    def __init__(self, key: str, read: Callable[[str], T], write: Callable[[T], str]) -> None:
        self._key = key
        self._read = read
        self._write = write

    @overload
    def __get__(self, facts: None, owner: type[Facts]) -> Self: ...

    @overload
    def __get__(self, facts: Facts, owner: type[Facts]) -> T | None: ...

    def __get__(self, facts: Facts | None, owner: type[Facts]) -> T | Self | None:
        if facts is None:
            return self
        text = facts.values.get(self._key)
        return self._read(text) if text else None

    def __set__(self, facts: Facts, value: T | None) -> None:
        facts.values.set(self._key, "" if value is None else self._write(value))


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _read_topics(text: str) -> Sequence[TopicId]:
    return tuple(map(TopicId, json.loads(text)))


def _topics(topics: Sequence[TopicId]) -> str:
    return json.dumps(list(topics), separators=(",", ":"), ensure_ascii=False)


def _read_check(text: str) -> CatalogueCheck:
    row = json.loads(text)
    return CatalogueCheck(datetime.fromisoformat(row["at"]), row["gone"])


def _check(check: CatalogueCheck) -> str:
    return json.dumps({"at": _instant(check.at), "gone": dict(check.gone)})


def _read_bursts(text: str) -> Sequence[Burst]:
    return tuple(
        Burst(Side(side), datetime.fromisoformat(minute), opts_in, datetime.fromisoformat(found_at))
        for side, minute, opts_in, found_at in json.loads(text)
    )


def _bursts(bursts: Sequence[Burst]) -> str:
    rows = [[one.side.value, _instant(one.minute), one.opts_in, _instant(one.found_at)] for one in bursts]
    return json.dumps(rows, separators=(",", ":"))


def _read_scopes(text: str) -> Scopes:
    row = json.loads(text)
    return Scopes(row["mapping"], {TopicId(topic): scope_in(one) for topic, one in row["topics"].items()})


def _scopes(scopes: Scopes) -> str:
    topics = {topic: scope_out(scope) for topic, scope in scopes.topics.items()}
    return json.dumps({"mapping": scopes.mapping, "topics": topics}, ensure_ascii=False)


def _read_names(text: str) -> Mapping[TopicId, Names]:
    return {
        TopicId(topic): {Side(side): name for side, name in names.items()}
        for topic, names in json.loads(text).items()
    }


def _names(read: Mapping[TopicId, Names]) -> str:
    plain = {topic: {side.value: name for side, name in names.items()} for topic, names in read.items()}
    return json.dumps(plain, ensure_ascii=False)


def _read_times(text: str) -> Mapping[TopicId, datetime]:
    return {TopicId(topic): datetime.fromisoformat(at) for topic, at in json.loads(text).items()}


def _times(times: Mapping[TopicId, datetime]) -> str:
    return json.dumps({topic: _instant(at) for topic, at in times.items()}, ensure_ascii=False)


def _read_awaited(text: str) -> Sequence[AwaitedEvent]:
    return tuple(
        AwaitedEvent(Side(row["side"]), tuple(row["records"]), datetime.fromisoformat(row["at"]))
        for row in json.loads(text)
    )


def _awaited(writes: Sequence[AwaitedEvent]) -> str:
    return json.dumps([{"side": one.side, "records": one.records, "at": _instant(one.at)} for one in writes])


def _read_lagging(text: str) -> Sequence[LaggingRead]:
    return tuple(
        LaggingRead(
            Side(row["side"]),
            row["record"],
            {name: datetime.fromisoformat(at) for name, at in row["claims"].items()},
            row["tries"],
            datetime.fromisoformat(row["due_at"]),
        )
        for row in json.loads(text)
    )


def _lagging(reads: Sequence[LaggingRead]) -> str:
    rows = [
        {
            "side": one.side,
            "record": one.record,
            "claims": {name: _instant(at) for name, at in one.claims.items()},
            "tries": one.tries,
            "due_at": _instant(one.due_at),
        }
        for one in reads
    ]
    return json.dumps(rows)


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else _instant(at)


def _maybe_read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _read_erased(text: str) -> Sequence[ErasedWrites]:
    return tuple(
        ErasedWrites(
            _maybe_read(raised),
            _maybe_read(withdrawn),
            tuple((Side(side), datetime.fromisoformat(at)) for side, at in said),
        )
        for raised, withdrawn, said in json.loads(text)
    )


def _erased(writes: Sequence[ErasedWrites]) -> str:
    rows = [
        [
            _maybe(one.raised_at),
            _maybe(one.withdrawn_at),
            [[side.value, _instant(at)] for side, at in one.said],
        ]
        for one in writes
    ]
    return json.dumps(rows, separators=(",", ":"))


def _read_period(text: str) -> LostPeriod:
    since, until = map(datetime.fromisoformat, json.loads(text))
    return LostPeriod(since, until)


def _period(lost: LostPeriod) -> str:
    return json.dumps([_instant(lost.since), _instant(lost.until)])


class Facts:
    """The facts of one state DB. Reading and setting go to `values` at once."""

    def __init__(self, values: KeyValue) -> None:
        self.values = values

    epoch = _Fact("epoch", datetime.fromisoformat, _instant)
    """When the first run began."""

    first_run_completed = _Fact("first_run_completed", datetime.fromisoformat, _instant)
    """When both sides had been read to a proven end for the first time."""

    swept_at = _Fact("swept_at", datetime.fromisoformat, _instant)
    """When the daemon's last sweep succeeded."""

    pruned_at = _Fact("pruned_at", datetime.fromisoformat, _instant)
    """When records that are no longer needed were last deleted."""

    sweep_due = _Fact("sweep_owed", str, str)
    """Why everybody has to be read: a feed with a gap, or the mapping."""

    mapping_digest = _Fact("mapping", str, str)
    """The digest of the mapping by which everything was last decided."""

    mapped_topics = _Fact("mapped_topics", _read_topics, _topics)
    """The topics of that mapping. Other topics are not decided."""

    scopes = _Fact("scopes", _read_scopes, _scopes)
    """What each topic is mapped to, and since when."""

    read_names = _Fact("read_names", _read_names, _names)
    """What each topic was mapped to when its people were last read, be it by a dry run."""

    trial_since = _Fact("trial_since", _read_times, _times)
    """Since when topics are read by a mapping that was not let through yet: the latches that this makes go if
    it is changed again."""

    bursts = _Fact("bursts", _read_bursts, _bursts)
    """The minutes found in which many people were opted in or unsubscribed at once."""

    catalogue_check = _Fact("catalogues", _read_check, _check)
    """When both catalogues were last compared with the mapping, and with what result."""

    own_writes = _Fact("own_writes", _read_awaited, _awaited)
    """Writes of ours whose events have not come back yet."""

    deaf_feeds = _Fact(
        "deaf_feeds", lambda text: tuple(json.loads(text)), lambda names: json.dumps(list(names))
    )
    """Feeds that do not bring what happens."""

    lagging_reads = _Fact("lagging_reads", _read_lagging, _lagging)
    """Records that do not show yet what events said about them."""

    erased_writes = _Fact("erased_writes", _read_erased, _erased)
    """What was written lately about people who were erased since: the brakes count it."""

    serving_since = _Fact("serving_since", datetime.fromisoformat, _instant)
    """When a daemon started to keep this state DB in sync. It goes when the daemon is stopped, and stays when
    it is killed: feeds are then overdue."""

    vanished = _Fact("vanished", json.loads, lambda reasons: json.dumps(dict(reasons)))
    """By side, why nothing is concluded from the many people who are gone from it."""

    ledger_problem = _Fact("ledger_problem", str, str)
    """What was found wrong with the ledger and no operator has accepted yet."""

    ledger_checked_at = _Fact("ledger_checked_at", datetime.fromisoformat, _instant)
    """When the whole ledger was last verified."""

    ledger_accepted = _Fact("ledger_accepted", str, str)
    """The entry, with its signature, before which an operator accepted the ledger as it was."""

    lost_period = _Fact("lost_period", _read_period, _period)
    """The time about which this state DB knows nothing, since an older copy of it was restored."""

    instance = _Fact("instance", str, str)
    """The random name of this state DB, by which a saved plan finds the one it was made from."""

    def account(self, side: Side) -> str | None:
        """The account of `side` to which this state DB belongs."""
        return self.values.get(f"account.{side}") or None

    def set_account(self, side: Side, account: str | None) -> None:
        """Bind this state DB to an account, or, with None, to the next one that a run meets."""
        self.values.set(f"account.{side}", account or "")

    def listing(self, side: Side, mapping: str) -> ListingCursor | None:
        """Where an interrupted listing of `side` stopped. None where there is none, or where its people were
        read with another mapping."""
        kept = json.loads(self.values.get(f"listing:{side}") or "{}")
        if kept.get("began") is None or kept["mapping"] != mapping:
            return None
        return ListingCursor(kept["place"], datetime.fromisoformat(kept["began"]))

    def set_listing(self, side: Side, cursor: ListingCursor | None, mapping: str) -> None:
        """Note how far a listing was read, after its last page was stored. None: it is read or of no use."""
        kept = {} if cursor is None else {"place": cursor.place, "began": _instant(cursor.began)}
        self.values.set(f"listing:{side}", json.dumps(kept | {"mapping": mapping}) if kept else "")
