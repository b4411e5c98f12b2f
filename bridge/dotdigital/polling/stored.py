"""What polling keeps in the state DB: what the v3 listing may be trusted with, and how long a rotation takes.

Commands that only read the state DB import this module: nothing here can call the service.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from bridge.core.ports import KeyValue

CAPABILITIES_KEY = "dotdigital.learnt"
ROTATION_KEY = "dotdigital.turn"
ENOUGH = 3  # contacts that must be evidence for a capability, with none against it


class ChangeType(StrEnum):
    """What changed about a contact."""

    PREFERENCE = "preference"
    SUPPRESSION = "suppression"


class Capability(StrEnum):
    """What the v3 listing may be able to show."""

    MOVES_ON_PREFERENCES = "moves_on_preferences"
    MOVES_ON_SUPPRESSIONS = "moves_on_suppressions"
    LISTS_SUPPRESSED = "lists_suppressed"


class TrustLevel(StrEnum):
    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    UNKNOWN = "unknown"


class CapabilityState(msgspec.Struct, frozen=True):
    """`by`: contacts that were evidence for it since the last one against it."""

    verdict: TrustLevel = TrustLevel.UNKNOWN
    since: datetime | None = None
    by: int = 0

    @property
    def is_shown(self) -> bool:
        return self.verdict is TrustLevel.SHOWN

    def after(self, evidence: Sequence[bool], now: datetime) -> CapabilityState:
        """One contact against it is enough, until ENOUGH are for it with none against."""
        by = self.by + len(evidence) if all(evidence) else 0
        verdict = TrustLevel.SHOWN if by >= ENOUGH else self.verdict
        if not all(evidence):
            verdict = TrustLevel.NOT_SHOWN
        return CapabilityState(verdict, self.since if verdict is self.verdict else now, by)


CapabilityEvidence = tuple[Capability, bool]
"""What one contact shows: for a capability, or against it."""


class Capabilities(msgspec.Struct, frozen=True):
    """`upto`: the newest change of each kind that was used, so that none is counted twice."""

    findings: dict[Capability, CapabilityState] = msgspec.field(default_factory=dict)
    upto: dict[ChangeType, datetime] = msgspec.field(default_factory=dict)
    asked_at: datetime | None = None

    @classmethod
    def load(cls, memory: KeyValue) -> Capabilities:
        """What is known so far."""
        return msgspec.json.decode(memory.get(CAPABILITIES_KEY) or "{}", type=cls)

    def save(self, memory: KeyValue) -> None:
        memory.set(CAPABILITIES_KEY, msgspec.json.encode(self).decode())

    def __getitem__(self, what: Capability) -> CapabilityState:
        return self.findings.get(what, CapabilityState())

    @property
    def is_complete(self) -> bool:
        """Whether everything is known, one way or the other."""
        return all(self[what].verdict is not TrustLevel.UNKNOWN for what in Capability)

    def after(
        self, evidence: Iterable[CapabilityEvidence], now: datetime, upto: Mapping[ChangeType, datetime]
    ) -> Capabilities:
        seen = list(evidence)
        findings = {
            what: self[what].after([supports for about, supports in seen if about is what], now)
            for what in Capability
        }
        return Capabilities(findings, {**self.upto, **upto}, now)

    def lost_since(self, before: Capabilities) -> list[str]:
        """Warnings for what was trusted before and is no longer."""
        return [LOST[what] for what in Capability if before[what].is_shown and not self[what].is_shown]

    def shown(self) -> dict[str, dict[str, Any]]:
        """The findings as JSON."""
        return {what.value: msgspec.to_builtins(self[what]) for what in Capability}


LOST: Mapping[Capability, str] = {
    Capability.MOVES_ON_PREFERENCES: "the v3 listing missed a preference change; using the v2 feeds",
    Capability.MOVES_ON_SUPPRESSIONS: "`updated` missed a suppression; the bridge does not rely on it",
    Capability.LISTS_SUPPRESSED: "the v3 listing missed a suppressed contact; the bridge does not rely on it",
}


@dataclass(frozen=True, slots=True)
class RotationPeriod:
    """So many feeds, each of which is read within `whole`."""

    feeds: int
    whole: timedelta


def last_rotation_period(memory: KeyValue) -> RotationPeriod | None:
    """The rotation period that the last polling run noted; None before the first."""
    row = json.loads(memory.get(ROTATION_KEY) or "null")
    return None if row is None else RotationPeriod(row["feeds"], timedelta(seconds=row["seconds"]))
