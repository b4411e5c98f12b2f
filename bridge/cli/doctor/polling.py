"""How Dotdigital is polled, as the state DB has it: what a whole turn takes, and what v3 was seen to show."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.cli.output import duration, plural, relative_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.app import App
    from bridge.cli.doctor.findings import Findings
    from bridge.core.ports import KeyValue

_TELLS = {
    "moves_on_preferences": "shows changes of preferences",
    "moves_on_suppressions": "shows unsubscribes and suppressions",
    "lists_suppressed": "lists people who cannot be mailed",
}
_USED = "moves_on_preferences"


def polling(memory: KeyValue) -> dict[str, Any]:
    """As JSON: `turn` is null before the daemon's first round."""
    from bridge.dotdigital.polling.capabilities import Capabilities
    from bridge.dotdigital.polling.feed_rotation import last_rotation_period

    learned, turn = Capabilities.load(memory), last_rotation_period(memory)
    return {
        "turn": None if turn is None else {"feeds": turn.feeds, "seconds": turn.whole.total_seconds()},
        "v3": learned.shown(),
        "v3_asked_at": None
        if learned.asked_at is None
        else learned.asked_at.isoformat().replace("+00:00", "Z"),
    }


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The same for people; nothing of what nobody has looked at yet."""
    turn = document["turn"]
    if turn is not None:
        feeds = plural(turn["feeds"], "preference's feed", "preferences' feeds")
        yield f"{feeds} at Dotdigital: each has its turn within {duration(turn['seconds'])}."
    if document["v3_asked_at"] is None:
        return
    for name, one in document["v3"].items():
        yield f"Dotdigital's v3 listing {_TELLS[name]}: {_verdict(one)}{_use(name, one)}."


def _verdict(one: Mapping[str, Any]) -> str:
    people = plural(one["by"], "person", "people")
    match one["verdict"]:
        case "shown":
            return f"shown since {relative_time(one['since'])} by {people}, none missed"
        case "not shown":
            return f"not shown since {relative_time(one['since'])}"
        case _:
            return f"not known yet, {people} so far"


def _use(name: str, one: Mapping[str, Any]) -> str:
    if name != _USED:
        return ""
    return (
        "; it is trusted to tell whose turn it is" if one["verdict"] == "shown" else "; the v2 feeds decide"
    )


def examine(app: App, found: Findings) -> None:
    """What the doctor has to tell of it: nothing here is ever wrong, only slower or faster."""
    from bridge.cli import live_catalogue
    from bridge.cli.doctor import checks

    section = checks.THEIRS
    if any(one.section in ("settings", "state DB", section) and one.code for one in found.all):
        return
    if not live_catalogue.has_state(app):
        return
    for line in lines(polling(app.reading_store)):
        found.good(section, line)
    if (oldest := _oldest(app.reading_store.watermarks(), app.options.clock())) is not None:
        found.good(section, f"Each preference's feed was read within the last {duration(oldest)}.")


def _oldest(marks: Mapping[str, datetime], now: datetime) -> float | None:
    from bridge.dotdigital.polling.opt_ins import PREFIX

    ages = [(now - at) / timedelta(seconds=1) for feed, at in marks.items() if feed.startswith(PREFIX)]
    return max(ages) if ages else None
