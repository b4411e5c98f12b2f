"""What the documents leave open about single calls, and the client right in each position of it.

The contract suite and an ordinary day of the whole bridge run in each position of tests/positions.py; here is
what neither of them comes by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from dotdigital_world import BEFORE, CATEGORY, DAILY, NEWS, NEWSLETTER, START, WEEKLY, who

from bridge.core.errors import Refused, SideError
from bridge.core.model import Side
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.core.writes import Evidence, Raise, Withdrawal
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import Addressee, ContactsPage
from bridge.dotdigital.importer import InMemoryKeyValue
from bridge.dotdigital.polling.drains import drain_marker
from bridge.dotdigital.polling.events import EventsExport
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.dotdigital.switches import DotdigitalSwitches
from tests.port_calls import send_one

TESTS = Path(__file__).resolve().parents[1]
ONE = "one@example.com"
WITHDRAWN = Withdrawal(Side.DOTDIGITAL, NEWSLETTER, START, START)
RAISED = Raise(Side.DOTDIGITAL, NEWSLETTER, Evidence(Side.MYPREFERENCES, START, START, "v"))


@pytest.mark.parametrize("position", ["without_email", "null_email"])
def test_a_batch_of_blocks_reports_unknown_addresses(
    v2: ClientV2, state: DotdigitalState, position: str
) -> None:
    state.switches.suppress_echo_of_unknown = position
    known = state.add_contact(ONE)
    said = v2.bulk_suppress_contacts(
        [Addressee(id=known), Addressee(id=99), Addressee(email="x@example.com")]
    )
    assert [entry.id for entry in said.suppressed or []] == [known]
    assert [(entry.id, entry.email) for entry in said.not_found or []] == [(99, None), (0, "x@example.com")]


@pytest.mark.parametrize("position", ["seed", "full", "short"])
def test_definitions_are_written_whatever_their_answers_hold(
    v2: ClientV2, state: DotdigitalState, position: str
) -> None:
    state.switches.definition_answers = position
    v2.create_preference(public_name="New", private_name="new", is_preference=True, category_id=CATEGORY)
    (new,) = {node.id for node in state.preferences.children(CATEGORY)} - {DAILY, WEEKLY}
    v2.update_preference(
        preference_id=new, public_name="Newer", private_name="new", is_preference=True, is_public=True
    )
    node = state.preferences.get(new)
    assert node is not None
    assert (node.public_name, node.is_leaf) == ("Newer", True)


@pytest.mark.parametrize("position", ["by_outcome", "always_200", "always_201"])
@pytest.mark.parametrize("address", [ONE, ONE.upper()])
@pytest.mark.parametrize("caps", ["accepted", "refused"])
def test_a_suppressed_persons_topic_is_written_by_id(
    replica: DotdigitalReplica, state: DotdigitalState, position: str, address: str, caps: str
) -> None:
    """A defect that was seen concerns patches by address, of addresses that are stored in capitals."""
    state.switches.v3_patch_status, state.switches.caps_suppressed_patch = position, caps
    number = state.add_contact(address, "Unsubscribed", {NEWS: (True, BEFORE)}, when=BEFORE)
    assert send_one(replica, who(ONE), [WITHDRAWN]) is WriteResponse.ACCEPTED
    assert not state.contact(number).opt_ins[NEWS].opted_in
    assert state.contact(number).status == "Unsubscribed"


@pytest.mark.parametrize("position", ["revived", "refused"])
@pytest.mark.parametrize("bulk", [True, False])
def test_nobody_is_brought_back_from_the_recycle_bin(
    replica: DotdigitalReplica, state: DotdigitalState, position: str, bulk: bool
) -> None:
    state.switches.binned_write = position
    numbers = [state.add_contact(f"p{number}@example.com") for number in range(8)]
    for number in numbers:
        state.delete_contact(number)
    requests = [WriteRequest(who(f"p{number}@example.com"), [RAISED]) for number in range(8)]
    if bulk:
        said: Sequence[object] = replica.send(requests, lambda: None)
        assert all(isinstance(one, SideError) for one in said)
    else:
        with pytest.raises(Refused):
            send_one(replica, requests[0].who, requests[0].writes)
    assert all(state.contact(number).binned for number in numbers)


@pytest.mark.parametrize("position", ["silent", "challenge"])
@pytest.mark.parametrize("schema", ["published", "closed", "lenient"])
def test_topics_of_many_suppressed_people_bring_nobody_back_and_mail_nobody(
    replica: DotdigitalReplica, state: DotdigitalState, position: str, schema: str
) -> None:
    """Without a status in the write, no default of a resubscription can matter."""
    state.switches.v3_resubscribe_default, state.switches.v3_schema = position, schema
    state.switches.import_polls = 0
    people = [f"p{number}@example.com" for number in range(8)]
    for address in people:
        state.add_contact(address, "Unsubscribed", {NEWS: (False, BEFORE)}, when=BEFORE)
    requests = [WriteRequest(who(address), [RAISED]) for address in people]
    assert set(replica.send(requests, lambda: None)) == {WriteResponse.ACCEPTED}
    assert {person["status"] for person in state.people()} == {"Unsubscribed"}
    assert all(person["preferences"][str(NEWS)]["opted_in"] for person in state.people())
    assert state.challenges == {}


@pytest.mark.parametrize("order", ["contact_id", "shuffled"])
def test_a_listing_that_grows_while_it_is_read_loses_nobody(
    v3: ClientV3, state: DotdigitalState, order: str
) -> None:
    state.switches.list_order = order
    there = {state.add_contact(f"p{number}@example.com") for number in range(50)}

    def fetch(marker: str | None) -> ContactsPage:
        page = v3.get_contacts(marker=marker, limit=10)
        state.add_contact(f"new{len(state.people())}@example.com")
        return page

    found = [contact.contact_id for page in drain_marker(fetch) for contact in page]
    assert there <= set(found)
    assert len(found) == len(set(found))


def test_a_sixth_subscription_is_refused_and_polling_goes_on(v3: ClientV3, state: DotdigitalState) -> None:
    for number in range(5):
        v3.create_subscription(name=f"other {number}", types=["contact.updated"])
    events = EventsExport(v3, "consent-bridge", InMemoryKeyValue())
    events.permit()
    (page,) = events.pages()
    assert "polling still finds every change" in page.warnings[0]
    assert len(state.event_exports) == 5


def test_every_position_is_tested_in_the_sandbox_and_with_the_bridge() -> None:
    """Sizes and spans have no positions."""
    sandbox = _text("sandbox/dotdigital")
    bridge = _text("dotdigital") + _text("scenarios") + _text("cli") + _text("positions.py")
    for switch in fields(DotdigitalSwitches):
        choices = switch.metadata.get("choices", ())
        if not choices and not isinstance(switch.default, bool):
            continue
        for text in (sandbox, bridge):
            assert re.search(rf"\b{switch.name}\b", text), switch.name
            assert all(f'"{choice}"' in text for choice in choices[1:]), switch.name


def _text(place: str) -> str:
    path = TESTS / place
    files = [path] if path.is_file() else sorted(path.glob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
