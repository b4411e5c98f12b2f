"""Client and sandbox against the OpenAPI description, where it is available."""

from __future__ import annotations

from dataclasses import replace

import pytest
from client_calls import CALLS, Known, prepared

from bridge.sandbox.mypreferences import MyPreferencesState
from tests.mypreferences.described import FILE, Description, Exchange, Recorder, description
from tests.mypreferences.mp_world import World


@pytest.fixture
def state() -> MyPreferencesState:
    return prepared()


@pytest.fixture
def described() -> Description:
    found = description()
    if found is None:
        pytest.skip(f"{FILE} is not here; point BRIDGE_SPECS_DIR at the folder of the specifications")
    return found


def test_every_call_and_its_answer_are_by_the_description(
    described: Description, world: World, recorder: Recorder
) -> None:
    """Each is accepted, so that both its request and the answer of success are held against it."""
    known = Known()
    for call in CALLS.values():
        call(world.client, known)
    assert [one.status for one in recorder.exchanges if one.status >= 400] == []
    assert len(recorder.exchanges) > len(CALLS)
    assert {
        problem for one in recorder.exchanges for problem in described.problems(one, request_too=True)
    } == set()


def test_the_check_notices_what_is_wrong(described: Description, world: World, recorder: Recorder) -> None:
    CALLS["create_profile"](world.client, Known())
    CALLS["retrieve_profiles_by_email"](world.client, Known())
    made = next(one for one in recorder.exchanges if one.path.endswith("/Profile"))
    found = next(one for one in recorder.exchanges if one.path.endswith("/Email"))

    def said(exchange: Exchange) -> list[str]:
        return described.problems(exchange, request_too=True)

    assert said(made) == said(found) == []
    assert said(replace(made, body=b'{"Emails":[{"EmailAddres":"x"}]}')) != []
    assert said(replace(made, body=b'{"ProfilePreferences":[{"FilterId":"A","PreferenceType":3}]}')) != []
    assert said(replace(made, content_type="text/plain")) != []
    assert said(replace(made, status=418)) != []
    assert said(replace(found, query="emailType=x")) != []
    assert said(replace(found, query="emailAddress=x&implied=perhaps&colour=red")) != []
    assert said(replace(found, answer=b'[{"ProfileId":"one"}]')) != []
