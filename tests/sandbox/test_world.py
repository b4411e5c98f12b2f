"""Both emulated services side by side, as a bridge and an operator see them."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.sandbox.population import Population
from bridge.sandbox.serve import serve
from bridge.sandbox.vendor_reads import ConsentOf, FilterOf
from bridge.sandbox.world import CHANNEL, TOPICS, World
from tests.forked import ForkedProcess, text
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world() -> Iterator[World]:
    with World(20, 1) as world:
        yield world


def signed_in(world: World) -> httpx.Client:
    settings = world.settings()
    name = settings["BRIDGE_MYPREFERENCES__USER_ID"]
    account = settings["BRIDGE_MYPREFERENCES__ACCOUNT"]
    answer = httpx.post(
        settings["BRIDGE_MYPREFERENCES__TOKEN_URL"],
        data={"grant_type": "client_credentials", "scope": f"{account}/{name}"},
        auth=(
            settings["BRIDGE_MYPREFERENCES__CLIENT_ID"],
            settings["BRIDGE_MYPREFERENCES__CLIENT_SECRET"],
        ),
        trust_env=False,
    )
    token = answer.json()["access_token"]
    base = f"{settings['BRIDGE_MYPREFERENCES__BASE_URL']}/{account}/"
    return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def post(url: str, document: Any) -> httpx.Response:
    return httpx.post(url, json=document, trust_env=False)


def test_its_settings_sign_in_at_both_services(world: World) -> None:
    with signed_in(world) as http:
        assert http.get("Programs").status_code == 200
    settings = world.settings()
    auth = (settings["BRIDGE_DOTDIGITAL__USERNAME"], settings["BRIDGE_DOTDIGITAL__PASSWORD"])
    url = f"{settings['BRIDGE_DOTDIGITAL__BASE_URL']}/v2/preferences"
    assert httpx.get(url, auth=auth, trust_env=False).status_code == 200


def test_everything_that_the_example_mapping_names_is_there_and_more(world: World) -> None:
    mapping = tomllib.loads((ROOT / "mappings" / "bridge.toml").read_text())
    config, preferences = world.mypreferences.config, world.dotdigital.preferences
    named = {topic["id"]: topic for topic in mapping["topics"]}
    assert set(named) == {topic.id for topic in TOPICS}
    for topic in TOPICS:
        written = named[topic.id]["dotdigital"]
        assert dict(topic.preferences) == written.get("frequencies", {"": written.get("preference")})
        assert all(preferences.leaf(number) for number in topic.preferences.values())
        mine = dict(named[topic.id]["mypreferences"])
        if isinstance(topic.source, FilterOf):
            known = config.filter(mine["filter"])
            assert known is not None
            assert set(known.frequencies) == set(topic.preferences) - {""}
            assert mine.get("email_type") == topic.source.email_type
        else:
            assert config.consent_type(mine["consent"]) is not None
    assert ConsentOf(**mapping["channels"]["email"]["mypreferences"]) == CHANNEL
    mapped = {number for topic in TOPICS for number in topic.preferences.values()}
    assert len([node for node in preferences.all() if node.is_leaf]) > len(mapped)
    assert len(config.filters()) > len(TOPICS)


def test_both_services_keep_one_time(world: World) -> None:
    before = world.mypreferences.now()
    world.clock.advance(3600)
    assert (world.dotdigital.now() - before).total_seconds() >= 3600


def test_every_event_is_kept_without_anybody_subscribing_first(world: World) -> None:
    """MyPreferences keeps events for subscriptions only."""
    profile = world.mypreferences.add_profile(["ann@example.com"])
    world.mypreferences.set_preference(profile, "NEWS_EMAIL", True)
    world.mypreferences.set_consent(profile, "EmailMarketing", "Revoked")
    with signed_in(world) as http:
        kinds = {row["EventType"] for row in http.get("Events").json()}
    assert {"preference.added", "consent.added"} <= kinds


def test_a_world_that_is_not_served_has_no_address() -> None:
    with pytest.raises(RuntimeError, match="start"):
        World(20, 1).settings()


def test_a_taken_port_leaves_no_half_started_world(world: World) -> None:
    taken = int(world.dotdigital_url.rsplit(":", 1)[1])
    other = World(20, 1, dotdigital_port=taken)
    with pytest.raises(OSError, match="in use"):
        other.__enter__()
    with pytest.raises(RuntimeError, match="start"):
        _ = other.mypreferences_url


def test_people_act_on_request_to_either_server() -> None:
    with World(40, 3) as world:
        population = Population(world, 3)
        population.create()
        world.acting = lambda count: [{"kind": act.kind} for act in population.act(count, pause=0)]
        for url in (world.mypreferences_url, world.dotdigital_url):
            answer = post(f"{url}/_sandbox/act", {"count": 4})
            assert answer.status_code == 200
            assert len(answer.json()["acts"]) == 4
        assert world.mypreferences.calls.total() == world.dotdigital.calls.total() == 0


@pytest.mark.parametrize("document", [{"count": 0}, {"count": "2"}, {"count": True}, [], {"count": 10**9}])
def test_a_wrong_count_is_refused(world: World, document: Any) -> None:
    world.acting = lambda _: []
    answer = post(f"{world.dotdigital_url}/_sandbox/act", document)
    assert answer.status_code == 400
    assert "count" in answer.json()["error"]


def test_a_world_without_people_has_no_actions(world: World) -> None:
    url = f"{world.mypreferences_url}/_sandbox/act"
    assert post(url, {"count": 1}).status_code == 409
    assert httpx.get(url, trust_env=False).status_code == 405


class Output(io.StringIO):
    """What was printed, with an event that is set once it is flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = threading.Event()

    def flush(self) -> None:
        self.flushed.set()


def test_serving_prints_urls_settings_and_how_to_act() -> None:
    out, stop = Output(), threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(serve(20, 1, 0, 0, out, stop=stop)))
    thread.start()
    assert out.flushed.wait(60)
    text = out.getvalue()
    exports = dict(
        line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export ")
    )
    url = exports["BRIDGE_DOTDIGITAL__BASE_URL"].strip("'")
    acts = post(f"{url}/_sandbox/act", {"count": 3}).json()["acts"]
    stop.set()
    thread.join(60)
    assert codes == [0]
    assert {"kind", "side", "person", "topic", "words"} == set(acts[0])
    assert all("…@" in act["person"] for act in acts)
    assert "BRIDGE_MYPREFERENCES__SEGMENT" in exports
    assert "curl -X POST" in text


def serve_twenty() -> int:
    """The sandbox with 20 people, as a process of its own. Returns the exit code."""
    return serve(20, 1, 0, 0, sys.stdout)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(ending: signal.Signals) -> None:
    process = ForkedProcess(serve_twenty, environ=os.environ)
    wait_until(lambda: any(line.startswith("Ctrl-C") for line in list(process.out)), "it serves")
    process.signal(ending)
    assert process.ended() == 0
    rest = text(process.out)
    assert "stopped" in rest
    assert json.dumps(rest).count("Traceback") == 0
