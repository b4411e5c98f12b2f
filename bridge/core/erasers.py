"""What the engine asks of a side to have a person erased there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.core.model import Who


@dataclass(frozen=True, slots=True)
class RecordFound:
    """A record that a side holds of a person: which, how it stands there, and what erasing does about it."""

    record: str
    state: str
    plan: str


@dataclass(frozen=True, slots=True)
class SideErasure:
    """What was done at a side, proven by reading back, and what a person has to do there by hand. Words for
    people, without an address."""

    done: Sequence[str] = ()
    left: Sequence[str] = ()


class Eraser(Protocol):
    """One side, as far as erasing goes. Repeating it after whatever befell it goes on where it stopped: each
    step begins with a read."""

    def traces(self, who: Who) -> Sequence[RecordFound]:
        """The records of this person. Raises SideError."""
        ...

    def block(self, people: Sequence[Who]) -> None:
        """Keep these people from being mailed, in few calls, before each is erased: whom this misses `erase`
        blocks. Raises SideError."""
        ...

    def erase(self, who: Who) -> SideErasure:
        """Keep the person from being mailed, then delete their records. Raises SideError for what is not
        known or may go better later."""
        ...
