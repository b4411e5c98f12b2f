"""A small account for the generated requests, reset after a fixed number of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.dotdigital import ApiUser, DotdigitalState, create_app
from bridge.sandbox.dotdigital.app import operation_of

USER = ApiUser()
CATEGORY, IN_CATEGORY, LEAF, DOOMED = 14, 26, 1027, 1028
ANN, GONE, BOUNCED = "ann@example.com", "gone@example.com", "bounced@example.com"
_REQUESTS = 40  # short enough that what requests take away is soon there again, long enough to act on it


class Account:
    """The sandbox over such an account, counting its answers by operation and status."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self._served = 0
        self._app: ASGIApp = create_app(_laid_out())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._served += 1
        if self._served % _REQUESTS == 0:
            self._app = create_app(_laid_out())
        operation = operation_of(scope["method"], scope["path"])

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers[operation, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


def _laid_out() -> DotdigitalState:
    state = DotdigitalState(clock=SandboxClock(datetime(2026, 3, 1, 12, tzinfo=UTC), frozen=True))
    category = state.define_category(CATEGORY, "Camping")
    state.define_preference(IN_CATEGORY, "Tents", category)
    state.define_preference(LEAF, "Football")
    state.define_preference(DOOMED, "Golf")
    state.add_contact(ANN, opt_ins={IN_CATEGORY: (True, None), LEAF: (False, None)})
    state.add_contact(GONE, "Unsubscribed")
    state.add_contact(BOUNCED, "HardBounced", {LEAF: (True, None)})
    return state
