"""What every side promises, whichever fills the port: the fake, and both real clients over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bridge.core.decision import is_proven_by
from bridge.core.errors import SideError, Verdict
from bridge.core.mapping_check import find_problems
from bridge.core.model import CHANNEL, Choice, Observation, TopicId, Who, address_key
from bridge.core.ports import Page, PersonView, WriteRequest, WriteResponse, read_person, saves_calls
from bridge.core.writes import Adjustment, Evidence, Raise, Withdrawal
from tests.contract.implementations import IMPLEMENTATIONS, MAPPING, NEWS, OFFERS, Implementation, who
from tests.port_calls import feed_named, feed_names, send_one

ADA, BOB, CLEO = "ada@example.com", "Bob+news@example.com", "cleo@example.com"
DAY = timedelta(days=1)


@pytest.fixture(params=list(IMPLEMENTATIONS))
def impl(request: pytest.FixtureRequest) -> Iterator[Implementation]:
    with IMPLEMENTATIONS[request.param]() as made:
        yield made


def seen(impl: Implementation, address: str, topic: TopicId) -> Observation:
    impl.wait()
    return read_person(impl.reader, who(address)).topics[topic]


def evidence(impl: Implementation) -> Evidence:
    return Evidence(impl.side.other, impl.now() - timedelta(minutes=5), impl.now(), "v")


def withdrawal(impl: Implementation, topic: TopicId) -> Withdrawal:
    return Withdrawal(impl.side, topic, None, impl.now())


def drain(impl: Implementation, since_days: float) -> list[Page]:
    impl.wait()
    pages = []
    for feed in feed_names(impl.reader):
        pages += list(impl.reader.read_feed(feed, impl.now() - since_days * DAY))
    if impl.swept:
        pages += list(impl.reader.list_people([]))
    return pages


def named(impl: Implementation, pages: list[Page]) -> set[str]:
    """Everybody a drain brings to notice, by view or by hint."""
    found = {view.address for page in pages for view in page.views}
    for page in pages:
        for hint in page.hints:
            found |= {view.address for view in impl.reader.read_hint(hint)}
    return {address.casefold() for address in found}


def test_a_look_shows_what_was_said_and_when(impl: Implementation) -> None:
    said = impl.now() - DAY
    impl.say(ADA, NEWS, Choice.OPTED_OUT, said)
    shown = seen(impl, ADA, NEWS)
    assert shown.choice is Choice.OPTED_OUT
    assert shown.changed_at is not None
    assert abs(shown.changed_at - said) < timedelta(seconds=1)
    assert shown.present
    assert not shown.undated


def test_a_look_begins_to_read_at_the_time_it_says(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    before = impl.now()
    assert before <= seen(impl, ADA, NEWS).read_at <= impl.now()


def test_no_recorded_choice_is_unset_and_no_opt_out(impl: Implementation) -> None:
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now() - DAY, "WEEKLY")
    assert seen(impl, ADA, NEWS).choice is Choice.UNSET


def test_an_unknown_person_is_absent_in_every_topic(impl: Implementation) -> None:
    view = read_person(impl.reader, who("nobody@example.com"))
    assert view.topics
    assert not any(one.present for one in view.topics.values())


def test_an_address_is_found_whatever_its_case(impl: Implementation) -> None:
    impl.say(BOB, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    assert seen(impl, BOB.upper(), NEWS).choice is Choice.OPTED_IN


def test_a_frequency_is_shown(impl: Implementation) -> None:
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now() - DAY, "WEEKLY")
    assert seen(impl, ADA, OFFERS).frequencies == ("WEEKLY",)


def test_the_feeds_bring_everybody_who_changed_to_notice(impl: Implementation) -> None:
    for address in (ADA, BOB, CLEO):
        impl.say(address, NEWS, Choice.OPTED_OUT, impl.now())
    assert {ADA, BOB.casefold(), CLEO} <= named(impl, drain(impl, 0.5))


def test_reading_a_feed_again_brings_the_same_people_again(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_OUT, impl.now())
    assert named(impl, drain(impl, 0.5)) == named(impl, drain(impl, 0.5)) != set()


def test_only_the_last_page_of_a_feed_has_a_watermark_no_later_than_its_start(
    impl: Implementation,
) -> None:
    for address in (ADA, BOB, CLEO):
        impl.say(address, NEWS, Choice.OPTED_OUT, impl.now())
    for feed in feed_names(impl.reader):
        before = impl.now()
        pages = list(impl.reader.read_feed(feed, before - DAY))
        assert [page.watermark for page in pages[:-1]] == [None] * (len(pages) - 1)
        last = pages[-1].watermark
        assert last is not None
        assert last <= before + timedelta(seconds=2)


def test_a_feed_that_cannot_be_read_raises_and_gives_no_watermark(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_OUT, impl.now())
    impl.break_read()
    feed = feed_names(impl.reader)[0]
    pages = []
    with pytest.raises(SideError) as caught:
        pages.extend(impl.reader.read_feed(feed, impl.now() - DAY))
    assert caught.value.verdict is Verdict.RETRY
    assert not any(page.watermark for page in pages)


def test_a_look_that_gets_no_answer_says_so_and_shows_nothing(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now())
    impl.break_read()
    with pytest.raises(SideError) as caught:
        read_person(impl.reader, who(ADA))
    assert ADA not in str(caught.value)


def test_a_sweep_shows_everybody(impl: Implementation) -> None:
    people = [f"person{number}@example.com" for number in range(7)]
    for address in people:
        impl.say(address, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    known = [Who(who(address).person, address) for address in people]
    found = {view.address for page in impl.reader.list_people(known) for view in page.views}
    assert found >= set(people)


def test_a_withdrawal_is_proven_by_the_next_look(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    write = withdrawal(impl, NEWS)
    assert send_one(impl.replica, who(ADA), [write]) in (WriteResponse.ACCEPTED, WriteResponse.ALREADY_SO)
    assert is_proven_by(MAPPING.topics[0], write, seen(impl, ADA, NEWS))


def test_a_withdrawal_sent_twice_ends_as_one_sent_once(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    write = withdrawal(impl, NEWS)
    send_one(impl.replica, who(ADA), [write])
    once = seen(impl, ADA, NEWS)
    send_one(impl.replica, who(ADA), [write])
    again = seen(impl, ADA, NEWS)
    assert (again.choice, again.changed_at) == (once.choice, once.changed_at)


def test_a_withdrawal_leaves_the_other_topics_as_they_were(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now() - DAY, "DAILY")
    send_one(impl.replica, who(ADA), [withdrawal(impl, NEWS)])
    other = seen(impl, ADA, OFFERS)
    assert (other.choice, other.frequencies) == (Choice.OPTED_IN, ("DAILY",))


def test_withdrawing_the_channel_leaves_the_topics_as_they_were(impl: Implementation) -> None:
    impl.say(ADA, CHANNEL, Choice.OPTED_IN, impl.now() - 2 * DAY)
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    write = withdrawal(impl, CHANNEL)
    send_one(impl.replica, who(ADA), [write])
    assert is_proven_by(MAPPING.channel, write, seen(impl, ADA, CHANNEL))
    assert seen(impl, ADA, NEWS).choice is Choice.OPTED_IN


def test_all_topics_withdrawn_at_once_is_sent_and_not_skipped(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now() - DAY, "DAILY")
    writes = [withdrawal(impl, NEWS), withdrawal(impl, OFFERS)]
    for unit in impl.replica.split(writes):
        send_one(impl.replica, who(ADA), unit)
    for topic in (NEWS, OFFERS):
        assert seen(impl, ADA, topic).choice is Choice.OPTED_OUT


def test_a_raise_is_proven_by_the_next_look(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_OUT, impl.now() - DAY)
    write = Raise(impl.side, NEWS, evidence(impl))
    send_one(impl.replica, who(ADA), [write])
    assert is_proven_by(MAPPING.topics[0], write, seen(impl, ADA, NEWS))


def test_a_raise_of_a_frequency_leaves_only_that_one_on(impl: Implementation) -> None:
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now() - DAY, "DAILY")
    write = Adjustment(impl.side, OFFERS, evidence(impl), "WEEKLY")
    send_one(impl.replica, who(ADA), [write])
    assert is_proven_by(MAPPING.topics[1], write, seen(impl, ADA, OFFERS))


def test_withdrawals_and_raises_never_share_a_call(impl: Implementation) -> None:
    writes = [withdrawal(impl, NEWS), Raise(impl.side, OFFERS, evidence(impl), "DAILY")]
    units = impl.replica.split(writes)
    assert sorted(map(len, units)) == [1, 1]
    assert isinstance(units[0][0], Withdrawal)


@pytest.mark.parametrize("applied", [True, False])
def test_a_write_without_an_answer_is_in_doubt_and_the_next_look_settles_it(
    impl: Implementation, applied: bool
) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    impl.lose_write(applied=applied)
    write = withdrawal(impl, NEWS)
    with pytest.raises(SideError) as caught:
        send_one(impl.replica, who(ADA), [write])
    assert caught.value.verdict is Verdict.IN_DOUBT
    assert is_proven_by(MAPPING.topics[0], write, seen(impl, ADA, NEWS)) is applied


def test_the_price_of_a_write_is_what_it_costs(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    read_person(impl.reader, who(ADA))  # signs in
    writes = [withdrawal(impl, NEWS)]
    before = impl.replica.calls
    for unit in impl.replica.split(writes):
        send_one(impl.replica, who(ADA), unit)
        read_person(impl.replica, who(ADA))
    assert impl.replica.calls - before == impl.replica.estimate_calls([writes])


def test_every_feed_covers_a_topic_and_every_topic_is_covered(impl: Implementation) -> None:
    covered = [feed_named(impl.reader, feed).topics for feed in feed_names(impl.reader)]
    assert all(covered)
    assert frozenset().union(*covered) == {topic.id for topic in MAPPING.all}


def test_nothing_mapped_is_missing_here(impl: Implementation) -> None:
    assert find_problems(MAPPING, impl.reader.catalogue()) == []


def test_a_feed_distinguishes_old_hints_from_new_ones(impl: Implementation) -> None:
    """Feeds are read with an overlap: what was looked into already is known by its key."""
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now(), "DAILY")
    before, again = keys(drain(impl, 0.5)), keys(drain(impl, 0.5))
    assert before
    assert before == again
    impl.say(ADA, OFFERS, Choice.OPTED_IN, impl.now(), "WEEKLY")
    assert keys(drain(impl, 0.5)) - before
    assert not any("@" in key for key in before)


def keys(pages: list[Page]) -> set[str]:
    return {key for page in pages for hint in page.hints for key in hint.keys}


def looked_at(impl: Implementation, *addresses: str) -> dict[str, PersonView]:
    impl.wait()
    pages = impl.reader.read_people([who(address) for address in addresses])
    return {address_key(view.address): view for page in pages for view in page.views}


def requests(impl: Implementation, *addresses: str) -> list[WriteRequest]:
    return [WriteRequest(who(address), [withdrawal(impl, NEWS)]) for address in addresses]


def nothing() -> None:
    """A heartbeat that is ignored."""


def test_looking_at_many_shows_each_of_them_under_the_address_asked_for(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    impl.say(CLEO, NEWS, Choice.OPTED_OUT, impl.now() - DAY)
    shown = looked_at(impl, ADA, CLEO, "nobody@example.com")
    assert shown[ADA].topics[NEWS].choice is Choice.OPTED_IN
    assert shown[CLEO].topics[NEWS].choice is not Choice.OPTED_IN
    assert shown[CLEO].topics[NEWS].present
    assert not any(seen.present for seen in shown["nobody@example.com"].topics.values())


def test_many_withdrawals_are_proven_by_looking_at_many(impl: Implementation) -> None:
    people = [ADA, BOB, CLEO]
    for address in people:
        impl.say(address, NEWS, Choice.OPTED_IN, impl.now() - DAY)
        impl.say(address, OFFERS, Choice.OPTED_IN, impl.now() - DAY, "DAILY")
    sent = requests(impl, *people)
    results = impl.replica.send(sent, heartbeat=nothing)
    assert [result in (WriteResponse.ACCEPTED, WriteResponse.ALREADY_SO) for result in results] == [True] * 3
    shown = looked_at(impl, *people)
    for request in sent:
        topics = shown[address_key(request.who.address)].topics
        assert is_proven_by(MAPPING.topics[0], request.writes[0], topics[NEWS])
        assert topics[OFFERS].choice is Choice.OPTED_IN


def test_many_raises_are_proven_by_looking_at_many(impl: Implementation) -> None:
    for address in (ADA, CLEO):
        impl.say(address, NEWS, Choice.OPTED_OUT, impl.now() - DAY)
    raises = [WriteRequest(who(one), [Raise(impl.side, NEWS, evidence(impl))]) for one in (ADA, CLEO)]
    impl.replica.send(raises, heartbeat=nothing)
    shown = looked_at(impl, ADA, CLEO)
    assert all(shown[one].topics[NEWS].choice is Choice.OPTED_IN for one in (ADA, CLEO))


def test_one_person_who_cannot_be_written_does_not_block_others(impl: Implementation) -> None:
    for address in (ADA, CLEO):
        impl.say(address, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    raised = [Raise(impl.side, NEWS, evidence(impl))]
    sent = [WriteRequest(who(one), raised) for one in (ADA, "nobody@example.com", CLEO)]
    results = impl.replica.send(sent, heartbeat=nothing)
    assert len(results) == 3
    assert isinstance(results[1], SideError)
    assert not any(isinstance(results[at], SideError) for at in (0, 2))


def test_writing_many_lets_the_lease_be_renewed(impl: Implementation) -> None:
    impl.say(ADA, NEWS, Choice.OPTED_IN, impl.now() - DAY)
    beats: list[int] = []
    impl.replica.send(requests(impl, ADA), heartbeat=lambda: beats.append(1))
    assert beats


def test_a_small_job_is_sent_one_by_one(impl: Implementation) -> None:
    assert not saves_calls(impl.replica, [one.writes for one in requests(impl, ADA)])
