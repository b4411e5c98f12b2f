"""Segments: whom an export shows, as people define it in the vendor's pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bridge.sandbox.mypreferences.records import StoredProfile

Holds = Callable[[StoredProfile], bool]


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

    def holds(self, profile: StoredProfile) -> bool:
        """Whether the combination holds a profile."""
        held = self.first.holds(profile)
        for operator, segment in self.rest:
            other = segment.holds(profile)
            held = {"AND": held and other, "OR": held or other, "EXCEPT": held and not other}[operator]
        return held


EVERYBODY = Segment("EVERYBODY", lambda profile: profile.is_active)
