"""The composition root: what it builds and passes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bridge.app import App
from bridge.core.errors import ConfigError
from bridge.core.model import Side
from bridge.core.ports import Replica
from bridge.engine.context import Services
from bridge.settings import load
from tests.port_calls import feed_names

ROOT = Path(__file__).parent.parent
REACHED = {
    "BRIDGE_MAPPING": str(ROOT / "mappings" / "bridge.toml"),
    "BRIDGE_MYPREFERENCES__BASE_URL": "http://127.0.0.1:9/Profiles/v4",
    "BRIDGE_MYPREFERENCES__ACCOUNT": "ACME",
    "BRIDGE_MYPREFERENCES__USER_ID": "bridge",
    "BRIDGE_MYPREFERENCES__TOKEN_URL": "http://127.0.0.1:9/oauth2/v1/token",
    "BRIDGE_MYPREFERENCES__CLIENT_ID": "client",
    "BRIDGE_MYPREFERENCES__CLIENT_SECRET": "secret",
    "BRIDGE_DOTDIGITAL__BASE_URL": "http://127.0.0.1:9",
    "BRIDGE_DOTDIGITAL__USERNAME": "user",
    "BRIDGE_DOTDIGITAL__PASSWORD": "secret",
}


def app(tmp_path: Path, **changes: str) -> App:
    environ = {**REACHED, "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'bridge.db'}", **changes}
    return App(load(environ=environ))


def test_what_a_dry_run_gets_has_no_way_to_write_to_a_side(tmp_path: Path) -> None:
    writing = {name for name in vars(Replica) if not name.startswith("_")} - {"side", "calls", "feeds"}
    assert writing == {"split", "send", "unfinished", "finish"}
    with app(tmp_path) as made:
        services = made.services()
        for side in Side:
            assert not any(hasattr(services.readers[side], name) for name in writing)
        for field in dataclasses.fields(Services):
            assert not any(hasattr(getattr(services, field.name), name) for name in writing)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("BRIDGE_DOTDIGITAL__BASE_URL", "https://r1-api.dotmailer.com"),
        ("BRIDGE_DOTDIGITAL__BASE_URL", "https://example.com"),
        ("BRIDGE_MYPREFERENCES__BASE_URL", "http://pm.example.com/Profiles/v4"),
    ],
)
def test_credentials_go_to_no_host_that_cannot_be_the_service(tmp_path: Path, name: str, url: str) -> None:
    with pytest.raises(ConfigError), app(tmp_path, **{name: url}) as made:
        assert made.readers


def test_building_the_parts_calls_nobody(tmp_path: Path) -> None:
    with app(tmp_path) as made:
        assert [made.readers[side].calls for side in Side] == [0, 0]


def test_events_are_read_only_where_the_settings_ask_for_them(tmp_path: Path) -> None:
    with app(tmp_path) as without, app(tmp_path, BRIDGE_DOTDIGITAL__EVENTS="true") as with_events:
        assert "dotdigital.events" not in feed_names(without.readers[Side.DOTDIGITAL])
        assert feed_names(with_events.readers[Side.DOTDIGITAL])[-1] == "dotdigital.events"
