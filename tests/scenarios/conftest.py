from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.live import Live, Plan, Street, street

Make = Callable[..., Live]


@pytest.fixture(scope="session")
def both_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(tmp_path_factory.mktemp("street")) as there:
        yield there


@pytest.fixture
def make(both_servers: Street, tmp_path: Path) -> Iterator[Make]:
    """Builds the world that a test asks for, in the words of `Plan`."""
    made: list[Live] = []

    def build(**words: object) -> Live:
        made.append(Live(both_servers, tmp_path, Plan(**words)))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for live in made:
        live.close()


@pytest.fixture
def live(make: Make) -> Live:
    return make()
