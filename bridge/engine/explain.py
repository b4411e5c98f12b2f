"""Explaining: what each side showed of a person, what was agreed by which rule, and what was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.core.decide import decide
from bridge.core.decision import RULE_TEXT, Rule
from bridge.core.double_opt_in import CONFIRMATION_WAIT
from bridge.core.guards import DecisionContext
from bridge.core.mapping import Mapping as ConsentMapping
from bridge.core.mapping import Topic
from bridge.core.model import (
    CHANNEL,
    OWN_DATES,
    Cell,
    Choice,
    ClockReading,
    Side,
    TopicId,
    Who,
    ids_out,
    mask,
)
from bridge.core.scope import names_of
from bridge.engine.serialize import Json, agreement_out, latch_out, observation_out, time_out

_ONE_SIDED = {
    Choice.OPTED_OUT: "one side is opted out and the other shows no choice: nobody is mailed",
    Choice.OPTED_IN: "one side is opted in and the other shows no choice of its own",
}
_KNOWN_AGAIN = {
    "opt_in": "the person had been erased; this opt-in is newer",
    "withdrawal": "the person had been erased; this opt-out must still be applied",
}


@dataclass(frozen=True, slots=True)
class View:
    """What an explanation depends on beside the person: the moment, when the first run began, how long to
    wait for a confirmation by mail, and whether an unsubscribe withdraws the topics."""

    now: datetime
    epoch: datetime | None = None
    challenge_wait: timedelta = CONFIRMATION_WAIT
    unsubscribe_withdraws_topics: bool = False


def explain(
    mapping: ConsentMapping, who: Who, cells: Iterable[Cell], ledger: Iterable[Json], view: View
) -> Json:
    """One person, as JSON. `ledger` holds the entries about them, oldest first."""
    by_topic = {cell.topic: cell for cell in cells}
    entries = list(ledger)
    view = replace(view, unsubscribe_withdraws_topics=mapping.unsubscribe_withdraws_topics)
    channel = by_topic.get(CHANNEL)
    return {
        "person": mask(who.address),
        "ids": ids_out(who),
        "topics": [
            _topic(topic, by_topic[topic.id], channel, entries, view)
            for topic in mapping.all
            if topic.id in by_topic
        ],
    }


def _topic(topic: Topic, cell: Cell, channel: Cell | None, entries: list[Json], view: View) -> Json:
    shown: Json = {
        "topic": topic.id,
        **{side.value: _side(topic, cell, side) for side in Side},
        "agreed": _agreed(cell),
        **latch_out(cell),
        "history": [line for entry in entries for line in _history(topic.id, entry)],
    }
    if cell.agreed is None and cell.hold is None:
        shown["why"] = _undecided(topic, cell, channel, view)
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
            "expires_at": time_out(challenge.sent_at + view.challenge_wait),
        }
    return shown


def _side(topic: Topic, cell: Cell, side: Side) -> Json | None:
    """What a side shows, and what it is mapped to there. What a write of ours left is marked as ours, with
    the date of the statement that it carries: nobody said it when the side dates it."""
    shown = observation_out(cell.seen.get(side))
    if shown is None:
        return None
    shown["mapped"] = names_of(topic)[side]
    said, dated = cell.dated(side), cell.seen[side].changed_at
    ours = cell.is_ours(side)
    if ours:
        shown["by"] = "bridge"
    if said != dated or (ours and side not in OWN_DATES):  # such a side keeps the date that was written
        shown["written_for"] = time_out(said)
    return shown


def _agreed(cell: Cell) -> Json | None:
    """The agreement, with the side whose statement it rests on, and its true reason: where one side records
    no choice, both do not say the same."""
    shown = agreement_out(cell.agreed)
    if shown is None or cell.agreed is None:
        return None
    at = cell.agreed.at
    said = [side.value for side in Side if side in cell.seen and _said_there(cell, side, at)]
    if said:
        shown["stated_at"] = said
    choices = {one.choice for one in cell.seen.values()}
    shown["why"] = RULE_TEXT[Rule(cell.agreed.rule)]
    if cell.agreed.rule == Rule.AGREEMENT and choices == {cell.agreed.choice, Choice.UNSET}:
        shown["why"] = _ONE_SIDED[cell.agreed.choice]
    return shown


def _said_there(cell: Cell, side: Side, at: datetime) -> bool:
    return cell.seen[side].changed_at == at and not cell.is_ours(side)


def _undecided(topic: Topic, cell: Cell, channel: Cell | None, view: View) -> str:
    """Why there is no agreement, as the cell would be decided now."""
    if any(side not in cell.seen for side in Side):
        return "one side has not been read yet"
    clocks = ClockReading(view.now, timedelta(0))
    context = DecisionContext(clocks, view.epoch, challenge_wait=view.challenge_wait)
    return RULE_TEXT[decide(topic, cell, channel, view.unsubscribe_withdraws_topics, context).rule]


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
            shown = {key: body[key] for key in ("choice", "rule", "by", "note") if body.get(key)}
            yield {**line, **shown, **({"why": RULE_TEXT[Rule(rule)]} if rule else {})}
        case "settled" if entry["topic"] == topic:
            yield {**line, "entry": entry["seq"], "changed": body["changed"]}
        case "challenge" if entry["topic"] == topic:
            yield {**line, "state": body["state"]}
        case "erased_known_again":
            yield {**line, "why": _KNOWN_AGAIN.get(body["by"], body["by"])}
        case Rule.ADDRESS_CHANGED if entry["topic"] == topic:
            yield {**line, "withdrawn_at": body["withdrawn_at"], "why": RULE_TEXT[Rule.CARRIED]}
        case _:
            return
