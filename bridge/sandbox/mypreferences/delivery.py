"""The worker that delivers events to webhook subscriptions (MyPreferences `EventsPublisherService`)."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote, urlsplit

from bridge.sandbox.clock import SandboxClock, StateLock
from bridge.sandbox.mypreferences.events import EventLog, QueuedMessage
from bridge.sandbox.mypreferences.subscriptions import LOOPBACK, StoredSubscription, SubscriptionRegistry
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

SIGNATURE = "X-Sandbox-Signature"
_LEFT_OUT_OF_MINIMIZED = ("Data", "PreviousData")
_LOOK_SECONDS = 0.05  # real ones, between looks at the sandbox's clock


class WebhookDelivery:
    """Works in cycles by the sandbox's clock: up to MaxConcurrentRequests messages, then Duration seconds of
    pause. `sent` counts requests, `failed` those that were not answered with success."""

    def __init__(
        self,
        lock: StateLock,
        clock: SandboxClock,
        switches: MyPreferencesSwitches,
        subscriptions: SubscriptionRegistry,
        events: EventLog,
    ) -> None:
        self._lock, self._clock, self._switches = lock, clock, switches
        self._subscriptions, self._events = subscriptions, events
        self._random = random.Random(1)
        self._next = clock.now()
        self.sent = self.failed = 0

    @property
    def waiting(self) -> int:
        """Messages that have not gone out."""
        with self._lock:
            return len(self._events.waiting)

    def cycle(self) -> int:
        """One cycle, if its time has come. Returns how many requests were sent. The account is not locked
        while receivers are called: one that asks the service something must be answered."""
        with self._lock:
            if self._clock.now() < self._next:
                return 0
            taken = self._events.take()
            if self._switches.deliveries_shuffled:
                self._random.shuffle(taken)
            batches = list(self._batches(taken))
        before = self.sent
        again = [one for subscription, batch in batches for one in self._deliver(subscription, batch)]
        with self._lock:
            self._events.waiting = [*again, *self._events.waiting]
            self._next = self._clock.now() + timedelta(seconds=self._subscriptions.settings.pause_seconds)
        return self.sent - before

    def drain(self, most: int = 1000) -> int:
        """Cycle after cycle, moving the clock over the pauses, until nothing can go out. Returns how many
        requests were sent."""
        total = 0
        for _ in range(most):
            self._clock.advance(max(0.0, (self._next - self._clock.now()).total_seconds()))
            before = self.waiting
            sent = self.cycle()
            total += sent
            if not sent and self.waiting == before:
                break
        return total

    def validate(self, subscription: StoredSubscription) -> bool:
        """Whether the receiver answers the validation request as the `handshake` switch expects: its form is
        not documented."""
        code = f"{self._random.getrandbits(64):016x}"
        handshake, url = self._switches.handshake, subscription.url
        if handshake == "none":
            answered = True
        elif handshake == "get":
            answer = self._request("GET", f"{url}?validationCode={quote(code)}", None)
            answered = answer is not None and answer.strip() == code.encode()
        else:
            answer = self._request("POST", url, json.dumps({"validationCode": code}).encode())
            if handshake == "static":
                expected = self._switches.handshake_expects.encode()
                answered = answer is not None and answer.strip() == expected
            else:
                answered = answer is not None and (handshake == "status" or code in _values(answer))
        subscription.validated = answered
        return answered

    def _batches(
        self, taken: Sequence[QueuedMessage]
    ) -> Iterator[tuple[StoredSubscription, list[QueuedMessage]]]:
        """The messages of each request, with drops and duplicates."""
        by_subscription: dict[int, list[QueuedMessage]] = {}
        for message in taken:
            if self._random.random() < self._switches.delivery_drops:
                continue
            copies = 2 if self._random.random() < self._switches.delivery_duplicates else 1
            by_subscription.setdefault(message.subscription_id, []).extend([message] * copies)
        size = max(1, self._switches.delivery_batch)
        for subscription_id, messages in by_subscription.items():
            for at in range(0, len(messages), size):
                yield self._subscriptions.get(subscription_id), messages[at : at + size]

    def _deliver(self, subscription: StoredSubscription, batch: list[QueuedMessage]) -> list[QueuedMessage]:
        """Returns the messages to be tried again: those of a receiver that is not validated yet, too."""
        if not subscription.validated and not self.validate(subscription):
            return batch if urlsplit(subscription.url).hostname in LOOPBACK else []
        documents = [self._document(message, subscription) for message in batch]
        alone = self._switches.delivery_batch <= 1
        body = json.dumps(documents[0] if alone else documents).encode()
        if self._request("POST", subscription.url, body) is not None:
            return []
        for message in batch:
            message.tries += 1
        return [message for message in batch if message.tries < self._switches.delivery_tries]

    def _document(self, message: QueuedMessage, subscription: StoredSubscription) -> dict[str, Any]:
        with self._lock:
            document = self._events.message(message)
        if subscription.is_minimized:
            return {name: value for name, value in document.items() if name not in _LEFT_OUT_OF_MINIMIZED}
        return document

    def _request(self, method: str, url: str, body: bytes | None) -> bytes | None:
        """The body of the receiver's answer; None where it is no success."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._switches.delivery_key and body is not None:
            key = self._switches.delivery_key.encode()
            headers[SIGNATURE] = hmac.new(key, body, hashlib.sha256).hexdigest()
        self.sent += 1
        with suppress(OSError, http.client.HTTPException):
            return _send(method, url, body, headers, self._switches.delivery_timeout_seconds)
        self.failed += 1
        return None


def _send(method: str, url: str, body: bytes | None, headers: dict[str, str], timeout: float) -> bytes:
    """One request to a receiver on this machine; a sandbox calls nobody else. Returns the body of a success.
    Raises OSError or HTTPException for anything else."""
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK:
        raise OSError("the sandbox delivers to receivers on this machine only")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        received = answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise OSError(f"the receiver answered {answer.status}")
    return received


def _values(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    return [str(value) for value in document.values()] if isinstance(document, dict) else []


class WebhookSender:
    """Runs the cycles from a thread, for a sandbox that stays up. A context manager."""

    def __init__(self, deliveries: WebhookDelivery) -> None:
        self._deliveries = deliveries
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox:webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            self._deliveries.cycle()
