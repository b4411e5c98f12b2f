"""With the account's real quota, shared with another integration, no call is ever refused."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sandbox.dotdigital import DotdigitalState
from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OFFERS, OUT, THEIRS, Live, Servers

TIERS = ("low", "medium", "high")


class Stranger:
    """Another integration, before the same service: spends its share of each tier at any time of a minute."""

    def __init__(self, state: DotdigitalState, app: ASGIApp, *, share: float) -> None:
        self._state, self._app, self._share = state, app, share
        self._dice = random.Random(1)
        self._minute: datetime | None = None
        self._left: dict[str, int] = {}
        self.spent = 0
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._spend()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.refused += message["status"] in (400, 429)
            await send(message)

        await self._app(scope, receive, counting)

    def _shares(self) -> dict[str, int]:
        switches = self._state.switches
        if switches.rate_limits == "flat":
            return {"low": int(self._share / 2 * switches.limit_flat)}  # of any hour, at most twice of that
        return {tier: int(self._share * getattr(switches, f"limit_{tier}")) for tier in TIERS}

    def _spend(self) -> None:
        flat = self._state.switches.rate_limits == "flat"
        minute = self._state.clock.now().replace(second=0, microsecond=0, **({"minute": 0} if flat else {}))
        if minute != self._minute:
            self._minute, self._left = minute, self._shares()
        for tier, left in self._left.items():
            calls = min(left, self._dice.randint(0, 3))
            self._left[tier] -= calls
            self.spent += calls
            self._state.use_elsewhere(tier, calls)


def _limited(live: Live, servers: Servers, **switches: Any) -> Stranger:
    state = live.dotdigital
    for name, value in {"rate_limits": "tiered", **switches}.items():
        setattr(state.switches, name, value)
    stranger = Stranger(state, servers.apps[THEIRS].app, share=0.2)
    servers.apps[THEIRS].app = stranger
    return stranger


@pytest.mark.parametrize("form", ["epoch_seconds", "epoch_milliseconds", "seconds_from_now"])
def test_no_call_of_a_day_is_refused(make: Make, both_servers: Servers, form: str) -> None:
    live = make(rate=1000)
    people = [live.add(f"p{number}", both={NEWS: IN, OFFERS: "DAILY"}) for number in range(40)]
    stranger = _limited(live, both_servers, reset_form=form, limit_low=12, limit_medium=8, limit_high=20)
    live.started()
    for _ in range(5):
        live.run()
    for number, address in enumerate(people):
        live.say((MINE, THEIRS)[number % 2], address, NEWS, OUT)
    for _ in range(5):
        live.run()
    live.run(full=True)
    live.until_quiet()
    assert all(live.shows(address) == (OUT, OUT) for address in people)
    assert stranger.spent > 50
    assert stranger.refused == 0


@pytest.mark.slow
def test_no_call_of_a_day_on_the_flat_scheme_is_refused(make: Make, both_servers: Servers) -> None:
    """Without a header that tells what is left: by counting, and by asking every few minutes."""
    live = make(rate=1000)
    people = [live.add(f"p{number}", both={NEWS: IN, OFFERS: "DAILY"}) for number in range(40)]
    stranger = _limited(live, both_servers, rate_limits="flat", limit_flat=250)
    live.started()
    for _ in range(60):
        live.run()
    for number, address in enumerate(people):
        live.say((MINE, THEIRS)[number % 2], address, NEWS, OUT)
    for _ in range(30):
        live.run()
    budget = live.run(full=True).budget
    live.until_quiet()
    assert all(live.shows(address) == (OUT, OUT) for address in people)
    assert stranger.spent > 50
    assert stranger.refused == 0
    assert budget.keys() == {"hour"}
    assert budget["hour"]["limit"] == 250


def test_waits_are_seen_in_the_budget(make: Make, both_servers: Servers) -> None:
    live = make()
    for number in range(20):
        live.add(f"p{number}", both={NEWS: IN})
    _limited(live, both_servers, limit_high=5)
    live.run()
    budget = live.run(full=True).budget
    assert budget["highCallRate"]["left_to_others"] == 1
    assert budget["lowCallRate"].keys() == {
        "limit", "remaining", "resets_at", "left_to_others", "waited_seconds",
    }  # fmt: skip
