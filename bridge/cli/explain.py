"""`bridge explain`: one person's state and history, from the state DB only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import (
    Config,
    DatabaseUrl,
    Json,
    MappingFile,
    ShowAddresses,
    ids_text,
    settings_from,
)
from bridge.cli.output import (
    CHOICES,
    GOOD,
    SIDES,
    WARN,
    console,
    format_time,
    join_words,
    print_json,
    print_wrapped,
    styled,
)
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.core.model import Cell, Who
    from bridge.store import Store

MAX_HISTORY = 8  # history lines per topic; --json has all


def explain(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address, or the id of a hold.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    show_addresses: ShowAddresses = False,
    json: Json = False,
) -> int:
    """Show one person's state and history.

    For each topic: what each side says and since when, what was agreed, by which rule, what was written."""
    from bridge.cli.db import reading
    from bridge.mapping_file import load_mapping

    settings = settings_from(config, database_url, mapping)
    known = load_mapping(settings.mapping)
    with reading(settings) as store:
        wait = timedelta(days=settings.dotdigital.challenge_days)
        document = _document(store, email, known, wait, show_addresses=show_addresses)
    if json:
        print_json(document)
    else:
        _print(email, document)
    return 0


def _document(
    store: Store, email: str, known: Any, wait: timedelta, *, show_addresses: bool
) -> dict[str, Any]:
    from bridge.cli.db import now
    from bridge.engine.explain import View
    from bridge.engine.explain import explain as explain_person

    who = _person_held(store, int(email)) if email.isdecimal() else store.people.find(email)
    if who is None and email.isdecimal():
        raise ConfigError(f"There is no hold {email}.", hint="See `bridge holds list --state all`.")
    if who is None:
        raise ConfigError(
            "The bridge knows no person with this address.",
            hint="Check the spelling. People new on one side are known after the next `bridge reconcile`.",
        )
    cells, history = store.cells.of(who.person), store.ledger.history(who.person)
    history = _with_pages(store, cells, history)
    view = View(now(), store.facts.epoch, wait)
    document = dict(explain_person(known, who, cells, history, view))
    return document | {"person": who.address} if show_addresses else document


def _with_pages(store: Store, cells: list[Cell], history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries about a person, and those that cover agreements which were settled together with others."""
    known = {datetime.fromisoformat(entry["at"]) for entry in history}
    pages = [
        {**entry, "topic": cell.topic}
        for cell in cells
        if cell.agreed_stored_at is not None
        and cell.agreed_stored_at not in known
        and (entry := store.ledger.settled_at(cell.agreed_stored_at)) is not None
    ]
    return sorted([*history, *pages], key=lambda entry: int(entry["seq"]))


def _person_held(store: Store, number: int) -> Who | None:
    """The person that a hold is about."""
    rows = store.holds.page(None, after=number - 1, limit=1)
    if [row.id for row in rows] != [number]:
        return None
    return next(iter(store.people.get_many([rows[0].person])), None)


def _print(email: str, document: dict[str, Any]) -> None:
    out = console()
    shown = document["person"] if email.isdecimal() else email
    out.print(styled((shown, "bold"), ("  all times in UTC", "dim")))
    out.print(styled((f"ProfileId / contactId: {ids_text(document['ids'])}", "dim")))
    for topic in document["topics"]:
        out.print()
        print_wrapped(out, styled((topic["topic"], "bold cyan"), "  "), styled(*_headline(topic)))
        lines = [(name, _side_text(topic[side])) for side, name in SIDES.items()]
        if topic["agreed"] is not None:
            lines.append(("Agreed", _agreed_text(topic["agreed"])))
        if "latched" in topic:
            lines.append(("Opt-out", _latched_text(topic["latched"])))
        if "challenge" in topic:
            lines.append(("Asked by mail", _confirmation_text(topic["challenge"])))
        _print_lines(lines)
        _print_history(topic["history"])
    if not document["topics"]:
        out.print("No mapped topic has been read for this person yet.")


def _print_lines(lines: list[tuple[str, str]], style: str = "") -> None:
    """Print each text after its label."""
    out = console()
    for label, words in lines:
        print_wrapped(out, styled((f"  {label:<15}  ", style)), styled(words))


def _headline(topic: dict[str, Any]) -> tuple[str | tuple[str, str], ...]:
    if "held" in topic:
        held = topic["held"]
        return ((f"! {held['state']} hold: {held['why']}", WARN),)
    if topic["agreed"] is None:
        return ((f"no agreement: {topic['why']}", "dim"),)
    return ((f"✓ {_choice(topic['agreed'])}", GOOD),)


def _choice(shown: dict[str, Any]) -> str:
    frequencies = f" ({', '.join(shown['frequencies'])})" if shown.get("frequencies") else ""
    return CHOICES[shown["choice"]] + frequencies


def _latched_text(latched: dict[str, Any]) -> str:
    """An opt-out that is not agreed yet."""
    said = "" if latched["at"] is None else f", stated {format_time(latched['at'])}"
    retry = f", sent again {format_time(latched['retry_at'])}" if "retry_at" in latched else ""
    return f"{SIDES[latched['side']]}{said}, seen {format_time(latched['seen_at'])}, not agreed yet{retry}"


_REASONS = {"other_version": "granted in another version or locale than the mapping names"}


def _side_text(seen: dict[str, Any] | None) -> str:
    if seen is None:
        return "not read yet"
    if seen.get("present") is False:
        return f"does not exist there, seen {format_time(seen['seen_at'])}"
    reason = _REASONS.get(seen.get("reason", ""), seen.get("reason", ""))
    why = f" ({reason[:1].upper()}{reason[1:]})" if reason else ""  # the service uses either case
    dated = f", stated {format_time(seen['changed_at'])}" if seen["changed_at"] else ", undated"
    if seen.get("by") == "bridge" or "written_for" in seen:
        dated = ", written by the bridge"
        dated += f" for a statement of {format_time(seen['written_for'])}" if "written_for" in seen else ""
    said = dated if seen["choice"] != "unset" else ""
    return f"{_choice(seen)}{why}{said}, seen {format_time(seen['seen_at'])} ({seen['mapped']})"


def _agreed_text(agreed: dict[str, Any]) -> str:
    sides = join_words(SIDES[side] for side in agreed.get("stated_at", ()))
    stated = f" on what was stated at {sides}" if sides else ""
    return f"{_choice(agreed)}, decided {format_time(agreed['decided_at'])}{stated}: {agreed['why']}"


_CONFIRMATION_STATES = {
    "pending": "not confirmed yet; expires {}",
    "confirmed": "confirmed",
    "expired": "not confirmed; expired {}",
    "ended": "obsolete: the opt-in no longer applies",
}


def _confirmation_text(challenge: dict[str, Any]) -> str:
    words = _CONFIRMATION_STATES[challenge["state"]].format(format_time(challenge["expires_at"]))
    return f"{format_time(challenge['asked_at'])}, {words}"


def rule_text(rule: str) -> str:
    """A rule in words."""
    from bridge.core.decision import RULE_TEXT, Rule

    return RULE_TEXT[Rule(rule)]


def _print_history(history: list[dict[str, Any]]) -> None:
    if len(history) > MAX_HISTORY:
        console().print(f"  … {len(history) - MAX_HISTORY} earlier entries: --json shows all")
    _print_lines(
        [(format_time(line["at"]), _entry_text(line)) for line in history[-MAX_HISTORY:]], style="dim"
    )


_CONFIRMATION = {
    "pending": "requested",
    "confirmed": "given",
    "expired": "expired unanswered",
    "ended": "overtaken",
}


def _entry_text(line: dict[str, Any]) -> str:
    match line["kind"]:
        case "decided":
            return f"decided to {_writes_text(line['writes'])}: {line['why']}"
        case "outcome":
            error = f": {line['error']}" if line.get("error") else ""
            return f"write to {SIDES[line['side']]} {line['fate'].replace('_', ' ')}{error}"
        case "agreed":
            return f"agreed: {CHOICES[line['choice']]}" if "choice" in line else "agreed"
        case "settled":
            return f"settled with a page of {line['changed']:,} agreements (ledger entry {line['entry']})"
        case "challenge":
            return f"email confirmation {_CONFIRMATION[line['state']]}"
        case "erased_known_again":
            return f"created again: {line['why']}"
        case "address_changed":
            return f"opted out after an address change: {line['why']}"
        case kind:
            return f"{kind}: {line['why']}" if "why" in line else str(kind)


def _writes_text(writes: list[dict[str, Any]]) -> str:
    words = {"withdrawal": "opt out", "raise": "opt in", "adjustment": "change the frequency"}
    return " and ".join(f"{words[write['kind']]} at {SIDES[write['side']]}" for write in writes)
