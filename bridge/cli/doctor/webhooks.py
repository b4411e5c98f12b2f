"""What the doctor checks about webhook subscriptions. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.cli.doctor.findings import MYPREFERENCES, Findings
from bridge.cli.output import ExitCode, join_words, plural
from bridge.core.errors import SideError

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.mypreferences.wire.events import Subscription

_MIN_SECRET_LENGTH = 16
_CREATE_ONE = "Create one: `bridge hooks create --url https://bridge.example.com`; see docs/webhooks.md."


def subscriptions(app: App, findings: Findings) -> None:
    """Is there a subscription, without which MyPreferences keeps no events, and does it cover all events?"""
    if any(one.section in ("settings", "mapping", MYPREFERENCES) and one.code for one in findings.all):
        return
    try:
        known = app.mypreferences.retrieve_subscriptions()
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
    from bridge.mypreferences.events.webhook_admin import lacking, needs

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
    if len(secret.get_secret_value()) < _MIN_SECRET_LENGTH:
        findings.warn(
            MYPREFERENCES,
            f"BRIDGE_WEB__HOOK_SECRET is shorter than {_MIN_SECRET_LENGTH} characters.",
            "Set it to a long random word, and create the subscription again.",
        )
    ours = [one for one in known if one.url.endswith(f"{PATH}{secret.get_secret_value()}")]
    if not any(one.active for one in ours):
        paused = next((one.id for one in ours), None)
        hint = _CREATE_ONE if paused is None else f"Start deliveries: `bridge hooks resume {paused}`."
        findings.warn(
            MYPREFERENCES, "The webhook receiver is open, but no active subscription delivers to it.", hint
        )
