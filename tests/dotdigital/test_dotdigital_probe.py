"""What the v3 listing may be trusted with is learnt from the account, and never believed beforehand."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime, timedelta
from itertools import product

import pytest
from dotdigital_world import NEWS, START

from bridge.core.mapping import Mapping
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.importer import InMemoryKeyValue
from bridge.dotdigital.polling.capabilities import (
    AFTER_FAILURE,
    EVERY,
    HANDFUL,
    WHILE_UNKNOWN,
    OwnWrites,
    no_writes,
)
from bridge.dotdigital.polling.stored import (
    ENOUGH,
    Capabilities,
    Capability,
    CapabilityState,
    ChangeType,
    TrustLevel,
)
from bridge.dotdigital.reader import DotdigitalReader
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from tests.port_calls import feed_names

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PREFERENCES, SUPPRESSIONS, LISTED = (
    Capability.MOVES_ON_PREFERENCES,
    Capability.MOVES_ON_SUPPRESSIONS,
    Capability.LISTS_SUPPRESSED,
)
SHOWN, NOT_SHOWN, UNKNOWN = TrustLevel.SHOWN, TrustLevel.NOT_SHOWN, TrustLevel.UNKNOWN


class ChangingAccount:
    """People who change their minds at Dotdigital, and a process that reads its feeds."""

    def __init__(self, state: DotdigitalState, v2: ClientV2, v3: ClientV3 | None, mapping: Mapping) -> None:
        self.state, self.memory = state, InMemoryKeyValue()
        self._parts = v2, V3Access(v3), mapping
        self.reader = self.process()
        self._people = 0

    def process(self, own_writes: OwnWrites = no_writes) -> DotdigitalReader:
        """Another process with the same state DB."""
        v2, access, mapping = self._parts
        self.reader = DotdigitalReader(
            v2, access, mapping, self.state.clock.now, memory=self.memory, own_writes=own_writes
        )
        return self.reader

    def changes(self, number: int, *, suppressed: bool = False, new: bool = False) -> list[int]:
        """So many people, made hours ago unless they are new, change something now; their ids."""
        first = self._people
        self._people += number
        ids = [self.state.add_contact(f"p{one}@example.com") for one in range(first, self._people)]
        self.state.clock.advance(0 if new else 7200)
        for contact in ids:
            if suppressed:
                self.state.unsubscribe(contact, self.state.clock.now())
            else:
                self.state.set_preference(contact, NEWS, True, self.state.clock.now())
        return ids

    def reads(self) -> None:
        """More than an hour later the feeds are read."""
        self.state.clock.advance(4000)
        for feed in feed_names(self.reader):
            list(self.reader.read_feed(feed, self.state.clock.now() - 20 * HOUR))

    def learns(self) -> Capabilities:
        self.reads()
        self.reader.probe_capabilities()
        return Capabilities.load(self.memory)


@pytest.fixture
def changing(state: DotdigitalState, v2: ClientV2, v3: ClientV3, mapping: Mapping) -> ChangingAccount:
    return ChangingAccount(state, v2, v3, mapping)


def moving(
    state: DotdigitalState, *, preferences: bool = True, suppressions: bool = True, listed: bool = True
) -> None:
    state.switches.modified_moves_on_preferences = preferences
    state.switches.modified_moves_on_suppression = suppressions
    state.switches.lists_suppressed = listed


@pytest.mark.parametrize(("preferences", "suppressions", "listed"), list(product([True, False], repeat=3)))
def test_each_position_of_the_open_questions_is_found(
    state: DotdigitalState, changing: ChangingAccount, preferences: bool, suppressions: bool, listed: bool
) -> None:
    """Dotdigital `getContacts`: what moves `updated`, and whom the listing shows, is documented nowhere."""
    moving(state, preferences=preferences, suppressions=suppressions, listed=listed)
    changing.changes(4)
    changing.changes(4, suppressed=True)
    found = changing.learns()
    assert found[PREFERENCES].verdict is (SHOWN if preferences else NOT_SHOWN)
    assert found[SUPPRESSIONS].verdict is (SHOWN if suppressions else NOT_SHOWN)
    assert found[LISTED].verdict is (SHOWN if listed else NOT_SHOWN)


@pytest.mark.parametrize("listed", [True, False])
def test_a_contact_that_was_not_modified_does_not_show_whether_such_contacts_are_listed(
    state: DotdigitalState, changing: ChangingAccount, listed: bool
) -> None:
    moving(state, suppressions=False, listed=listed)
    changing.changes(4, suppressed=True)
    assert changing.learns()[LISTED] == CapabilityState()


def test_nothing_is_written_and_few_calls_are_made(state: DotdigitalState, changing: ChangingAccount) -> None:
    moving(state, listed=False)
    changing.changes(20)
    changing.changes(20, suppressed=True)
    changing.reads()
    before, calls = state.people(), changing.reader.calls
    changing.reader.probe_capabilities()
    assert state.people() == before
    assert changing.reader.calls - calls <= 1 + 1 + HANDFUL  # the listing, whether it is there, whom it lacks
    assert changing.reader.probe_capabilities() == ()
    calls = changing.reader.calls
    changing.reads()
    after_reading = changing.reader.calls
    changing.reader.probe_capabilities()
    assert changing.reader.calls == after_reading
    assert after_reading > calls


@pytest.mark.parametrize("number", [0, 1, ENOUGH - 1])
def test_too_few_prove_nothing(state: DotdigitalState, changing: ChangingAccount, number: int) -> None:
    moving(state)
    changing.changes(number)
    assert changing.learns()[PREFERENCES] == CapabilityState(by=number)


def test_a_few_are_waited_for_until_they_are_enough(
    state: DotdigitalState, changing: ChangingAccount
) -> None:
    moving(state)
    changing.changes(ENOUGH - 1)
    state.clock.advance(660)
    for feed in feed_names(changing.reader):
        list(changing.reader.read_feed(feed, START))
    changing.reader.probe_capabilities()
    assert Capabilities.load(changing.memory).asked_at is None
    changing.changes(1)
    assert changing.learns()[PREFERENCES].is_shown


def test_days_add_up_and_nobody_counts_twice(state: DotdigitalState, changing: ChangingAccount) -> None:
    moving(state)
    found = []
    for _ in range(3):
        changing.changes(1)
        found.append(changing.learns()[PREFERENCES])
        state.clock.advance(WHILE_UNKNOWN.total_seconds())
        changing.learns()
        state.clock.advance(EVERY.total_seconds())
    assert [one.by for one in found] == [1, 2, 3]
    assert [one.verdict for one in found] == [UNKNOWN, UNKNOWN, SHOWN]


def test_one_who_is_missed_is_enough_to_trust_it_no_more(
    state: DotdigitalState, changing: ChangingAccount
) -> None:
    moving(state)
    changing.changes(4)
    assert changing.learns()[PREFERENCES].is_shown
    state.clock.advance(EVERY.total_seconds())
    moving(state, preferences=False)
    changing.changes(1)
    changing.reads()
    told = changing.reader.probe_capabilities()
    assert Capabilities.load(changing.memory)[PREFERENCES].verdict is NOT_SHOWN
    assert "using the v2 feeds" in told[0]
    state.clock.advance(EVERY.total_seconds())
    moving(state)
    changing.changes(ENOUGH - 1)
    assert changing.learns()[PREFERENCES].verdict is NOT_SHOWN
    state.clock.advance(EVERY.total_seconds())
    changing.changes(1)
    assert changing.learns()[PREFERENCES].is_shown


def test_a_contact_that_moved_later_for_another_reason_proves_nothing(
    state: DotdigitalState, changing: ChangingAccount
) -> None:
    moving(state, preferences=False, suppressions=False)
    for contact in changing.changes(4):
        state.clock.advance(300)
        state.change_email(contact, f"new{contact}@example.com")
    assert changing.learns()[PREFERENCES] == CapabilityState()


def test_a_contact_created_with_the_change_proves_nothing(
    state: DotdigitalState, changing: ChangingAccount
) -> None:
    """Most opt-ins come with a sign-up: a new contact is a modified one."""
    moving(state, preferences=False)
    changing.changes(4, new=True)
    assert changing.learns()[PREFERENCES] == CapabilityState()


def test_the_bridges_own_writes_prove_nothing(state: DotdigitalState, changing: ChangingAccount) -> None:
    """An import moves `updated` by itself; a person's click may not."""
    moving(state)
    mine = {str(contact) for contact in changing.changes(4)}
    asked: list[datetime] = []

    def ours(ids: object, since: datetime) -> Set[str]:
        asked.append(since)
        return mine

    changing.process(ours)
    assert changing.learns()[PREFERENCES] == CapabilityState()
    assert asked == [START + 2 * HOUR - 5 * MINUTE]


def test_what_has_just_changed_may_not_be_everywhere_yet(
    state: DotdigitalState, changing: ChangingAccount
) -> None:
    moving(state)
    changing.reads()
    changing.changes(4)
    state.clock.advance(60)
    for feed in feed_names(changing.reader):
        list(changing.reader.read_feed(feed, START))
    changing.reader.probe_capabilities()
    assert Capabilities.load(changing.memory).asked_at is None


@pytest.mark.parametrize("kind", ["status", "html", "null", "truncate"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_probe_that_fails_changes_nothing_and_is_tried_again(
    state: DotdigitalState, changing: ChangingAccount, kind: str, nth: int
) -> None:
    moving(state, listed=False)
    changing.changes(4)
    changing.changes(4, suppressed=True)
    changing.reads()
    state.faults.add(InjectedFault("getContacts" if nth == 1 else "getContact", kind, nth=1, times=99))
    told = changing.reader.probe_capabilities()
    assert len(told) == 1
    assert "@" not in told[0]
    assert Capabilities.load(changing.memory) == Capabilities()
    state.faults.clear()
    assert changing.reader.probe_capabilities() == ()
    assert Capabilities.load(changing.memory) == Capabilities()  # not in each run
    state.clock.advance(AFTER_FAILURE.total_seconds())
    changing.reader.probe_capabilities()
    assert Capabilities.load(changing.memory)[PREFERENCES].is_shown


def test_without_v3_nothing_is_asked(state: DotdigitalState, v2: ClientV2, mapping: Mapping) -> None:
    moving(state)
    changing = ChangingAccount(state, v2, None, mapping)
    changing.changes(4)
    changing.reads()
    calls = changing.reader.calls
    assert changing.reader.probe_capabilities() == ()
    assert changing.reader.calls == calls


def test_evidence_is_weighed_by_kind() -> None:
    found = Capabilities().after([(PREFERENCES, True)] * ENOUGH + [(LISTED, False)], START, {})
    assert found[PREFERENCES] == CapabilityState(SHOWN, START, ENOUGH)
    assert found[LISTED] == CapabilityState(NOT_SHOWN, START, 0)
    assert found[SUPPRESSIONS] == CapabilityState()
    assert not found.is_complete
    later = found.after([(LISTED, False)], START + HOUR, {ChangeType.PREFERENCE: START})
    assert later[LISTED].since == START
    assert later[PREFERENCES].since == START
