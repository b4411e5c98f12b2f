"""Double opt-in: one confirmation mail per opt-in, an expiry date, and a click that always counts.

Dotdigital `Resubscribe contact`: repeated calls for a challenged contact are silently ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from bridge.core.model import ChallengeState
from bridge.store.confirmations import ConfirmationCounts
from tests.scenarios.conftest import Make
from tests.scenarios.live import EMAIL, IN, MINE, OUT, Live

POSITIONS = [
    ("challenged_status", "unchanged"),
    ("challenged_status", "PendingOptIn"),
    ("lists_suppressed", False),
    ("pending_in_suppressed_feed", True),
    ("resubscribe_answer", "not_available"),
    ("resubscribe_answer", "message_only"),
]
Asked = Callable[..., tuple[Live, str]]


@pytest.fixture
def asked(make: Make) -> Asked:
    """A person who unsubscribed, opted in again at MyPreferences, and was sent a confirmation mail."""

    def build(switch: str = "", position: object = None, **words: object) -> tuple[Live, str]:
        live = make(resubscribe="challenge", **words)
        if switch:
            setattr(live.dotdigital.switches, switch, position)
        ada = live.add("ada", consent="Revoked", status="Unsubscribed")
        live.started()
        live.say(MINE, ada, EMAIL, IN)
        live.run()
        assert live.dotdigital.challenges == {live.contact(ada): 1}
        return live, ada

    return build


def sent(live: Live) -> tuple[int, int]:
    """Confirmation mails sent, and calls that would have sent another."""
    return sum(live.dotdigital.challenges.values()), sum(live.dotdigital.dropped_challenges.values())


def state(live: Live, address: str) -> ChallengeState:
    challenge = live.cell(address, EMAIL).challenge
    assert challenge is not None
    return challenge.state


def pass_days(live: Live, days: int, *, full: bool = False) -> None:
    """Two runs a day."""
    for number in range(2 * days):
        live.clock.advance(43_200 - 60)
        live.run(full=full and number % 2 == 1)


@pytest.mark.parametrize(("switch", "position"), POSITIONS)
def test_a_click_is_noticed_within_hours_without_a_sweep(asked: Asked, switch: str, position: object) -> None:
    live, ada = asked(switch, position)
    live.clock.advance(7200)
    live.run()
    assert live.dotdigital.click_challenge(ada)
    live.clock.advance(3600)
    live.run()
    assert live.shows(ada, EMAIL) == (IN, IN)
    assert state(live, ada) is ChallengeState.CONFIRMED
    agreed = live.cell(ada, EMAIL).agreed
    assert agreed is not None
    assert agreed.choice is IN
    assert live.held() == []
    assert sent(live) == (1, 0)


@pytest.mark.parametrize(("switch", "position"), POSITIONS)
def test_an_unanswered_confirmation_mail_becomes_a_hold_and_is_never_sent_again(
    asked: Asked, switch: str, position: object
) -> None:
    live, ada = asked(switch, position)
    pass_days(live, 11)
    pass_days(live, 2, full=True)
    assert live.held() == []
    assert live.app.store.confirmations.counts().pending == 1
    pass_days(live, 2)
    assert live.held() == [(EMAIL, "challenge_expired")]
    assert state(live, ada) is ChallengeState.EXPIRED
    live.release()
    pass_days(live, 3, full=True)
    assert sent(live) == (1, 0)
    assert live.mine(ada, EMAIL) is IN
    assert live.theirs(ada, EMAIL) is not IN


def test_a_click_after_the_expiry_is_taken_up_by_the_next_sweep(asked: Asked) -> None:
    live, ada = asked()
    pass_days(live, 16)
    assert live.held() == [(EMAIL, "challenge_expired")]
    assert live.dotdigital.click_challenge(ada)
    live.run(full=True)
    assert live.shows(ada, EMAIL) == (IN, IN)
    assert live.held() == []
    assert state(live, ada) is ChallengeState.CONFIRMED


@pytest.mark.parametrize("days", [1, 16])
def test_a_withdrawal_ends_it_at_once_and_a_click_after_it_brings_nobody_back(
    asked: Asked, days: int
) -> None:
    live, ada = asked()
    pass_days(live, days)
    live.say(MINE, ada, EMAIL, OUT)
    live.until_quiet()
    assert state(live, ada) is ChallengeState.ENDED
    assert live.held() == []
    assert live.app.store.confirmations.counts() == ConfirmationCounts(0, None, 0)
    assert live.dotdigital.click_challenge(ada)
    live.clock.advance(43_200)
    live.run(full=days == 16)
    live.until_quiet()
    assert live.shows(ada, EMAIL) == (OUT, OUT)


@pytest.mark.parametrize("days", [1, 16])
def test_a_later_opt_in_asks_once_more(asked: Asked, days: int) -> None:
    live, ada = asked()
    pass_days(live, days)
    live.say(MINE, ada, EMAIL, OUT)
    live.until_quiet()
    live.dotdigital.open_challenges.clear()  # the service has forgotten the first
    live.say(MINE, ada, EMAIL, IN)
    live.until_quiet()
    pass_days(live, 2, full=True)
    assert sent(live) == (2, 0)
    assert state(live, ada) is ChallengeState.PENDING
    assert live.dotdigital.click_challenge(ada)
    live.clock.advance(43_200)
    live.run()
    assert live.shows(ada, EMAIL) == (IN, IN)


@pytest.mark.slow
def test_looking_for_a_click_grows_rare(asked: Asked) -> None:
    live, _ = asked()

    def looks() -> int:
        return live.dotdigital.calls.count("get-subscriptions-for-contact")

    before = looks()
    for _ in range(240):  # four hours, a run a minute
        live.run()
    first = looks() - before
    before = looks()
    pass_days(live, 9)
    assert first <= 8
    assert looks() - before <= 18 + 2


def test_a_look_that_fails_is_made_again_and_nothing_expires_unseen(asked: Asked) -> None:
    live, ada = asked()
    live.clock.advance(15 * 86_400)
    assert live.dotdigital.click_challenge(ada)
    live.dotdigital.switches.region = "wrong"
    live.run()
    assert live.held() == []
    live.dotdigital.switches.region = "right"
    live.run()
    assert live.shows(ada, EMAIL) == (IN, IN)
    assert live.held() == []


def test_status_counts_who_is_waited_for_and_since_when(asked: Asked) -> None:
    live, ada = asked()
    counts = live.app.store.confirmations.counts()
    challenge = live.cell(ada, EMAIL).challenge
    assert challenge is not None
    assert counts == ConfirmationCounts(1, challenge.sent_at, 0)
    assert live.clock.now() - challenge.sent_at < timedelta(minutes=5)


def test_many_people_are_read_from_the_listing(make: Make) -> None:
    live = make(resubscribe="challenge", opt_ins_max=1000)
    people = [live.add(f"p{number}", consent="Revoked", status="Unsubscribed") for number in range(30)]
    live.started()
    for one in people:
        live.say(MINE, one, EMAIL, IN)
    live.until_quiet()
    before = live.dotdigital.calls.count("get-subscriptions-for-contact")
    live.clock.advance(3600)
    assert live.dotdigital.click_challenge(people[0])
    live.run()
    live.run()
    assert live.shows(people[0], EMAIL) == (IN, IN)
    assert live.dotdigital.calls.count("get-subscriptions-for-contact") - before < 5
    assert live.app.store.confirmations.counts().pending == 29
