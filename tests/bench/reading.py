"""What reading the feeds costs."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from bridge.dotdigital.polling.v2_feeds import PREFIX as OPT_INS
from bridge.dotdigital.polling.v2_feeds import SUPPRESSED as SUPPRESSED
from tests.bench.account import FIRST, Account, account, ids
from tests.bench.measure import Measured

HOUR = timedelta(hours=1)
CLOCK = 1  # a watermark is the service's own time, asked for before its feed is read
PROOF = 1  # a short page may be a cut one: an end is proven by a page that brings nothing new


def changes(number: int, preferences: int) -> Measured:
    """So many opt-ins that changed at Dotdigital, spread over its preferences."""
    with account(preferences) as there:
        for one in range(number):
            there.state.add_contact(
                f"p{one}@example.com", opt_ins={FIRST + one % preferences: (True, there.state.clock.now())}
            )
        feeds = [f"{OPT_INS}{preference}" for preference in ids(preferences)]
        calls, seen = _drained(there, feeds)
    each = [number // preferences + (one < number % preferences) for one in range(preferences)]
    fewest = CLOCK + sum(ceil(count / 1000) + PROOF for count in each)
    job = f"read {number:,} preference changes, P = {preferences}"
    return Measured(job, calls, fewest, "1 + sum of ceil(C/1000) + 1 over P", _all(seen, number))


def unsubscribes(number: int) -> Measured:
    """So many people who unsubscribed at Dotdigital."""
    with account(1) as there:
        for one in range(number):
            there.state.add_contact(f"p{one}@example.com", status="Unsubscribed")
        calls, seen = _drained(there, [SUPPRESSED])
    fewest = CLOCK + 1 + ceil(max(0, number - 1000) / 900) + PROOF
    return Measured(
        f"read {number:,} unsubscribes", calls, fewest, "1 + 1 + ceil((S-1000)/900) + 1", _all(seen, number)
    )


def _drained(there: Account, feeds: list[str]) -> tuple[int, int]:
    since, seen = there.state.clock.now() - HOUR, 0
    with there.replica() as replica:
        for feed in feeds:
            seen += sum(len(page.views) for page in replica.read_feed(feed, since))
        return replica.calls, seen


def _all(seen: int, number: int) -> str:
    if seen != number:
        raise AssertionError(f"{seen} of {number} were read")
    return ""
