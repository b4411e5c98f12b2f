"""Writing to MyPreferences, against the sandbox over real HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.core.errors import (
    MappingStale,
    NotFound,
    OutcomeUnknown,
    Refused,
)
from bridge.core.mapping import FilterRef, Topic
from bridge.core.model import Choice, Observation, Side, TopicId
from bridge.core.ports import Hint, WriteResponse, read_person
from bridge.core.writes import Adjustment, Evidence
from bridge.mypreferences.replica import MyPreferencesReplica
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
    raising,
    who,
    with_type,
    withdrawal,
)
from tests.port_calls import send_one

OUT, IN, UNSET = Choice.OPTED_OUT, Choice.OPTED_IN, Choice.UNSET


def seen(world: World, topic: Topic = NEWS, address: str = ADDRESS) -> Observation:
    return read_person(world.replica(), who(address)).topics[topic.id]


def test_a_withdrawal_reaches_every_profile_with_the_address(world: World) -> None:
    ids = [world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))}) for _ in range(3)]
    assert send_one(world.replica(), who(), [withdrawal()]) is WriteResponse.ACCEPTED
    assert world.calls("updateProfilePost") == 3
    assert seen(world) == Observation(OUT, NOON, NOON, records=3)
    assert read_person(world.replica(), who()).ids == tuple(ids)


def test_a_withdrawal_that_stands_already_sends_nothing(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (False, ago(days=1))})
    assert send_one(world.replica(), who(), [withdrawal()]) is WriteResponse.ALREADY_SO
    assert world.calls("updateProfilePost") == 0


def test_a_withdrawal_is_dated_up_to_the_next_whole_second(world: World) -> None:
    """A CustomerDate older than the stored one is accepted and not honoured."""
    said = NOON - timedelta(milliseconds=400)
    world.add(preferences={"NEWS_EMAIL": (True, said)})
    send_one(world.replica(), who(), [withdrawal(at=said + timedelta(milliseconds=100))])
    assert seen(world).choice is OUT


def test_a_withdrawn_consent_is_revoked_where_granted_and_denied_where_not(world: World) -> None:
    granted = world.add(consents={"EmailMarketing": ("Granted", ago(days=1))})
    silent = world.add()
    send_one(world.replica(), who(), [withdrawal(CHANNEL)])
    status = {
        profile_id: world.state.profile(int(profile_id))["Consents"][0]["ConsentStatus"]
        for profile_id in (granted, silent)
    }
    assert status == {granted: 3, silent: 2}
    assert seen(world, CHANNEL) == Observation(OUT, NOON, NOON, records=2)


def test_a_consent_and_the_preference_tied_to_it_are_both_out_after_one_unit(world: World) -> None:
    """Revoking a consent archives its preferences: the preference is stated after it."""
    world.add(
        preferences={"OFFERS_EMAIL": (True, ago(days=1), "DAILY")},
        consents={"Profiling": ("Granted", ago(days=1))},
    )
    send_one(world.replica(), who(), [withdrawal(OFFERS), withdrawal(PROFILING)])
    assert seen(world, OFFERS).choice is OUT
    assert seen(world, PROFILING).choice is OUT


def test_an_opt_out_that_stood_outlasts_the_revocation_of_its_consent(world: World) -> None:
    world.add(
        consents={"Profiling": ("Granted", ago(days=1))},
        preferences={"OFFERS_EMAIL": (False, ago(days=2))},
    )
    profile_id = world.state.find(ADDRESS)[0]
    world.state.set_consent(profile_id, "Profiling", "Granted", ago(hours=1))
    send_one(world.replica(), who(), [withdrawal(OFFERS), withdrawal(PROFILING)])
    assert seen(world, OFFERS).choice is OUT
    assert seen(world, PROFILING).choice is OUT


def test_units_send_withdrawals_first_and_apart() -> None:
    split = MyPreferencesReplica.split
    first, second, third = raising(), withdrawal(OFFERS), withdrawal(PROFILING)
    assert split(None, [first, second, third]) == [[second, third], [first]]  # type: ignore[arg-type]


def test_a_raise_carries_the_evidences_date_and_frequency(world: World) -> None:
    world.add()
    at = ago(hours=2)
    assert (
        send_one(world.replica(), who(), [raising(OFFERS, at, "DAILY"), raising(CHANNEL, at)])
        is WriteResponse.ACCEPTED
    )
    assert seen(world, OFFERS) == Observation(IN, NOON, at, ("DAILY",))
    assert seen(world, CHANNEL) == Observation(IN, NOON, at)
    assert world.calls("updateProfilePost") == 1


def test_an_adjustment_changes_the_frequency(world: World) -> None:
    world.add(preferences={"OFFERS_EMAIL": (True, ago(days=1), "DAILY")})
    evidence = Evidence(Side.DOTDIGITAL, ago(hours=1), NOON, "v")
    send_one(world.replica(), who(), [Adjustment(Side.MYPREFERENCES, OFFERS.id, evidence, "WEEKLY")])
    assert seen(world, OFFERS).frequencies == ("WEEKLY",)


def test_a_raise_goes_to_nobody_where_several_profiles_share_the_address(world: World) -> None:
    world.add(), world.add()
    with pytest.raises(Refused, match="share"):
        send_one(world.replica(), who(), [raising()])
    assert world.calls("updateProfilePost") == 0


def test_a_raise_goes_to_the_profile_that_the_alternate_id_pins(world: World) -> None:
    world.add()
    pinned = world.add(alternate_ids={"CrmId": "77"})
    person = who(ids={Side.DOTDIGITAL: ("77",)})
    send_one(world.replica(alternate_id_type="crmid"), person, [raising()])
    emails = world.state.profile(int(pinned))["Emails"]
    assert emails[0]["EmailPreferences"][0]["PreferenceType"] == 1
    assert seen(world) == Observation(IN, NOON, NOON, consistent=False, records=2)


def test_a_profile_pinned_to_another_contact_is_not_raised(world: World) -> None:
    world.add(alternate_ids={"CrmId": "78"})
    with pytest.raises(Refused, match="linked to another"):
        send_one(world.replica(alternate_id_type="CrmId"), who(ids={Side.DOTDIGITAL: ("77",)}), [raising()])


def test_a_withdrawal_that_came_in_meanwhile_stops_a_raise(world: World) -> None:
    world.add(preferences={"NEWS_EMAIL": (False, ago(minutes=1))})
    with pytest.raises(Refused, match="newer"):
        send_one(world.replica(), who(), [raising(at=ago(minutes=2))])
    assert world.calls("updateProfilePost") == 0


def test_the_element_type_is_the_one_the_profile_has(world: World) -> None:
    profile_id = world.state.add_profile([("Work", ADDRESS)])
    send_one(world.replica(), who(), [withdrawal()])
    (email,) = world.state.profile(profile_id)["Emails"]
    assert email["EmailAddressType"] == "Work"
    assert email["EmailPreferences"][0]["PreferenceType"] == 2


def test_a_raise_never_adds_an_element_but_a_withdrawal_may(world: World) -> None:
    world.state.add_profile([("Work", ADDRESS)])
    topic = with_type(NEWS, "Primary")
    replica = world.replica(a_mapping(topic))
    with pytest.raises(Refused, match="e-mail type"):
        send_one(replica, who(), [raising(topic)])
    send_one(replica, who(), [withdrawal(topic)])
    assert read_person(replica, who()).topics[topic.id].choice is OUT


def test_a_preference_that_hangs_on_the_profile_is_written_there(world: World) -> None:
    topic = Topic(TopicId("deals"), FilterRef("DEALS_APP"), {"": 1})
    world.add(preferences={"DEALS_APP": (True, ago(days=1))})
    replica = world.replica(a_mapping(topic))
    assert read_person(replica, who()).topics[topic.id].choice is IN
    send_one(replica, who(), [withdrawal(topic)])
    assert read_person(replica, who()).topics[topic.id].choice is OUT


def test_a_filter_that_is_gone_does_not_keep_other_opt_outs_from_arriving(world: World) -> None:
    gone = Topic(TopicId("gone"), FilterRef("GONE_EMAIL"), {"": 1})
    world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    with pytest.raises(MappingStale):
        send_one(world.replica(a_mapping(gone, NEWS)), who(), [withdrawal(gone), withdrawal(NEWS)])
    assert seen(world).choice is OUT


def test_a_write_for_an_unknown_person_is_held(world: World) -> None:
    with pytest.raises(NotFound):
        send_one(world.replica(), who(), [withdrawal()])


@pytest.mark.parametrize(
    "kind", ["reset_after", "timeout_after", "truncate", "html", "null", "empty", "status_after"]
)
def test_a_withdrawal_without_a_trustworthy_answer_is_in_doubt_and_sent_once(world: World, kind: str) -> None:
    world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))})
    world.state.faults.add(InjectedFault("updateProfilePost", kind))
    with pytest.raises(OutcomeUnknown):
        send_one(world.replica(), who(), [withdrawal()])
    assert world.calls("updateProfilePost") == 1


def test_one_profile_in_doubt_does_not_spare_the_others_the_withdrawal(world: World) -> None:
    ids = [world.add(preferences={"NEWS_EMAIL": (True, ago(days=1))}) for _ in range(2)]
    world.state.faults.add(InjectedFault("updateProfilePost", "reset"))
    with pytest.raises(OutcomeUnknown):
        send_one(world.replica(), who(), [withdrawal()])
    views = [world.replica().read_hint(Hint(id=profile_id))[0].topics[NEWS.id].choice for profile_id in ids]
    assert views == [IN, OUT]


def test_the_price_of_writes_is_what_they_cost(world: World) -> None:
    world.add(
        preferences={"OFFERS_EMAIL": (True, ago(days=1), "DAILY")},
        consents={"Profiling": ("Granted", ago(days=1))},
    )
    replica = world.replica()
    read_person(replica, who())
    writes = [withdrawal(OFFERS), withdrawal(PROFILING), raising(NEWS)]
    before = replica.calls
    for unit in replica.split(writes):
        send_one(replica, who(), unit)
        read_person(replica, who())
    guard = 1  # the last look before the opt-in, which the engine takes
    assert replica.calls - before + guard == replica.estimate_calls([writes[:2]]) + replica.estimate_calls(
        [writes[2:]]
    )
