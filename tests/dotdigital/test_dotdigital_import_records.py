"""Consent records in an import (Dotdigital v3, `Bulk create and update contacts`)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dotdigital_world import NEWS, NEWSLETTER, START, no_heartbeat, who

from bridge.core.mapping import Mapping
from bridge.core.model import ConsentRecord, Evidence, Raise, Side
from bridge.core.ports import Unrecorded, WriteRequest, WriteResponse
from bridge.dotdigital import contact_writer
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import MOST_RECORDS, ClientV3, ImportChange
from bridge.dotdigital.client.wire import ConsentRecordV3
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.dotdigital.write_batches import prefers_import
from bridge.sandbox.dotdigital import DotdigitalState

PEOPLE = [f"p{number}@example.com" for number in range(8)]
YES = Raise(Side.DOTDIGITAL, NEWSLETTER, Evidence(Side.MYPREFERENCES, START, START, "v"), None, None)


def record(number: int = 0, ip: str = "192.0.2.7") -> ConsentRecord:
    at = START - timedelta(days=number)
    return ConsentRecord(NEWSLETTER, at, text=f"Yes {number}", url="https://example.com", ip=ip, agent="X/1")


@pytest.fixture
def replica(v2: ClientV2, v3: ClientV3, mapping: Mapping, state: DotdigitalState) -> DotdigitalReplica:
    for address in PEOPLE:
        state.add_contact(address)
    return DotdigitalReplica(v2, v3, mapping, state.clock.now, sleep=state.clock.advance)


def send(replica: DotdigitalReplica, *records: ConsentRecord) -> list[object]:
    """Everybody is opted in with these records."""
    requests = [WriteRequest(who(address), [YES], records) for address in PEOPLE]
    assert prefers_import(requests, None)
    return list(replica.send(requests, no_heartbeat))


def kept(state: DotdigitalState) -> list[list[str]]:
    found = [state.find(address) for address in PEOPLE]
    return [
        [record["text"] for record in contact.consent_records] for contact in found if contact is not None
    ]


def opted_in(state: DotdigitalState) -> int:
    found = [state.find(address) for address in PEOPLE]
    return sum(contact is not None and contact.opt_ins[NEWS].opted_in for contact in found)


def test_records_go_in_the_same_import(state: DotdigitalState, replica: DotdigitalReplica) -> None:
    assert send(replica, record(1), record(2)) == [WriteResponse.ACCEPTED] * len(PEOPLE)
    assert kept(state) == [["Yes 1", "Yes 2"]] * len(PEOPLE)
    assert (opted_in(state), state.calls.count("importContact")) == (len(PEOPLE), 0)


@pytest.mark.parametrize("listed", [True, False])
def test_a_record_that_is_there_is_not_imported_again(
    state: DotdigitalState, replica: DotdigitalReplica, listed: bool
) -> None:
    """Each write adds: whether people are read by the listing or one by one, their records are read too."""
    if listed:
        assert sum(len(page.views) for page in replica.list_people([])) == len(PEOPLE)
    send(replica, record(1))
    state.calls.reset()
    assert send(replica, record(1), record(2), record(2)) == [WriteResponse.ACCEPTED] * len(PEOPLE)
    assert kept(state) == [["Yes 1", "Yes 2"]] * len(PEOPLE)
    assert (state.calls.count("getContact") == 0) is listed


def test_a_record_reported_as_not_kept_is_logged_and_blocks_no_opt_in(
    state: DotdigitalState, replica: DotdigitalReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_writer, "_is_valid_record", lambda _: True)
    answers = send(replica, record(ip="not an address"))
    assert len(answers) == len(PEOPLE)
    assert all(isinstance(one, Unrecorded) and "import" in one.reason for one in answers)
    assert opted_in(state) == len(PEOPLE)


def test_a_record_that_no_call_takes_is_left_out_and_logged(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    """Dotdigital was seen to refuse a loopback address."""
    answers = send(replica, record(1), record(2, ip="::1"))
    assert len(answers) == len(PEOPLE)
    assert all(isinstance(one, Unrecorded) and "IP address" in one.reason for one in answers)
    assert kept(state) == [["Yes 1"]] * len(PEOPLE)
    assert opted_in(state) == len(PEOPLE)


def test_more_records_than_an_import_takes_go_one_by_one(
    state: DotdigitalState, replica: DotdigitalReplica
) -> None:
    records = [record(number) for number in range(MOST_RECORDS + 2)]
    assert send(replica, *records) == [WriteResponse.ACCEPTED] * len(PEOPLE)
    assert kept(state) == [[one.text for one in records]] * len(PEOPLE)
    assert (opted_in(state), state.calls.count("importContacts")) == (len(PEOPLE), 0)
    with pytest.raises(ValueError, match="5 consent records"):
        ImportChange(7, {NEWS: True}, records=(ConsentRecordV3(),) * (MOST_RECORDS + 1))


def test_a_record_alone_is_no_change() -> None:
    with pytest.raises(ValueError, match="what is to change"):
        ImportChange(7, records=(ConsentRecordV3(text="Yes"),))
