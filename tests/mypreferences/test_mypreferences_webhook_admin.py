"""Which events the bridge needs, which a subscription lacks, and the outcome of a change nobody answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.core.errors import NotFound, Refused
from bridge.core.mapping import OnUnsubscribe
from bridge.mypreferences.events.types import EventRelevance, relevance_of
from bridge.mypreferences.events.webhooks import (
    ACTIVE,
    PAUSED,
    delete,
    lacking,
    needs,
    set_state,
    subscribe,
)
from bridge.mypreferences.wire.events import EventInterest, Subscription
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import CHANNEL, NEWS, PROFILING, World, a_mapping

HOOK = "https://bridge.example.com/hooks/mypreferences/secret"


def wanted(**more: object) -> Subscription:
    interests = [need.interest for need in needs(a_mapping())]
    return Subscription(name="bridge", url=HOOK, subscriptions=interests, **more)  # type: ignore[arg-type]


def test_every_event_that_is_needed_bears_on_consent() -> None:
    kinds = [need.event_type for need in needs(a_mapping(), "CrmId")]
    assert len(kinds) == len(set(kinds))
    assert {relevance_of(kind) for kind in kinds} <= {
        EventRelevance.CONSENT,
        EventRelevance.LIFECYCLE,
        EventRelevance.ADDRESS,
    }
    assert "contacts.alternateid.updated" in kinds


def test_preferences_are_needed_where_a_filter_is_mapped_and_consents_always() -> None:
    """MyPreferences `Preferences`: a changed association of a consent raises no preference event."""
    consents = [need.event_type for need in needs(a_mapping(PROFILING))]
    assert not any(kind.startswith("preference.") for kind in consents)
    filters = needs(replace(a_mapping(NEWS), channel=replace(CHANNEL, source=None),
                            on_unsubscribe=OnUnsubscribe.CHANNEL))  # fmt: skip
    assert {"preference.archived", "consent.filterassociation.updated"} <= {one.event_type for one in filters}


def test_what_is_subscribed_to_as_needed_lacks_nothing(world: World) -> None:
    made = subscribe(world.client, wanted())
    assert lacking(needs(a_mapping()), [made]) == []
    assert lacking(needs(a_mapping()), world.client.retrieve_subscriptions()) == []


@pytest.mark.parametrize(
    ("filters", "enough"),
    [
        (["AllFilters"], True),
        (["allfilters"], True),
        (["NEWS_EMAIL", "OFFERS_EMAIL"], True),
        (["news_email", "offers_email", "other"], True),
        (["NEWS_EMAIL"], False),
        ([], False),
        (None, False),
    ],
)
def test_some_filters_are_enough_if_they_are_all_that_are_mapped(
    filters: list[str] | None, enough: bool
) -> None:
    interest = EventInterest(entity="Preferences", event_type="Preference.Updated", filters=filters)
    item = Subscription(name="n", url=HOOK, subscriptions=[interest])
    assert ("preference.updated" not in lacking(needs(a_mapping()), [item])) is enough


def test_several_subscriptions_make_up_for_each_other() -> None:
    every = needs(a_mapping())
    halves = [
        Subscription(name="n", url=HOOK, subscriptions=[need.interest for need in every[at::2]])
        for at in (0, 1)
    ]
    assert lacking(every, halves) == []
    assert len(lacking(every, halves[:1])) == len(every) // 2
    assert lacking(every, []) == [need.event_type for need in every]


@pytest.mark.parametrize("takes_paused", [True, False])
def test_it_is_paused_by_whichever_state_name_is_known(world: World, takes_paused: bool) -> None:
    """MyPreferences `Update subscription`: the prose says Paused, the list of values Inactive."""
    world.state.switches.update_takes_paused = takes_paused
    subscribe(world.client, wanted(state=ACTIVE))
    assert set_state(world.client, 1, PAUSED) == ("Paused" if takes_paused else "Inactive")
    assert set_state(world.client, 1, ACTIVE) == "Active"
    assert lacking(needs(a_mapping()), world.client.retrieve_subscriptions()) == []


@pytest.mark.parametrize(("kind", "made"), [("reset_after", True), ("reset", False)])
def test_an_unconfirmed_creation_is_checked(world: World, kind: str, made: bool) -> None:
    world.state.faults.add(InjectedFault("createSubscription", kind))
    if made:
        assert subscribe(world.client, wanted()).id == 1
    else:
        with pytest.raises(Refused, match="does not exist"):
            subscribe(world.client, wanted())
    assert len(world.client.retrieve_subscriptions()) == int(made)


@pytest.mark.parametrize(("kind", "word"), [("reset_after", "Active"), ("reset", "Paused")])
def test_a_state_that_nobody_confirmed_is_read_back(world: World, kind: str, word: str) -> None:
    subscribe(world.client, wanted())
    world.state.faults.add(InjectedFault("updateSubscription", kind))
    assert set_state(world.client, 1, ACTIVE) == word


@pytest.mark.parametrize(("kind", "gone"), [("reset_after", True), ("reset", False)])
def test_an_unconfirmed_deletion_is_checked(world: World, kind: str, gone: bool) -> None:
    subscribe(world.client, wanted())
    world.state.faults.add(InjectedFault("deleteSubscription", kind))
    assert delete(world.client, 1) is gone


def test_one_that_is_not_there_is_named(world: World) -> None:
    for act in (lambda: set_state(world.client, 7, PAUSED), lambda: delete(world.client, 7)):
        with pytest.raises(NotFound):
            act()
