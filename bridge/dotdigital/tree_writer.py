"""Writing the whole preference tree of a contact, where the account has no v3 (Dotdigital 3.16).

Whether the call merges or replaces is not documented, so the tree is read, changed and written whole. What
the person opted out of between that read and the write is turned on by it: the date of its row tells, and it
is opted out again. What was read is kept before it is written: a process that dies in between leaves the
repair to the next one. An opt-in that the person repeats at the moment of the write cannot be told from that,
and counts as an opt-out too: an opt-out wins under doubt, and the report says that there are such people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Self

from bridge.core.clocks import sent_before
from bridge.core.errors import NotFound, SideError, Verdict
from bridge.core.model import Block, PersonId, Who
from bridge.core.ports import KeyValue, Repaired, WriteResponse
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import Json, OptInRow
from bridge.dotdigital.preference_tree import opt_ins, put_body
from bridge.dotdigital.views import contact_status, newest_rows

_REPAIRS = 3  # writes of the whole tree for one change: each may cross another change of the person
_APART = 2.0  # seconds between two writes whose dates are compared: they may be whole seconds
_ONE_WRITE = timedelta(minutes=2)  # how far apart the dates of one write's rows may be
_LONGEST = timedelta(minutes=6)  # from the read of a tree until its write landed: waits for the allowance
_UNKNOWN = timedelta(hours=1)  # the same for a write whose call ended without an answer
_PROBES = 2  # one alone may be answered by what the person changes meanwhile
_ALWAYS_DATED = "dotdigital.put_dates_all"
_OPEN = "dotdigital.open_trees"
_RESTORED = (
    "The person had opted out, or opted in again, while Dotdigital's whole preference tree was written; "
    "they are opted out."
)
_NOT_RESTORED = (
    "A person opted out while Dotdigital's whole preference tree was written, which turned it on again. "
    "Look at the people of this run there."
)
_UNCHECKED = "It could not be read whether a write of Dotdigital's whole preference tree undid an opt-out."
_UNSEEN = (
    "Dotdigital dates all preferences again with each write by v2: an opt-out at that moment cannot be seen. "
    "Have v3 enabled."
)


@dataclass(frozen=True, slots=True)
class OpenTree:
    """A write of a tree that is not checked yet: what it was about, what it sent as on, and the service's
    time before the tree was read (None: an earlier version did not keep it). `unknown`: its call ended
    without an answer; `missed`: a check did not find it, but it may still be applied."""

    overlay: Mapping[int, bool]
    sent: Set[int]
    since: datetime | None = None
    unknown: bool = False
    missed: bool = False

    def dump(self) -> list[Any]:
        """As JSON."""
        at = self.since and self.since.isoformat()
        return [dict(self.overlay), sorted(self.sent), at, self.unknown, self.missed]

    @classmethod
    def load(cls, row: Sequence[Any]) -> Self:
        """From its JSON."""
        overlay, sent, *more = row
        at = datetime.fromisoformat(more[0]) if more and more[0] else None
        return cls({int(number): on for number, on in overlay.items()}, set(sent), at, *more[1:])

    @property
    def lands_until(self) -> datetime | None:
        """Until when it may be applied."""
        return self.since and self.since + (_UNKNOWN if self.unknown else _LONGEST)


class TreeWriter:
    """`memory` keeps what was read of trees whose write is not checked yet, and whether the account dates
    preferences again that a write leaves as they were; `sleep` takes seconds."""

    def __init__(
        self,
        v2: ClientV2,
        memory: KeyValue,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._v2, self._memory, self._clock, self._sleep = v2, memory, clock, sleep
        self._changing = Lock()  # several people are written at a time

    def write(self, who: Who, overlay: Mapping[int, bool]) -> WriteResponse | Repaired:
        """Set these preferences. Then see whether that turned on what it did not name. Raises SideError where
        they were not set, or nobody knows."""
        since = self._service_time()
        tree = self._v2.get_preferences_for_contact(contact=who.address)
        body, states = put_body(tree, overlay), opt_ins(tree)
        if _in_force(states, overlay):
            return WriteResponse.ALREADY_SO
        write = OpenTree(overlay, _sent(states, overlay), since)
        self._keep(who.person, write)
        try:
            self._v2.set_preferences_for_contact(contact=who.address, tree=body)
        except SideError as error:
            self._drop(who.person, write)
            if error.verdict is Verdict.IN_DOUBT:
                self._keep(who.person, replace(write, unknown=True))
            raise
        return self._check(who, write, WriteResponse.ACCEPTED, answered=True)

    def open(self) -> list[PersonId]:
        """Whose tree was written, or may have been, and not checked."""
        return [PersonId(int(person)) for person in self._kept()]

    def finish(self, people: Sequence[Who]) -> list[Repaired]:
        """Check what an earlier process wrote, and repair it. Who is not among `people` is not known any
        more. Returns what is to be reported."""
        kept, found = self._kept(), list[Repaired]()
        for person in kept.keys() - {str(who.person) for who in people}:
            self._drop(PersonId(int(person)))
        for who in people:
            answers = [self._check(who, one, WriteResponse.ACCEPTED) for one in kept[str(who.person)]]
            found += [one for one in answers if isinstance(one, Repaired)]
        return found

    def _check(
        self, who: Who, write: OpenTree, answer: WriteResponse | Repaired, *, answered: bool = False
    ) -> WriteResponse | Repaired:
        """Opt the person out again of what a write turned on, until none does. What cannot be checked or
        repaired now stays kept for the next run, and so does what may still be applied (not `answered`)."""
        for _ in range(_REPAIRS):
            try:
                rows = _rows(self._v2, who)
                found = _turned_on(write, *rows)
                if found and found == write.sent and self._dates_all(who, found):
                    self._drop(who.person, write)
                    return Repaired(_UNSEEN)
            except SideError as error:
                return Repaired(f"{_UNCHECKED} ({error})", failed=True)
            if not found:
                self._drop(who.person, write)
                if not answered and self._may_land(write, _states(rows[1])):
                    self._keep(who.person, replace(write, missed=True))
                return answer
            answer, answered = Repaired(_RESTORED), True
            try:
                write = self._repair(who, write, found)
            except SideError as error:
                return Repaired(f"{_NOT_RESTORED} ({error})", failed=True)
        return Repaired(_NOT_RESTORED, failed=True)

    def _may_land(self, write: OpenTree, states: Mapping[int, bool | None]) -> bool:
        """Whether it may be applied after this check. Where one did not find it, what it was about may be in
        force by another write."""
        until = write.lands_until
        if until is None or (_in_force(states, write.overlay) and not write.missed):
            return False
        return max(self._clock(), self._service_time()) <= until

    def _repair(self, who: Who, write: OpenTree, found: Set[int]) -> OpenTree:
        """Write a tree once more, without what it turned on. Returns that write, which takes its place. What
        it was about is written again only where the person has not changed it since."""
        since = self._service_time()
        tree = self._v2.get_preferences_for_contact(contact=who.address)
        states = opt_ins(tree)
        stands = _in_force(states, write.overlay)
        overlay = {**(write.overlay if stands else {}), **dict.fromkeys(found, False)}
        again = OpenTree(overlay, _sent(states, overlay), since)
        self._keep(who.person, again)
        if not _in_force(states, overlay):
            self._set_again(who, put_body(tree, overlay))
        self._drop(who.person, write)
        return again

    def _set_again(self, who: Who, body: Sequence[Json]) -> None:
        """Write a tree that belongs to an earlier write: it is never too late to be sent."""
        with sent_before(None):
            self._v2.set_preferences_for_contact(contact=who.address, tree=body)

    def _service_time(self) -> datetime:
        """No later than the service's clock shows, to the second, as its dates may be."""
        offset = self._v2.transport.clock_offset
        now = self._clock()
        return (now if offset is None else now + offset.least).replace(microsecond=0)

    def _dates_all(self, who: Who, sent: Set[int]) -> bool:
        """Whether a write dates again what it leaves as it was. Found out by writing the tree once more as it
        is, twice: everything must be dated again both times, or it was the person."""
        if self._memory.get(_ALWAYS_DATED) is None:
            for _ in range(_PROBES):
                before = change_dates(self._v2, who)
                self._sleep(_APART)
                tree = self._v2.get_preferences_for_contact(contact=who.address)
                self._set_again(who, put_body(tree, {}))
                after = change_dates(self._v2, who)
                if any(before.get(number) == after.get(number) for number in sent):
                    return False
            self._memory.set(_ALWAYS_DATED, "yes")
        return True

    # what is kept

    def _kept(self) -> dict[str, list[OpenTree]]:
        """By person, the oldest write first."""
        rows = json.loads(self._memory.get(_OPEN) or "{}")
        return {
            person: [OpenTree.load(one) for one in ([kept] if isinstance(kept[0], dict) else kept)]
            for person, kept in rows.items()  # an earlier version kept one write of a person
        }

    def _keep(self, person: PersonId, write: OpenTree) -> None:
        """Beside the earlier writes to this person, which are not checked yet."""
        self._change(person, lambda kept: [*kept, write])

    def _drop(self, person: PersonId, write: OpenTree | None = None) -> None:
        """It is checked; None: all writes to this person."""
        self._change(person, lambda kept: [] if write is None else [one for one in kept if one != write])

    def _change(self, person: PersonId, change: Callable[[list[OpenTree]], list[OpenTree]]) -> None:
        with self._changing:
            kept = self._kept()
            after = kept | {str(person): change(kept.get(str(person), []))}
            rows = {one: [write.dump() for write in writes] for one, writes in after.items() if writes}
            self._memory.set(_OPEN, json.dumps(rows))


def _turned_on(write: OpenTree, status: str | None, rows: Mapping[int, OptInRow]) -> set[int]:
    """Preferences sent as they had been read, and dated as the write is: they had been opted out of in
    between (Dotdigital 3.10, `dateModifed`). Where the person changed since what it was about, or it was
    never applied, the date of the write is not known: then all that are on and were changed soon after
    the tree was read count; and all changed since where a check has missed it."""
    states, dates = _states(rows), _dates(rows)
    first, within = write.since, _LONGEST
    if write.missed:
        within = _UNKNOWN + _LONGEST
    elif _in_force(states, write.overlay):
        first = max((dates[number] for number in write.overlay if number in dates), default=None)
        within = _ONE_WRITE
    elif contact_status(status).block is Block.PENDING:
        return set()  # ignored, as the contact has yet to confirm its sign-up (Dotdigital 12, N1)
    if first is None:
        return set()
    until = first + within
    return {
        number
        for number in write.sent
        if number in dates and states[number] and first <= dates[number] <= until
    }


def _states(rows: Mapping[int, OptInRow]) -> dict[int, bool | None]:
    return {number: row.is_opted_in for number, row in rows.items()}


def _in_force(states: Mapping[int, bool | None], overlay: Mapping[int, bool]) -> bool:
    return all(states.get(number) is wanted for number, wanted in overlay.items())


def _sent(states: Mapping[int, bool | None], overlay: Mapping[int, bool]) -> set[int]:
    """What a write of the tree sends as on although it is not what it is about."""
    return {number for number, on in states.items() if on and number not in overlay}


def change_dates(v2: ClientV2, who: Who) -> dict[int, datetime]:
    """When each preference of a contact was last changed; none of one that v2 hides: it gets no mail."""
    return _dates(_rows(v2, who)[1])


def _rows(v2: ClientV2, who: Who) -> tuple[str | None, Mapping[int, OptInRow]]:
    """The status of a contact, and the row that counts of each of its preferences."""
    try:
        found = v2.get_subscriptions_for_contact(email=who.address)
    except NotFound:
        return None, {}
    return None if found.contact is None else found.contact.status, newest_rows(found.rows)


def _dates(rows: Mapping[int, OptInRow]) -> dict[int, datetime]:
    return {number: row.changed_at for number, row in rows.items() if row.changed_at is not None}
