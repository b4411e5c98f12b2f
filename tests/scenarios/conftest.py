from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.live import Live, Plan, Servers, running_servers

Make = Callable[..., Live]


@pytest.fixture(scope="session")
def both_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running_servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
def make(both_servers: Servers, tmp_path: Path) -> Iterator[Make]:
    """Builds a bridge and both services; keyword arguments are those of `Plan`."""
    made: list[Live] = []

    def build(**words: object) -> Live:
        (tmp_path / "head.json").unlink(missing_ok=True)  # of an earlier world: this one has a new state DB
        made.append(Live(both_servers, tmp_path, Plan(**words)))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for live in made:
        live.close()


@pytest.fixture
def live(make: Make) -> Live:
    return make()
