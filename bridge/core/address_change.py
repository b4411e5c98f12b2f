"""A change of address: which opt-outs are transferred with the person. Pure.

A person is an address here, and a record of a side (a profile, a contact) may come to have another one. Then
the person who opted out at the former address is the one who would be mailed at the new address. The opt-out
is transferred before anything else is decided, and in both directions for as long as nobody else has the
former address. The same holds between a contact and the profile that it names by a custom identifier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.core.decision import Rule
from bridge.core.merge_observation import CellKey, LastRead
from bridge.core.model import Agreement, Cell, Choice, PersonId, Side, TopicId, newest
from bridge.core.store_values import LedgerEntry

ONE_ADDRESS = frozenset({Side.DOTDIGITAL})  # whose records hold one address each
_INSTANT = timedelta(microseconds=1)
_EVEN = timedelta(0)
_CLOCKS = timedelta(minutes=5)  # how far a side's clock may be ahead of the bridge's


@dataclass(frozen=True, slots=True)
class FormerBinding:
    """A record that a person no longer has: last seen there at `until`, gone by `left_at`."""

    person: PersonId
    external_id: str
    until: datetime
    left_at: datetime


@dataclass(frozen=True, slots=True)
class Succession:
    """A record of `side` was `former`'s and is `heir`'s since then."""

    side: Side
    former: PersonId
    heir: PersonId
    since: datetime


@dataclass(frozen=True, slots=True)
class FormerAndHolder:
    """One record: a person who had it (see `FormerBinding`), and one who has it, since `bound_at`."""

    former: PersonId
    holder: PersonId
    until: datetime
    left_at: datetime
    bound_at: datetime


def successions(side: Side, pairs: Iterable[FormerAndHolder]) -> list[Succession]:
    """Who came to another address: a record was one person's, and became another's after it was last seen
    with the first. An address that the record had all the while inherits nothing."""
    since: dict[tuple[PersonId, PersonId], datetime] = {}
    for one in pairs:
        if one.former != one.holder and one.bound_at > one.until:
            key, at = (one.former, one.holder), min(one.bound_at, one.left_at)
            since[key] = max(at, since.get(key, at))
    return [Succession(side, former, heir, at) for (former, heir), at in sorted(since.items())]


# bindings that ended


def lost_bindings(
    removed: Iterable[tuple[PersonId, str]],
    before: Mapping[PersonId, LastRead | None],
    now: Mapping[PersonId, LastRead | None],
) -> list[FormerBinding]:
    """The records that people turned out to have lost between two reads."""
    return [
        FormerBinding(person, external, was.at, read.at)
        for person, external in removed
        if (was := before.get(person)) is not None and (read := now.get(person)) is not None
    ]


def replaced_bindings(
    added: Sequence[tuple[PersonId, str, datetime]], holders: Iterable[tuple[PersonId, str]]
) -> list[FormerBinding]:
    """Where a record holds one address only, a new holder ends the binding of every other one."""
    newly = {external: (person, at) for person, external, at in added}
    return [
        FormerBinding(person, external, newly[external][1] - _INSTANT, newly[external][1])
        for person, external in holders
        if newly[external][0] != person
    ]


def told_binding(person: PersonId, external_id: str, until: datetime) -> FormerBinding:
    """A side tells that a record had this person's address until then, by its own clock."""
    return FormerBinding(person, external_id, until - _CLOCKS, until)


# opt-outs that are transferred


def newest_withdrawal(cell: Cell, ahead: timedelta = _EVEN) -> datetime | None:
    """The newest opt-out that stands in a cell, agreed or seen; None where there is none. One without a date
    is as new as the read that showed it. `ahead` is how far the services' clocks are ahead of ours."""
    agreed = cell.agreed
    standing = agreed.at if agreed is not None and agreed.choice is Choice.OPTED_OUT else None
    if (latch := cell.latch) is not None:
        standing = newest(standing, latch.at or latch.seen_at + ahead)
    outs = (side for side in Side if side in cell.seen and cell.seen[side].opted_out)
    return newest(standing, *(cell.said_at(side) or cell.seen[side].read_at + ahead for side in outs))


def merge_agreements(
    source: Cell, target: Cell, since: datetime, ahead: timedelta = _EVEN
) -> Agreement | None:
    """What is agreed for `target` once the person of `source` came to its address at `since`: the most
    restrictive of both. None where nothing is withdrawn at either, or all of it is known already.

    Nothing said before `since`, at either address, raises anybody any more.
    """
    said = newest(newest_withdrawal(source, ahead), newest_withdrawal(target, ahead))
    if said is None:
        return None
    known = target.agreed
    at, settled = said, max(since + ahead, said)
    if known is not None and known.is_carried_over:
        if known.at >= at and known.decided_at >= settled:
            return None
        at, settled = max(known.at, at), max(known.decided_at, settled)
    return _agreement(at, settled)


def propagate_withdrawal(source: Cell, target: Cell, ahead: timedelta = _EVEN) -> Agreement | None:
    """What a later opt-out at one address of a person means for another one; None where `target` is out
    already and shows no opt-in that this might undo, or opted in since."""
    said, known = newest_withdrawal(source, ahead), target.agreed
    if said is None or (known is not None and known.at >= said):
        return None
    if target.agreed_out and not any(seen.opted_in for seen in target.seen.values()):
        return None
    return _agreement(said, said)


def _agreement(at: datetime, decided_at: datetime) -> Agreement:
    return Agreement(Choice.OPTED_OUT, at, Rule.ADDRESS_CHANGED, decided_at, versions={})


class WithdrawalTransfer:
    """Transfers opt-outs between the cells of linked people. `agreements` holds what changed, `entries` what
    the ledger says about it. `ahead` is how far the services' clocks are ahead of ours."""

    def __init__(self, cells: Mapping[PersonId, Sequence[Cell]], ahead: timedelta = _EVEN) -> None:
        self._ahead = ahead
        self._cells = {(cell.person, cell.topic): cell for mine in cells.values() for cell in mine}
        self.agreements: dict[CellKey, Agreement] = {}
        self.entries: list[LedgerEntry] = []

    def follow_records(
        self,
        fresh: Iterable[Succession],
        known: Iterable[Succession],
        vacant: Collection[tuple[Side, PersonId]],
    ) -> None:
        """People who came to another address. `known`: transferred before; for as long as nobody else has
        the former address (`vacant`), what is withdrawn at one goes to the other."""
        for one in fresh:
            for topic in self._topics(one.former, one.heir):
                source, target = self._cell(one.former, topic), self._cell(one.heir, topic)
                self._apply(target, merge_agreements(source, target, one.since, self._ahead), one.former)
        for one in known:
            if (one.side, one.former) in vacant:
                self._propagate(one.former, one.heir)
                self._propagate(one.heir, one.former)

    def follow_links(self, links: Iterable[tuple[PersonId, Sequence[PersonId]]]) -> None:
        """Contacts, each with the people of the profile that it names. The contact's opt-outs go to each
        address of the profile. Back goes only what no address of the profile still opts in to at
        MyPreferences."""
        for contact, profile in links:
            for one in profile:
                self._propagate(contact, one)
            self._propagate_from_all(profile, contact)

    def _propagate(self, source: PersonId, target: PersonId) -> None:
        for topic in self._topics(source, target):
            there = self._cell(target, topic)
            found = propagate_withdrawal(self._cell(source, topic), there, self._ahead)
            self._apply(there, found, source)

    def _propagate_from_all(self, sources: Sequence[PersonId], target: PersonId) -> None:
        for topic in self._topics(*sources, target):
            said = [self._cell(source, topic) for source in sources]
            if any(seen.opted_in for cell in said if (seen := cell.seen.get(Side.MYPREFERENCES)) is not None):
                continue
            for cell in said:
                there = self._cell(target, topic)
                self._apply(there, propagate_withdrawal(cell, there, self._ahead), cell.person)

    def _topics(self, *persons: PersonId) -> list[TopicId]:
        return sorted({topic for person, topic in self._cells if person in persons})

    def _cell(self, person: PersonId, topic: TopicId) -> Cell:
        return self._cells.get((person, topic), Cell(person, topic))

    def _apply(self, target: Cell, agreement: Agreement | None, source: PersonId) -> None:
        if agreement is None:
            return
        key = (target.person, target.topic)
        self._cells[key] = replace(target, agreed=agreement)
        self.agreements[key] = agreement
        body: Mapping[str, Any] = {"from_person": source, "withdrawn_at": agreement.at.isoformat()}
        self.entries.append(LedgerEntry(agreement.rule, body, target.person, target.topic))
