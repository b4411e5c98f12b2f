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
from datetime import datetime, timedelta
from threading import Lock

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


class TreeWriter:
    """`memory` keeps what was read of trees whose write is not checked yet, and whether the account dates
    preferences again that a write leaves as they were; `sleep` takes seconds."""

    def __init__(self, v2: ClientV2, memory: KeyValue, sleep: Callable[[float], None]) -> None:
        self._v2, self._memory, self._sleep = v2, memory, sleep
        self._changing = Lock()  # several people are written at a time

    def write(self, who: Who, overlay: Mapping[int, bool]) -> WriteResponse | Repaired:
        """Set these preferences. Then see whether that turned on what it did not name. Raises SideError where
        they were not set, or nobody knows."""
        tree = self._v2.get_preferences_for_contact(contact=who.address)
        body, states = put_body(tree, overlay), opt_ins(tree)
        if _in_force(states, overlay):
            return WriteResponse.ALREADY_SO
        sent = _sent(states, overlay)
        self._keep(who.person, overlay, sent)
        try:
            self._v2.set_preferences_for_contact(contact=who.address, tree=body)
        except SideError as error:
            if error.verdict is not Verdict.IN_DOUBT:
                self._drop(who.person)
            raise
        return self._check(who, overlay, sent, WriteResponse.ACCEPTED)

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
            overlay, sent = kept[str(who.person)]
            try:
                landed = _in_force(
                    opt_ins(self._v2.get_preferences_for_contact(contact=who.address)), overlay
                )
            except NotFound:
                landed = False
            except SideError as error:
                found.append(Repaired(f"{_UNCHECKED} ({error})", failed=True))
                continue
            if not landed:
                self._drop(who.person)
            elif isinstance(answer := self._check(who, overlay, sent, WriteResponse.ACCEPTED), Repaired):
                found.append(answer)
        return found

    def _check(
        self, who: Who, overlay: Mapping[int, bool], sent: Set[int], answer: WriteResponse | Repaired
    ) -> WriteResponse | Repaired:
        """Opt the person out again of what a write turned on, until none does. What cannot be checked or
        repaired now stays kept for the next run."""
        for _ in range(_REPAIRS):
            try:
                found = self._turned_on(who, overlay, sent)
                if found and found == sent and self._dates_all(who, found):
                    self._drop(who.person)
                    return Repaired(_UNSEEN)
            except SideError as error:
                return Repaired(f"{_UNCHECKED} ({error})", failed=True)
            if not found:
                self._drop(who.person)
                return answer
            overlay, answer = {**overlay, **dict.fromkeys(found, False)}, Repaired(_RESTORED)
            try:
                tree = self._v2.get_preferences_for_contact(contact=who.address)
                states = opt_ins(tree)
                sent = _sent(states, overlay)
                self._keep(who.person, overlay, sent)
                if not _in_force(states, overlay):
                    self._set_again(who, put_body(tree, overlay))
            except SideError as error:
                return Repaired(f"{_NOT_RESTORED} ({error})", failed=True)
        return Repaired(_NOT_RESTORED, failed=True)

    def _set_again(self, who: Who, body: Sequence[Json]) -> None:
        """Write a tree that belongs to an earlier write: it is never too late to be sent."""
        with sent_before(None):
            self._v2.set_preferences_for_contact(contact=who.address, tree=body)

    def _turned_on(self, who: Who, overlay: Mapping[int, bool], sent: Set[int]) -> set[int]:
        """Preferences sent as they had been read, and dated as the write is: they had been opted out of in
        between (Dotdigital 3.10, `dateModifed`)."""
        status, rows = _rows(self._v2, who)
        states = {number: row.is_opted_in for number, row in rows.items()}
        if contact_status(status).block is Block.PENDING and not _in_force(states, overlay):
            return set()  # ignored, as the contact has yet to confirm its sign-up (Dotdigital 12, N1)
        dates = _dates(rows)
        written = max((dates[number] for number in overlay if number in dates), default=None)
        if written is None:
            return set()
        until = written + _ONE_WRITE
        return {number for number in sent if number in dates and written <= dates[number] <= until}

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

    def _kept(self) -> dict[str, tuple[dict[int, bool], set[int]]]:
        """By person: what was to be set, and what was sent as it had been read, all of it on."""
        rows = json.loads(self._memory.get(_OPEN) or "{}")
        return {
            person: ({int(number): on for number, on in overlay.items()}, set(sent))
            for person, (overlay, sent) in rows.items()
        }

    def _keep(self, person: PersonId, overlay: Mapping[int, bool], sent: Set[int]) -> None:
        with self._changing:
            rows = json.loads(self._memory.get(_OPEN) or "{}")
            rows[str(person)] = [dict(overlay), sorted(sent)]
            self._memory.set(_OPEN, json.dumps(rows))

    def _drop(self, person: PersonId) -> None:
        with self._changing:
            rows = json.loads(self._memory.get(_OPEN) or "{}")
            if rows.pop(str(person), None) is not None:
                self._memory.set(_OPEN, json.dumps(rows))


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
