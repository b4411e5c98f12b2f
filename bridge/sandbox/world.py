"""Both services side by side, on one clock, configured for the example mapping."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.sandbox import dotdigital, mypreferences
from bridge.sandbox.agreement import ConsentOf, FilterOf, Source, TopicPair
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences import (
    Config,
    ConsentType,
    ConsentVersion,
    Filter,
    Program,
    ProgramGroup,
    Segment,
    sample_config,
)
from bridge.sandbox.mypreferences.state import API_HASH_KEY, BRIDGE_USER, CLIENT_ID, CLIENT_SECRET
from bridge.sandbox.server import Server

SEGMENT = "EVERYBODY"
CHANNEL: Source = ConsentOf("EmailMarketing", "1.0", "en_US")
NEWSLETTER = TopicPair("newsletter", FilterOf("NEWS_EMAIL", "Primary"), {"": 1002})
PROFILING = TopicPair("profiling", ConsentOf("Profiling", "1.0", "en_US"), {"": 1010})
OFFERS = TopicPair("offers", FilterOf("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004})
TOPICS: tuple[TopicPair, ...] = (NEWSLETTER, PROFILING, OFFERS)
"""What the example mapping maps, beside the e-mail channel."""

ACT_PATH = "/_sandbox/act"
Acting = Callable[[int], Sequence[dict[str, Any]]]
"""Lets that many people act, and tells what they did, as JSON objects."""

_OFFERS_CATEGORY = 1020
_MOST_ACTS = 10_000
_INTERESTS = {
    "ProfileActions": ("created", "updated", "replaced", "deactivated", "reactivated", "deleted"),
    "Preferences": ("added", "updated", "archived"),
    "Consents": (
        *("added", "updated", "deactivated"),
        *("elementassociation.created", "elementassociation.updated", "elementassociation.deactivated"),
        *("filterassociation.created", "filterassociation.updated"),
    ),
    "Contacts": ("email.added", "email.updated", "email.deleted"),
}
_PREFIX = {
    "ProfileActions": "profile",
    "Preferences": "preference",
    "Consents": "consent",
    "Contacts": "contacts",
}


class World:
    """Both emulated services. As a context manager, both are served on loopback; port 0 takes a free one.

    `people` and `seed` say how many a crowd moves in, and which. `acting`, once set, answers
    `POST /_sandbox/act` on either server. `clock` is the one clock of both services, default real time.
    """

    def __init__(
        self,
        people: int,
        seed: int,
        mypreferences_port: int = 0,
        dotdigital_port: int = 0,
        *,
        clock: SandboxClock | None = None,
    ) -> None:
        self.people = people
        self.seed = seed
        self.clock = clock or SandboxClock()
        self.mypreferences = _mypreferences(self.clock)
        self.dotdigital = _dotdigital(self.clock)
        self.acting: Acting | None = None
        self._servers = (
            Server(_Door(mypreferences.create_app(self.mypreferences), self), port=mypreferences_port),
            Server(_Door(dotdigital.create_app(self.dotdigital), self), port=dotdigital_port),
        )
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in self._servers:
                starting.enter_context(server)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def mypreferences_url(self) -> str:
        """Root of the emulated MyPreferences. Raises RuntimeError while it is not served."""
        return self._servers[0].url

    @property
    def dotdigital_url(self) -> str:
        """Root of the emulated Dotdigital. Raises RuntimeError while it is not served."""
        return self._servers[1].url

    def settings(self) -> dict[str, str]:
        """The environment that points a bridge at this world. Raises RuntimeError while it is not served."""
        user = self.dotdigital.api_user
        return {
            "BRIDGE_MYPREFERENCES__BASE_URL": f"{self.mypreferences_url}/Profiles/v4",
            "BRIDGE_MYPREFERENCES__ACCOUNT": self.mypreferences.config.account,
            "BRIDGE_MYPREFERENCES__USER_ID": BRIDGE_USER.user_id,
            "BRIDGE_MYPREFERENCES__TOKEN_URL": f"{self.mypreferences_url}/oauth2/v1/token",
            "BRIDGE_MYPREFERENCES__CLIENT_ID": CLIENT_ID,
            "BRIDGE_MYPREFERENCES__CLIENT_SECRET": CLIENT_SECRET,
            "BRIDGE_MYPREFERENCES__PRIVATE_KEY": API_HASH_KEY,
            "BRIDGE_MYPREFERENCES__SEGMENT": SEGMENT,
            "BRIDGE_DOTDIGITAL__BASE_URL": self.dotdigital_url,
            "BRIDGE_DOTDIGITAL__USERNAME": user.username,
            "BRIDGE_DOTDIGITAL__PASSWORD": user.password,
        }


def _mypreferences(clock: SandboxClock) -> mypreferences.State:
    state = mypreferences.State(_config(), clock)
    state.add_segment(Segment(SEGMENT, lambda profile: profile.is_active))
    with state.lock:
        state.subscriptions.create(_subscription())
    return state


def _config() -> Config:
    """The filters and consents of the example mapping, and some that nothing maps."""
    return sample_config(
        programs=(
            Program("NEWS", "Newsletter", (Filter("NEWS_EMAIL"), Filter("NEWS_PHONE", "Phone"))),
            Program("OFFERS", "Offers", (Filter("OFFERS_EMAIL", "Email", ("DAILY", "WEEKLY"), "WEEKLY"),)),
            Program("EVENTS", "Events near you", (Filter("EVENTS_EMAIL"),)),
            Program("CLUB", "Club magazine", (Filter("CLUB_EMAIL"),), active=False),
        ),
        program_groups=(
            ProgramGroup(
                "MAIL", "What we send", ("NEWS", "EVENTS"), (ProgramGroup("SHOP", "Shop", ("OFFERS",)),)
            ),
        ),
        consent_types=(
            ConsentType("EmailMarketing", (ConsentVersion("1.0", ("en_US",)),)),
            ConsentType("Profiling", (ConsentVersion("1.0", ("en_US",)),)),
            ConsentType("Cookies", (ConsentVersion("1.0", ("en_US",)),)),
        ),
    )


def _subscription() -> dict[str, Any]:
    """One that keeps every event: the service keeps none that nobody subscribed to."""
    return {
        "Name": "consent bridge",
        "Url": "https://bridge.example.com/hooks/mypreferences",
        "State": "Active",
        "Subscriptions": [
            {
                "Entity": entity,
                "EventType": f"{_PREFIX[entity]}.{kind}",
                "Filters": ["AllFilters"],
                "ConsentTypes": ["AllConsents"],
                "ContactTypes": ["AllContactTypes"],
            }
            for entity, kinds in _INTERESTS.items()
            for kind in kinds
        ],
    }


def _dotdigital(clock: SandboxClock) -> dotdigital.DotdigitalState:
    state = dotdigital.DotdigitalState(clock)
    state.define_preference(1002, "Newsletter")
    state.define_category(_OFFERS_CATEGORY, "Offers")
    state.define_preference(1003, "Offers every day", category=_OFFERS_CATEGORY)
    state.define_preference(1004, "Offers once a week", category=_OFFERS_CATEGORY)
    state.define_preference(1010, "Made for me", public=False)
    state.define_preference(1011, "Product updates")
    state.define_preference(1012, "Surveys")
    return state


class _Door:
    """A service with one control more: letting people act, which concerns both services."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != ACT_PATH:
            await self._app(scope, receive, send)
            return
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> JSONResponse:
        if request.method != "POST":
            return JSONResponse({"error": f"use POST {ACT_PATH}"}, 405, {"Allow": "POST"})
        if self._world.acting is None:
            return JSONResponse({"error": "nobody lives here yet; let a crowd settle first"}, 409)
        try:
            count = _count(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"acts": list(await run_in_threadpool(self._world.acting, count))})


def _count(body: bytes) -> int:
    document = json.loads(body or b"{}")
    count = document.get("count", 1) if isinstance(document, dict) else None
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_ACTS:
        raise ValueError(f'{ACT_PATH} takes {{"count": N}} with N from 1 to {_MOST_ACTS}')
    return count
