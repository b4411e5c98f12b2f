"""How Dotdigital is polled, from the state DB: the rotation of feeds, and what v3 was seen to show."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.cli.doctor.findings import DOTDIGITAL
from bridge.cli.output import format_duration, format_time, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.app import App
    from bridge.cli.doctor.findings import Findings
    from bridge.core.ports import KeyValue

_ABILITIES = {
    "moves_on_preferences": "shows changes of preferences",
    "moves_on_suppressions": "shows unsubscribes and suppressions",
    "lists_suppressed": "lists people who cannot be mailed",
}
_USED = "moves_on_preferences"


def polling(memory: KeyValue) -> dict[str, Any]:
    """As JSON: `turn` is null before the daemon's first run."""
    from bridge.dotdigital.polling.stored import Capabilities, last_rotation_period

    learned, turn = Capabilities.load(memory), last_rotation_period(memory)
    return {
        "turn": None if turn is None else {"feeds": turn.feeds, "seconds": turn.whole.total_seconds()},
        "v3": learned.shown(),
        "v3_asked_at": None
        if learned.asked_at is None
        else learned.asked_at.isoformat().replace("+00:00", "Z"),
    }


def polling_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The same as text, without what has not been measured yet."""
    turn = document["turn"]
    if turn is not None:
        feeds = plural(turn["feeds"], "preference's feed", "preferences' feeds")
        yield f"{feeds} at Dotdigital: each is read every {format_duration(turn['seconds'])}."
    if document["v3_asked_at"] is None:
        return
    for name, one in document["v3"].items():
        yield f"Dotdigital's v3 listing {_ABILITIES[name]}: {_verdict_text(one)}{_use_text(name, one)}."


def _verdict_text(one: Mapping[str, Any]) -> str:
    people = plural(one["by"], "person", "people")
    match one["verdict"]:
        case "shown":
            return f"shown since {format_time(one['since'])} by {people}, none missed"
        case "not shown":
            return f"not shown since {format_time(one['since'])}"
        case _:
            return f"not known yet, {people} so far"


def _use_text(name: str, one: Mapping[str, Any]) -> str:
    if name != _USED:
        return ""
    return "; used to choose which feed to read" if one["verdict"] == "shown" else "; the v2 feeds decide"


def check_polling(app: App, findings: Findings) -> None:
    """Add the state of polling. Never a problem, only faster or slower."""
    from bridge.cli import live_catalogue

    section = DOTDIGITAL
    if any(one.section in ("settings", "state DB", section) and one.code for one in findings.all):
        return
    if not live_catalogue.has_state_db(app):
        return
    for line in polling_lines(polling(app.reading_store.key_values)):
        findings.good(section, line)
    if (oldest := _oldest(app.reading_store.feeds.watermarks(), app.options.clock())) is not None:
        findings.good(section, f"Every preference's feed was read within the last {format_duration(oldest)}.")


def _oldest(watermarks: Mapping[str, datetime], now: datetime) -> float | None:
    from bridge.dotdigital.polling.opt_ins import PREFIX

    ages = [(now - at) / timedelta(seconds=1) for feed, at in watermarks.items() if feed.startswith(PREFIX)]
    return max(ages) if ages else None
