"""Reading many people afresh by few calls: exports of the roll, narrowed to their addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bridge.core.errors import DrainIncomplete, Forbidden, NotFound, Refused
from bridge.core.mapping import Mapping
from bridge.core.model import Side, Who, address_key
from bridge.core.ports import PersonView
from bridge.mypreferences import views, wire
from bridge.mypreferences.bulk.pricing import EXPORTED
from bridge.mypreferences.bulk.segment_export import SegmentExport, SegmentRef

Chosen = tuple[list[PersonView], list[Who]]


class FilteredExport:
    """Shows people as the rows of exports show them."""

    def __init__(self, listing: SegmentExport, roll: SegmentRef, mapping: Mapping) -> None:
        self._listing, self._roll, self._mapping = listing, roll, mapping

    def shown(self, people: Sequence[Who], read_at: datetime) -> Iterator[Chosen]:
        """Views, and people of whom the rows do not tell enough: they are to be looked at. Now and then
        neither, as a sign of life. Where no export is to be had, that is everybody. Raises SideError for what
        stops the side."""
        for start in range(0, len(people), EXPORTED):
            some = people[start : start + EXPORTED]
            sharing: dict[str, list[wire.Profile]] = {address_key(who.address): [] for who in some}
            wanted = wire.ExportRequest(match_criteria="EmailAddress", values=[who.address for who in some])
            try:
                for block in self._listing.chosen(self._roll, wanted):
                    _share_out(block.rows, sharing)
                    yield [], []
            except (DrainIncomplete, Forbidden, NotFound, Refused):
                yield [], list(some)
                continue
            yield self._sorted(some, sharing, read_at)

    def _sorted(
        self, people: Iterable[Who], sharing: dict[str, list[wire.Profile]], read_at: datetime
    ) -> Chosen:
        seen: list[PersonView] = []
        rest: list[Who] = []
        for who in people:
            profiles = sharing[address_key(who.address)]
            shown = views.view(who.address, profiles, self._mapping, read_at, complete=False)
            if profiles and self._is_whole(who, shown):
                seen.append(shown)
            else:
                rest.append(who)
        return seen, rest

    def _is_whole(self, who: Who, shown: PersonView) -> bool:
        """Whether every profile that is known is among the rows, and they speak of all that is mapped: rows
        hold what the segment is set up for."""
        known = set(who.ids.get(Side.MYPREFERENCES, ()))
        mapped = {topic.id for topic in self._mapping.all if topic.source is not None}
        return known <= set(shown.ids) and mapped <= shown.topics.keys()


def _share_out(rows: Iterable[wire.Profile], sharing: dict[str, list[wire.Profile]]) -> None:
    """Give each row to whom it concerns among those asked for."""
    for row in rows:
        for address in views.addresses(row) if row.active else ():
            if (profiles := sharing.get(address_key(address))) is not None:
                profiles.append(row)
