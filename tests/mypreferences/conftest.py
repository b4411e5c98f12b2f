"""A MyPreferences sandbox and the project's client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences import (
    Coupling,
    FilterConfig,
    MyPreferencesState,
    ProgramConfig,
    create_app,
    sample_config,
)
from bridge.sandbox.server import Server
from tests.mypreferences.described import Recorder, recorded
from tests.mypreferences.mp_world import NOON, World
from tests.tls import Authority


@pytest.fixture
def state() -> MyPreferencesState:
    programs = (
        *sample_config().programs,
        ProgramConfig("DEALS", "Deals", (FilterConfig("DEALS_APP", "Solicit"),)),
    )
    config = sample_config(programs=programs, couplings=(Coupling("Profiling", "OFFERS_EMAIL"),))
    state = MyPreferencesState(config, SandboxClock(NOON, frozen=True))
    state.switches.surplus_rights = True  # every method of the client is tried
    return state


@pytest.fixture
def recorder(state: MyPreferencesState) -> Iterator[Recorder]:
    """The sandbox as clients see it. Every request and answer of the test must conform to the service's
    description, where it is available."""
    with recorded(create_app(state)) as recorder:
        yield recorder


@pytest.fixture
def world(state: MyPreferencesState, recorder: Recorder) -> Iterator[World]:
    with Server(recorder.front) as server:
        made = World(state, server.url)
        yield made
        made.close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A certificate authority that the bridge trusts, by the variable that an operator would set."""
    made = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made
