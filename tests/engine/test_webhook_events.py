"""The next run reads the people whom webhook events name; an event is never more than a hint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.core.errors import ServerError, Unreachable
from bridge.core.store_values import WebhookEvent
from bridge.store import InboxResult, WebhookInbox
from tests.engine.world import ADA, IN, MINE, NEWS, OUT, World, trouble


@pytest.fixture
def box(world: World) -> Iterator[WebhookInbox]:
    made = WebhookInbox(world.url, world.clock, side=MINE, depth=1000)
    yield made
    made.close()


def tell(box: WebhookInbox, profile: str, event: str = "evt-1", kind: str = "preference.updated") -> None:
    assert box.put([WebhookEvent(event, kind, profile)]) is InboxResult.KEPT


def profile_of(world: World, address: str = ADA) -> str:
    return next(one.id for one in world.sides[MINE].people.values() if one.address == address)


def test_a_withdrawal_is_found_by_its_webhook_while_the_feed_fails(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    tell(box, profile_of(world))
    world.sides[MINE].fail["read_feed"] = [trouble(ServerError, MINE)]
    world.run()
    assert world.shows(ADA) == (OUT, OUT)


def test_what_it_says_is_nothing_and_what_is_read_is_all(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, OUT)
    world.started()
    tell(box, profile_of(world), kind="preference.added")
    assert world.run().written.writes == 0
    assert world.shows(ADA) == (OUT, OUT)


def test_it_is_looked_into_once(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, IN)
    world.started().run()  # what the feed shows again by its overlap is behind
    tell(box, profile_of(world))
    assert world.run().observed[MINE] == 1
    assert world.store.webhooks.pending(MINE) == []
    assert world.run().observed[MINE] == 0


def test_a_burst_about_one_person_is_one_look(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, IN)
    world.started().run()  # what the feed shows again by its overlap is behind
    for number in range(20):
        tell(box, profile_of(world), f"evt-{number}")
    assert world.run().observed[MINE] == 1


def test_it_waits_while_its_side_is_down(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    world.say(MINE, ADA, NEWS, OUT)
    tell(box, profile_of(world))
    world.sides[MINE].fail["read_feed"] = [trouble(Unreachable, MINE)]
    world.run()
    assert len(world.store.webhooks.pending(MINE)) == 1
    world.run()
    assert world.store.webhooks.pending(MINE) == []
    assert world.shows(ADA) == (OUT, OUT)


def test_a_named_person_who_cannot_be_read_is_tried_again(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    tell(box, profile_of(world))
    world.sides[MINE].fail["read_person"] = [trouble(ServerError, MINE)]
    world.run()
    assert len(world.store.retry_queue.of(MINE)) == 1
    world.run()
    assert world.store.retry_queue.of(MINE) == []


def test_a_record_that_is_not_there_is_no_trouble(world: World, box: WebhookInbox) -> None:
    world.both(ADA, NEWS, IN)
    world.started()
    tell(box, "no-such-record", kind="profile.deleted")
    report = world.run()
    assert (report.errors, report.in_sync) == ([], True)
    assert world.store.webhooks.pending(MINE) == []
