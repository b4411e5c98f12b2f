"""Imports that Dotdigital refuses as a whole: no answer to the people in them."""

from __future__ import annotations

import pytest
from dotdigital_world import DAILY, NEWS, NEWSLETTER, withdrawal
from test_dotdigital_import import BEFORE, memory, no_heartbeat, opted_in, people, replica, requests

from bridge.core.errors import SideError
from bridge.core.ports import WriteResponse
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.dotdigital.write_batches import FEWEST
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault

__all__ = ["memory", "people", "replica"]


@pytest.mark.parametrize("outcome", ["RejectedByWatchdog", "ExceedsAllowedContactLimit"])
def test_withdrawals_that_a_whole_import_is_refused_with_go_one_by_one(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState, outcome: str
) -> None:
    state.switches.import_outcome = outcome
    results = replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(people)
    assert all(opted_in(state, address) == {DAILY} for address in people)


def test_where_too_many_imports_are_active_withdrawals_go_one_by_one(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    """25 at once in an account, which others use too."""
    state.switches.max_active_imports = 0
    results = replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(people)
    assert not replica.has_running_jobs()


def add_blocked(state: DotdigitalState) -> str:
    """A contact whose topics no import takes: it is blocked for all accounts."""
    address = "blocked@example.com"
    state.set_preference(state.add_contact(address, status="SharedSuppression"), NEWS, True, BEFORE)
    return address


def test_one_entry_that_has_an_import_refused_keeps_nobody_else_from_being_imported(
    replica: DotdigitalReplica, state: DotdigitalState
) -> None:
    state.switches.import_bad_entries = "refuse_all"
    everybody = [f"m{number}@example.com" for number in range(120)]
    for address in everybody:
        state.set_preference(state.add_contact(address), NEWS, True, BEFORE)
    everybody.insert(77, add_blocked(state))
    state.faults.add(
        InjectedFault(
            "importContact", "status", status=400, body='{"errorCode":"contacts:badRequest"}', times=9
        )
    )
    results = replica.send(requests(everybody, withdrawal(NEWSLETTER)), no_heartbeat)
    refused = [address for address, one in zip(everybody, results, strict=True) if isinstance(one, SideError)]
    assert "blocked@example.com" in refused
    assert len(refused) <= FEWEST
    assert state.calls.count("importContacts") < 20
    state.faults.clear()
    again = replica.send(requests(refused, withdrawal(NEWSLETTER)), no_heartbeat)
    assert again == [WriteResponse.ACCEPTED] * len(refused)
    assert not any(opted_in(state, address) for address in everybody)


def test_only_the_entry_that_has_an_import_refused_is_refused(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    state.switches.import_bad_entries = "refuse_all"
    state.switches.v3_schema = "closed"
    everybody = [*people, add_blocked(state)]
    results = replica.send(requests(everybody, withdrawal(NEWSLETTER)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(everybody)  # alone, it is taken
    assert all(NEWS not in opted_in(state, address) for address in everybody)


def test_an_account_that_refuses_every_import_is_not_asked_for_ever(
    replica: DotdigitalReplica, state: DotdigitalState
) -> None:
    everybody = [f"m{number}@example.com" for number in range(600)]
    for address in everybody:
        state.set_preference(state.add_contact(address), NEWS, True, BEFORE)
    state.faults.add(InjectedFault("importContacts", "status", status=400, body="{}", times=10_000))
    results = replica.send(requests(everybody, withdrawal(NEWSLETTER)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(everybody)
    assert state.calls.count("importContacts") <= 100
