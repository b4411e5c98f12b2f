"""The webhook receiver's parts, where the settings open it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bridge.core.model import Side
from bridge.settings import Settings, Web
from bridge.store import WebhookInbox
from bridge.web.webhooks import WebhookConfig, WebhookReceiver


class WebhookServer:
    """A receiver and the box behind it; without a secret, neither. `kick` makes a round due soon. The state
    DB must have been opened before."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime], kick: Callable[[], None]) -> None:
        self.receiver: WebhookReceiver | None = None
        self._box: WebhookInbox | None = None
        gate = _gate(settings.web)
        if gate is not None:
            self._box = WebhookInbox(
                settings.database_url, clock, side=Side.MYPREFERENCES, depth=settings.web.hook_depth
            )
            self.receiver = WebhookReceiver(gate, self._box, kick)

    def counts(self) -> dict[str, int] | None:
        """Deliveries by what became of them; None while the receiver is closed."""
        return None if self.receiver is None else self.receiver.counts()

    def close(self) -> None:
        """Close the box. Nothing may be delivered any more."""
        if self._box is not None:
            self._box.close()


def _gate(web: Web) -> WebhookConfig | None:
    if web.hook_secret is None:
        return None
    key = None if web.hook_signature_key is None else web.hook_signature_key.get_secret_value()
    return WebhookConfig(
        secret=web.hook_secret.get_secret_value(),
        networks=web.networks,
        address_header=web.hook_address_header,
        signature_key=key,
        signature_header=web.hook_signature_header,
        signature_hash=web.hook_signature_hash,
        answer=web.hook_answer if web.hook_handshake == "static" else None,
        rate=web.hook_rate,
    )
