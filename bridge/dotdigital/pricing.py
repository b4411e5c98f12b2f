"""What many people's writes cost in calls, by whichever way takes fewest. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.core.model import Write
from bridge.dotdigital.bulk.import_changes import pays, reading, together
from bridge.dotdigital.write_batches import fits_import, price, split, withdraws

_RECORD = 2  # calls: the contact, and the one that adds to it


def price_of(
    people: Sequence[Sequence[Write]], *, recorded: int, pages: int | None, feeds: int, by_import: bool
) -> int:
    """Calls for these people, all withdrawals or none: the last look before an opt-in and the reads back
    included. `recorded` of them have a consent to be kept as well; `pages` of the listing, where they are
    known; `feeds` are read again where that look is by the listing, which has no dates; `by_import` says
    whether imports may be used."""
    carried = [fit for writes in people if (fit := [unit for unit in split(writes) if fits_import(unit)])]
    each = sum(price(unit) for units in carried for unit in units)
    singly = sum(map(price, people))
    raised = sum(not withdraws(write) for writes in people for write in writes[:1])
    if not by_import or not pays(len(carried), each, pages):
        return singly + raised + _RECORD * recorded
    looked = reading(raised, pages)
    again = feeds if looked < raised else 0
    return singly - each + together(len(carried), pages) + looked + again
