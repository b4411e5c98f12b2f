"""What every side promises, whichever fills the port: the fake, and both real clients over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bridge.core.errors import SideError, Verdict
from bridge.core.mapping import CHANNEL
from bridge.core.mapping_check import find_problems
from bridge.core.model import (
    Adjustment,
    Choice,
    Evidence,
    Observation,
    Raise,
    TopicId,
    Who,
    Withdrawal,
    address_key,
)
from bridge.core.ports import Page, PersonView, WriteRequest, WriteResponse, read_person, saves_calls
from bridge.core.verify import is_proven_by
from tests.contract.benches import BENCHES, MAPPING, NEWS, OFFERS, Bench, who
from tests.port_calls import feed_named, feed_names, send_one

ADA, BOB, CLEO = "ada@example.com", "Bob+news@example.com", "cleo@example.com"
DAY = timedelta(days=1)


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with BENCHES[request.param]() as made:
        yield made


def seen(bench: Bench, address: str, topic: TopicId) -> Observation:
    bench.wait()
    return read_person(bench.reader, who(address)).topics[topic]


def evidence(bench: Bench) -> Evidence:
    return Evidence(bench.side.other, bench.now() - timedelta(minutes=5), bench.now(), "v")


def withdrawal(bench: Bench, topic: TopicId) -> Withdrawal:
    return Withdrawal(bench.side, topic, None, bench.now())


def drain(bench: Bench, since_days: float) -> list[Page]:
    bench.wait()
    pages = []
    for feed in feed_names(bench.reader):
        pages += list(bench.reader.read_feed(feed, bench.now() - since_days * DAY))
    if bench.swept:
        pages += list(bench.reader.list_people([]))
    return pages


def named(bench: Bench, pages: list[Page]) -> set[str]:
    """Everybody a drain brings to notice, by view or by hint."""
    found = {view.address for page in pages for view in page.views}
    for page in pages:
        for hint in page.hints:
            found |= {view.address for view in bench.reader.read_hint(hint)}
    return {address.casefold() for address in found}


def test_a_look_shows_what_was_said_and_when(bench: Bench) -> None:
    said = bench.now() - DAY
    bench.say(ADA, NEWS, Choice.OPTED_OUT, said)
    shown = seen(bench, ADA, NEWS)
    assert shown.choice is Choice.OPTED_OUT
    assert shown.changed_at is not None
    assert abs(shown.changed_at - said) < timedelta(seconds=1)
    assert shown.present
    assert not shown.undated


def test_a_look_begins_to_read_at_the_time_it_says(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    before = bench.now()
    assert before <= seen(bench, ADA, NEWS).read_at <= bench.now()


def test_silence_is_unset_and_not_a_refusal(bench: Bench) -> None:
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now() - DAY, "WEEKLY")
    assert seen(bench, ADA, NEWS).choice is Choice.UNSET


def test_somebody_unknown_is_absent_in_every_topic(bench: Bench) -> None:
    view = read_person(bench.reader, who("nobody@example.com"))
    assert view.topics
    assert not any(one.present for one in view.topics.values())


def test_an_address_is_found_whatever_its_case(bench: Bench) -> None:
    bench.say(BOB, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    assert seen(bench, BOB.upper(), NEWS).choice is Choice.OPTED_IN


def test_a_frequency_is_shown(bench: Bench) -> None:
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now() - DAY, "WEEKLY")
    assert seen(bench, ADA, OFFERS).frequencies == ("WEEKLY",)


def test_the_feeds_bring_everybody_who_changed_to_notice(bench: Bench) -> None:
    for address in (ADA, BOB, CLEO):
        bench.say(address, NEWS, Choice.OPTED_OUT, bench.now())
    assert {ADA, BOB.casefold(), CLEO} <= named(bench, drain(bench, 0.5))


def test_reading_a_feed_again_brings_the_same_people_again(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_OUT, bench.now())
    assert named(bench, drain(bench, 0.5)) == named(bench, drain(bench, 0.5)) != set()


def test_only_the_last_page_of_a_feed_carries_a_watermark_no_later_than_its_start(bench: Bench) -> None:
    for address in (ADA, BOB, CLEO):
        bench.say(address, NEWS, Choice.OPTED_OUT, bench.now())
    for feed in feed_names(bench.reader):
        before = bench.now()
        pages = list(bench.reader.read_feed(feed, before - DAY))
        assert [page.watermark for page in pages[:-1]] == [None] * (len(pages) - 1)
        last = pages[-1].watermark
        assert last is not None
        assert last <= before + timedelta(seconds=2)


def test_a_feed_that_cannot_be_read_raises_and_gives_no_watermark(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_OUT, bench.now())
    bench.break_read()
    feed = feed_names(bench.reader)[0]
    pages = []
    with pytest.raises(SideError) as caught:
        pages.extend(bench.reader.read_feed(feed, bench.now() - DAY))
    assert caught.value.verdict is Verdict.RETRY
    assert not any(page.watermark for page in pages)


def test_a_look_that_gets_no_answer_says_so_and_shows_nothing(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now())
    bench.break_read()
    with pytest.raises(SideError) as caught:
        read_person(bench.reader, who(ADA))
    assert ADA not in str(caught.value)


def test_a_sweep_shows_everybody(bench: Bench) -> None:
    people = [f"person{number}@example.com" for number in range(7)]
    for address in people:
        bench.say(address, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    known = [Who(who(address).person, address) for address in people]
    found = {view.address for page in bench.reader.list_people(known) for view in page.views}
    assert found >= set(people)


def test_a_withdrawal_is_proven_by_the_next_look(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    write = withdrawal(bench, NEWS)
    assert send_one(bench.replica, who(ADA), [write]) in (WriteResponse.ACCEPTED, WriteResponse.ALREADY_SO)
    assert is_proven_by(MAPPING.topics[0], write, seen(bench, ADA, NEWS))


def test_a_withdrawal_sent_twice_ends_as_one_sent_once(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    write = withdrawal(bench, NEWS)
    send_one(bench.replica, who(ADA), [write])
    once = seen(bench, ADA, NEWS)
    send_one(bench.replica, who(ADA), [write])
    again = seen(bench, ADA, NEWS)
    assert (again.choice, again.changed_at) == (once.choice, once.changed_at)


def test_a_withdrawal_leaves_the_other_topics_as_they_were(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now() - DAY, "DAILY")
    send_one(bench.replica, who(ADA), [withdrawal(bench, NEWS)])
    other = seen(bench, ADA, OFFERS)
    assert (other.choice, other.frequencies) == (Choice.OPTED_IN, ("DAILY",))


def test_withdrawing_the_channel_leaves_the_topics_as_they_were(bench: Bench) -> None:
    bench.say(ADA, CHANNEL, Choice.OPTED_IN, bench.now() - 2 * DAY)
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    write = withdrawal(bench, CHANNEL)
    send_one(bench.replica, who(ADA), [write])
    assert is_proven_by(MAPPING.channel, write, seen(bench, ADA, CHANNEL))
    assert seen(bench, ADA, NEWS).choice is Choice.OPTED_IN


def test_all_topics_withdrawn_at_once_is_sent_and_not_skipped(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now() - DAY, "DAILY")
    writes = [withdrawal(bench, NEWS), withdrawal(bench, OFFERS)]
    for unit in bench.replica.split(writes):
        send_one(bench.replica, who(ADA), unit)
    for topic in (NEWS, OFFERS):
        assert seen(bench, ADA, topic).choice is Choice.OPTED_OUT


def test_a_raise_is_proven_by_the_next_look(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_OUT, bench.now() - DAY)
    write = Raise(bench.side, NEWS, evidence(bench))
    send_one(bench.replica, who(ADA), [write])
    assert is_proven_by(MAPPING.topics[0], write, seen(bench, ADA, NEWS))


def test_a_raise_of_a_frequency_leaves_only_that_one_on(bench: Bench) -> None:
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now() - DAY, "DAILY")
    write = Adjustment(bench.side, OFFERS, evidence(bench), "WEEKLY")
    send_one(bench.replica, who(ADA), [write])
    assert is_proven_by(MAPPING.topics[1], write, seen(bench, ADA, OFFERS))


def test_withdrawals_and_raises_never_share_a_call(bench: Bench) -> None:
    writes = [withdrawal(bench, NEWS), Raise(bench.side, OFFERS, evidence(bench), "DAILY")]
    units = bench.replica.split(writes)
    assert sorted(map(len, units)) == [1, 1]
    assert isinstance(units[0][0], Withdrawal)


@pytest.mark.parametrize("applied", [True, False])
def test_a_write_without_an_answer_is_in_doubt_and_the_next_look_settles_it(
    bench: Bench, applied: bool
) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    bench.lose_write(applied=applied)
    write = withdrawal(bench, NEWS)
    with pytest.raises(SideError) as caught:
        send_one(bench.replica, who(ADA), [write])
    assert caught.value.verdict is Verdict.IN_DOUBT
    assert is_proven_by(MAPPING.topics[0], write, seen(bench, ADA, NEWS)) is applied


def test_the_price_of_a_write_is_what_it_costs(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    read_person(bench.reader, who(ADA))  # signs in
    writes = [withdrawal(bench, NEWS)]
    before = bench.replica.calls
    for unit in bench.replica.split(writes):
        send_one(bench.replica, who(ADA), unit)
        read_person(bench.replica, who(ADA))
    assert bench.replica.calls - before == bench.replica.estimate_calls([writes])


def test_every_feed_covers_a_topic_and_every_topic_is_covered(bench: Bench) -> None:
    covered = [feed_named(bench.reader, feed).topics for feed in feed_names(bench.reader)]
    assert all(covered)
    assert frozenset().union(*covered) == {topic.id for topic in MAPPING.all}


def test_nothing_mapped_is_missing_here(bench: Bench) -> None:
    assert find_problems(MAPPING, bench.reader.catalogue()) == []


def test_a_feed_tells_old_hints_from_new_ones(bench: Bench) -> None:
    """Feeds are read with an overlap: what was looked into already is known by its key."""
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now(), "DAILY")
    before, again = keys(drain(bench, 0.5)), keys(drain(bench, 0.5))
    assert before
    assert before == again
    bench.say(ADA, OFFERS, Choice.OPTED_IN, bench.now(), "WEEKLY")
    assert keys(drain(bench, 0.5)) - before
    assert not any("@" in key for key in before)


def keys(pages: list[Page]) -> set[str]:
    return {key for page in pages for hint in page.hints for key in hint.keys}


def looked_at(bench: Bench, *addresses: str) -> dict[str, PersonView]:
    bench.wait()
    pages = bench.reader.read_people([who(address) for address in addresses])
    return {address_key(view.address): view for page in pages for view in page.views}


def requests(bench: Bench, *addresses: str) -> list[WriteRequest]:
    return [WriteRequest(who(address), [withdrawal(bench, NEWS)]) for address in addresses]


def nothing() -> None:
    """A heart that beats unheard."""


def test_looking_at_many_shows_each_of_them_under_the_address_asked_for(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    bench.say(CLEO, NEWS, Choice.OPTED_OUT, bench.now() - DAY)
    shown = looked_at(bench, ADA, CLEO, "nobody@example.com")
    assert shown[ADA].topics[NEWS].choice is Choice.OPTED_IN
    assert shown[CLEO].topics[NEWS].choice is not Choice.OPTED_IN
    assert shown[CLEO].topics[NEWS].present
    assert not any(seen.present for seen in shown["nobody@example.com"].topics.values())


def test_many_withdrawals_are_proven_by_looking_at_many(bench: Bench) -> None:
    people = [ADA, BOB, CLEO]
    for address in people:
        bench.say(address, NEWS, Choice.OPTED_IN, bench.now() - DAY)
        bench.say(address, OFFERS, Choice.OPTED_IN, bench.now() - DAY, "DAILY")
    sent = requests(bench, *people)
    results = bench.replica.send(sent, heartbeat=nothing)
    assert [result in (WriteResponse.ACCEPTED, WriteResponse.ALREADY_SO) for result in results] == [True] * 3
    shown = looked_at(bench, *people)
    for request in sent:
        topics = shown[address_key(request.who.address)].topics
        assert is_proven_by(MAPPING.topics[0], request.writes[0], topics[NEWS])
        assert topics[OFFERS].choice is Choice.OPTED_IN


def test_many_raises_are_proven_by_looking_at_many(bench: Bench) -> None:
    for address in (ADA, CLEO):
        bench.say(address, NEWS, Choice.OPTED_OUT, bench.now() - DAY)
    raises = [WriteRequest(who(one), [Raise(bench.side, NEWS, evidence(bench))]) for one in (ADA, CLEO)]
    bench.replica.send(raises, heartbeat=nothing)
    shown = looked_at(bench, ADA, CLEO)
    assert all(shown[one].topics[NEWS].choice is Choice.OPTED_IN for one in (ADA, CLEO))


def test_one_person_who_cannot_be_written_keeps_nobody_else_from_it(bench: Bench) -> None:
    for address in (ADA, CLEO):
        bench.say(address, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    raised = [Raise(bench.side, NEWS, evidence(bench))]
    sent = [WriteRequest(who(one), raised) for one in (ADA, "nobody@example.com", CLEO)]
    results = bench.replica.send(sent, heartbeat=nothing)
    assert len(results) == 3
    assert isinstance(results[1], SideError)
    assert not any(isinstance(results[at], SideError) for at in (0, 2))


def test_writing_many_lets_the_lease_be_renewed(bench: Bench) -> None:
    bench.say(ADA, NEWS, Choice.OPTED_IN, bench.now() - DAY)
    beats: list[int] = []
    bench.replica.send(requests(bench, ADA), heartbeat=lambda: beats.append(1))
    assert beats


def test_a_small_job_is_sent_one_by_one(bench: Bench) -> None:
    assert not saves_calls(bench.replica, [one.writes for one in requests(bench, ADA)])
