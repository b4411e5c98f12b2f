"""Webhook subscriptions, their delivery settings, and single events, as the client asks for them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import Forbidden, NotFound, OutcomeUnknown, Refused
from bridge.mypreferences.wire.events import EventInterest, Subscription, WebhookSettings
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import NOON, World, ago

ADDED = EventInterest(entity="Preferences", event_type="preference.added", filters=["AllFilters"])
WANTED = Subscription(
    name="bridge", url="https://bridge.example.com/hook", catch_up_on_resume=True, subscriptions=[ADDED]
)


def test_a_subscription_is_born_paused_and_listed(world: World) -> None:
    """MyPreferences `Create new subscription`: `FindingState` defaults to Paused."""
    made = world.client.create_subscription(WANTED)
    assert not made.active
    (listed,) = world.client.retrieve_subscriptions()
    assert (listed.id, listed.url, listed.catch_up_on_resume) == (made.id, WANTED.url, True)
    assert listed.subscriptions == [ADDED]


def test_the_same_url_and_event_twice_is_refused_with_the_command_that_shows_it(world: World) -> None:
    """MyPreferences `Create new subscription`: 409."""
    world.client.create_subscription(WANTED)
    with pytest.raises(Refused, match="bridge hooks list") as caught:
        world.client.create_subscription(WANTED)
    assert caught.value.status == 409


def test_any_other_refusal_of_a_subscription_names_its_url(world: World) -> None:
    """MyPreferences `Create new subscription`: https only."""
    with pytest.raises(Refused, match="https"):
        world.client.create_subscription(
            Subscription(name="bridge", url="http://bridge.example.com/hook", subscriptions=[ADDED])
        )


def test_replacing_keeps_every_property_that_was_read(world: World) -> None:
    """MyPreferences `Update subscription`: what is left out counts as empty."""
    world.client.create_subscription(WANTED)
    whole = world.client.retrieve_subscription(1)
    made = world.client.update_subscription(1, whole | {"State": "Active"})
    assert made.active
    assert world.client.retrieve_subscription(1) == whole | {"State": "Active"}


@pytest.mark.parametrize("deletes", [True, False])
def test_replacing_never_deletes(world: World, deletes: bool) -> None:
    """MyPreferences `Update subscription`: `IsActive` false deletes, and one left out may count as that."""
    world.state.switches.empty_is_active_deletes = deletes
    world.client.create_subscription(WANTED)
    whole = world.client.retrieve_subscription(1)
    for left in ({**whole, "IsActive": False}, {k: v for k, v in whole.items() if k != "IsActive"}):
        world.client.update_subscription(1, left)
        assert len(world.client.retrieve_subscriptions()) == 1


def test_a_deleted_subscription_is_gone(world: World) -> None:
    """MyPreferences `Delete subscription`: 204, irrevocable."""
    world.client.create_subscription(WANTED)
    world.client.delete_subscription(1)
    assert world.client.retrieve_subscriptions() == []
    for gone in (lambda: world.client.delete_subscription(1), lambda: world.client.retrieve_subscription(1)):
        with pytest.raises(NotFound):
            gone()


def test_an_unanswered_change_of_a_subscription_is_in_doubt(world: World) -> None:
    world.client.create_subscription(WANTED)
    world.state.faults.add(InjectedFault("deleteSubscription", "reset_after"))
    with pytest.raises(OutcomeUnknown):
        world.client.delete_subscription(1)
    assert world.client.retrieve_subscriptions() == []


def test_a_page_of_some_proxy_does_not_prove_that_a_subscription_is_gone(world: World) -> None:
    world.client.create_subscription(WANTED)
    world.state.faults.add(
        InjectedFault(
            "deleteSubscription", "status", status=200, body="<html></html>", content_type="text/html"
        )
    )
    with pytest.raises(OutcomeUnknown):
        world.client.delete_subscription(1)
    assert len(world.client.retrieve_subscriptions()) == 1


def test_the_delivery_settings_are_read_and_set(world: World) -> None:
    """MyPreferences `Update webhook settings`: 500 messages and 1 second unless set."""
    assert world.client.retrieve_webhook_settings() == WebhookSettings(
        max_concurrent_requests=500, duration=1
    )
    wanted = WebhookSettings(max_concurrent_requests=50, duration=300)
    assert world.client.update_webhook_settings(wanted) == wanted
    assert world.client.retrieve_webhook_settings() == wanted


@pytest.mark.parametrize(("most", "rest"), [(49, 1), (5001, 1), (500, 0), (500, 301)])
def test_settings_outside_of_what_is_documented_are_not_sent(world: World, most: int, rest: int) -> None:
    with pytest.raises(ValueError, match="from"):
        world.client.update_webhook_settings(WebhookSettings(max_concurrent_requests=most, duration=rest))
    assert world.calls("updateWebhookSettings") == 0


def test_settings_that_may_not_be_read_name_the_call(world: World) -> None:
    world.state.forbidden.add("retrieveWebhookSettings")
    with pytest.raises(Forbidden, match="retrieveWebhookSettings"):
        world.client.retrieve_webhook_settings()


def test_events_of_a_profile_are_narrowed_to_subscriptions_unless_asked_otherwise(world: World) -> None:
    """MyPreferences `Retrieve events by profile id`: `subscribedOnly` is true unless given."""
    profile = world.add(quiet=False)
    window = {"start_at": ago(hours=1), "end_at": NOON + timedelta(hours=1)}
    assert world.client.retrieve_events_by_profile(profile, **window).events == []
    everything = world.client.retrieve_events_by_profile(profile, **window, subscribed_only=False).events
    assert "profile.created" in [event.event_type for event in everything]
    with pytest.raises(NotFound):
        world.client.retrieve_events_by_profile("9999", **window)


def test_one_event_is_read_by_its_id(world: World) -> None:
    """MyPreferences `Retrieve event by event id`."""
    world.subscribe()
    world.add(quiet=False)
    (event,) = world.client.retrieve_events(start_at=ago(hours=1), end_at=NOON).events
    assert world.client.retrieve_event(str(event.event_id)) == event
    with pytest.raises(NotFound):
        world.client.retrieve_event("evt-000000099")
