"""What the replica writes, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dotdigital_world import (
    BEFORE,
    DAILY,
    NEWS,
    NEWSLETTER,
    OFFERS,
    PROFILING,
    PROFILING_ID,
    PROOF,
    START,
    UNMAPPED,
    WEEKLY,
    opt_in,
    status,
    who,
    withdrawal,
)

from bridge.core.errors import MappingStale, NotFound, OutcomeUnknown, Refused
from bridge.core.model import CHANNEL, Choice, Side, TopicId
from bridge.core.ports import Repaired, Replica, WriteResponse, read_person
from bridge.core.writes import Adjustment, Raise, Resubscribe, Withdrawal
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from tests.port_calls import send_one

ONE = who("one@example.com")
PUT, PATCH = "set-preferences-for-contact", "importContact"


def states(state: DotdigitalState, address: str = "one@example.com") -> dict[int, bool]:
    contact = state.find(address)
    assert contact is not None
    return {number: row.opted_in for number, row in contact.opt_ins.items()}


def test_the_replica_fills_the_port(replica: DotdigitalReplica) -> None:
    port: Replica = replica
    assert port.side is Side.DOTDIGITAL


def test_withdrawals_go_first_and_the_channel_by_itself(replica: DotdigitalReplica) -> None:
    adjust = Adjustment(Side.DOTDIGITAL, OFFERS, PROOF, "DAILY")
    writes = [opt_in(NEWSLETTER), adjust, opt_in(CHANNEL), withdrawal(PROFILING), withdrawal(CHANNEL)]
    assert replica.split(writes) == [
        [withdrawal(CHANNEL)],
        [withdrawal(PROFILING)],
        [opt_in(CHANNEL)],
        [opt_in(NEWSLETTER), adjust],
    ]
    assert replica.split([]) == []
    with pytest.raises(ValueError, match="holds the channel or topics"):
        send_one(replica, ONE, writes)
    with pytest.raises(ValueError, match="holds the channel or topics"):
        send_one(replica, ONE, [])


def test_the_price_of_writes_is_what_they_cost(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    rows = {NEWS: (True, BEFORE), DAILY: (True, BEFORE)}
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    writes = [withdrawal(CHANNEL), withdrawal(OFFERS), withdrawal(NEWSLETTER)]
    state.switches.put_preferences_suppressed = "accepted"
    for unit in replica.split(writes):
        send_one(replica, ONE, unit)
    read_person(replica, ONE)  # the engine reads a person back once, after all units
    assert replica.calls == replica.estimate_calls([writes]) == 4


# the channel


def test_an_unsubscribe_takes_the_person_off_all_mail(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    assert send_one(replica, ONE, [withdrawal(CHANNEL)]) is WriteResponse.ACCEPTED
    assert status(state) == "Unsubscribed"
    assert states(state) == {NEWS: True}  # another dimension, left alone
    assert read_person(replica, ONE).topics[CHANNEL].choice is Choice.OPTED_OUT


@pytest.mark.parametrize("word", ["HardBounced", "IspComplained", "Suppressed"])
def test_unsubscribing_a_suppressed_contact_meets_the_goal(
    state: DotdigitalState, replica: DotdigitalReplica, word: str
) -> None:
    state.add_contact("one@example.com", status=word, when=BEFORE)
    assert send_one(replica, ONE, [withdrawal(CHANNEL)]) is WriteResponse.ALREADY_SO
    assert status(state) == word


def test_nobody_is_created_by_an_unsubscribe(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    assert send_one(replica, ONE, [withdrawal(CHANNEL)]) is WriteResponse.ALREADY_SO
    assert state.find("one@example.com") is None


@pytest.mark.parametrize(
    ("how", "before", "outcome", "after"),
    [
        (Resubscribe.SILENT, "Unsubscribed", WriteResponse.ACCEPTED, "Subscribed"),
        (Resubscribe.CHALLENGE, "Unsubscribed", WriteResponse.CHALLENGED, "Unsubscribed"),
        (Resubscribe.CHALLENGE, "Suppressed", WriteResponse.ACCEPTED, "Subscribed"),
    ],
)
def test_a_resubscribe_returns_its_result(
    state: DotdigitalState,
    replica: DotdigitalReplica,
    how: Resubscribe,
    before: str,
    outcome: WriteResponse,
    after: str,
) -> None:
    """Dotdigital resubscribe: the status counts, not the echoed contact, which shows the old state."""
    state.add_contact("one@example.com", status=before, when=BEFORE)
    assert send_one(replica, ONE, [opt_in(CHANNEL, how=how)]) is outcome
    assert status(state) == after


def test_a_challenge_is_sent_once_and_its_click_is_seen(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    number = state.add_contact("one@example.com", status="Unsubscribed", when=BEFORE)
    send_one(replica, ONE, [opt_in(CHANNEL, how=Resubscribe.CHALLENGE)])
    assert state.challenges == {number: 1}
    assert state.click_challenge("one@example.com")
    assert read_person(replica, ONE).topics[CHANNEL].choice is Choice.OPTED_IN


@pytest.mark.parametrize("how", [Resubscribe.HOLD, None])
def test_nobody_is_resubscribed_without_the_mappings_word(
    state: DotdigitalState, replica: DotdigitalReplica, how: Resubscribe | None
) -> None:
    state.add_contact("one@example.com", status="Unsubscribed", when=BEFORE)
    with pytest.raises(Refused):
        send_one(replica, ONE, [opt_in(CHANNEL, how=how)])
    assert replica.calls == 0


def test_a_complaint_is_not_lifted(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    state.add_contact("one@example.com", status="IspComplained", when=BEFORE)
    with pytest.raises(Refused) as refused:
        send_one(replica, ONE, [opt_in(CHANNEL, how=Resubscribe.SILENT)])
    assert refused.value.code == "ContactCannotBeUnsuppressed"


@pytest.mark.parametrize("form", ["not_available", "message_only"])
def test_a_resubscribe_that_says_nothing_known_is_unclear(
    state: DotdigitalState, replica: DotdigitalReplica, form: str
) -> None:
    """Dotdigital `Resubscribe contact`: a status that nobody explains, or a message alone."""
    state.switches.resubscribe_answer = form
    state.add_contact("one@example.com", status="Unsubscribed", when=BEFORE)
    assert send_one(replica, ONE, [opt_in(CHANNEL, how=Resubscribe.SILENT)]) is WriteResponse.UNCLEAR


# topics


@pytest.mark.parametrize("reading", ["merge", "replace"])
@pytest.mark.parametrize("top_level", ["accepted", "refused"])
def test_a_topic_is_written_without_v3_and_every_other_choice_kept(
    state: DotdigitalState, without_v3: DotdigitalReplica, reading: str, top_level: str
) -> None:
    """Dotdigital set-preferences: whether it merges or replaces is not documented."""
    state.switches.put_preferences = reading
    state.switches.top_level_leaf = top_level
    rows = {NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE), WEEKLY: (True, BEFORE)}
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    assert send_one(without_v3, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ACCEPTED
    assert {number for number, on in states(state).items() if on} == {UNMAPPED, WEEKLY}
    assert send_one(without_v3, ONE, [opt_in(NEWSLETTER), opt_in(PROFILING)]) is WriteResponse.ACCEPTED
    assert {number for number, on in states(state).items() if on} == {NEWS, PROFILING_ID, UNMAPPED, WEEKLY}
    assert state.calls.count(PUT) == 2


def test_a_write_by_v3_names_nothing_but_what_it_changes(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    rows = {NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE), WEEKLY: (True, BEFORE)}
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    assert send_one(replica, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ACCEPTED
    assert {number for number, on in states(state).items() if on} == {UNMAPPED, WEEKLY}
    assert send_one(replica, ONE, [opt_in(NEWSLETTER), opt_in(PROFILING)]) is WriteResponse.ACCEPTED
    assert {number for number, on in states(state).items() if on} == {NEWS, PROFILING_ID, UNMAPPED, WEEKLY}
    assert (state.calls.count(PUT), state.calls.count(PATCH)) == (0, 2)


@pytest.mark.parametrize("others", [{UNMAPPED}, {UNMAPPED, WEEKLY}])
def test_an_opt_out_that_a_write_of_the_tree_undid_is_restored(
    state: DotdigitalState, without_v3: DotdigitalReplica, others: set[int]
) -> None:
    """The person leaves a preference between the read of the tree and its write. One alone cannot be told
    from a service that dates all of them again, so that is tried out."""
    rows = dict.fromkeys((NEWS, *others), (True, BEFORE))
    contact = state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    before_put(state, lambda: state.set_preference(contact, UNMAPPED, False, START))
    answer = send_one(without_v3, ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert not answer.failed
    assert {number for number, on in states(state).items() if on} == others - {UNMAPPED}


def test_where_each_write_dates_everything_again_nobody_is_opted_out_by_it(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    state.switches.equal_write_moves_date = True
    before_put(state, lambda: None, seconds=5)
    rows = {NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE), WEEKLY: (True, BEFORE)}
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    answer = send_one(without_v3, ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert "cannot be seen" in answer.reason
    assert {number for number, on in states(state).items() if on} == {UNMAPPED, WEEKLY}
    sent = state.calls.count(PUT)
    send_one(without_v3, ONE, [opt_in(NEWSLETTER)])
    assert state.calls.count(PUT) == sent + 1  # it is known by now


@pytest.mark.parametrize("nth", [2, 3])
def test_a_restoration_that_cannot_be_sent_or_seen_is_said(
    state: DotdigitalState, without_v3: DotdigitalReplica, nth: int
) -> None:
    rows = {NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE), WEEKLY: (True, BEFORE)}
    contact = state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    before_put(state, lambda: state.set_preference(contact, UNMAPPED, False, START))
    operation, times = (PUT, 1) if nth == 2 else ("get-subscriptions-for-contact", 9)
    state.faults.add(InjectedFault(operation, "status", nth=nth if nth == 2 else 1, times=times, status=400))
    answer = send_one(without_v3, ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert answer.failed


def before_put(state: DotdigitalState, act: Callable[[], None], seconds: float = 0) -> None:
    """Once, just before the whole tree is written, a person acts. Each call takes so many seconds."""
    record, met = state.calls.record, list[str]()

    def recorded(operation: str) -> None:
        record(operation)
        state.clock.advance(seconds)
        if operation == PUT and not met:
            met.append(operation)
            act()

    state.calls.record = recorded  # type: ignore[method-assign]


def test_the_last_choice_can_be_withdrawn(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    """A connector skipped all-false bodies for years: nobody could opt out of everything."""
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    assert send_one(replica, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ACCEPTED
    assert not any(states(state).values())
    seen = read_person(replica, ONE).topics[NEWSLETTER]
    assert (seen.choice, seen.changed_at) == (Choice.OPTED_OUT, START)


def test_what_is_so_already_is_not_written_again(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    rows = {NEWS: (False, BEFORE), WEEKLY: (True, BEFORE)}
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    assert send_one(replica, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ALREADY_SO
    assert state.calls.count(PATCH) == 0


def test_a_choice_that_the_tree_does_not_show_is_written(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    state.switches.never_asked_leaf = "missing"
    state.add_contact("one@example.com")
    assert send_one(replica, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ACCEPTED


@pytest.mark.parametrize(
    "wanted", [opt_in(OFFERS, "WEEKLY"), Adjustment(Side.DOTDIGITAL, OFFERS, PROOF, "WEEKLY")]
)
def test_a_frequency_takes_the_place_of_the_others(
    state: DotdigitalState, replica: DotdigitalReplica, wanted: Raise | Adjustment
) -> None:
    state.add_contact("one@example.com", opt_ins={DAILY: (True, BEFORE)})
    assert send_one(replica, ONE, [wanted]) is WriteResponse.ACCEPTED
    assert {number for number, on in states(state).items() if on} == {WEEKLY}
    assert read_person(replica, ONE).topics[OFFERS].frequencies == ("WEEKLY",)


def test_withdrawing_a_topic_takes_all_its_frequencies(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", opt_ins={DAILY: (True, BEFORE), WEEKLY: (True, BEFORE)})
    send_one(replica, ONE, [withdrawal(OFFERS)])
    assert read_person(replica, ONE).topics[OFFERS].choice is Choice.OPTED_OUT


def test_a_preference_that_vanished_stops_the_write(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    state.delete_preference(PROFILING_ID)
    with pytest.raises(MappingStale):
        send_one(replica, ONE, [withdrawal(NEWSLETTER), withdrawal(PROFILING)])
    assert states(state)[NEWS] is True


@pytest.mark.parametrize(
    "wanted",
    [opt_in(OFFERS), opt_in(OFFERS, "MONTHLY"), opt_in(NEWSLETTER, "DAILY"), withdrawal(TopicId("else"))],
)
def test_what_the_mapping_lacks_costs_no_call(replica: DotdigitalReplica, wanted: Raise | Withdrawal) -> None:
    with pytest.raises(MappingStale):
        send_one(replica, ONE, [wanted])
    assert replica.calls == 0


def test_a_write_goes_to_the_address_and_not_to_an_id_that_moved_on(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    other = state.add_contact("other@example.com", opt_ins={NEWS: (True, BEFORE)})
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    send_one(replica, who("one@example.com", other), [withdrawal(NEWSLETTER)])
    assert states(state, "other@example.com") == {NEWS: True}
    assert states(state)[NEWS] is False


# suppressed, deleted, unknown


@pytest.mark.parametrize("word", ["Unsubscribed", "Suppressed", "HardBounced"])
def test_topics_of_suppressed_people_go_by_v3_without_a_status(
    state: DotdigitalState, replica: DotdigitalReplica, word: str
) -> None:
    """Dotdigital v2 refuses updates of suppressed contacts, v3 takes them."""
    state.add_contact(
        "one@example.com", status=word, when=BEFORE, opt_ins={NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE)}
    )
    assert send_one(replica, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ACCEPTED
    assert states(state) == {NEWS: False, UNMAPPED: True}
    assert status(state) == word


def test_without_v3_a_suppressed_persons_topic_waits_for_an_operator(
    state: DotdigitalState, without_v3: DotdigitalReplica
) -> None:
    state.add_contact("one@example.com", status="Unsubscribed", when=BEFORE, opt_ins={NEWS: (True, BEFORE)})
    with pytest.raises(Refused):
        send_one(without_v3, ONE, [withdrawal(NEWSLETTER)])
    assert states(state) == {NEWS: True}


def test_writing_never_revives_a_deleted_person(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    number = state.add_contact("one@example.com")
    state.delete_contact(number)
    assert send_one(replica, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ALREADY_SO
    with pytest.raises(Refused):
        send_one(replica, ONE, [opt_in(NEWSLETTER)])
    assert state.contact(number).binned
    assert state.calls.count("importContact") == 0


@pytest.mark.parametrize("with_v3", [True, False])
def test_nobody_is_created_by_a_topic(
    state: DotdigitalState, replica: DotdigitalReplica, without_v3: DotdigitalReplica, with_v3: bool
) -> None:
    used = replica if with_v3 else without_v3
    assert send_one(used, ONE, [withdrawal(NEWSLETTER)]) is WriteResponse.ALREADY_SO
    with pytest.raises(NotFound):
        send_one(used, ONE, [opt_in(NEWSLETTER)])
    assert state.find("one@example.com") is None


@pytest.mark.parametrize("kind", ["reset_after", "status_after", "truncate", "null"])
def test_an_unclear_answer_leaves_the_write_in_doubt(
    state: DotdigitalState, replica: DotdigitalReplica, kind: str
) -> None:
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE)})
    state.faults.add(InjectedFault(PATCH, kind))
    with pytest.raises(OutcomeUnknown):
        send_one(replica, ONE, [withdrawal(NEWSLETTER)])
    assert state.calls.count(PATCH) == 1
