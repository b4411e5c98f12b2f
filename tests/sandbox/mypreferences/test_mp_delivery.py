"""The worker that delivers events to webhook subscriptions."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from mp_receiver import Receiver
from mp_site import Site

from bridge.sandbox.mypreferences.delivery import SIGNATURE, WebhookSender
from bridge.sandbox.server import Server
from tests.waiting import wait_until

DAY = 86_400


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def hook(receiver: Receiver) -> Iterator[str]:
    with Server(receiver) as server:
        yield f"{server.url}/hook"


def change(site: Site, profile: int, times: int = 1) -> None:
    for _ in range(times):
        wanted = (site.preference(profile, "NEWS_EMAIL") or {}).get("PreferenceType") != 1
        site.state.set_preference(profile, "NEWS_EMAIL", wanted)


def resume(site: Site, made: dict[str, Any], state: str = "Active") -> None:
    site.call("PUT", f"Events/Subscriptions/{made['Id']}", {**made, "State": state})


def test_an_active_subscription_is_sent_one_event_per_request(
    site: Site, ann: int, receiver: Receiver, hook: str
) -> None:
    made = site.subscribe(Url=hook, State="Active")
    change(site, ann)
    assert site.state.deliveries.drain() == 2  # the validation request, then the event
    (delivered,) = receiver.bodies
    assert [delivered] == site.get("Events")
    assert (delivered["SubscriptionId"], delivered["ProfileId"]) == (made["Id"], ann)


def test_a_paused_subscription_is_sent_nothing(site: Site, ann: int, receiver: Receiver, hook: str) -> None:
    site.subscribe(Url=hook)
    change(site, ann)
    assert site.state.deliveries.drain() == 0
    assert receiver.bodies == []


def test_a_cycle_takes_what_the_settings_say_and_then_rests(
    site: Site, ann: int, receiver: Receiver, hook: str
) -> None:
    """MyPreferences `Update webhook settings`: cycles of MaxConcurrentRequests, Duration seconds of rest."""
    site.subscribe(Url=hook, State="Active")
    site.call("PUT", "Events/Settings", {"Settings": {"MaxConcurrentRequests": 50, "Duration": 7}})
    change(site, ann, 60)
    deliveries = site.state.deliveries
    deliveries.cycle()
    assert len(receiver.bodies) == 50
    site.state.clock.advance(6.9)
    assert deliveries.cycle() == 0
    site.state.clock.advance(0.1)
    assert deliveries.cycle() == 10
    assert len(receiver.bodies) == 60


@pytest.mark.parametrize("shuffled", [True, False])
def test_the_order_of_deliveries_means_nothing(
    site: Site, ann: int, receiver: Receiver, hook: str, shuffled: bool
) -> None:
    site.state.switches.deliveries_shuffled = shuffled
    site.subscribe(Url=hook, State="Active")
    change(site, ann, 20)
    site.state.deliveries.drain()
    ids = [body["EventId"] for body in receiver.bodies]
    assert (ids != sorted(ids)) is shuffled
    assert len(set(ids)) == 20


def test_deliveries_may_be_lost_or_doubled(site: Site, ann: int, receiver: Receiver, hook: str) -> None:
    site.state.switches.delivery_drops = 0.3
    site.state.switches.delivery_duplicates = 0.3
    site.subscribe(Url=hook, State="Active")
    change(site, ann, 40)
    site.state.deliveries.drain()
    ids = [body["EventId"] for body in receiver.bodies]
    assert len(set(ids)) < 40
    assert len(set(ids)) < len(ids)


def test_several_may_come_in_one_request(site: Site, ann: int, receiver: Receiver, hook: str) -> None:
    site.state.switches.delivery_batch = 4
    site.subscribe(Url=hook, State="Active")
    change(site, ann, 10)
    site.state.deliveries.drain()
    assert [len(body) for body in receiver.bodies] == [4, 4, 2]


@pytest.mark.parametrize("minimised", [True, False])
def test_a_minimised_message_lacks_the_data(
    site: Site, ann: int, receiver: Receiver, hook: str, minimised: bool
) -> None:
    """MyPreferences `Create new subscription`: `IsMinimized`."""
    site.subscribe(Url=hook, State="Active", IsMinimized=minimised)
    change(site, ann)
    site.state.deliveries.drain()
    (delivered,) = receiver.bodies
    assert ("Data" not in delivered) is minimised
    assert (delivered["EventType"], delivered["ProfileId"]) == ("preference.added", ann)


def test_an_alternate_id_stands_in_place_of_the_profile(
    site: Site, ann: int, receiver: Receiver, hook: str
) -> None:
    site.subscribe(Url=hook, State="Active", AlternateIdType="CrmId")
    change(site, ann)
    site.state.deliveries.drain()
    assert receiver.bodies[0]["ProfileId"] == "A-1"


@pytest.mark.parametrize(("catches_up", "delivered"), [(True, 3), (False, 1)])
def test_a_resumed_subscription_catches_up_if_it_says_so(
    site: Site, ann: int, receiver: Receiver, hook: str, catches_up: bool, delivered: int
) -> None:
    """MyPreferences `Create new subscription`: `CatchUpOnResume`."""
    made = site.subscribe(Url=hook, State="Active", CatchUpOnResume=catches_up)
    resume(site, made, "Paused")
    change(site, ann, 2)
    resume(site, made)
    change(site, ann)
    site.state.deliveries.drain()
    assert len(receiver.bodies) == delivered


def test_what_is_older_than_15_days_is_not_caught_up_with(
    site: Site, ann: int, receiver: Receiver, hook: str
) -> None:
    made = site.subscribe(Url=hook, CatchUpOnResume=True)
    change(site, ann)
    site.state.clock.advance(10 * DAY)
    site.sign_in()
    change(site, ann)
    site.state.clock.advance(10 * DAY)
    site.sign_in()
    resume(site, made)
    site.state.deliveries.drain()
    assert [body["EventType"] for body in receiver.bodies] == ["preference.updated"]


@pytest.mark.parametrize(("tries", "delivered"), [(1, 1), (2, 2)])
def test_a_refused_delivery_is_tried_again_where_switched_on(
    site: Site, ann: int, receiver: Receiver, hook: str, tries: int, delivered: int
) -> None:
    site.state.switches.delivery_tries = tries
    site.subscribe(Url=hook, State="Active")
    receiver.answers = [503]
    change(site, ann, 2)
    site.state.deliveries.drain()
    assert len(receiver.bodies) == delivered
    assert site.state.deliveries.failed == 1


@pytest.mark.parametrize(
    ("form", "expects", "echo", "validated"),
    [
        ("post", "", None, True),
        ("post", "", "[]", False),
        ("get", "", None, True),
        ("get", "", "hello", False),
        ("static", '{"ok":true}', '{"ok":true}', True),
        ("static", '{"ok":true}', None, False),
        ("status", "", "whatever", True),
        ("none", "", "whatever", True),
    ],
)
def test_nothing_is_delivered_before_the_receiver_is_validated(
    site: Site,
    ann: int,
    receiver: Receiver,
    hook: str,
    form: str,
    expects: str,
    echo: str | None,
    validated: bool,
) -> None:
    """MyPreferences `Create new subscription`: the receiver answers a validation request first."""
    site.state.switches.handshake = form
    site.state.switches.handshake_expects = expects
    receiver.echo = echo
    site.subscribe(Url=hook, State="Active")
    change(site, ann)
    site.state.deliveries.cycle()
    assert len(receiver.bodies) == int(validated)
    assert len(receiver.codes) == int(form != "none")
    assert site.state.deliveries.waiting == int(not validated)


@pytest.mark.parametrize("form", ["post", "static"])
def test_a_receiver_may_have_to_be_validated_at_creation(site: Site, hook: str, form: str) -> None:
    """MyPreferences `Create new subscription`: when the validation request is sent is not documented."""
    site.state.switches.handshake = form
    site.state.switches.handshake_on_create = True
    made = site.call("POST", "Events/Subscriptions", {"Name": "n", "Url": hook, "Subscriptions": [
        {"Entity": "ProfileActions", "EventType": "profile.updated"}
    ]})  # fmt: skip
    assert made.status_code == (201 if form == "post" else 400)
    assert len(site.get("Events/Subscriptions")) == (1 if form == "post" else 0)


def test_a_new_url_is_validated_again(site: Site, ann: int, receiver: Receiver, hook: str) -> None:
    made = site.subscribe(Url=hook, State="Active")
    change(site, ann)
    site.state.deliveries.drain()
    resume(site, {**made, "Url": f"{hook}/other"})
    change(site, ann)
    site.state.deliveries.drain()
    assert len(receiver.codes) == 2


def test_nobody_but_this_machine_is_called(site: Site, ann: int) -> None:
    site.subscribe(State="Active")
    change(site, ann)
    site.state.deliveries.cycle()
    assert (site.state.deliveries.waiting, site.state.deliveries.failed) == (0, 1)


def test_deliveries_are_signed_where_a_key_is_set(
    site: Site, ann: int, receiver: Receiver, hook: str
) -> None:
    site.state.switches.delivery_key = "key"
    site.subscribe(Url=hook, State="Active")
    change(site, ann)
    site.state.deliveries.drain()
    ((body, headers),) = receiver.raw
    assert headers[SIGNATURE.lower()] == hmac.new(b"key", body, hashlib.sha256).hexdigest()


def test_the_publisher_delivers_by_itself(site: Site, ann: int, receiver: Receiver, hook: str) -> None:
    site.subscribe(Url=hook, State="Active")
    with WebhookSender(site.state.deliveries):
        change(site, ann)
        wait_until(lambda: bool(receiver.bodies), "something is delivered")
    assert len(receiver.bodies) == 1
