"""Writes of the whole preference tree, where there is no v3: cut off half-way, or crossed by the person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dotdigital_world import BEFORE, NEWS, NEWSLETTER, OFFERS, UNMAPPED, WEEKLY, who, withdrawal

from bridge.core.errors import OutcomeUnknown
from bridge.core.mapping import Mapping
from bridge.core.ports import Repaired, WriteResponse
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.importer import InMemoryKeyValue
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from tests.port_calls import send_one

ONE = who("one@example.com")
PUT, DATES, TREE = (
    "set-preferences-for-contact",
    "get-subscriptions-for-contact",
    "get-preferences-for-contact",
)
ALL_ON = {NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE), WEEKLY: (True, BEFORE)}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def start(v2: ClientV2, mapping: Mapping, state: DotdigitalState) -> Callable[[], DotdigitalReplica]:
    """Starts a process; all of them share what they remember."""
    memory = InMemoryKeyValue()
    return lambda: DotdigitalReplica(
        v2, None, mapping, state.clock.now, memory=memory, sleep=state.clock.advance
    )


def on(state: DotdigitalState) -> set[int]:
    contact = state.find("one@example.com")
    assert contact is not None
    return {number for number, row in contact.opt_ins.items() if row.opted_in}


def at_call(state: DotdigitalState, operation: str, act: Callable[[], None], nth: int = 1) -> None:
    """Once, as a call arrives, this happens."""
    record, met = state.calls.record, list[str]()

    def recorded(name: str) -> None:
        record(name)
        if name == operation:
            met.append(name)
            if len(met) == nth:
                act()

    state.calls.record = recorded  # type: ignore[method-assign]


def leaves(state: DotdigitalState, preference: int, opted_in: bool = False) -> Callable[[], None]:
    contact = state.find("one@example.com")
    assert contact is not None
    return lambda: state.set_preference(contact.id, preference, opted_in, state.clock.now())


def dies(replica: DotdigitalReplica, operation: str) -> None:
    """The process ends as it is about to make this call."""

    def call(_client: ClientV2, **_: object) -> None:
        raise Killed

    name = operation.replace("-", "_")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientV2, name, call)
        with pytest.raises(Killed):
            send_one(replica, ONE, [withdrawal(NEWSLETTER)])


def unanswered(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    """The call of a write ends without an answer that counts."""
    state.faults.add(InjectedFault(PUT, "status", times=1, status=500))
    with pytest.raises(OutcomeUnknown):
        send_one(replica, ONE, [withdrawal(NEWSLETTER)])


@pytest.mark.parametrize("others", [{UNMAPPED}, {UNMAPPED, WEEKLY}])
def test_the_next_process_repairs_what_one_that_died_after_the_write_turned_on(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica], others: set[int]
) -> None:
    rows = dict.fromkeys((NEWS, *others), (True, BEFORE))
    state.add_contact("one@example.com", opt_ins=rows)  # type: ignore[arg-type]
    at_call(state, PUT, leaves(state, UNMAPPED))
    dies(start(), DATES)
    assert UNMAPPED in on(state)
    state.clock.advance(3600)
    after = start()
    assert after.unfinished() == [ONE.person]
    (found,) = after.finish([ONE])
    assert not found.failed
    assert on(state) == others - {UNMAPPED}
    assert after.unfinished() == []


def test_a_process_that_died_before_the_write_leaves_nothing_to_repair(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    dies(start(), PUT)
    after = start()
    assert list(after.finish([ONE])) == []
    assert on(state) == set(ALL_ON)
    state.clock.advance(600)  # until then the write may still have been under way
    assert list(after.finish([ONE])) == []
    assert (on(state), after.unfinished()) == (set(ALL_ON), [])


def test_what_nothing_crossed_is_checked_and_left_alone(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    dies(start(), DATES)
    after = start()
    assert list(after.finish([ONE])) == []
    assert (on(state), after.unfinished()) == ({UNMAPPED, WEEKLY}, [])


def test_an_opt_in_long_after_the_write_is_not_taken_for_turned_on_by_it(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    dies(start(), DATES)
    state.clock.advance(600)
    leaves(state, UNMAPPED)()
    leaves(state, UNMAPPED, True)()
    assert list(start().finish([ONE])) == []
    assert UNMAPPED in on(state)


def test_a_repair_that_fails_is_tried_again(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    at_call(state, PUT, leaves(state, UNMAPPED))
    dies(start(), DATES)
    state.faults.add(InjectedFault(DATES, "status", times=9, status=400))
    (found,) = start().finish([ONE])
    assert found.failed
    assert start().unfinished() == [ONE.person]
    state.faults.clear()
    (found,) = start().finish([ONE])
    assert (found.failed, UNMAPPED in on(state)) == (False, False)
    assert start().unfinished() == []


def test_a_person_who_is_not_known_any_more_is_dropped(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    dies(start(), DATES)
    assert list(start().finish([])) == []
    assert start().unfinished() == []


def test_an_opt_out_while_the_dates_are_tried_out_is_kept_and_decides_nothing_for_others(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    """One preference beside the written one: the person leaves it during the write and again while it is
    tried out whether each write dates everything again."""
    state.add_contact("one@example.com", opt_ins={NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE)})  # type: ignore[arg-type]
    leave = leaves(state, UNMAPPED)
    at_call(state, PUT, leave)
    at_call(state, DATES, leave, nth=3)
    replica = start()
    answer = send_one(replica, ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert on(state) == set()
    state.add_contact("two@example.com", opt_ins={NEWS: (True, BEFORE), UNMAPPED: (True, BEFORE)})  # type: ignore[arg-type]
    assert send_one(replica, who("two@example.com"), [withdrawal(NEWSLETTER)]) is WriteResponse.ACCEPTED


def test_an_opt_in_repeated_at_the_moment_of_the_write_counts_as_an_opt_out_and_is_said(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    """Its row cannot be told from one that the write turned on."""
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]

    def repeats() -> None:
        leaves(state, UNMAPPED)()
        leaves(state, UNMAPPED, True)()

    at_call(state, PUT, repeats)
    answer = send_one(start(), ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert "opted in again" in answer.reason
    assert on(state) == {WEEKLY}


def test_a_later_write_to_the_same_person_forgets_nothing_that_is_not_checked_yet(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    """The first write undoes an opt-out and could not be checked; then the same person is written again."""
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    at_call(state, PUT, leaves(state, UNMAPPED))
    state.faults.add(InjectedFault(DATES, "status", times=1, status=400))
    replica = start()
    answer = send_one(replica, ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert answer.failed
    state.clock.advance(5)
    send_one(replica, ONE, [withdrawal(OFFERS)])
    assert replica.unfinished() == [ONE.person]
    (found,) = start().finish([ONE])
    assert (found.failed, on(state), start().unfinished()) == (False, set(), [])


@pytest.mark.parametrize("lands", [True, False])
def test_what_a_write_turned_on_is_found_although_the_person_changed_what_it_was_about(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica], lands: bool
) -> None:
    """The process dies round the write; before the next one the person opts in again to what it was about."""
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    state.clock.advance(3600)
    if lands:
        at_call(state, PUT, leaves(state, UNMAPPED))
    dies(start(), DATES if lands else PUT)
    state.clock.advance(60)
    if not lands:
        leaves(state, NEWS)()
    leaves(state, NEWS, True)()
    state.clock.advance(600)
    assert len(start().finish([ONE])) == lands
    assert on(state) == set(ALL_ON) - ({UNMAPPED} if lands else set())
    assert start().unfinished() == []


def test_a_repair_whose_write_fails_is_tried_again(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    at_call(state, PUT, leaves(state, UNMAPPED))
    refuse = InjectedFault(PUT, "status", times=1, status=400)
    at_call(state, PUT, lambda: state.faults.add(refuse), nth=2)
    answer = send_one(start(), ONE, [withdrawal(NEWSLETTER)])
    assert isinstance(answer, Repaired)
    assert (answer.failed, UNMAPPED in on(state)) == (True, True)
    (found,) = start().finish([ONE])
    assert (found.failed, on(state), start().unfinished()) == (False, {WEEKLY}, [])


@pytest.mark.parametrize("written_again", [False, True])
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_write_that_lands_only_after_it_was_looked_for_turns_on_nothing_unseen(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica], written_again: bool, cut_off: bool
) -> None:
    """Nobody knows what became of a write, and a check does not find it yet. The person opts out of something
    else, and then it is applied, maybe after the same opt-out was sent again."""
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    if cut_off:
        dies(start(), PUT)
    else:
        unanswered(state, start())
    state.clock.advance(130)
    replica = start()
    assert list(replica.finish([ONE])) == []
    if written_again:
        send_one(replica, ONE, [withdrawal(NEWSLETTER)])
    leaves(state, UNMAPPED)()
    state.clock.advance(150)
    leaves(state, UNMAPPED, True)()  # the late write, which dates only what it changes
    if not written_again:
        leaves(state, NEWS)()
    (found,) = start().finish([ONE])
    assert (found.failed, on(state)) == (False, {WEEKLY})
    assert start().unfinished() == []


def test_a_write_of_unknown_outcome_is_looked_for_again_for_an_hour(
    state: DotdigitalState, start: Callable[[], DotdigitalReplica]
) -> None:
    state.add_contact("one@example.com", opt_ins=ALL_ON)  # type: ignore[arg-type]
    unanswered(state, start())
    state.clock.advance(300)
    assert list(start().finish([ONE])) == []
    send_one(start(), ONE, [withdrawal(NEWSLETTER)])
    state.clock.advance(2000)
    leaves(state, UNMAPPED)()
    state.clock.advance(600)
    leaves(state, UNMAPPED, True)()
    (found,) = start().finish([ONE])
    assert (found.failed, on(state)) == (False, {WEEKLY})
