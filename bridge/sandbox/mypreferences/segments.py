"""Segments and segment groups: whom an export shows, as people define it in the vendor's pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bridge.sandbox.mypreferences.records import PHONE, Profile
from bridge.sandbox.mypreferences.refusal import invalid, not_found

Holds = Callable[[Profile], bool]


@dataclass(frozen=True)
class Segment:
    """People chosen by the account. `of_deleted` holds what is left of deleted profiles instead."""

    name: str
    holds: Holds
    of_deleted: bool = False


@dataclass(frozen=True)
class SegmentGroup:
    """Segments combined, from left to right (MyPreferences export: AND, OR and EXCEPT)."""

    name: str
    first: Segment
    rest: tuple[tuple[Literal["AND", "OR", "EXCEPT"], Segment], ...] = ()

    def holds(self, profile: Profile) -> bool:
        """Whether the combination holds a profile."""
        held = self.first.holds(profile)
        for word, segment in self.rest:
            other = segment.holds(profile)
            held = {"AND": held and other, "OR": held or other, "EXCEPT": held and not other}[word]
        return held


EVERYBODY = Segment("EVERYBODY", lambda profile: profile.is_active)


class Segments:
    """What is defined, found by name in any case. Guarded by the state's lock."""

    def __init__(self) -> None:
        self._segments: dict[str, Segment] = {}
        self._groups: dict[str, SegmentGroup] = {}
        self.add(EVERYBODY)

    def add(self, segment: Segment) -> None:
        """Define a segment; the API cannot."""
        self._segments[segment.name.lower()] = segment

    def add_group(self, group: SegmentGroup) -> None:
        """Define a segment group; the API cannot."""
        self._groups[group.name.lower()] = group

    def segment(self, name: str) -> Segment:
        """Raises Refused 404 for one that is not defined."""
        found = self._segments.get(name.lower())
        if found is None:
            raise not_found(f"Segment {name}")
        return found

    def group(self, name: str) -> Segment:
        """A group as the one segment that it amounts to. Raises Refused 404 for one that is not defined."""
        found = self._groups.get(name.lower())
        if found is None:
            raise not_found(f"SegmentGroup {name}")
        return Segment(found.name, found.holds)


def matcher(request: dict[str, Any]) -> Holds:
    """The criteria of a request, which are ANDed with the segment's own (MyPreferences `ExportRequest`).

    Raises Refused 400 for unknown criteria, and where AlternateId comes without its type.
    """
    criteria = request.get("MatchCriteria")
    if not criteria:
        return lambda _: True
    values = request.get("Values")
    if not isinstance(values, list):
        raise invalid("Values is required with MatchCriteria.")
    wanted = {str(item).strip().lower() for item in values}
    kind = str(request.get("MatchType") or "").lower()
    match str(criteria).lower():
        case "profileid":
            return lambda profile: (
                str(profile.profile_id) in wanted
                and kind
                in (
                    "",
                    profile.customer_type.lower(),
                )
            )
        case "emailaddress":
            return lambda profile: any(
                item.is_active and item.key in wanted and kind in ("", item.type_name.lower())
                for item in profile.emails
            )
        case "phonenumber":
            return _by_phone({_digits(item) for item in wanted}, kind)
        case "alternateid" if kind:
            return lambda profile: any(
                name.lower() == kind and value.lower() in wanted
                for name, value in profile.alternate_ids.items()
            )
    raise invalid("MatchCriteria or MatchType is not valid.")


def _by_phone(wanted: Iterable[str], kind: str) -> Holds:
    numbers = frozenset(wanted) - {""}

    def holds(profile: Profile) -> bool:
        return any(
            item.is_active and item.key in numbers and kind in ("", item.type_name.lower())
            for item in profile.of_kind(PHONE)
        )

    return holds


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())
