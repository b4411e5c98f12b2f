"""From settings to a sign-in that works."""

from __future__ import annotations

import base64

import httpx
import pytest

from bridge.app import App, Options
from bridge.core.errors import ConfigError, SignInRefused
from bridge.sandbox.mypreferences.account import API_HASH_KEY, CLIENT_ID, CLIENT_SECRET
from bridge.settings import load
from tests.mypreferences.mp_world import World


@pytest.fixture
def given(world: World) -> dict[str, str]:
    """All that each way needs."""
    return {
        "BASE_URL": f"{world.url}/Profiles/v4",
        "ACCOUNT": world.state.config.account,
        "USER_ID": "bridge",
        "TOKEN_URL": f"{world.url}/oauth2/v1/token",
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "PRIVATE_KEY": API_HASH_KEY,
    }


def an_app(world: World, given: dict[str, str], **changed: str) -> App:
    settings = load(
        environ={f"BRIDGE_MYPREFERENCES__{name}": value for name, value in (given | changed).items()}
    )
    return App(settings, Options(clock=world.state.clock.now, sleep=world.pauses.append, tries=1))


WAYS = [
    ({}, "OAuth client credentials (Basic)"),
    ({"CLIENT_CREDENTIALS": "body"}, "OAuth client credentials (in the body)"),
    ({"AUTH": "pnauthinfo3"}, "PNAUTHINFO3-HMAC-SHA256"),
    ({"AUTH": "pnauthinfo3", "HASH": "sha512", "KEYED": "false"}, "PNAUTHINFO3-SHA512"),
]


@pytest.mark.parametrize(("changed", "way"), WAYS)
def test_each_way_signs_in_by_its_settings(
    world: World, given: dict[str, str], changed: dict[str, str], way: str
) -> None:
    with an_app(world, given, **changed) as app:
        assert app.mypreferences.client.retrieve_programs()
        assert app.mypreferences.sign_in.auth_name == way
        assert app.mypreferences.client.calls == world.state.calls.total()


@pytest.mark.parametrize(("where", "in_header"), [("basic", True), ("body", False)])
def test_the_secret_goes_where_the_settings_say(
    world: World, given: dict[str, str], where: str, in_header: bool
) -> None:
    """MyPreferences "Authorization": Basic, or fields of the body."""
    with an_app(world, given, CLIENT_CREDENTIALS=where) as app:
        flow = app.mypreferences.sign_in.sync_auth_flow(httpx.Request("GET", f"{world.url}/x"))
        asked = next(flow)
        flow.close()
    pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    assert (asked.headers.get("Authorization") == f"Basic {pair}") is in_header
    assert (CLIENT_SECRET in asked.content.decode()) is not in_header


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"CLIENT_SECRET": "wrong"}, "CLIENT_SECRET"),
        ({"CLIENT_SECRET": "wrong", "CLIENT_CREDENTIALS": "body"}, "CLIENT_SECRET"),
        ({"AUTH": "pnauthinfo3", "PRIVATE_KEY": "wrong"}, "PRIVATE_KEY"),
        ({"AUTH": "pnauthinfo3", "USER_ID": "nobody"}, "USER_ID"),
    ],
)
def test_a_refusal_names_the_settings_of_the_way_in_use(
    world: World, given: dict[str, str], changed: dict[str, str], named: str
) -> None:
    with an_app(world, given, **changed) as app, pytest.raises(SignInRefused) as caught:
        app.mypreferences.client.retrieve_programs()
    assert named in caught.value.hint
    other = "PRIVATE_KEY" if "AUTH" not in changed else "CLIENT_SECRET"
    assert other not in caught.value.hint


@pytest.fixture
def life(world: World, request: pytest.FixtureRequest) -> int:
    world.state.switches.token_seconds = request.param
    return int(request.param)


@pytest.mark.parametrize("life", [4, 60, 300, 3600], indirect=True)
def test_short_and_long_tokens_are_used_for_most_of_their_life_and_never_after(
    world: World, given: dict[str, str], life: int
) -> None:
    """MyPreferences "Authorization": `expires_in` counts: 300 s in the sample, an hour in the prose."""
    with an_app(world, given) as app:
        app.mypreferences.client.retrieve_programs()
        world.state.clock.advance(life * 0.7)
        app.mypreferences.client.retrieve_programs()
        assert world.calls("token") == 1
        world.state.clock.advance(life * 0.3 - 0.5)
        app.mypreferences.client.retrieve_programs()
        assert world.calls("token") == 2
        assert world.calls("retrievePrograms") == 3  # none was refused on the way


def test_a_token_handed_out_again_is_used_for_what_is_left_of_it(world: World, given: dict[str, str]) -> None:
    """`expires_in` is what remains."""
    world.state.switches.token_reuse = True
    with an_app(world, given) as first:
        first.mypreferences.client.retrieve_programs()
    world.state.clock.advance(290)
    with an_app(world, given) as second:
        second.mypreferences.client.retrieve_programs()
        world.state.clock.advance(11)
        second.mypreferences.client.retrieve_programs()
    assert world.calls("token") == 3
    assert world.calls("retrievePrograms") == 3


@pytest.mark.parametrize("auth", ["oauth", "certificate", "pnauthinfo3"])
def test_what_a_way_lacks_is_named_before_anything_is_sent(world: World, auth: str) -> None:
    with an_app(world, {"AUTH": auth}) as app, pytest.raises(ConfigError) as caught:
        app.mypreferences.sign_in  # noqa: B018 - the building of it
    assert len(caught.value.problems) == {"oauth": 6, "certificate": 6, "pnauthinfo3": 4}[auth]
    assert world.state.calls.total() == 0
