"""Both services side by side, on one clock, configured for the example mapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Annotated, Any, Self

import msgspec

from bridge.sandbox import dotdigital, mypreferences
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.http import ApiRoute, BodyError, HttpReply, HttpRequest, json_reply, read_body
from bridge.sandbox.mypreferences import (
    EVERYBODY,
    AccountConfig,
    ConsentTypeConfig,
    ConsentVersionConfig,
    FilterConfig,
    ProgramConfig,
    ProgramGroupConfig,
    sample_config,
)
from bridge.sandbox.mypreferences.account import API_HASH_KEY, BRIDGE_USER, CLIENT_ID, CLIENT_SECRET
from bridge.sandbox.server import Server
from bridge.sandbox.vendor_reads import ConsentOf, FilterOf, Source, TopicPair

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
_MAX_ACTIONS = 10_000
_EVENT_TYPES = {
    ("ProfileActions", "profile"): (
        *("created", "updated", "replaced"),
        *("deactivated", "reactivated", "deleted"),
    ),
    ("Preferences", "preference"): ("added", "updated", "archived"),
    ("Consents", "consent"): (
        *("added", "updated", "deactivated"),
        *("elementassociation.created", "elementassociation.updated", "elementassociation.deactivated"),
        *("filterassociation.created", "filterassociation.updated"),
    ),
    ("Contacts", "contacts"): ("email.added", "email.updated", "email.deleted"),
}


class World:
    """Both emulated services. As a context manager, both are served on loopback; port 0 takes a free one.

    `people` and `seed` are for the population: how many, and which. `acting`, once set, answers
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
        controls = (ApiRoute("act", "POST", ACT_PATH, self._act),)
        self._servers = (
            Server(mypreferences.create_app(self.mypreferences, controls), port=mypreferences_port),
            Server(dotdigital.create_app(self.dotdigital, controls), port=dotdigital_port),
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
            "BRIDGE_MYPREFERENCES__SEGMENT": EVERYBODY.name,
            "BRIDGE_DOTDIGITAL__BASE_URL": self.dotdigital_url,
            "BRIDGE_DOTDIGITAL__USERNAME": user.username,
            "BRIDGE_DOTDIGITAL__PASSWORD": user.password,
        }

    def _act(self, request: HttpRequest) -> HttpReply:
        """The control that lets people act, which concerns both services."""
        if self.acting is None:
            return json_reply({"error": "there is nobody yet; create a population first"}, 409)
        try:
            count = read_body(request.body or b"{}", _ActBody).count
        except BodyError:
            raise ValueError(f'{ACT_PATH} takes {{"count": N}} with N from 1 to {_MAX_ACTIONS}') from None
        return json_reply({"acts": list(self.acting(count))})


class _ActBody(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=1, le=_MAX_ACTIONS)] = 1


def _mypreferences(clock: SandboxClock) -> mypreferences.MyPreferencesState:
    state = mypreferences.MyPreferencesState(_config(), clock)
    with state.lock:
        state.subscriptions.create(_subscription())
    return state


def _config() -> AccountConfig:
    """The filters and consents of the example mapping, and some that nothing maps."""
    return sample_config(
        programs=(
            ProgramConfig(
                "NEWS", "Newsletter", (FilterConfig("NEWS_EMAIL"), FilterConfig("NEWS_PHONE", "Phone"))
            ),
            ProgramConfig(
                "OFFERS", "Offers", (FilterConfig("OFFERS_EMAIL", "Email", ("DAILY", "WEEKLY"), "WEEKLY"),)
            ),
            ProgramConfig("EVENTS", "Events near you", (FilterConfig("EVENTS_EMAIL"),)),
            ProgramConfig("CLUB", "Club magazine", (FilterConfig("CLUB_EMAIL"),), active=False),
        ),
        program_groups=(
            ProgramGroupConfig(
                "MAIL", "What we send", ("NEWS", "EVENTS"), (ProgramGroupConfig("SHOP", "Shop", ("OFFERS",)),)
            ),
        ),
        consent_types=(
            ConsentTypeConfig("EmailMarketing", (ConsentVersionConfig("1.0", ("en_US",)),)),
            ConsentTypeConfig("Profiling", (ConsentVersionConfig("1.0", ("en_US",)),)),
            ConsentTypeConfig("Cookies", (ConsentVersionConfig("1.0", ("en_US",)),)),
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
                "EventType": f"{prefix}.{change}",
                "Filters": ["AllFilters"],
                "ConsentTypes": ["AllConsents"],
                "ContactTypes": ["AllContactTypes"],
            }
            for (entity, prefix), changes in _EVENT_TYPES.items()
            for change in changes
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
