"""What the doctor checks about how changes arrive: webhook subscriptions, the rotation of Dotdigital's
feeds, and what v3 was seen to show. Changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.cli.doctor.findings import DOTDIGITAL, MYPREFERENCES, Findings
from bridge.cli.output import ExitCode, format_duration, format_time, join_words, plural
from bridge.core.errors import SideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.app import App
    from bridge.core.ports import KeyValue
    from bridge.mypreferences.wire.events import Subscription

_ABILITIES = {
    "moves_on_preferences": "shows changes of preferences",
    "moves_on_suppressions": "shows unsubscribes and suppressions",
    "lists_suppressed": "lists people who cannot be mailed",
}
_USED = "moves_on_preferences"
_CREATE_ONE = "Create one: `bridge hooks create --url https://bridge.example.com`; see docs/webhooks.md."


def subscriptions(app: App, findings: Findings) -> None:
    """Is there a subscription, without which MyPreferences keeps no events, and does it cover all events?"""
    if any(one.section in ("settings", "mapping", MYPREFERENCES) and one.code for one in findings.all):
        return
    try:
        known = app.mypreferences.client.retrieve_subscriptions()
    except SideError as error:
        findings.warn(MYPREFERENCES, f"Cannot read the webhook subscriptions: {error.what}", error.hint)
        return
    read = _read_by(app, findings, known)
    if not known:
        findings.warn(
            MYPREFERENCES,
            "No webhook subscription exists: MyPreferences keeps no events, so polling finds none.",
            _CREATE_ONE,
        )
    elif read:
        _completeness(app, findings, read)
    if known:
        _receiver(app, findings, known)


def _read_by(app: App, findings: Findings, known: list[Subscription]) -> list[Subscription]:
    """The subscriptions whose events are polled."""
    only = app.settings.mypreferences.subscription
    read = [one for one in known if only is None or str(one.id) == str(only)]
    if known and not read:
        findings.bad(
            MYPREFERENCES,
            f"Webhook subscription {only} (BRIDGE_MYPREFERENCES__SUBSCRIPTION) does not exist.",
            "Choose one from `bridge hooks list`, or unset it to read all events.",
            ExitCode.INVALID,
        )
    return read


def _completeness(app: App, findings: Findings, read: list[Subscription]) -> None:
    from bridge.mypreferences.events.webhooks import lacking, needs

    wanted = needs(app.mapping, app.settings.mypreferences.alternate_id_type)
    missing = lacking(wanted, read)
    if missing:
        hint = f"Without them some changes are found only by the nightly sweep. {_CREATE_ONE}"
        findings.warn(MYPREFERENCES, f"No webhook subscription covers {join_words(missing)}.", hint)
    else:
        number = plural(len(read), "webhook subscription")
        findings.good(MYPREFERENCES, f"All needed events are covered ({number}).")
    for one in read:
        if one.alternate_id_type:
            findings.warn(
                MYPREFERENCES,
                f"Webhook subscription {one.id} identifies people by alternate id; the bridge cannot use it.",
                "Create it again without AlternateIdType.",
            )


def _receiver(app: App, findings: Findings, known: list[Subscription]) -> None:
    """Does an active subscription deliver to our receiver?"""
    from bridge.web.webhooks import PATH

    secret = app.settings.web.hook_secret
    if secret is None:
        return
    ours = [one for one in known if one.url.endswith(f"{PATH}{secret.get_secret_value()}")]
    if not any(one.active for one in ours):
        paused = next((one.id for one in ours), None)
        hint = _CREATE_ONE if paused is None else f"Start deliveries: `bridge hooks resume {paused}`."
        findings.warn(
            MYPREFERENCES, "The webhook receiver is open, but no active subscription delivers to it.", hint
        )


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
    from bridge.dotdigital.polling.v2_feeds import PREFIX

    ages = [(now - at) / timedelta(seconds=1) for feed, at in watermarks.items() if feed.startswith(PREFIX)]
    return max(ages) if ages else None
