"""Webhook subscriptions, and how fast the account's webhooks are delivered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bridge.core.errors import NotFound
from bridge.core.model import Side
from bridge.mypreferences import wire
from bridge.mypreferences.client.base import Caller, accepted, items


class Webhooks(Caller):
    """One method an endpoint. Every method raises SideError."""

    def subscriptions(self) -> list[wire.Subscription]:
        """All webhook subscriptions, paused ones too (MyPreferences `Retrieve subscriptions`)."""
        answer = self._read("subscriptions")
        return items("subscriptions", answer, "Subscriptions", wire.Subscription)

    def subscription(self, subscription_id: int) -> dict[str, Any]:
        """One, with every property the service shows: replacing it needs them all, known here or not
        (MyPreferences `Retrieve subscriptions` with `subscriptionId`). Raises NotFound."""
        operation = "subscriptions"
        found: list[dict[str, Any]] = []
        with suppress(NotFound):
            answer = self._read(operation, params={"subscriptionId": subscription_id})
            found = items(operation, answer, "Subscriptions", dict[str, Any])
        wanted = [one for one in found if str(one.get("Id")) == str(subscription_id)]
        if len(wanted) != 1:
            raise NotFound(
                f"There is no webhook subscription {subscription_id}.",
                side=Side.MYPREFERENCES,
                operation=operation,
                hint="See `bridge hooks list`.",
            )
        return wanted[0]

    def create_subscription(self, wanted: wire.Subscription) -> wire.Subscription:
        """Subscribe (MyPreferences `Create new subscription`): Paused unless `state` says Active. Raises
        Refused where the same URL has the same event already."""
        operation = "create_subscription"
        return _subscription(operation, self._write(operation, wire.encode(wanted)).content)

    def replace_subscription(self, subscription_id: int, whole: Mapping[str, Any]) -> wire.Subscription:
        """Put `whole` in its place (MyPreferences `Update subscription`). What is left out counts as empty,
        and an empty `IsActive` would delete it: it is always sent as true. Raises NotFound."""
        operation = "update_subscription"
        body = {name: value for name, value in whole.items() if name != "Id"} | {"IsActive": True}
        answer = self._write(operation, body, subscription_id=subscription_id)
        return _subscription(operation, answer.content)

    def delete_subscription(self, subscription_id: int) -> None:
        """Delete it, for good (MyPreferences `Delete subscription`). Raises NotFound."""
        operation = "delete_subscription"
        accepted(operation, self._write(operation, None, subscription_id=subscription_id))

    def webhook_settings(self) -> wire.WebhookSettings:
        """How fast webhooks are delivered, for all subscriptions of the account (MyPreferences `Retrieve
        webhook settings`)."""
        operation = "webhook_settings"
        return _settings(operation, self._read(operation).content)

    def update_webhook_settings(self, wanted: wire.WebhookSettings) -> wire.WebhookSettings:
        """Set it, for all subscriptions of the account (MyPreferences `Update webhook settings`). Raises
        ValueError for numbers the documents do not allow."""
        operation = "update_webhook_settings"
        wanted.check()
        body = {"Settings": wire.encode(wanted)}
        return _settings(operation, self._write(operation, body).content, is_write=True)


def _subscription(operation: str, content: bytes) -> wire.Subscription:
    made: wire.Subscription = wire.decode(wire.Subscription, content, operation=operation, is_write=True)
    return made


def _settings(operation: str, content: bytes, *, is_write: bool = False) -> wire.WebhookSettings:
    found: wire.SettingsAnswer = wire.decode(
        wire.SettingsAnswer, content, operation=operation, is_write=is_write
    )
    return found.settings
