"""A change of address: which withdrawals go along with the person. Pure.

A person is an address here, and a record of a side (a profile, a contact) may come to have another one. Then
whoever said no at the one is the one to be mailed at the other: the no goes along, before anything else is
decided, and in either direction for as long as nobody else has the address that was left.
"""

from __future__ import annotations

from datetime import datetime

from bridge.core.conflict import is_out, newest
from bridge.core.decision import Rule
from bridge.core.guards import is_carried_over
from bridge.core.model import Agreement, Cell, Choice, Side
from bridge.core.withdrawals import said_at


def newest_withdrawal(cell: Cell) -> datetime | None:
    """The newest withdrawal that stands in a cell, agreed or seen; None where there is none. One without a
    date is as new as the read that showed it."""
    agreed = cell.agreed
    standing = agreed.at if agreed is not None and agreed.choice is Choice.OPTED_OUT else None
    outs = (side for side in Side if side in cell.seen and is_out(cell.seen[side]))
    return newest(standing, *(said_at(cell, side) or cell.seen[side].read_at for side in outs))


def merge_agreements(source: Cell, target: Cell, since: datetime) -> Agreement | None:
    """What is agreed for `target` once the person of `source` came to its address at `since`: the most
    restrictive of both. None where nothing is withdrawn at either, or all of it is known already.

    Whatever was said before `since`, at the one or the other, raises nobody any more.
    """
    said = newest(newest_withdrawal(source), newest_withdrawal(target))
    if said is None:
        return None
    known = target.agreed
    at, settled = said, max(since, said)
    if known is not None and is_carried_over(known):
        if known.at >= at and known.decided_at >= settled:
            return None
        at, settled = max(known.at, at), max(known.decided_at, settled)
    return _agreement(at, settled)


def propagate_withdrawal(source: Cell, target: Cell) -> Agreement | None:
    """What a later withdrawal at one address of a person means for the other one; None where `target` is out
    already, or opted in since."""
    said, known = newest_withdrawal(source), target.agreed
    if said is None:
        return None
    if known is not None and (known.choice is Choice.OPTED_OUT or known.at >= said):
        return None
    return _agreement(said, said)


def _agreement(at: datetime, decided_at: datetime) -> Agreement:
    return Agreement(Choice.OPTED_OUT, at, Rule.ADDRESS_CHANGED, decided_at, versions={})
