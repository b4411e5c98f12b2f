"""`bridge explain`: one person, each topic, from the state DB alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, MappingFile, settings_from
from bridge.cli.output import CHOICES, GOOD, SIDES, WARN, console, hanging, print_json, say, when
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.store import Store

LATEST = 8  # lines of history a topic; --json has all


def explain(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    json: Json = False,
) -> int:
    """For one person: what each side said and when, what was agreed, by which rule, what was written."""
    from bridge.cli.opening import reading
    from bridge.mapping_file import load_mapping

    settings = settings_from(config, database_url, mapping)
    known = load_mapping(settings.mapping)
    with reading(settings) as store:
        document = _explained(store, email, known)
    if json:
        print_json(document)
    else:
        _print(email, document)
    return 0


def _explained(store: Store, email: str, known: Any) -> dict[str, Any]:
    from bridge.engine.explain import explain as told

    who = store.find(email)
    if who is None:
        raise ConfigError(
            "Nobody with this address is known to the bridge.",
            hint="Check the spelling; whoever is new at a side is known after the next `bridge reconcile`.",
        )
    return dict(told(known, who, store.cells(who.person), store.history(who.person)))


def _print(email: str, document: dict[str, Any]) -> None:
    out = console()
    out.print(say((email, "bold")))
    for topic in document["topics"]:
        out.print()
        out.print(say((topic["topic"], "bold cyan"), "  ", *_standing(topic)))
        lines = [(name, _said(topic[side])) for side, name in SIDES.items()]
        if topic["agreed"] is not None:
            lines.append(("Agreed", _agreed(topic["agreed"])))
        _print_lines(lines)
        _print_history(topic["history"])
    if not document["topics"]:
        out.print("No mapped topic was read for this person yet.")


def _print_lines(lines: list[tuple[str, str]], style: str = "") -> None:
    """Words behind their label."""
    out = console()
    for label, words in lines:
        hanging(out, say((f"  {label:<15}  ", style)), say(words))


def _standing(topic: dict[str, Any]) -> tuple[str | tuple[str, str], ...]:
    if "held" in topic:
        held = topic["held"]
        return ((f"! {held['state']} hold: {held['why']}", WARN),)
    if topic["agreed"] is None:
        return (("nothing agreed yet", "dim"),)
    return ((f"✓ {_choice(topic['agreed'])}", GOOD),)


def _choice(shown: dict[str, Any]) -> str:
    frequencies = f" ({', '.join(shown['frequencies'])})" if shown.get("frequencies") else ""
    return CHOICES[shown["choice"]] + frequencies


def _said(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "not read yet"
    if seen.get("present") is False:
        return f"not known there, seen {when(seen['seen_at'])}"
    why = f" ({seen['reason']})" if "reason" in seen else ""
    dated = f", said {when(seen['changed_at'])}" if seen["changed_at"] else ", undated"
    return f"{_choice(seen)}{why}{dated if seen['choice'] != 'unset' else ''}, seen {when(seen['seen_at'])}"


def _agreed(agreed: dict[str, Any]) -> str:
    return f"{_choice(agreed)}, decided {when(agreed['decided_at'])}: {rule_in_words(agreed['rule'])}"


def rule_in_words(rule: str) -> str:
    """What a rule's name stands for."""
    from bridge.core.decision import WORDS, Rule

    return WORDS[Rule(rule)]


def _print_history(history: list[dict[str, Any]]) -> None:
    if len(history) > LATEST:
        console().print(f"  … {len(history) - LATEST} earlier entries: --json shows all")
    _print_lines([(when(line["at"]), _happened(line)) for line in history[-LATEST:]], style="dim")


def _happened(line: dict[str, Any]) -> str:
    match line["kind"]:
        case "decided":
            return f"decided to {_writes(line['writes'])}: {line['why']}"
        case "outcome":
            error = f": {line['error']}" if line.get("error") else ""
            return f"write to {SIDES[line['side']]} {line['fate'].replace('_', ' ')}{error}"
        case "agreed":
            return f"agreed on {CHOICES[line['choice']]}" if "choice" in line else "agreed"
        case kind:
            return f"{kind}: {line['why']}" if "why" in line else str(kind)


def _writes(writes: list[dict[str, Any]]) -> str:
    words = {"withdrawal": "opt out", "raise": "opt in", "adjustment": "change the frequency"}
    return " and ".join(f"{words[write['kind']]} at {SIDES[write['side']]}" for write in writes)
