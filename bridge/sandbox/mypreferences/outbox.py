"""Messages that wait for their delivery to webhook subscriptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.sandbox.mypreferences.subscriptions import Subscription, Subscriptions

_CATCH_UP = timedelta(days=15)


@dataclass(slots=True)
class Message:
    """One event for one subscription. `paused`: it was generated, or still waited, during a pause."""

    number: int
    subscription_id: int
    at: datetime
    paused: bool
    tries: int = 0


class Outbox:
    """In the order of recording. Not thread-safe: the state's lock guards it."""

    def __init__(self) -> None:
        self._waiting: list[Message] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, number: int, at: datetime, subscriptions: Iterable[Subscription]) -> None:
        """An event was recorded that belongs to these subscriptions."""
        self._waiting += [
            Message(number, item.subscription_id, at, item.state != "Active") for item in subscriptions
        ]

    def put_back(self, messages: Iterable[Message]) -> None:
        """These are to be tried again."""
        self._waiting = [*messages, *self._waiting]

    def take(self, most: int, until: datetime, now: datetime, known: Subscriptions) -> list[Message]:
        """At most so many that were recorded up to `until` and may go out. What was generated during a pause
        goes out afterwards with CatchUpOnResume only, and within 15 days (MyPreferences "Create new
        subscription")."""
        taken: list[Message] = []
        left: list[Message] = []
        for message in self._waiting:
            if not known.exists(message.subscription_id):
                continue
            subscription = known.get(message.subscription_id)
            if subscription.state != "Active":
                message.paused = True
                left.append(message)
            elif message.paused and not (subscription.catches_up and now - message.at <= _CATCH_UP):
                continue
            elif len(taken) < most and message.at <= until:
                taken.append(message)
            else:
                left.append(message)
        self._waiting = left
        return taken
