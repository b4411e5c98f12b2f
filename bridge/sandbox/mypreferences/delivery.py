"""The worker that delivers events to webhook subscriptions (MyPreferences `EventsPublisherService`)."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import quote, urlsplit

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences.events import Events
from bridge.sandbox.mypreferences.outbox import Message
from bridge.sandbox.mypreferences.subscriptions import LOOPBACK, Subscription, Subscriptions
from bridge.sandbox.mypreferences.switches import Switches

SIGNATURE = "X-Sandbox-Signature"
_BARE = ("Data", "PreviousData")
_LOOK_SECONDS = 0.05  # real ones, between looks at the sandbox's clock


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver answered."""

    status: int
    body: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


Send = Callable[[str, str, bytes | None, dict[str, str], float], Told]
"""(method, url, body, headers, timeout in seconds) -> the answer. Raises OSError or HTTPException."""


def send(method: str, url: str, body: bytes | None, headers: dict[str, str], timeout: float) -> Told:
    """One request to a receiver on this machine; a sandbox calls nobody else. Raises OSError otherwise."""
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK:
        raise OSError("the sandbox delivers to receivers on this machine only")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    caller = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        caller.request(method, target, body, headers)
        answer = caller.getresponse()
        return Told(answer.status, answer.read())
    finally:
        caller.close()


class Deliveries:
    """Works in cycles by the sandbox's clock: up to MaxConcurrentRequests messages, then Duration seconds of
    rest. `sent` counts requests, `failed` those that were not answered with success."""

    def __init__(
        self,
        lock: threading.RLock,
        clock: SandboxClock,
        switches: Switches,
        subscriptions: Subscriptions,
        events: Events,
        *,
        send: Send = send,
        chance: random.Random | None = None,
    ) -> None:
        self._lock, self._clock, self._switches = lock, clock, switches
        self._subscriptions, self._events = subscriptions, events
        self._send, self._chance = send, chance or random.Random(1)
        self._next = clock.now()
        self.sent = self.failed = 0

    @property
    def waiting(self) -> int:
        """Messages that have not gone out."""
        with self._lock:
            return len(self._events.outbox)

    def cycle(self) -> int:
        """One cycle, if its time has come. Returns how many requests were sent. The state is not locked while
        receivers are called: one that asks the service something must be answered."""
        with self._lock:
            now = self._clock.now()
            if now < self._next:
                return 0
            taken = self._take(now)
            posts = list(self._posts(taken))
        before = self.sent
        again = [one for subscription, batch in posts for one in self._deliver(subscription, batch)]
        with self._lock:
            self._events.outbox.put_back(again)
            self._next = self._clock.now() + timedelta(seconds=self._subscriptions.throughput.rest)
        return self.sent - before

    def drain(self, most: int = 1000) -> int:
        """Cycle after cycle, moving the clock over the rests, until nothing can go out. Returns how many
        requests were sent."""
        total = 0
        for _ in range(most):
            self._clock.advance(max(0.0, (self._next - self._clock.now()).total_seconds()))
            before = self.waiting
            sent = self.cycle()
            total += sent
            if not sent and self.waiting == before:
                return total
        return total

    def shake(self, subscription: Subscription) -> bool:
        """Whether its receiver answers the validation request, whose form is not documented."""
        subscription.shaken = _shake(self._good, self._switches, subscription.url, self._chance)
        return subscription.shaken

    def _take(self, now: datetime) -> list[Message]:
        until = now - timedelta(seconds=self._switches.event_lag_seconds)
        most = self._subscriptions.throughput.most
        taken = self._events.outbox.take(most, until, now, self._subscriptions)
        if self._switches.deliveries_shuffled:
            self._chance.shuffle(taken)
        return taken

    def _posts(self, taken: Sequence[Message]) -> Iterator[tuple[Subscription, list[Message]]]:
        """Who gets what, with drops and duplicates."""
        by_subscription: dict[int, list[Message]] = {}
        for message in taken:
            if self._chance.random() < self._switches.delivery_drops:
                continue
            copies = 2 if self._chance.random() < self._switches.delivery_duplicates else 1
            by_subscription.setdefault(message.subscription_id, []).extend([message] * copies)
        size = max(1, self._switches.delivery_batch)
        for number, messages in by_subscription.items():
            subscription = self._subscriptions.get(number)
            for at in range(0, len(messages), size):
                yield subscription, messages[at : at + size]

    def _deliver(self, subscription: Subscription, batch: list[Message]) -> list[Message]:
        """Returns the messages to be tried again: those of a receiver that has not shaken hands yet, too."""
        if not subscription.shaken and not self.shake(subscription):
            return batch if urlsplit(subscription.url).hostname in LOOPBACK else []
        documents = [self._document(message, subscription) for message in batch]
        alone = self._switches.delivery_batch <= 1
        body = json.dumps(documents[0] if alone else documents).encode()
        if self._good("POST", subscription.url, body) is not None:
            return []
        for message in batch:
            message.tries += 1
        return [message for message in batch if message.tries < self._switches.delivery_tries]

    def _document(self, message: Message, subscription: Subscription) -> dict[str, Any]:
        with self._lock:
            document = self._events.delivered(message.number, message.subscription_id)
        if subscription.document["IsMinimized"]:
            return {name: value for name, value in document.items() if name not in _BARE}
        return document

    def _good(self, method: str, url: str, body: bytes | None) -> Told | None:
        """The answer; None where it is no success."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._switches.delivery_key and body is not None:
            key = self._switches.delivery_key.encode()
            headers[SIGNATURE] = hmac.new(key, body, hashlib.sha256).hexdigest()
        self.sent += 1
        with suppress(OSError, http.client.HTTPException):
            told = self._send(method, url, body, headers, self._switches.delivery_timeout_seconds)
            if told.good:
                return told
        self.failed += 1
        return None


def _shake(
    ask: Callable[[str, str, bytes | None], Told | None], switches: Switches, url: str, chance: random.Random
) -> bool:
    """Whether the receiver answers the validation request as the `handshake` switch expects."""
    code = f"{chance.getrandbits(64):016x}"
    match switches.handshake:
        case "none":
            return True
        case "get":
            told = ask("GET", f"{url}?validationCode={quote(code)}", None)
            return told is not None and told.body.strip() == code.encode()
        case "static":
            told = ask("POST", url, json.dumps({"validationCode": code}).encode())
            return told is not None and told.body.strip() == switches.handshake_expects.encode()
        case "status":
            return ask("POST", url, json.dumps({"validationCode": code}).encode()) is not None
        case _:
            told = ask("POST", url, json.dumps({"validationCode": code}).encode())
            return told is not None and code in _values(told.body)


def _values(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    return [str(value) for value in document.values()] if isinstance(document, dict) else []


class Publisher:
    """Runs the cycles from a thread, for a sandbox that stays up. A context manager."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox:publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            self._deliveries.cycle()
