"""A feed that has gone deaf, or shows what was, is a state of the sync and never silence."""

from __future__ import annotations

import pytest

from bridge.core.facts import LaggingRead
from bridge.core.store_values import RunKind
from bridge.engine.context import RunContext
from bridge.engine.feed_watch import due_reads
from bridge.engine.report import Report
from bridge.engine.run import closing
from bridge.mypreferences.events.claims import GONE, shows
from bridge.mypreferences.wire.profiles import Preference, Profile
from bridge.sandbox.mypreferences.records import StoredProfile
from tests.engine.world import World
from tests.safety.safety_world import SafetyLive, is_open
from tests.scenarios.live import IN, MINE, NEWS, OUT, THEIRS, UNSET

SIX_HOURS = 24  # runs, a quarter of an hour apart


def _goes_deaf(live: SafetyLive) -> None:
    """An operator deletes the subscription: its events answer `200 []` from then on."""
    with live.mypreferences.lock:
        for stored in list(live.mypreferences.subscriptions):
            live.mypreferences.subscriptions.delete(stored.subscription_id)


def _says_so(reports: list[Report]) -> bool:
    return is_open(reports[-1]) or any(report.exit_code for report in reports)


def test_an_opt_out_is_followed_or_seen_missing_where_the_events_are_deaf(live: SafetyLive) -> None:
    """The subscription is deleted; then a person opts out at MyPreferences."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.run()
    _goes_deaf(live)
    live.say(MINE, ada, NEWS, OUT)
    reports = live.runs(SIX_HOURS, seconds=840)
    assert live.theirs(ada, NEWS) is OUT or _says_so(reports)


@pytest.mark.parametrize("paused", [False, True])
def test_a_subscription_that_is_gone_is_said_although_nobody_acts(live: SafetyLive, paused: bool) -> None:
    """Nothing happens for six hours; only the subscription is missing, or no longer active."""
    live.add("ada", both={NEWS: IN})
    live.started()
    if paused:
        live.mypreferences.switches.paused_keeps_events = False
        with live.mypreferences.lock:
            for stored in live.mypreferences.subscriptions:
                stored.state = stored.document["State"] = "Paused"
    else:
        _goes_deaf(live)
    assert _says_so(live.runs(SIX_HOURS, seconds=840))


def test_no_opt_in_leaves_on_an_opt_in_that_a_deaf_feed_cannot_take_back(live: SafetyLive) -> None:
    """An opt-in is read while Dotdigital takes no writes; the feed goes deaf, and the opt-in is withdrawn."""
    ada = live.add("ada", both={NEWS: OUT})
    live.started()
    live.refuse_writes(THEIRS, 503)
    live.say(MINE, ada, NEWS, IN)
    live.run()
    _goes_deaf(live)
    live.say(MINE, ada, NEWS, OUT)
    live.accept_writes(THEIRS)
    live.runs(4, seconds=840)
    assert live.theirs(ada, NEWS) is OUT


def test_our_own_writes_must_come_back_as_events(live: SafetyLive) -> None:
    """Ten opt-outs are written to MyPreferences, and not one event shows them."""
    people = [live.add(f"p{number}", both={NEWS: IN}) for number in range(10)]
    live.started()
    live.run()
    live.mypreferences.switches.event_lag_seconds = 10.0**7  # no event is ever shown
    for address in people:
        live.say(THEIRS, address, NEWS, OUT)
    reports = live.runs(SIX_HOURS, seconds=840)
    assert {live.mine(address, NEWS) for address in people} == {OUT}
    assert _says_so(reports)


@pytest.mark.parametrize("minutes", [1, 5, 60])
def test_an_opt_out_is_followed_although_profiles_are_read_as_they_were(
    live: SafetyLive, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """For some minutes after the opt-out, MyPreferences shows the profile as it was, and does not say so."""
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.run()
    state, profile = live.mypreferences, live.profile(ada)
    held = state.profiles.get(profile)
    assert held is not None
    former, until = held.copy(), live.clock.now().timestamp() + 60 * minutes
    read = state.as_read

    def stale(stored: StoredProfile) -> tuple[StoredProfile, bool]:
        late = stored.profile_id == profile and live.clock.now().timestamp() < until
        return (former, False) if late else read(stored)

    monkeypatch.setattr(state, "as_read", stale)
    live.say(MINE, ada, NEWS, OUT)
    reports = [*live.runs(10), *live.runs(6, seconds=840)]
    assert live.theirs(ada, NEWS) is OUT or _says_so(reports)


def test_an_opt_out_is_followed_although_dotdigitals_feeds_lag(live: SafetyLive) -> None:
    """The feeds of Dotdigital show a change only ten minutes after it was made."""
    live.dotdigital.switches.feed_lag_seconds = 600.0
    ada = live.add("ada", both={NEWS: IN})
    live.started()
    live.say(THEIRS, ada, NEWS, OUT)
    live.runs(25)
    assert live.mine(ada, NEWS) is OUT


def test_a_later_no_at_the_target_stops_an_opt_in_although_the_feed_is_deaf(live: SafetyLive) -> None:
    """MyPreferences' events are deaf; an opt-in at Dotdigital is followed by a no at MyPreferences."""
    ada = live.add("ada", mine={NEWS: UNSET}, theirs={NEWS: UNSET})
    live.started()
    _goes_deaf(live)
    live.say(THEIRS, ada, NEWS, IN)
    live.say(MINE, ada, NEWS, OUT)
    live.runs(4)
    assert live.mine(ada, NEWS) is OUT


def test_a_profile_that_rounds_its_dates_counts_as_read_only_once_it_was_read_again(world: World) -> None:
    """An event is dated to the microsecond, the profile to the second: the first read may show an earlier
    choice of that second, the second one is taken."""
    said = world.now.replace(microsecond=700_000)
    claims = {f"filter:{name}": at for name, at in (("NEWS", said), ("OFFERS", GONE))}
    world.store.facts.lagging_reads = (LaggingRead(MINE, "7", claims, 0, world.now),)
    rounded = {"filter:NEWS": said.replace(microsecond=0), "filter:OFFERS": GONE}
    with closing(RunContext(world.services(), RunKind.PLAN)) as run:
        (hint,) = due_reads(run, MINE)
        run.end("done", {})
    assert hint.claims == rounded
    one = Preference(filter_id="NEWS", preference_type=1, last_modified_date=f"{said:%Y-%m-%dT%H:%M:%S}Z")
    profile = Profile(profile_preferences=[one])
    assert not shows(profile, claims)
    assert shows(profile, hint.claims)
