"""What was learnt of the v3 listing: what is shown, by how many contacts and since when. Pure, but for the
reading and writing of the one fact it is kept in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from bridge.core.ports import KeyValue

KEY = "dotdigital.learnt"
ENOUGH = 3  # contacts that must speak for a thing, and none against it


class ChangeType(StrEnum):
    """What changed about a contact."""

    PREFERENCE = "preference"
    SUPPRESSION = "suppression"


class Capability(StrEnum):
    """What there is to be learnt."""

    MOVES_ON_PREFERENCES = "moves_on_preferences"
    MOVES_ON_SUPPRESSIONS = "moves_on_suppressions"
    LISTS_SUPPRESSED = "lists_suppressed"


class TrustLevel(StrEnum):
    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one contact says."""

    what: Capability
    speaks_for: bool


@dataclass(frozen=True, slots=True)
class CapabilityState:
    """`by`: contacts that speak for it since anything last spoke against it."""

    verdict: TrustLevel = TrustLevel.UNKNOWN
    since: datetime | None = None
    by: int = 0

    @property
    def is_shown(self) -> bool:
        return self.verdict is TrustLevel.SHOWN

    def after(self, votes: Sequence[bool], now: datetime) -> CapabilityState:
        """One contact against it is enough, until enough have spoken for it with none against."""
        if not all(votes):
            return self._now(TrustLevel.NOT_SHOWN, now, 0)
        by = self.by + len(votes)
        return self._now(TrustLevel.SHOWN if by >= ENOUGH else self.verdict, now, by)

    def _now(self, verdict: TrustLevel, now: datetime, by: int) -> CapabilityState:
        return CapabilityState(verdict, self.since if verdict is self.verdict else now, by)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`upto`: the newest change of each kind that was used, so that none is counted twice."""

    findings: Mapping[Capability, CapabilityState] = field(default_factory=dict)
    upto: Mapping[ChangeType, datetime] = field(default_factory=dict)
    asked_at: datetime | None = None

    def __getitem__(self, what: Capability) -> CapabilityState:
        return self.findings.get(what, CapabilityState())

    @property
    def is_complete(self) -> bool:
        """Whether everything is known, one way or the other."""
        return all(self[what].verdict is not TrustLevel.UNKNOWN for what in Capability)

    def after(
        self, evidence: Iterable[Vote], now: datetime, upto: Mapping[ChangeType, datetime]
    ) -> Capabilities:
        said = list(evidence)
        findings = {
            what: self[what].after([one.speaks_for for one in said if one.what is what], now)
            for what in Capability
        }
        return replace(self, findings=findings, upto={**self.upto, **upto}, asked_at=now)

    def news_since(self, before: Capabilities) -> list[str]:
        """What was trusted before and is no more."""
        return [LOST[what] for what in Capability if before[what].is_shown and not self[what].is_shown]


LOST: Mapping[Capability, str] = {
    Capability.MOVES_ON_PREFERENCES: "the v3 listing missed a preference change; using the v2 feeds",
    Capability.MOVES_ON_SUPPRESSIONS: "the v3 listing's `updated` missed a suppression; nothing rests on it",
    Capability.LISTS_SUPPRESSED: "the v3 listing left out somebody suppressed; nothing rests on it",
}


def kept(memory: KeyValue) -> Capabilities:
    """What is known so far."""
    row: dict[str, Any] = json.loads(memory.meta(KEY) or "{}")
    return Capabilities(
        findings={Capability(name): _finding(one) for name, one in row.get("findings", {}).items()},
        upto={ChangeType(name): datetime.fromisoformat(at) for name, at in row.get("upto", {}).items()},
        asked_at=_moment(row.get("asked_at")),
    )


def keep(memory: KeyValue, learnt: Capabilities) -> None:
    row = {
        "findings": shown(learnt),
        "upto": {kind: at.isoformat() for kind, at in learnt.upto.items()},
        "asked_at": None if learnt.asked_at is None else learnt.asked_at.isoformat(),
    }
    memory.set_meta(KEY, json.dumps(row))


def shown(learnt: Capabilities) -> dict[str, dict[str, Any]]:
    """The findings as JSON."""
    return {what.value: _row(learnt[what]) for what in Capability}


def _row(one: CapabilityState) -> dict[str, Any]:
    since = None if one.since is None else one.since.isoformat().replace("+00:00", "Z")
    return {"verdict": one.verdict.value, "since": since, "by": one.by}


def _finding(row: Mapping[str, Any]) -> CapabilityState:
    return CapabilityState(TrustLevel(row["verdict"]), _moment(row["since"]), row["by"])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
