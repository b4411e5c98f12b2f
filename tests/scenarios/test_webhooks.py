"""Lost, duplicate, late, batched or reordered webhooks do not change the result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from bridge.core.model import Choice
from bridge.sandbox.faults import InjectedFault
from bridge.settings import load
from bridge.store import WebhookInbox
from bridge.web.server import HttpAnswer, WebServer, make_app
from bridge.web.webhooks import PATH, WebhookConfig, WebhookReceiver
from tests.scenarios.live import IN, MINE, NEWS, OFFERS, OUT, PROFILING, THEIRS, Live

SECRET = "long-random-word"
GATE = WebhookConfig(secret=SECRET)
PEOPLE = ("ada", "bob", "cyd")
Make = Callable[..., Live]


class Calm:
    def alive(self) -> HttpAnswer:
        return HttpAnswer(True, {})

    def ready(self) -> HttpAnswer:
        return HttpAnswer(True, {})


@contextmanager
def listening(
    live: Live, *, depth: int = 1000, gate: WebhookConfig = GATE, **subscription: Any
) -> Iterator[WebhookReceiver]:
    """A receiver at the bridge's state DB, and the sandbox's subscription pointed at it."""
    url = load(environ=live.environment()).database_url
    live.app.store  # noqa: B018 - opened before the box is
    box = WebhookInbox(url, live.clock.now, side=MINE, depth=depth)
    receiver = WebhookReceiver(gate, box, lambda: None)
    server = WebServer(make_app(Calm(), receiver=receiver), host="127.0.0.1", port=0)
    server.start()
    try:
        with live.mypreferences.lock:
            whole = live.mypreferences.subscriptions.get(1).document
            live.mypreferences.subscriptions.replace(
                1, whole | {"Url": f"{server.url}{PATH}{SECRET}", "State": "Active"} | subscription
            )
        yield receiver
    finally:
        server.stop()
        box.close()


def act(live: Live, chance: random.Random) -> None:
    """A random person makes a random choice at a random side."""
    address = f"{chance.choice(PEOPLE)}@example.com"
    choice: Choice | str = chance.choice([IN, OUT])
    topic = chance.choice([NEWS, PROFILING, OFFERS])
    if topic == OFFERS and choice is IN:
        choice = chance.choice(["DAILY", "WEEKLY"])
    if chance.random() < 0.1:
        live.unsubscribe(address)
    else:
        live.say(chance.choice([MINE, THEIRS]), address, topic, choice)


def end_of(live: Live, seed: int) -> list[Any]:
    """Ten actions with runs and deliveries in between, then runs until nothing is left to write."""
    for name in PEOPLE:
        live.add(name, both={NEWS: IN, PROFILING: IN, OFFERS: "DAILY"})
    live.started()
    chance, moments = random.Random(seed), random.Random(seed + 1000)
    for _ in range(10):
        act(live, chance)
        if moments.random() < 0.5:
            live.mypreferences.deliveries.cycle()
        if moments.random() < 0.3:
            live.run()
    live.mypreferences.deliveries.drain()
    live.until_quiet()
    return [
        live.shows(f"{name}@example.com", topic) for name in PEOPLE for topic in (NEWS, PROFILING, OFFERS)
    ]


TROUBLES: list[dict[str, Any] | None] = [
    None,  # no webhooks at all
    {},
    {"delivery_drops": 0.5},
    {"delivery_duplicates": 1.0, "delivery_batch": 3},
    {"delivery_drops": 0.3, "delivery_duplicates": 0.3, "event_lag_seconds": 30.0},
]


@pytest.mark.parametrize("seed", range(2))
def test_webhook_loss_and_duplication_do_not_change_the_result(make: Make, seed: int) -> None:
    found = []
    for trouble in TROUBLES:
        live = make()
        for name, value in (trouble or {}).items():
            setattr(live.mypreferences.switches, name, value)
        with ExitStack() as open_:
            receiver = None if trouble is None else open_.enter_context(listening(live))
            found.append(end_of(live, seed))
        assert receiver is None or set(receiver.counts()) <= {"taken", "validated"}
        live.close()
    assert all(end == found[0] for end in found)
    assert all(mine == theirs for mine, theirs in found[0])


def test_a_withdrawal_is_transferred_by_its_webhook_while_events_cannot_be_read(make: Make) -> None:
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    with listening(live):
        live.say(MINE, ada, NEWS, OUT)
        live.mypreferences.deliveries.cycle()
        live.mypreferences.faults.add(InjectedFault("retrieveEvents", "status", status=503, times=20))
        live.run()
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_in_is_not_transferred_by_its_webhook_while_events_cannot_be_read(make: Make) -> None:
    """The feed may hold a later withdrawal."""
    live = make()
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    with listening(live):
        live.say(MINE, ada, NEWS, IN)
        live.mypreferences.deliveries.cycle()
        live.mypreferences.faults.add(InjectedFault("retrieveEvents", "status", status=503, times=2))
        live.run()
        assert live.shows(ada) == (IN, OUT)
        live.run()
    assert live.shows(ada) == (IN, IN)


def test_an_event_that_the_feed_brought_too_costs_no_read_of_its_own(make: Make) -> None:
    counts = []
    for hooked in (False, True):
        live = make()
        ada = live.add("ada", both={NEWS: IN})
        live.started()
        with ExitStack() as open_:
            if hooked:
                open_.enter_context(listening(live))
            live.say(MINE, ada, NEWS, OUT)
            live.mypreferences.deliveries.cycle()
            live.mypreferences.calls.reset()
            live.run()
        counts.append(live.mypreferences.calls.counts())
        assert live.app.store.webhooks.pending(MINE) == []
        live.close()
    assert counts[0] == counts[1]


def test_a_full_box_loses_nothing(make: Make) -> None:
    live = make()
    everybody = [live.add(f"p{number}", both={NEWS: IN}) for number in range(6)]
    live.started()
    with listening(live, depth=2) as receiver:
        for address in everybody:
            live.say(MINE, address, NEWS, OUT)
        live.mypreferences.deliveries.drain()
        assert receiver.counts()["refused_503"] == 4
        live.run()
    assert {live.shows(address) for address in everybody} == {(OUT, OUT)}


@pytest.mark.parametrize(
    ("switches", "gate"),
    [
        ({"handshake": "post"}, {}),
        ({"handshake": "get"}, {}),
        ({"handshake": "status"}, {}),
        ({"handshake": "none"}, {}),
        ({"handshake": "static", "handshake_expects": '{"ok": true}'}, {"answer": '{"ok": true}'}),
        ({"handshake": "status"}, {"answer": "welcome"}),
        ({"delivery_key": "key"}, {"signature_key": "key", "signature_header": "X-Sandbox-Signature"}),
    ],
    ids=str,
)
def test_every_form_of_the_handshake_can_be_met(
    make: Make, switches: dict[str, Any], gate: dict[str, Any]
) -> None:
    """MyPreferences `Create new subscription`: the validation payload is not documented."""
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    for name, value in switches.items():
        setattr(live.mypreferences.switches, name, value)
    with listening(live, gate=WebhookConfig(secret=SECRET, **gate)) as receiver:
        live.say(MINE, ada, NEWS, OUT)
        live.mypreferences.deliveries.cycle()
        assert receiver.counts()["taken"] == 1


def test_a_minimised_webhook_does_as_well(make: Make) -> None:
    """MyPreferences `Create new subscription`: `IsMinimized`."""
    live = make()
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    with listening(live, IsMinimized=True):
        live.say(MINE, ada, NEWS, OUT)
        live.mypreferences.deliveries.cycle()
        assert len(live.app.store.webhooks.pending(MINE)) == 1
        live.run()
    assert live.shows(ada) == (OUT, OUT)
