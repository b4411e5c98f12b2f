"""MyPreferences as a side, against the sandbox over real HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import (
    Ambiguous,
    DrainIncomplete,
    Forbidden,
    NotFound,
    Refused,
    ServerError,
    SideError,
)
from bridge.core.mapping import Topic
from bridge.core.model import Block, Choice, Observation, Side, TopicId
from bridge.core.ports import Hint, read_person
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.reader import MyPreferencesReader
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import (
    ADDRESS,
    CHANNEL,
    NEWS,
    NOON,
    OFFERS,
    PROFILING,
    World,
    a_mapping,
    ago,
    who,
    withdrawal,
)
from tests.port_calls import send_one

OUT, IN, UNSET = Choice.OPTED_OUT, Choice.OPTED_IN, Choice.UNSET


def seen(world: World, topic: Topic = NEWS, address: str = ADDRESS) -> Observation:
    return read_person(world.replica(), who(address)).topics[topic.id]


# --- looking


def test_a_stated_choice_is_seen_with_the_persons_own_date(world: World) -> None:
    profile_id = world.add(preferences={"NEWS_EMAIL": (False, ago(days=3))})
    view = read_person(world.replica(), who(ADDRESS.upper()))
    assert view.ids == (profile_id,)
    assert view.complete
    assert view.topics[NEWS.id] == Observation(OUT, NOON, ago(days=3))
    assert view.topics[OFFERS.id].choice is UNSET


def test_an_unknown_person_is_not_present_on_any_topic(world: World) -> None:
    view = read_person(world.replica(), who())
    assert set(view.topics) == {CHANNEL.id, NEWS.id, OFFERS.id, PROFILING.id}
    assert not any(item.present for item in view.topics.values())


def test_an_unknown_person_answered_with_404_is_not_an_error(world: World) -> None:
    world.state.switches.no_match_is_404 = True
    assert not seen(world).present


def test_the_most_restrictive_of_profiles_that_share_an_address_counts(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.add(preferences={"NEWS_EMAIL": (False, ago(days=9))})
    world.add(preferences={"NEWS_EMAIL": (False, ago(days=5))})
    assert seen(world) == Observation(OUT, NOON, ago(days=5), consistent=False, records=3)


def test_an_opt_in_beside_unset_is_an_inconsistent_opt_in(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.add()
    assert seen(world) == Observation(IN, NOON, ago(days=1), consistent=False, records=2)


def test_a_profile_that_moved_to_another_address_is_absent_under_the_old_one(world: World) -> None:
    profile_id = world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.state.change_email(int(profile_id), ADDRESS, "new@example.com")
    view = read_person(world.replica(), who(ids={Side.MYPREFERENCES: (profile_id,)}))
    assert not view.topics[NEWS.id].present
    assert world.calls("retrieveProfileById") == 1


def test_inactive_and_deleted_profiles_are_absent(world: World) -> None:
    first, second = world.add(), world.add()
    world.state.deactivate(int(first))
    world.state.delete(int(second))
    ids = {Side.MYPREFERENCES: (first, second)}
    assert not read_person(world.replica(), who(ids=ids)).topics[NEWS.id].present


def test_more_than_fifty_profiles_are_ambiguous(world: World) -> None:
    for _ in range(51):
        world.add()
    with pytest.raises(Ambiguous, match="50"):
        read_person(world.replica(), who())


def test_an_accepted_write_that_is_still_worked_in_proves_nothing(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.state.switches.write_lag_seconds = 60
    send_one(world.replica(), who(), [withdrawal()])
    lagging = seen(world)
    assert (lagging.choice, lagging.reason) == (IN, "pending_update")
    world.state.clock.advance(61)
    assert (seen(world).choice, seen(world).reason) == (OUT, None)


def test_frequencies_are_read_for_topics_that_have_them(world: World) -> None:
    world.add(preferences={"OFFERS_EMAIL": (True, ago(days=1), "DAILY")})
    assert seen(world, OFFERS).frequencies == ("DAILY",)


def test_a_consent_is_read_as_the_channel(world: World) -> None:
    profile_id = world.add(consents={"EmailMarketing": ("Granted", ago(days=2))})
    assert seen(world, CHANNEL) == Observation(IN, NOON, ago(days=2))
    world.state.set_consent(int(profile_id), "EmailMarketing", "Revoked", ago(days=1))
    assert seen(world, CHANNEL) == Observation(OUT, NOON, ago(days=1))


def test_a_channel_without_a_source_is_left_out(world: World) -> None:
    world.add()
    mapping = a_mapping(NEWS, channel=Topic(TopicId("email"), None, {}))
    assert set(read_person(world.replica(mapping), who()).topics) == {NEWS.id}


# --- following hints


def test_a_hint_by_id_shows_each_address_of_the_profile(world: World) -> None:
    profile_id = world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.state.add_email(int(profile_id), "work@example.com", "Work")
    views = {view.address: view for view in world.replica().read_hint(Hint(id=profile_id))}
    assert set(views) == {ADDRESS, "work@example.com"}
    assert views[ADDRESS].topics[NEWS.id].choice is IN
    assert views["work@example.com"].topics[NEWS.id].choice is UNSET
    assert not any(view.complete for view in views.values())


def test_a_hint_by_address_reads_everybody_who_has_it(world: World) -> None:
    first, second = world.add(), world.add()
    (view,) = world.replica().read_hint(Hint(id=first, address=ADDRESS))
    assert view.complete
    assert view.ids == (first, second)


def test_a_hint_at_a_profile_that_is_gone_shows_nobody(world: World) -> None:
    gone, inactive = world.add(), world.add()
    world.state.delete(int(gone))
    world.state.deactivate(int(inactive))
    assert list(world.replica().read_hint(Hint(id=gone))) == []
    assert list(world.replica().read_hint(Hint(id=inactive))) == []


# --- the event feed


def test_events_are_hints_in_windows_and_the_watermark_is_the_servers_time(world: World) -> None:
    world.subscribe()
    first, second = int(world.add()), int(world.add())
    world.state.set_preference(first, "NEWS_EMAIL", True)
    world.state.set_preference(first, "NEWS_EMAIL", False)
    world.state.clock.advance(5400)
    world.state.delete(second)
    now = world.state.clock.now()
    pages = list(world.replica().read_feed("mypreferences.events", NOON))
    assert [[hint.id for hint in page.hints] for page in pages] == [[str(first)], [str(second)]]
    assert [page.watermark for page in pages] == [None, now]
    assert not any(page.warnings for page in pages)


def test_a_bridge_clock_that_is_off_does_not_move_the_watermark(world: World) -> None:
    world.subscribe()
    reader = MyPreferencesReader(world.client, a_mapping(), lambda: NOON + timedelta(days=3))
    *_, last = reader.read_feed("mypreferences.events", ago(hours=3))
    assert last.watermark == NOON


def test_events_of_one_subscription_can_be_read(world: World) -> None:
    world.subscribe()
    (subscription,) = world.client.retrieve_subscriptions()
    world.state.set_preference(int(world.add()), "NEWS_EMAIL", True)
    replica = world.replica(subscription_id=int(subscription.id or 0))
    (page,) = replica.read_feed("mypreferences.events", ago(minutes=1))
    assert len(page.hints) == 1
    assert world.calls("retrieveEventsBySubscription") == 1


def test_wrapped_events_are_read_like_bare_ones(world: World) -> None:
    world.state.switches.events_wrapped = True
    world.subscribe()
    world.state.set_preference(int(world.add()), "NEWS_EMAIL", True)
    (page,) = world.replica().read_feed("mypreferences.events", ago(minutes=1))
    assert len(page.hints) == 1


def test_a_drain_that_fails_midway_gives_no_watermark(world: World) -> None:
    world.state.faults.add(InjectedFault("retrieveEvents", "status", nth=2, times=9, status=503))
    drain = world.replica().read_feed("mypreferences.events", ago(hours=3))
    assert next(drain).watermark is None
    with pytest.raises(ServerError):
        next(drain)


def test_the_feed_reaches_as_far_back_as_the_service_allows(world: World) -> None:
    world.subscribe()
    replica = world.replica(event_window=NOON - ago(days=16))
    oldest = replica.oldest_since()
    assert oldest is not None
    assert len(list(replica.read_feed("mypreferences.events", oldest))) == 1
    with pytest.raises(Refused):
        list(replica.read_feed("mypreferences.events", ago(days=15, hours=1)))


# --- everybody


def test_a_segment_is_read_to_its_last_row(world: World) -> None:
    for number in range(5):
        world.add(f"p{number}@example.com", preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.add("p0@example.com", preferences={"NEWS_EMAIL": (False, ago(days=2))})
    waited, page = world.replica(segment=SegmentRef("EVERYBODY")).list_people([])
    shared = next(view for view in page.views if view.address == "p0@example.com")
    assert len(page.views) == 5
    assert (shared.topics[NEWS.id].choice, shared.topics[NEWS.id].records) == (OUT, 2)
    assert not any(view.complete for view in page.views)
    assert page.watermark is None
    assert (page.done, page.total, waited.done, waited.total) == (6, 6, 0, None)
    assert world.pauses == [0.5]


def test_a_segment_that_is_cut_short_is_not_taken_for_everybody(world: World) -> None:
    for number in range(4):
        world.add(f"p{number}@example.com")
    world.state.faults.add(InjectedFault("retrieveExport", "half_page"))
    with pytest.raises(DrainIncomplete, match="2 of 4"):
        list(world.replica(segment=SegmentRef("EVERYBODY")).list_people([]))


def test_an_unknown_segment_stops_the_sweep(world: World) -> None:
    with pytest.raises(NotFound):
        list(world.replica(segment=SegmentRef("NOBODY")).list_people([]))


def test_an_export_that_expired_is_an_incomplete_drain(world: World) -> None:
    world.add()
    world.state.switches.export_polls = 0
    world.state.switches.export_keep_seconds = 0
    with pytest.raises(DrainIncomplete):
        list(world.replica(segment=SegmentRef("EVERYBODY")).list_people([]))


EXPIRED = '{"Message":"The AccessToken is invalid or has expired."}'


@pytest.mark.parametrize("operation", ["exportStatus", "retrieveExport"])
def test_an_export_that_is_gone_midway_is_an_incomplete_drain(world: World, operation: str) -> None:
    world.add()
    world.state.faults.add(InjectedFault(operation, "status", status=401, body=EXPIRED, times=2))
    with pytest.raises(DrainIncomplete):
        list(world.replica(segment=SegmentRef("EVERYBODY")).list_people([]))


def test_an_export_that_never_gets_ready_is_given_up(world: World) -> None:
    answer = '{"Status":"Processing","RowCount":null}'
    world.state.faults.add(InjectedFault("exportStatus", "status", status=200, body=answer, times=2000))
    with pytest.raises(DrainIncomplete, match="complete"):
        list(world.replica(segment=SegmentRef("EVERYBODY"), poll_interval=1200).list_people([]))
    assert sum(world.pauses) <= 4 * 3600


def test_an_export_that_the_user_may_not_read_stops_the_side(world: World) -> None:
    world.state.faults.add(InjectedFault("exportStatus", "status", status=200, body='{"Status":"Failed"}'))
    with pytest.raises(Forbidden, match="export"):
        list(world.replica(segment=SegmentRef("EVERYBODY")).list_people([]))


@pytest.mark.parametrize(
    "block",
    [
        '{"UserProfilePreferences":[],"HasMore":true,"TotalResults":5}',
        '{"UserProfilePreferences":[{"ProfileId":1}],"HasMore":false,"TotalResults":2}',
        '{"UserProfilePreferences":[]}',
    ],
)
def test_a_segment_without_a_proven_end_is_an_incomplete_drain(world: World, block: str) -> None:
    world.state.faults.add(InjectedFault("retrieveExport", "status", status=200, body=block, times=9))
    with pytest.raises(DrainIncomplete):
        list(world.replica(segment=SegmentRef("EVERYBODY")).list_people([]))


def test_a_row_without_an_address_is_counted_and_bound_to_nobody(world: World) -> None:
    """A segment over deleted profiles outputs the id alone."""
    block = '{"UserProfilePreferences":[{"ProfileId":1},{"ProfileId":1}],"HasMore":false,"TotalResults":1}'
    world.state.faults.add(InjectedFault("retrieveExport", "status", status=200, body=block))
    _, page = world.replica(segment=SegmentRef("EVERYBODY")).list_people([])
    assert (list(page.views), page.skipped) == ([], 1)


def test_without_a_segment_every_known_person_is_read_in_order(world: World) -> None:
    people = [who(f"p{number}@example.com") for number in range(103)]
    for person in people[:3]:
        world.add(person.address)
    pages = list(world.replica().list_people(people))
    assert [len(page.views) for page in pages] == [100, 3]
    assert [view.address for page in pages for view in page.views] == [person.address for person in people]
    assert [view.topics[NEWS.id].present for view in pages[0].views[:4]] == [True, True, True, False]


def test_a_person_who_cannot_be_read_does_not_block_others(world: World) -> None:
    for _ in range(51):
        world.add("many@example.com")
    (page,) = world.replica().list_people([who("many@example.com"), who()])
    assert [view.address for view in page.views] == [ADDRESS]
    assert [(one.address, type(error)) for one, error in page.failures] == [("many@example.com", Ambiguous)]


# --- answers that are none


@pytest.mark.parametrize(
    ("kind", "is_bad"), [("html", True), ("null", True), ("empty", True), ("reset", False)]
)
def test_a_bad_answer_to_a_look_is_no_observation(world: World, kind: str, is_bad: bool) -> None:
    world.add()
    world.state.faults.add(InjectedFault("retrieveProfilesByEmail", kind))
    if is_bad:
        with pytest.raises(SideError, match="retrieveProfilesByEmail"):
            seen(world)
    else:
        assert seen(world).present
    assert world.calls("retrieveProfilesByEmail") == (1 if is_bad else 2)


def test_a_missing_permission_names_the_user_group(world: World) -> None:
    world.state.forbidden.add("retrieveEvents")
    with pytest.raises(Forbidden, match="User Group"):
        list(world.replica().read_feed("mypreferences.events", ago(hours=1)))


def test_a_wrong_account_in_the_path_names_its_setting(world: World) -> None:
    with pytest.raises(Forbidden, match="BRIDGE_MYPREFERENCES__ACCOUNT"):
        world.client_of("Nobody").retrieve_programs()


def test_a_block_is_never_shown_for_what_people_said(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (False, ago(days=1))})
    assert {item.block for item in read_person(world.replica(), who()).topics.values()} == {None}
    assert Block.UNKNOWN not in {item.block for item in read_person(world.replica(), who()).topics.values()}
