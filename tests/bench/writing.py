"""What writing to Dotdigital costs, without the read-backs."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from bridge.core.model import CHANNEL, PersonId, Side, TopicId, Who
from bridge.core.ports import WriteRequest, WriteResponse, saves_calls
from bridge.core.writes import Withdrawal, Write
from tests.bench.account import FIRST, START, account
from tests.bench.measure import Measured

LARGEST = 5000  # people in one import
POLLS = 3  # questions for an import's end


def topics(number: int) -> Measured:
    """So many people, each with one preference to be opted out of."""
    return _written(f"write {number:,} preference changes", number, TopicId("topic0"))


def unsubscribes(number: int) -> Measured:
    """So many people to be taken off all mail."""
    return _written(f"write {number:,} unsubscribes", number, CHANNEL)


def _written(job: str, number: int, topic: TopicId) -> Measured:
    with account(1) as there, there.replica() as replica:
        requests = [_request(one, topic, there.state.add_contact) for one in range(number)]
        if not saves_calls(replica, [one.writes for one in requests]):
            raise AssertionError("so many writes would go one by one")
        before = replica.calls
        outcomes = replica.send(requests, heartbeat=lambda: None)
        calls = replica.calls - before
    if any(not isinstance(outcome, WriteResponse) for outcome in outcomes):
        raise AssertionError("a write was refused")
    fewest = ceil(number / LARGEST) * (1 + POLLS)
    return Measured(job, calls, fewest, f"ceil(N/{LARGEST:,}) x (1 + {POLLS})")


def _request(number: int, topic: TopicId, add: Callable[..., int]) -> WriteRequest:
    address = f"p{number}@example.com"
    known = add(address, opt_ins={FIRST: (True, None)})
    who = Who(PersonId(number + 1), address, {Side.DOTDIGITAL: (str(known),)})
    unit: list[Write] = [Withdrawal(Side.DOTDIGITAL, topic, said_at=None, effective_at=START)]
    return WriteRequest(who, unit)
