"""Erasing a person at Dotdigital: suppressed first, then deleted, each proven by a read."""

from __future__ import annotations

import json

import httpx
import pytest
from dotdigital_world import NEWS, START, Mocked, who

from bridge.core.errors import InvalidResponse, OutcomeUnknown, Refused, SideError
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.eraser import DotdigitalEraser
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault
from bridge.transport import Transport

ANN = "ann@example.com"
BOTH = pytest.mark.parametrize("with_v3", [True, False], ids=["v3", "v2"])


@pytest.fixture
def ann(state: DotdigitalState) -> int:
    return state.add_contact(ANN, opt_ins={NEWS: (True, START)})


def eraser(v2: ClientV2, v3: ClientV3, state: DotdigitalState, with_v3: bool = True) -> DotdigitalEraser:
    access = V3Access(v3 if with_v3 else None)
    return DotdigitalEraser(v2, access, state.clock.now, state.clock.advance)


def eraser_of(transport: Transport) -> DotdigitalEraser:
    return DotdigitalEraser(ClientV2(transport), V3Access(None), lambda: START, lambda _: None)


def order(state: DotdigitalState) -> list[str]:
    wanted = ("bulk-suppress-contacts", "delete-contact", "deleteContacts")
    return [name for name in wanted if state.calls.count(name)]


@BOTH
def test_a_contact_is_suppressed_before_it_is_deleted(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int, with_v3: bool
) -> None:
    found = eraser(v2, v3, state, with_v3)
    (trace,) = found.traces(who(ANN))
    assert (trace.record, trace.plan) == (f"contact {ann}", "suppressed, then deleted")
    erased = found.erase(who(ANN, ann))
    assert (state.contact(ann).binned, state.contact(ann).status) == (True, "Suppressed")
    assert (len(erased.done), erased.left) == (2, ())
    assert order(state) == ["bulk-suppress-contacts", "deleteContacts" if with_v3 else "delete-contact"]


@BOTH
@pytest.mark.parametrize("status", ["Unsubscribed", "IspComplained", "Suppressed"])
def test_a_block_that_stands_is_kept_as_it_is(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int, with_v3: bool, status: str
) -> None:
    state.unsubscribe(ann, START, status)
    eraser(v2, v3, state, with_v3).erase(who(ANN))
    assert state.contact(ann).status == status
    assert state.calls.count("bulk-suppress-contacts") == 0


@BOTH
def test_where_suppressed_contacts_cannot_be_deleted_that_is_reported(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int, with_v3: bool
) -> None:
    """Dotdigital's own Magento connector met an account that refuses it."""
    state.switches.delete_suppressed = "refused"
    erased = eraser(v2, v3, state, with_v3).erase(who(ANN))
    assert (state.contact(ann).binned, state.contact(ann).status) == (False, "Suppressed")
    assert any("cannot delete a suppressed contact" in line for line in erased.done)


@BOTH
def test_erasing_twice_does_nothing_more(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int, with_v3: bool
) -> None:
    found = eraser(v2, v3, state, with_v3)
    found.erase(who(ANN))
    assert (found.traces(who(ANN)), found.erase(who(ANN)).done) == ((), ())


@BOTH
def test_a_person_unknown_there_is_left_alone(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, with_v3: bool
) -> None:
    assert eraser(v2, v3, state, with_v3).erase(who(ANN)).done == ()
    assert order(state) == []


def test_a_deletion_that_does_not_end_is_resumed(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int
) -> None:
    state.switches.delete_polls, state.switches.delete_seconds = 1000, 1e9
    found = eraser(v2, v3, state)
    with pytest.raises(OutcomeUnknown, match="Repeat"):
        found.erase(who(ANN))
    assert state.contact(ann).status == "Suppressed"
    state.switches.delete_polls = 0
    found.erase(who(ANN))
    assert state.contact(ann).binned


def test_a_deletion_that_failed_is_no_deletion(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int
) -> None:
    """The contact is blocked and never mailed; the report says that Dotdigital still holds it."""
    state.switches.delete_outcome = "Failed"
    erased = eraser(v2, v3, state).erase(who(ANN))
    assert not state.contact(ann).binned
    assert "deleted" not in " ".join(erased.done)


# a service that does not do as it says


def scripted(
    mocked: Mocked, *, after_suppression: str, deletes: int = 204
) -> tuple[DotdigitalEraser, list[str]]:
    """v2 alone; the contact shows a status from the suppression on, and is never gone."""
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.method)
        word = after_suppression if "PUT" in calls else "Subscribed"
        match request.method:
            case "GET":
                return httpx.Response(200, json={"id": 7, "email": ANN, "status": word})
            case "PUT":
                return httpx.Response(200, json={"suppressed": [{"email": ANN}], "notFound": []})
            case _:
                return httpx.Response(
                    deletes, json=None if deletes == 204 else {"message": "no ERROR_UNKNOWN"}
                )

    return eraser_of(mocked(answer)), calls


def test_nothing_is_deleted_before_the_block_shows(mocked: Mocked) -> None:
    """Deleting alone would lose the opt-out."""
    found, calls = scripted(mocked, after_suppression="Subscribed")
    with pytest.raises(OutcomeUnknown, match="Nothing was deleted"):
        found.erase(who(ANN))
    assert "DELETE" not in calls


def test_a_contact_that_stays_after_its_deletion_is_reported(mocked: Mocked) -> None:
    found, _ = scripted(mocked, after_suppression="Suppressed")
    with pytest.raises(InvalidResponse, match="Repeat"):
        found.erase(who(ANN))


def test_a_deletion_without_an_answer_ends_it_for_now(mocked: Mocked) -> None:
    found, _ = scripted(mocked, after_suppression="Suppressed", deletes=500)
    with pytest.raises(OutcomeUnknown):
        found.erase(who(ANN))


def test_another_contact_than_was_asked_for_is_not_touched(mocked: Mocked) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": 7, "email": "bob@example.com", "status": "Subscribed"})

    with pytest.raises(Refused, match="another contact"):
        eraser_of(mocked(answer)).erase(who(ANN))


@pytest.mark.parametrize("body", [{}, {"deleteId": "../x"}])
def test_a_deletion_without_a_usable_id_is_in_doubt(mocked: Mocked, body: object) -> None:
    client = ClientV3(mocked(lambda _: httpx.Response(202, json=body)))
    with pytest.raises(OutcomeUnknown):
        client.delete_contacts([7])


def test_a_page_in_place_of_an_empty_answer_proves_no_deletion(mocked: Mocked) -> None:
    client = ClientV2(mocked(lambda _: httpx.Response(200, text="<html>sign in</html>")))
    with pytest.raises(OutcomeUnknown):
        client.delete_contact(contact_id=7)


@pytest.mark.parametrize("number", [0, 5001])
def test_a_deletion_has_a_size(v3: ClientV3, number: int) -> None:
    with pytest.raises(ValueError, match="takes 1 to"):
        v3.delete_contacts(range(number))


def test_a_refused_read_is_passed_on(mocked: Mocked) -> None:
    found = eraser_of(mocked(lambda _: httpx.Response(401)))
    with pytest.raises(SideError):
        found.traces(who(ANN))


def test_many_are_blocked_in_one_batch_and_blocks_that_stand_are_kept(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState
) -> None:
    people = [who(f"p{number}@example.com") for number in range(5)]
    for one in people[:4]:
        state.add_contact(one.address)
    state.add_contact(people[4].address, status="Unsubscribed")
    eraser(v2, v3, state).block([*people, who("nobody@example.com")])
    contacts = [state.find(one.address) for one in people]
    assert [contact and contact.status for contact in contacts] == [*["Suppressed"] * 4, "Unsubscribed"]
    assert state.calls.count("bulk-suppress-contacts") == 1


@pytest.mark.parametrize(("status", "code"), [(413, ""), (400, "ERROR_PARAMETER_INVALID")])
def test_a_batch_that_is_too_large_is_halved(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, status: int, code: str
) -> None:
    """How many contacts `Bulk suppress contacts` takes is not documented."""
    people = [who(f"p{number}@example.com") for number in range(5)]
    for one in people:
        state.add_contact(one.address)
    body = json.dumps({"message": f"Too many. {code}"})
    state.faults.add(InjectedFault("bulk-suppress-contacts", "status", status=status, body=body, times=2))
    eraser(v2, v3, state).block(people)
    found = [state.find(one.address) for one in people]
    assert {contact.status for contact in found if contact is not None} == {"Suppressed"}


def test_a_batch_that_may_have_gone_through_is_not_sent_again(
    v2: ClientV2, v3: ClientV3, state: DotdigitalState, ann: int
) -> None:
    state.faults.add(InjectedFault("bulk-suppress-contacts", "reset_after"))
    with pytest.raises(OutcomeUnknown):
        eraser(v2, v3, state).block([who(ANN)])
    assert state.contact(ann).status == "Suppressed"
