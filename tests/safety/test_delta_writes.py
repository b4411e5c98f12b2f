"""A write changes only what it names, and overwrites nothing that was said meanwhile."""

from __future__ import annotations

from functools import partial

import pytest

from bridge.core.model import Choice, Side
from bridge.sandbox.faults import InjectedFault
from tests.safety.conftest import Make
from tests.safety.safety_world import READS_OF_ONE, SafetyLive, followed_or_seen, is_open
from tests.scenarios.live import IN, MINE, NEWS, OUT, PROFILING, THEIRS, UNSET

UNMAPPED = 1011
SENDS = ("set-preferences-for-contact", "importContact", "importContacts")


def _unmapped(live: SafetyLive, address: str) -> bool:
    return bool(live.truth(address)["preferences"][str(UNMAPPED)]["opted_in"])


def _opts_out_of_the_unmapped(live: SafetyLive, address: str) -> None:
    live.dotdigital.set_preference(live.contact(address), UNMAPPED, False, live.clock.now())


# what a write does not name


@pytest.mark.parametrize("v3", ["auto", "never"])
@pytest.mark.parametrize(("before", "said"), [(IN, OUT), (OUT, IN)], ids=["withdrawal", "raise"])
def test_a_write_about_one_topic_leaves_an_opt_out_of_another_topic_alone(
    make: Make, v3: str, before: Choice, said: Choice
) -> None:
    """A person opts out of profiling at Dotdigital just before the bridge writes about their newsletter."""
    live = make(v3=v3)
    ada = live.add("ada", both={NEWS: before, PROFILING: IN})
    live.started()
    live.say(MINE, ada, NEWS, said)
    met = live.before_call(THEIRS, SENDS, partial(live.say, THEIRS, ada, PROFILING, OUT))
    reports = live.runs(4)
    assert met
    assert live.shows(ada) == (said, said)
    assert followed_or_seen(live, reports, ada, PROFILING)


@pytest.mark.parametrize("v3", ["auto", "never"])
@pytest.mark.parametrize(("before", "said"), [(IN, OUT), (OUT, IN)], ids=["withdrawal", "raise"])
def test_a_write_about_one_topic_leaves_an_opt_out_of_an_unmapped_preference_alone(
    make: Make, v3: str, before: Choice, said: Choice
) -> None:
    """The preference that the person leaves at that moment is not mapped: no later run would repair it."""
    live = make(v3=v3)
    ada = live.add("ada", both={NEWS: before})
    live.dotdigital.set_preference(live.contact(ada), UNMAPPED, True, live.clock.now())
    live.started()
    live.say(MINE, ada, NEWS, said)
    met = live.before_call(THEIRS, SENDS, partial(_opts_out_of_the_unmapped, live, ada))
    reports = live.runs(4)
    assert met
    assert live.shows(ada) == (said, said)
    assert not _unmapped(live, ada) or is_open(reports[-1])


def test_a_write_that_waited_for_the_allowance_leaves_later_opt_outs_alone(live: SafetyLive) -> None:
    """Dotdigital throttles the write; while it waits, the person opts out of another topic there."""
    ada = live.add("ada", both={NEWS: IN, PROFILING: IN})
    live.started()
    live.say(MINE, ada, NEWS, OUT)
    _throttle_sends(live)
    met = live.before_call(THEIRS, SENDS, partial(live.say, THEIRS, ada, PROFILING, OUT))
    reports = live.runs(4)
    assert met
    assert live.shows(ada) == (OUT, OUT)
    assert followed_or_seen(live, reports, ada, PROFILING)


# between the confirming read and the write


def test_an_opt_out_at_the_source_while_a_raise_leaves_is_followed(live: SafetyLive) -> None:
    """The opt-in is withdrawn at MyPreferences just before the call that carries it arrives at Dotdigital."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    met = live.before_call(THEIRS, SENDS, partial(live.say, MINE, ada, NEWS, OUT))
    live.runs(4)
    assert met
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_in_withdrawn_at_its_source_after_the_feeds_were_read_is_not_sent(live: SafetyLive) -> None:
    """MyPreferences has been read; the opt-in is withdrawn there while Dotdigital is read."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    feed = "get-suppressed-contacts-since-date"
    met = live.before_call(THEIRS, feed, partial(live.say, MINE, ada, NEWS, OUT))
    report = live.run()
    assert met
    assert report.written.raises.total() == 0
    assert live.theirs(ada, NEWS) is OUT
    live.runs(3)
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_in_withdrawn_while_its_target_is_confirmed_is_not_left_standing(live: SafetyLive) -> None:
    """The opt-in is withdrawn at MyPreferences while Dotdigital is asked again, just before the write."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    met = live.before_call(THEIRS, READS_OF_ONE, partial(live.say, MINE, ada, NEWS, OUT))
    live.runs(4)
    assert met
    assert live.shows(ada) == (OUT, OUT)


def test_an_opt_out_while_a_raise_waits_for_the_allowance_is_not_overwritten(live: SafetyLive) -> None:
    """Dotdigital throttles the opt-in; while the bridge waits, the person refuses the topic there."""
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    live.started()
    live.say(MINE, ada, NEWS, IN)
    _throttle_sends(live)
    met = live.before_call(THEIRS, SENDS, partial(live.say, THEIRS, ada, NEWS, OUT))
    reports = live.runs(4)
    assert met
    assert followed_or_seen(live, reports, ada)


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_while_an_import_of_opt_ins_is_awaited_is_not_overwritten(
    live: SafetyLive, side: Side
) -> None:
    """Eight opt-ins go by one import; while it is queued, one of these people opts out."""
    people = [live.add(f"p{number}", mine={NEWS: UNSET}, theirs={NEWS: UNSET}) for number in range(8)]
    live.started()
    live.dotdigital.switches.import_seconds = 600.0
    live.dotdigital.switches.import_polls = 1_000
    for address in people:
        live.say(MINE, address, NEWS, IN)
    ada = people[3]
    live.before_call(THEIRS, ("getImportStatus", "importContact"), partial(live.say, side, ada, NEWS, OUT))
    reports = live.runs(6, seconds=300)
    assert followed_or_seen(live, reports, ada)
    assert all(live.shows(one) == (IN, IN) for one in people if one != ada) or is_open(reports[-1])


@pytest.mark.parametrize("side", list(Side))
def test_an_opt_out_just_before_an_import_of_opt_ins_is_not_overwritten(live: SafetyLive, side: Side) -> None:
    """Eight opt-ins are confirmed; one of these people opts out before the import is submitted."""
    people = [live.add(f"p{number}", mine={NEWS: UNSET}, theirs={NEWS: UNSET}) for number in range(8)]
    live.started()
    for address in people:
        live.say(MINE, address, NEWS, IN)
    ada = people[3]
    sends = ("importContacts", "importContact", "set-preferences-for-contact")
    met = live.before_call(THEIRS, sends, partial(live.say, side, ada, NEWS, OUT))
    reports = live.runs(6, seconds=300)
    assert met
    assert followed_or_seen(live, reports, ada)


def _throttle_sends(live: SafetyLive) -> None:
    for operation in SENDS:
        headers = {"Retry-After": "60", "X-RateLimit-Reset": str(int(live.clock.now().timestamp()) + 60)}
        live.faults(THEIRS).add(InjectedFault(operation, "status", status=429, headers=headers))
