"""The switches of an emulated service: those that both have, and how they are declared, checked and set."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.sandbox.faults import nearest


def one_of(default: str, *others: str) -> str:
    """Declare a switch that takes one of these words."""
    choice: str = field(default=default, metadata={"choices": (default, *others)})
    return choice


@dataclass
class ServiceSwitches:
    """The switches of both services. Durations are in seconds.

    Assigning a value outside a field's choices, or one below zero, raises ValueError naming the nearest one.
    """

    clock_ahead_seconds: float = field(default=0.0, metadata={"signed": True})
    """How far this service's clock is ahead of the sandbox's (below zero: behind). All its stamps follow."""
    read_lag_seconds: float = 0.0
    """How long after a change, by the API or by people, reads show the former state without any sign."""
    refused_writes: int = 0
    """The status with which every write about people is refused; 0: none is."""

    surplus_rights: bool = False
    """Whether the API user may read what a consent bridge has no use for, beside what it needs."""

    def __setattr__(self, name: str, value: Any) -> None:
        known = type(self).__dataclass_fields__
        if name not in known:
            raise ValueError(f"unknown switch {name!r}{nearest(name, list(known))}")
        choices: tuple[str, ...] = known[name].metadata.get("choices", ())
        if choices and value not in choices:
            raise ValueError(f"switch {name!r} cannot be {value!r}{nearest(str(value), list(choices))}")
        if isinstance(value, (int, float)) and value < 0 and not known[name].metadata.get("signed"):
            raise ValueError(f"switch {name!r} cannot be negative")
        object.__setattr__(self, name, value)


def patch_switches(switches: ServiceSwitches, changes: Mapping[str, Any]) -> None:
    """Set switches, all or none. Raises ValueError for an unknown switch (naming the nearest) or a value of
    another type."""
    current = dataclasses.asdict(switches)
    for name, value in changes.items():
        if name in current and not _same_type(current[name], value):
            raise ValueError(f"switch {name!r} takes a {type(current[name]).__name__}")
    # A switch may refuse a value when it is set: try on a copy, so that a refusal changes nothing.
    for target in (copy.copy(switches), switches):
        for name, value in changes.items():
            setattr(target, name, float(value) if isinstance(current.get(name), float) else value)


def _same_type(current: Any, value: Any) -> bool:
    if isinstance(current, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(current)
