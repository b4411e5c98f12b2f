"""The boundaries of a process: each transaction of the state DB and each call of a side. Between two of them
nothing lasting happens, so that a fault at each of them is a fault anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.core.errors import (
    Forbidden,
    InvalidResponse,
    OutcomeUnknown,
    Refused,
    ServerError,
    SideError,
    Throttled,
    Unreachable,
)
from bridge.core.model import Side
from bridge.simulation.steps import READ_FAULTS, STORE_FAULTS, WRITE_FAULTS, Fault, FaultKind

STORE = "store"
_READ_ERRORS: dict[FaultKind, type[SideError]] = {
    FaultKind.UNREACHABLE: Unreachable,
    FaultKind.THROTTLED: Throttled,
    FaultKind.SERVER_ERROR: ServerError,
    FaultKind.INVALID: InvalidResponse,
    FaultKind.FORBIDDEN: Forbidden,
    FaultKind.REFUSED: Refused,
}
_WRITE_ERRORS = _READ_ERRORS | {FaultKind.SERVER_ERROR: OutcomeUnknown, FaultKind.INVALID: OutcomeUnknown}


class ProcessDied(BaseException):
    """The process ends here: nothing after it is carried out."""


class Boundaries:
    """Counts the boundaries of one run, and lets its faults happen. Once dead, nothing passes any more."""

    def __init__(self, faults: Sequence[Fault], happen: Callable[[Fault], None]) -> None:
        self._faults = sorted(faults, key=lambda fault: fault.at)
        self._happen = happen
        self.count = 0
        self.dead = False
        self.met: list[Fault] = []

    def store(self) -> None:
        """Before a transaction that may write."""
        fault = self._next(STORE_FAULTS)
        if fault is not None:
            self._meet(fault)

    def call(self, side: Side, operation: str, *, write: bool = False) -> None:
        """Before a call of a side is answered. Raises SideError."""
        fault = self._next(frozenset(FaultKind) - WRITE_FAULTS - READ_FAULTS)
        if fault is None:
            return
        self._meet(fault)
        errors = _WRITE_ERRORS if write else _READ_ERRORS
        if fault.kind in errors:
            raise errors[fault.kind]("A simulated fault.", side=side, operation=operation)

    def fate(self, _side: Side) -> FaultKind | None:
        """The fate of a write that is on its way."""
        fault = self._next(WRITE_FAULTS, counts=False)
        if fault is None:
            return None
        self.met.append(fault)
        return fault.kind

    def is_cut(self) -> bool:
        """Whether a feed ends here although it has more."""
        fault = self._next(READ_FAULTS, counts=False)
        if fault is not None:
            self.met.append(fault)
        return fault is not None

    def die(self) -> None:
        """The process is killed."""
        self.dead = True
        raise ProcessDied

    def _meet(self, fault: Fault) -> None:
        self.met.append(fault)
        if fault.kind is FaultKind.DIES:
            self.die()
        self._happen(fault)

    def _next(self, kinds: frozenset[FaultKind], *, counts: bool = True) -> Fault | None:
        if self.dead:
            raise ProcessDied
        self.count += counts
        for fault in self._faults:
            if fault.at > self.count:
                return None
            if fault.kind in kinds:
                self._faults.remove(fault)
                return fault
        return None
