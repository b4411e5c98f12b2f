"""`bridge hooks`: webhook subscriptions at MyPreferences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from bridge.cli.options import READ_TIMEOUT, Config, Json, MappingFile, Yes, confirmed, settings_from
from bridge.cli.output import ExitCode, StatusMark, console, join_words, note, plural, print_json, table
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.mypreferences.wire.events import Subscription, WebhookSettings

MASKED = "••••"
Number = Annotated[int, typer.Argument(metavar="ID", help="An id from `hooks list`.", min=1)]
Most = Annotated[
    int | None,
    typer.Option("--most", min=50, max=5000, metavar="N", help="Messages per cycle, 50 to 5000."),
]
Rest = Annotated[
    int | None, typer.Option("--rest", min=1, max=300, metavar="S", help="Seconds between cycles, 1 to 300.")
]


def list_(config: Config = None, mapping: MappingFile = None, json: Json = False) -> int:
    """List subscriptions, and the needed events that none covers."""
    from bridge.mypreferences.events.webhooks import lacking

    with _open_app(config, mapping) as app:
        wanted = _needs(app)
        found = app.mypreferences.client.retrieve_subscriptions()
    rows = [_to_json(one) | {"lacks": lacking(wanted, [one])} for one in found]
    needed, missing = [need.event_type for need in wanted], lacking(wanted, found)
    if json:
        print_json({"subscriptions": rows, "needed": needed, "lacking": missing})
    else:
        _print(rows, needed, missing)
    return 0


def create(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The public https address of `bridge run`.")
    ],
    config: Config = None,
    mapping: MappingFile = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The name of the subscription.")
    ] = "consent-bridge",
    active: Annotated[bool, typer.Option("--active", help="Start deliveries now instead of paused.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Include data in each message; the bridge does not need it.")
    ] = False,
    json: Json = False,
) -> int:
    """Subscribe to all events that the bridge needs.

    The subscription is paused until you resume it.
    """
    from bridge.mypreferences.events.webhooks import ACTIVE, PAUSED, subscribe
    from bridge.mypreferences.wire.events import Subscription

    with _open_app(config, mapping) as app:
        wanted = Subscription(
            name=name,
            description="Tells the consent bridge which profile to read.",
            url=_receiver_url(app, url),
            state=ACTIVE if active else PAUSED,
            is_minimized=not full,
            catch_up_on_resume=True,
            subscriptions=[need.interest for need in _needs(app)],
        )
        made = subscribe(app.mypreferences.client, wanted)
    if json:
        print_json({"created": _to_json(made)})
        return 0
    note(StatusMark.GOOD, f"Subscription {made.id} is {_state(made)}: {_masked(made.url)}")
    if not made.active:
        note(StatusMark.NEXT, f"Start `bridge run`, then start deliveries: `bridge hooks resume {made.id}`.")
    return 0


def pause(number: Number, config: Config = None, json: Json = False) -> int:
    """Stop deliveries. Events are still kept, and polling continues."""
    from bridge.mypreferences.events.webhooks import PAUSED

    return _set_state(config, number, PAUSED, json=json)


def resume(number: Number, config: Config = None, json: Json = False) -> int:
    """Start deliveries.

    Events from the pause (up to 15 days) are delivered too if the subscription was created so.
    """
    from bridge.mypreferences.events.webhooks import ACTIVE

    return _set_state(config, number, ACTIVE, json=json)


def delete(number: Number, config: Config = None, yes: Yes = False, json: Json = False) -> int:
    """Delete a subscription permanently. Asks first."""
    from bridge.mypreferences.events import webhooks

    with _open_app(config) as app:
        client = app.mypreferences.client
        known = client.retrieve_subscriptions()
        subscription = next((one for one in known if str(one.id) == str(number)), None)
        if subscription is None:
            raise _unknown(number)
        warning = "" if len(known) > 1 else " It is the last one; without any, MyPreferences keeps no events."
        if not confirmed(f"Delete subscription {number}, '{subscription.name}'?{warning}", yes=yes):
            return 0
        gone = webhooks.delete(client, number)
    if json:
        print_json({"deleted": number if gone else None})
    elif gone:
        note(StatusMark.GOOD, f"Subscription {number} is deleted.")
    else:
        note(StatusMark.WARN, f"Subscription {number} still exists: the response was incomplete.")
        note(StatusMark.NEXT, f"Try again: `bridge hooks delete {number}`.")
    return ExitCode.DONE if gone else ExitCode.UNREACHABLE


def settings(
    config: Config = None, most: Most = None, rest: Rest = None, yes: Yes = False, json: Json = False
) -> int:
    """Show or set the delivery rate of the account's webhooks.

    Asks before setting it.
    """
    from bridge.mypreferences.wire.events import WebhookSettings

    with _open_app(config) as app:
        now = app.mypreferences.client.retrieve_webhook_settings()
        if most is not None or rest is not None:
            wanted = WebhookSettings(
                max_concurrent_requests=now.max_concurrent_requests if most is None else most,
                duration=now.duration if rest is None else rest,
            )
            if not confirmed(
                f"Set it to {_rate_text(wanted)} for all subscriptions of the account?", yes=yes
            ):
                return 0
            now = app.mypreferences.client.update_webhook_settings(wanted)
    if json:
        print_json({"max_concurrent_requests": now.max_concurrent_requests, "duration_seconds": now.duration})
    else:
        note(StatusMark.GOOD, f"The account's webhooks are delivered in cycles of {_rate_text(now)}.")
    return 0


@contextmanager
def _open_app(config: Any, mapping: Any = None) -> Iterator[App]:
    from bridge.app import App, Options

    with App(settings_from(config, mapping=mapping), Options(read_timeout=READ_TIMEOUT, tries=2)) as app:
        yield app


def _needs(app: App) -> list[Any]:
    from bridge.mypreferences.events.webhooks import needs

    return needs(app.mapping, app.settings.mypreferences.alternate_id_type)


def _receiver_url(app: App, url: str) -> str:
    """The receiver's full URL, which ends in the secret. Raises ConfigError."""
    from bridge.net import validate_base_url
    from bridge.web.webhooks import PATH

    secret = app.settings.web.hook_secret
    if secret is None:
        raise ConfigError(
            "BRIDGE_WEB__HOOK_SECRET is not set, so the webhook receiver is closed.",
            hint="Set it to a long random word, for this command and for `bridge run`.",
        )
    try:
        base = validate_base_url(url)
    except ValueError as error:
        raise ConfigError(
            f"The receiver URL {error}.", hint="Write it as https://bridge.example.com."
        ) from None
    whole = f"{PATH}{secret.get_secret_value()}"
    return base if base.endswith(whole) else f"{base}{whole}"


def _set_state(config: Any, number: int, state: str, *, json: bool) -> int:
    from bridge.mypreferences.events.webhooks import ACTIVE, set_state

    with _open_app(config) as app:
        now = set_state(app.mypreferences.client, number, state)
    done = (now == ACTIVE) is (state == ACTIVE)
    if json:
        print_json({"id": number, "state": now.lower(), "done": done})
    elif done:
        note(StatusMark.GOOD, f"Subscription {number} is {now.lower()}.")
        if now == ACTIVE:
            note(
                StatusMark.NEXT, "MyPreferences sends a validation request first, so `bridge run` must be up."
            )
    else:
        note(StatusMark.WARN, f"Subscription {number} is still {now.lower()}.")
        note(StatusMark.NEXT, "Try again; `bridge hooks list` shows its state.")
    return ExitCode.DONE if done else ExitCode.UNREACHABLE


def _to_json(one: Subscription) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "state": _state(one),
        "url": _masked(one.url),
        "minimised": str(one.is_minimized).lower() == "true",
        "catches_up": str(one.catch_up_on_resume).lower() == "true",
        "alternate_id_type": one.alternate_id_type,
        "events": [interest.event_type for interest in one.subscriptions or ()],
    }


def _state(one: Subscription) -> str:
    return (one.state or "unknown").lower()


def _masked(url: str) -> str:
    """A URL without possible secrets: the last part of its path, credentials, the query."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname}{'' if parts.port is None else f':{parts.port}'}"
    except ValueError:
        return MASKED
    path = re.sub(r"[^/]+$", MASKED, parts.path)
    return f"{parts.scheme}://{host}{path}{'?' + MASKED if parts.query else ''}"


def _rate_text(one: WebhookSettings) -> str:
    return f"{one.max_concurrent_requests} messages with {plural(one.duration, 'second')} between"


def _print(rows: list[dict[str, Any]], needed: list[str], missing: list[str]) -> None:
    out = console()
    if not rows:
        note(
            StatusMark.WARN,
            "No webhook subscription exists: MyPreferences keeps no events, so polling finds none.",
        )
        note(StatusMark.NEXT, "Create one: `bridge hooks create --url https://bridge.example.com`.")
        return
    shown = table("id", "state", "name", "url", "events", "lacks", right=(0, 4, 5), fixed=(0,))
    for row in rows:
        numbers = str(len(row["events"])), str(len(row["lacks"]))
        shown.add_row(str(row["id"]), row["state"], row["name"], row["url"], *numbers)
    out.print(shown)
    out.print()
    for row in rows:
        if row["alternate_id_type"]:
            note(
                StatusMark.WARN,
                f"Subscription {row['id']} identifies people by alternate id; the bridge cannot use it.",
            )
    if missing:
        note(StatusMark.WARN, f"No subscription covers {join_words(missing)}.")
        note(StatusMark.NEXT, "Create one that does: `bridge hooks create --url https://bridge.example.com`.")
    else:
        note(StatusMark.GOOD, f"All {len(needed)} event types that the bridge needs are covered.")


def _unknown(number: int) -> ConfigError:
    return ConfigError(f"There is no webhook subscription {number}.", hint="See `bridge hooks list`.")
