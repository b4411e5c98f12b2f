"""`BRIDGE_DOTDIGITAL__V3`: `auto` falls back to v2 without v3, `always` fails, `never` makes no v3 call."""

from __future__ import annotations

import pytest
from dotdigital_world import NEWS, NEWSLETTER, START, who

from bridge.core.errors import SideError
from bridge.core.mapping import Mapping
from bridge.core.model import Choice, Side
from bridge.core.ports import WriteRequest, WriteResponse, read_person
from bridge.core.writes import Withdrawal
from bridge.dotdigital.client.access import NO_V3, V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault

PEOPLE = [who(f"p{number}@example.com") for number in range(8)]
V3_CALLS = ("getContacts", "getContact", "importContact", "importContacts", "getImportStatus")


@pytest.fixture
def auto(v2: ClientV2, v3: ClientV3, mapping: Mapping, state: DotdigitalState) -> DotdigitalReplica:
    access = V3Access(v3, required=False)
    return DotdigitalReplica(v2, access, mapping, state.clock.now, sleep=lambda _: None)


@pytest.fixture(autouse=True)
def people(state: DotdigitalState) -> None:
    for one in PEOPLE:
        state.set_preference(state.add_contact(one.address), NEWS, True, START)


def v3_calls(state: DotdigitalState) -> int:
    return sum(state.calls.count(name) for name in V3_CALLS)


def requests() -> list[WriteRequest]:
    return [WriteRequest(one, [Withdrawal(Side.DOTDIGITAL, NEWSLETTER, START, START)]) for one in PEOPLE]


@pytest.mark.parametrize("switch", ["forbidden", "absent"])
def test_auto_does_without_v3_for_good_after_one_question(
    auto: DotdigitalReplica, state: DotdigitalState, switch: str
) -> None:
    state.switches.v3 = switch
    pages = list(auto.list_people(PEOPLE))
    assert {view.address for page in pages for view in page.views} >= {one.address for one in PEOPLE}
    assert [warning for page in pages for warning in page.warnings] == [NO_V3]
    assert auto.send(requests(), lambda: None) == [WriteResponse.ACCEPTED] * len(PEOPLE)
    assert state.calls.count("set-preferences-for-contact") == len(PEOPLE)
    shown = read_person(auto, PEOPLE[0])
    assert shown.topics[NEWSLETTER].choice is Choice.OPTED_OUT
    assert v3_calls(state) == 1


def test_auto_uses_v3_where_it_is_there(auto: DotdigitalReplica, state: DotdigitalState) -> None:
    assert auto.estimate_calls([one.writes for one in requests()]) < 3 * len(PEOPLE)
    assert v3_calls(state) == 0
    auto.send(requests(), lambda: None)
    assert state.calls.count("importContacts") == 1
    assert state.calls.count("getContacts") == 1


def test_a_server_error_does_not_prove_v3_missing(auto: DotdigitalReplica, state: DotdigitalState) -> None:
    state.faults.add(InjectedFault("getContacts", "status", status=503, times=99))
    with pytest.raises(SideError):
        list(auto.list_people(PEOPLE))
    state.faults.clear()
    assert not [warning for page in auto.list_people(PEOPLE) for warning in page.warnings]
    assert state.calls.count("get-contacts-opted-into-a-preference") == 0


def test_always_insists(v2: ClientV2, v3: ClientV3, mapping: Mapping, state: DotdigitalState) -> None:
    state.switches.v3 = "forbidden"
    replica = DotdigitalReplica(v2, V3Access(v3, required=True), mapping, state.clock.now)
    with pytest.raises(SideError):
        list(replica.list_people(PEOPLE))


def test_never_never_asks(v2: ClientV2, mapping: Mapping, state: DotdigitalState) -> None:
    replica = DotdigitalReplica(v2, V3Access(None), mapping, state.clock.now)
    assert list(replica.list_people(PEOPLE))
    replica.send(requests(), lambda: None)
    assert state.calls.count("set-preferences-for-contact") == len(PEOPLE)
    assert v3_calls(state) == 0
