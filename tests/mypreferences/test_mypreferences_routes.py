"""The table of routes, an operator's file over it, and the request that a route makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.errors import ConfigError
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.routes import builtin_routes, former_names, load_routes
from bridge.mypreferences.wire.profiles import Email, Profile
from tests.mypreferences.mp_world import World


def test_a_value_in_a_path_cannot_leave_its_segment() -> None:
    route = builtin_routes()["initiateExportSegment"]
    assert route.path({"account": "A", "segment": "x/../y z?"}) == "/A/export/Segment/x%2F..%2Fy%20z%3F"


@pytest.mark.parametrize("key", ["retrieveProfilesByEmail", "profiles_by_email"])
def test_a_routes_file_overlays_the_table(tmp_path: Path, key: str) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(f'{key} = "get /{{account}}/Profiles/ByEmail"\n')
    routes = load_routes(file)
    route = routes["retrieveProfilesByEmail"]
    assert (route.method, route.template) == ("GET", "/{account}/Profiles/ByEmail")
    assert routes["retrievePrograms"] == builtin_routes()["retrievePrograms"]
    assert routes.keys() == builtin_routes().keys()


def test_every_operation_may_be_named_as_in_the_first_version(tmp_path: Path) -> None:
    """Routes files are the operator's: keys that were valid once stay valid."""
    file = tmp_path / "routes.toml"
    for operation, former in former_names().items():
        line = f'"{builtin_routes()[operation].method} /x{builtin_routes()[operation].template}"\n'
        file.write_text(f"{former} = {line}")
        assert load_routes(file)[operation].template == f"/x{builtin_routes()[operation].template}"
    assert len(set(former_names().values())) == len(builtin_routes())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('profile_by_emial = "GET /{account}/x"', "Did you mean 'profiles_by_email'"),
        ('programs = "GET /Programs"', "lacks {account}"),
        ('programs = "GET /{account}/{other}"', "takes no {other}"),
        ('programs = "/{account}/Programs"', "METHOD /path"),
        ('programs = "FETCH /{account}/Programs"', "METHOD /path"),
        ('programs = "GET /{account"', "braces"),
        ("programs = 7", "not a text"),
        ("programs = ", "TOML"),
    ],
)
def test_a_bad_routes_file_is_refused_with_what_is_wrong(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(line)
    with pytest.raises(ConfigError) as caught:
        load_routes(file)
    assert problem in str(caught.value)


def test_a_missing_routes_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ROUTES_FILE"):
        load_routes(tmp_path / "none.toml")


def test_the_alternate_id_goes_in_the_query_or_where_the_route_says(world: World, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(
        "create_or_update_by_alternate_id = "
        '"POST /{account}/Profile/AlternateIdType/{alternate_id_type}/AlternateId/{alternate_id}"\n'
    )
    account = world.state.config.account
    change = Profile(emails=[Email(email_address="c@example.com")])
    made = world.client.upsert_profile_by_alternate_id("CrmId", "A/1", change)
    other = MyPreferencesClient(world.transport, account=account, routes=load_routes(file))
    again = other.upsert_profile_by_alternate_id("CRMID", "B1", change)
    assert made is not None
    assert again is not None
    assert made.id != again.id
    assert world.client.upsert_profile_by_alternate_id("crmid", "a/1", change) == made
