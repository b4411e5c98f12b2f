"""Nothing that needs confirmation is done without it."""

from __future__ import annotations

import io

import pytest

from bridge.cli.options import confirmed
from bridge.core.errors import ConfigError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_only_an_explicit_y_confirms(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert confirmed("Delete it?", yes=False) is agreed


def test_the_flag_confirms_and_is_needed_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert confirmed("Delete it?", yes=True)
    with pytest.raises(ConfigError, match="--yes"):
        confirmed("Delete it?", yes=False)
