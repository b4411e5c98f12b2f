from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.model import RunId
from bridge.store import Store
from bridge.store.migrate import upgrade
from tests.postgres import _postgres_state, postgres_server, postgres_state_url, postgres_url
from tests.store.helpers import (
    ANN,
    BOB,
    IN,
    MINE,
    NEWS,
    OFFERS,
    OUT,
    THEIRS,
    Clock,
    at,
    begun,
    news,
    seen,
    view,
)

__all__ = ["_postgres_state", "postgres_server", "postgres_state_url", "postgres_url"]

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it, not even the schema. Every promise is kept on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bridge.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=BOTH)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A state DB with the schema, and nothing in it."""
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path / 'bridge.db'}"
        upgrade(found)
        return found
    return str(request.getfixturevalue("postgres_state_url"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(state_url: str, clock: Clock) -> Iterator[Store]:
    with Store.open(state_url, clock) as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> RunId:
    """A run, and two people who are in at one side and out at the other."""
    number = begun(store)
    both = {NEWS: seen(IN, changed_at=at(-9)), OFFERS: seen(IN)}
    store.observations.record([view(ANN, both, "a"), view(BOB, both, "b")], MINE, run=number)
    store.observations.record([news(ANN, OUT), news(BOB, OUT)], THEIRS, run=number)
    return number
