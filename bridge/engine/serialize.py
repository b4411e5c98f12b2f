"""Writes, observations and decisions as JSON: for attempts, plans, the ledger and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from bridge.core.decision import Act, Rule
from bridge.core.model import Agreement, Cell, Choice, Observation, Side, TopicId
from bridge.core.writes import Adjustment, Evidence, Raise, Resubscribe, Withdrawal, Write

Json = dict[str, Any]


def time_out(at: datetime | None) -> str | None:
    """An instant as text: UTC with `Z`."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def time_in(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


_SHOWN_IF_SET = {
    one.name: one.default
    for one in fields(Observation)
    if one.name not in ("choice", "changed_at", "read_at", "stated", "undated", "consistent")
}
"""Fields of an observation that are shown where they differ from their default. How it was read is not."""


def observation_out(seen: Observation | None) -> Json | None:
    """What an explanation shows of an observation."""
    if seen is None:
        return None
    shown: Json = {
        "choice": seen.choice.value,
        "changed_at": time_out(seen.changed_at),
        "seen_at": time_out(seen.read_at),
    }
    for name, default in _SHOWN_IF_SET.items():
        value = getattr(seen, name)
        if value != default and not (name == "records" and not value):
            shown[name] = list(value) if isinstance(value, tuple) else value
    return shown


def agreement_out(agreed: Agreement | None) -> Json | None:
    """What an explanation shows of an agreement."""
    if agreed is None:
        return None
    shown: Json = {
        "choice": agreed.choice.value,
        "at": time_out(agreed.at),
        "decided_at": time_out(agreed.decided_at),
        "rule": agreed.rule,
    }
    if agreed.frequencies:
        shown["frequencies"] = list(agreed.frequencies)
    return shown


def latch_out(cell: Cell) -> Json:
    """What an explanation shows of an opt-out that is not agreed yet; empty where there is none."""
    latch = cell.latch
    if latch is None:
        return {}
    shown = {"side": latch.side.value, "at": time_out(latch.at), "seen_at": time_out(latch.seen_at)}
    return {"latched": shown | ({"retry_at": time_out(cell.retry_at)} if cell.retry_at else {})}


def ground_out(cell: Cell) -> Json:
    """Everything that a decision about a cell rested on."""
    return {
        "seen": {side.value: observation_out(cell.seen.get(side)) for side in Side},
        "agreed": agreement_out(cell.agreed),
        **latch_out(cell),
    }


def write_out(write: Write) -> Json:
    """A write as JSON; `write_in` gives the same write back."""
    common: Json = {"side": write.side.value, "topic": write.topic}
    match write:
        case Withdrawal():
            return {
                **common,
                "kind": "withdrawal",
                "said_at": time_out(write.said_at),
                "effective_at": time_out(write.effective_at),
            }
        case Raise():
            how = None if write.how is None else write.how.value
            evidence = _evidence_out(write.evidence)
            return {**common, "kind": "raise", "evidence": evidence, "frequency": write.frequency, "how": how}
        case Adjustment():
            evidence = _evidence_out(write.evidence)
            return {**common, "kind": "adjustment", "evidence": evidence, "frequency": write.frequency}


def write_in(shown: Mapping[str, Any]) -> Write:
    """The write that `write_out` wrote."""
    side, topic = Side(shown["side"]), TopicId(shown["topic"])
    match shown["kind"]:
        case "withdrawal":
            return Withdrawal(side, topic, time_in(shown["said_at"]), _instant(shown["effective_at"]))
        case "raise":
            how = None if shown["how"] is None else Resubscribe(shown["how"])
            return Raise(side, topic, _evidence_in(shown["evidence"]), shown["frequency"], how)
        case "adjustment":
            return Adjustment(side, topic, _evidence_in(shown["evidence"]), shown["frequency"])
        case kind:
            raise ValueError(f"no such kind of write: {kind}")


def _evidence_out(evidence: Evidence) -> Json:
    return {
        "side": evidence.side.value,
        "changed_at": time_out(evidence.changed_at),
        "read_at": time_out(evidence.read_at),
        "version": evidence.version,
    }


def _evidence_in(shown: Mapping[str, Any]) -> Evidence:
    changed, read = _instant(shown["changed_at"]), _instant(shown["read_at"])
    return Evidence(Side(shown["side"]), changed, read, shown["version"])


def act_out(act: Act) -> Json:
    """A decision to write, as JSON; `act_in` gives it back."""
    return {
        "rule": act.rule.value,
        "writes": [write_out(write) for write in act.writes],
        "choice": act.choice.value,
        "at": time_out(act.at),
        "versions": {side.value: version for side, version in act.versions.items()},
        "frequencies": list(act.frequencies),
    }


def act_in(shown: Mapping[str, Any]) -> Act:
    """The decision that `act_out` wrote."""
    return Act(
        rule=Rule(shown["rule"]),
        writes=tuple(write_in(write) for write in shown["writes"]),
        choice=Choice(shown["choice"]),
        at=_instant(shown["at"]),
        versions={Side(side): version for side, version in shown["versions"].items()},
        frequencies=tuple(shown["frequencies"]),
    )


def writes_out(writes: Sequence[Write]) -> list[Json]:
    return [write_out(write) for write in writes]
