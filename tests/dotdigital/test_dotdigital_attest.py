"""Consent records: read first, at most five a call, and no contact is restored by them.

Dotdigital contacts v3, `importContact` (PATCH) with consentRecords.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from dotdigital_world import NEWS, NEWSLETTER, START, who

from bridge.core.errors import NotFound, Refused
from bridge.core.model import ConsentRecord, Side
from bridge.core.ports import Unrecorded, WriteResponse
from bridge.core.writes import Evidence, Raise
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.contact_writer import add_consent_records
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from tests.port_calls import send_one

ADA = "ada@example.com"
YES = Raise(Side.DOTDIGITAL, NEWSLETTER, Evidence(Side.MYPREFERENCES, START, START, "v"))


def record(number: int = 0, ip: str = "2001:db8::7") -> ConsentRecord:
    at = START - timedelta(days=number)
    return ConsentRecord(NEWSLETTER, at, text=f"Yes {number}", url="https://example.com", ip=ip, agent="X/1")


def keep(v3: ClientV3, records: Sequence[ConsentRecord]) -> None:
    add_consent_records(v3, v3.get_contact(identifier="email", value=ADA), records)


def kept(state: DotdigitalState, contact: int) -> list[str]:
    return [one["text"] for one in state.contact(contact).consent_records]


def test_more_than_five_go_in_several_calls(state: DotdigitalState, v3: ClientV3) -> None:
    ada = state.add_contact(ADA)
    keep(v3, [record(number) for number in range(7)])
    assert kept(state, ada) == [f"Yes {number}" for number in range(7)]
    assert state.calls.count("importContact") == 2


def test_what_is_there_is_not_sent_again(state: DotdigitalState, v3: ClientV3) -> None:
    ada = state.add_contact(ADA)
    keep(v3, [record(1)])
    keep(v3, [record(1), record(2), record(2)])
    keep(v3, [record(2)])
    assert kept(state, ada) == ["Yes 1", "Yes 2"]
    assert state.calls.count("importContact") == 2


@pytest.mark.parametrize("ip", ["::1", "127.0.0.1", "somewhere"])
def test_a_record_that_would_not_be_taken_keeps_no_other_back(
    state: DotdigitalState, v3: ClientV3, ip: str
) -> None:
    ada = state.add_contact(ADA)
    with pytest.raises(Refused, match="IP address"):
        keep(v3, [record(1, ip=ip), record(2)])
    assert kept(state, ada) == ["Yes 2"]


def test_nobody_is_created_or_restored_by_a_record(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    with pytest.raises(NotFound):
        send_one(replica, who(ADA), [YES], [record()])
    ada = state.add_contact(ADA)
    state.delete_contact(ada)
    with pytest.raises((Refused, NotFound)):
        send_one(replica, who(ADA), [YES], [record()])
    assert state.contact(ada).binned
    assert state.calls.count("importContact") == 0


def test_a_record_changes_no_status_and_no_preference(state: DotdigitalState, v3: ClientV3) -> None:
    ada = state.add_contact(ADA, status="Unsubscribed")
    keep(v3, [record()])
    assert state.contact(ada).status == "Unsubscribed"
    assert state.contact(ada).opt_ins == {}


@pytest.mark.parametrize("ip", ["192.0.2.9", "::1"])
def test_a_choice_is_written_with_its_record_or_without(
    state: DotdigitalState, replica: DotdigitalReplica, ip: str
) -> None:
    ada = state.add_contact(ADA)
    answer = send_one(replica, who(ADA), [YES], [record(ip=ip)])
    if ip == "::1":
        assert isinstance(answer, Unrecorded)
        assert "IP address" in answer.reason
    else:
        assert answer is WriteResponse.ACCEPTED
    assert kept(state, ada) == ([] if ip == "::1" else ["Yes 0"])
    assert state.contact(ada).opt_ins[NEWS].opted_in


def test_a_record_shows_in_no_log_and_no_error(v3: ClientV3) -> None:
    shown = repr(record(ip="192.0.2.9"))
    assert "192.0.2.9" not in shown
    assert "example.com" not in shown
    with pytest.raises(NotFound) as refused:
        keep(v3, [record()])
    assert ADA not in str(refused.value)
