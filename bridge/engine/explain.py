"""Explaining: what each side showed of a person, what was agreed by which rule, and what was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from bridge.core.decision import RULE_TEXT, Rule
from bridge.core.double_opt_in import CONFIRMATION_WAIT
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.model import Cell, Side, TopicId, Who, ids_out, mask
from bridge.engine.serialize import Json, agreement_out, latch_out, observation_out, time_out

_KNOWN_AGAIN = {
    "opt_in": "the person had been erased; this opt-in is newer",
    "withdrawal": "the person had been erased; this opt-out must still be applied",
}


def explain(
    mapping: ConsentMapping,
    who: Who,
    cells: Iterable[Cell],
    ledger: Iterable[Json],
    challenge_wait: timedelta = CONFIRMATION_WAIT,
) -> Json:
    """One person, as JSON. `ledger` holds the entries about them, oldest first; `challenge_wait` is how long
    to wait for a confirmation by mail."""
    by_topic = {cell.topic: cell for cell in cells}
    entries = list(ledger)
    return {
        "person": mask(who.address),
        "ids": ids_out(who),
        "topics": [
            _topic(topic.id, by_topic[topic.id], entries, challenge_wait)
            for topic in mapping.all
            if topic.id in by_topic
        ],
    }


def _topic(topic: TopicId, cell: Cell, entries: list[Json], challenge_wait: timedelta) -> Json:
    shown: Json = {
        "topic": topic,
        **{side.value: _side(cell, side) for side in Side},
        "agreed": agreement_out(cell.agreed),
        **latch_out(cell),
        "history": [line for entry in entries for line in _history(topic, entry)],
    }
    if cell.hold is not None:
        shown["held"] = {
            "why": RULE_TEXT[Rule(cell.hold.reason)],
            "reason": cell.hold.reason,
            "state": cell.hold.state.value,
        }
    if (challenge := cell.challenge) is not None:
        shown["challenge"] = {
            "state": challenge.state.value,
            "asked_at": time_out(challenge.sent_at),
            "expires_at": time_out(challenge.sent_at + challenge_wait),
        }
    return shown


def _side(cell: Cell, side: Side) -> Json | None:
    """What a side shows. What a write of ours left there is marked by the date of the statement it carries:
    nobody said it when the side dates it."""
    shown = observation_out(cell.seen.get(side))
    if shown is not None and (said := cell.dated(side)) != cell.seen[side].changed_at:
        shown["written_for"] = time_out(said)
    return shown


def _history(topic: TopicId, entry: Json) -> Iterable[Json]:
    """What one ledger entry says about one topic."""
    body: Mapping[str, Any] = entry["body"]
    line = {"at": entry["at"], "run": entry["run"], "kind": entry["kind"]}
    match entry["kind"]:
        case "decided" if topic in body["grounds"]:
            ground = body["grounds"][topic]
            writes = [write for write in body["writes"] if write["topic"] == topic]
            why = RULE_TEXT[Rule(ground["rule"])]
            yield {
                **line,
                "rule": ground["rule"],
                "why": why,
                "policy": ground["policy"],
                "seen": ground["seen"],
                "writes": writes,
            }
        case "outcome" if topic in body["topics"]:
            shown = {key: body[key] for key in ("side", "fate", "error") if key in body}
            yield {**line, **shown}
        case "agreed" | "held" | "released" | "dismissed" if entry["topic"] == topic:
            rule = body.get("rule")
            shown = {key: body[key] for key in ("choice", "rule") if key in body}
            yield {**line, **shown, **({"why": RULE_TEXT[Rule(rule)]} if rule else {})}
        case "challenge" if entry["topic"] == topic:
            yield {**line, "state": body["state"]}
        case "erased_known_again":
            yield {**line, "why": _KNOWN_AGAIN.get(body["by"], body["by"])}
        case Rule.ADDRESS_CHANGED if entry["topic"] == topic:
            yield {**line, "withdrawn_at": body["withdrawn_at"], "why": RULE_TEXT[Rule.CARRIED]}
        case _:
            return
