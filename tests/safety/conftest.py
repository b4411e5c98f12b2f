from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import world
from tests.safety.safety_world import SafetyLive
from tests.scenarios.conftest import both_servers
from tests.scenarios.live import Plan, Servers

__all__ = ["both_servers", "live", "make", "world"]

Make = Callable[..., SafetyLive]


@pytest.fixture
def make(both_servers: Servers, tmp_path: Path) -> Iterator[Make]:
    """Builds a bridge and both services; keyword arguments are those of `Plan`."""
    made: list[SafetyLive] = []

    def build(**words: object) -> SafetyLive:
        made.append(SafetyLive(both_servers, tmp_path, Plan(**words)))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for live in made:
        live.close()


@pytest.fixture
def live(make: Make) -> SafetyLive:
    return make()
