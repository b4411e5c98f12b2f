"""A MyPreferences sandbox on a free port, and a plain HTTP client signed in to it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from mp_site import ADDRESS, NOON, Site

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences import (
    ConsentTypeConfig,
    ConsentVersionConfig,
    Coupling,
    FilterConfig,
    MyPreferencesState,
    MyPreferencesSwitches,
    ProgramConfig,
    create_app,
    sample_config,
)
from bridge.sandbox.server import Server
from tests.mypreferences.described import recorded
from tests.waiting import PATIENCE


@pytest.fixture
def state() -> MyPreferencesState:
    deals = (FilterConfig("DEALS_EMAIL", parent="NEWS_EMAIL"), FilterConfig("DEALS_APP", "Solicit"))
    config = sample_config(
        programs=(
            *sample_config().programs,
            ProgramConfig("DEALS", "Deals", deals),
        ),
        consent_types=(
            ConsentTypeConfig("EmailMarketing"),
            ConsentTypeConfig(
                "Profiling", (ConsentVersionConfig("1.0", ("en_US", "fr_FR")), ConsentVersionConfig("2.0"))
            ),
        ),
        couplings=(Coupling("Profiling", "OFFERS_EMAIL"), Coupling("Profiling", "DEALS_EMAIL")),
    )
    # Most tests count what was done itself, and some use what a bridge has no use for.
    switches = MyPreferencesSwitches(propagation_raises_events=False, surplus_rights=True)
    return MyPreferencesState(config, SandboxClock(NOON, frozen=True), switches)


@pytest.fixture
def site(state: MyPreferencesState) -> Iterator[Site]:
    with (
        recorded(create_app(state), request_too=False) as recorder,
        Server(recorder.front) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        site = Site(state, http)
        site.sign_in()
        yield site


@pytest.fixture
def ann(state: MyPreferencesState) -> int:
    return state.add_profile([("Primary", ADDRESS)], {"CrmId": "A-1"})
