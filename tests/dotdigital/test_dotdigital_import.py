"""Writes of many people by import (Dotdigital v3, `Bulk create and update contacts`), over real HTTP."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import httpx
import pytest
from dotdigital_world import (
    BEFORE,
    DAILY,
    NEWS,
    NEWSLETTER,
    OFFERS,
    WEEKLY,
    Mocked,
    no_heartbeat,
    opt_in,
    status,
    who,
    withdrawal,
)

from bridge.core.errors import AlreadyDone, NotFound, OutcomeUnknown, Refused, SideError, Verdict
from bridge.core.mapping import Mapping
from bridge.core.model import CHANNEL, Choice, TopicId
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.core.writes import Raise, Resubscribe, Withdrawal
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import LARGEST_BUNDLE, ClientV3, ImportChange
from bridge.dotdigital.importer import KEY, LARGEST_BODY, InMemoryKeyValue, JobStore, bundles
from bridge.dotdigital.replica import DotdigitalReplica
from bridge.dotdigital.write_batches import prefers_import
from bridge.sandbox.dotdigital import DotdigitalState, bulk
from bridge.sandbox.faults import InjectedFault


@pytest.fixture
def memory() -> InMemoryKeyValue:
    return InMemoryKeyValue()


@pytest.fixture
def replica(
    v2: ClientV2, v3: ClientV3, mapping: Mapping, state: DotdigitalState, memory: InMemoryKeyValue
) -> DotdigitalReplica:
    def sleep(seconds: float) -> None:
        state.clock.advance(seconds)

    return DotdigitalReplica(v2, v3, mapping, state.clock.now, memory=memory, sleep=sleep)


@pytest.fixture
def people(state: DotdigitalState) -> list[str]:
    addresses = [f"p{number}@example.com" for number in range(8)]
    for address in addresses:
        contact = state.add_contact(address)
        state.set_preference(contact, NEWS, True, BEFORE)
        state.set_preference(contact, DAILY, True, BEFORE)
    return addresses


def requests(addresses: list[str], *unit: Withdrawal | Raise) -> list[WriteRequest]:
    return [WriteRequest(who(address), list(unit)) for address in addresses]


def opted_in(state: DotdigitalState, address: str) -> set[int]:
    contact = state.find(address)
    assert contact is not None
    return {number for number, row in contact.opt_ins.items() if row.opted_in}


def test_a_change_has_no_place_for_anything_that_subscribes() -> None:
    """Omitting the status leaves it; naming any but unsubscribed could make a person mailable."""
    assert {one.name for one in fields(ImportChange)} == {
        "contact_id", "preferences", "unsubscribes", "identifiers",
    }  # fmt: skip
    quiet = ImportChange(7, {NEWS: True}).body
    assert set(quiet) == {"matchIdentifier", "identifiers", "preferences"}
    loud = ImportChange(7, unsubscribes=True).body
    assert loud["channelProperties"] == {"email": {"status": "unsubscribed"}}
    assert "preferences" not in loud


def test_a_change_is_matched_by_id_and_names_no_address() -> None:
    """Matched by e-mail an unknown address would be created, subscribed; sent along, it would be a rename."""
    body = ImportChange(7, {NEWS: True}).body
    assert body["matchIdentifier"] == "contactId"
    assert body["identifiers"] == {"contactId": 7}


@pytest.mark.parametrize("wrong", [{"contact_id": 0, "unsubscribes": True}, {"contact_id": 7}])
def test_a_change_that_changes_nobody_or_nothing_cannot_be_built(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="names a contact"):
        ImportChange(**wrong)  # type: ignore[arg-type]


def test_bundles_are_bounded_in_number_and_in_bytes() -> None:
    many = [ImportChange(number, {NEWS: True}) for number in range(1, LARGEST_BUNDLE + 2)]
    assert [len(bundle) for bundle in bundles(many)] == [LARGEST_BUNDLE, 1]
    wide = dict.fromkeys(range(10000000, 10040000), True)
    heavy = [ImportChange(number, wide) for number in range(1, 60)]
    sizes = [len(bundle) for bundle in bundles(heavy)]
    assert sum(sizes) == len(heavy)
    assert max(sizes) * 38 * len(wide) < LARGEST_BODY * 1.2
    with pytest.raises(ValueError, match="once"):
        list(bundles([ImportChange(7, {NEWS: True}), ImportChange(7, {DAILY: True})]))


def test_an_import_pays_from_five_people_on_for_topics() -> None:
    assert next(number for number in range(1, 10) if pays(number, NEWSLETTER, None)) == 5
    assert not pays(1, NEWSLETTER, 1)
    assert pays(100, CHANNEL, 1)  # in a small account
    assert not pays(100, CHANNEL, None)  # two calls each, and nobody knows how long the listing is
    assert pays(100_000, NEWSLETTER, 20)


def pays(number: int, topic: TopicId, pages: int | None) -> bool:
    return prefers_import(
        requests([f"p{one}@example.com" for one in range(number)], withdrawal(topic)), pages
    )


def test_many_people_are_written_in_one_import(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    sent = requests(people, withdrawal(NEWSLETTER))
    assert prefers_import(sent, None)
    assert replica.send(sent, no_heartbeat) == [WriteResponse.ACCEPTED] * len(people)
    assert all(opted_in(state, address) == {DAILY} for address in people)
    assert state.calls.count("importContacts") == 1
    assert state.calls.count("set-preferences-for-contact") == 0
    assert status(state, people[0]) == "Subscribed"


def test_an_accepted_import_is_polled_until_it_ends(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    """202 is not done, and an import that runs has a null summary."""
    state.switches.import_polls, state.switches.import_seconds = 4, 10_000.0
    beats: list[int] = []
    replica.send(requests(people, withdrawal(NEWSLETTER)), lambda: beats.append(1))
    assert state.calls.count("getImportStatus") == 5
    assert len(beats) > 20  # every five seconds, however long the pause
    assert all(opted_in(state, address) == {DAILY} for address in people)


def test_one_person_s_channel_and_topics_are_one_entry(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    sent = [*requests(people, withdrawal(CHANNEL)), *requests(people, withdrawal(NEWSLETTER))]
    assert replica.send(sent, no_heartbeat) == [WriteResponse.ACCEPTED] * len(sent)
    assert all(status(state, address) == "Unsubscribed" for address in people)
    assert all(opted_in(state, address) == {DAILY} for address in people)
    assert state.calls.count("importContacts") == 1


def test_opt_ins_of_the_channel_go_one_by_one(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    """Only the single call tells who was challenged."""
    for address in people:
        contact = state.find(address)
        assert contact is not None
        state.unsubscribe(contact.id, BEFORE)
    raises = requests(people, opt_in(CHANNEL, how=Resubscribe.CHALLENGE))
    assert not prefers_import(raises, None)
    assert replica.send(raises, no_heartbeat) == [WriteResponse.CHALLENGED] * len(people)
    assert state.calls.count("importContacts") == 0


def test_opt_ins_of_topics_go_one_by_one(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    """An import is applied minutes after the people were read: it would undo an opt-out of that time."""
    raises = requests(people, opt_in(OFFERS, "WEEKLY"))
    assert not prefers_import(raises, 1)
    assert replica.send(raises, no_heartbeat) == [WriteResponse.ACCEPTED] * len(people)
    assert all(opted_in(state, address) == {NEWS, WEEKLY} for address in people)
    assert state.calls.count("importContacts") == 0


def test_nobody_is_created_and_nobody_brought_back(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    gone = state.find(people[0])
    assert gone is not None
    state.delete_contact(gone.id)
    sent = requests([*people, "nobody@example.com"], withdrawal(NEWSLETTER))
    results = replica.send(sent, no_heartbeat)
    assert results[0] is WriteResponse.ALREADY_SO
    assert results[-1] is WriteResponse.ALREADY_SO
    assert results[1:-1] == [WriteResponse.ACCEPTED] * (len(people) - 1)
    assert state.find("nobody@example.com") is None
    still = state.find(people[0])
    assert still is not None
    assert still.binned


def test_an_address_that_is_another_contact_s_now_is_not_imported(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    sent = [
        WriteRequest(who(people[0], 4711), [withdrawal(NEWSLETTER)]),
        *requests(people[1:], withdrawal(NEWSLETTER)),
    ]
    replica.send(sent, no_heartbeat)
    assert state.calls.count("importContact") == 1


@pytest.mark.parametrize("spelling", ["camel", "pascal"])
def test_failures_are_read_in_both_spellings(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState, spelling: str
) -> None:
    """The page writes GloballySuppressed, the specification's examples begin small."""
    state.switches.failure_spelling = spelling
    state.add_contact("blocked@example.com", status="SharedSuppression", when=BEFORE)
    both = [*people, "blocked@example.com"]
    results = replica.send(requests(both, withdrawal(OFFERS)), no_heartbeat)
    assert isinstance(results[-1], Refused)
    assert results[:-1] == [WriteResponse.ACCEPTED] * len(people)
    assert list(replica.list_people([]))  # one page: then an import pays for the channel too
    outs = replica.send(requests(both, withdrawal(CHANNEL)), no_heartbeat)
    assert state.calls.count("importContacts") == 2
    assert isinstance(outs[-1], AlreadyDone)


def test_an_import_that_failed_there_is_in_doubt(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    state.switches.import_outcome = "Failed"
    results = replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert all(isinstance(result, OutcomeUnknown) for result in results)
    assert not replica.has_running_jobs()


def test_an_import_that_is_too_large_is_halved_until_it_fits(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    state.switches.import_bytes = 600
    results = replica.send(requests(people, withdrawal(OFFERS)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(people)
    assert len(state.imports) > 1
    assert not replica.has_running_jobs()
    state.switches.import_bytes = 10
    results = replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert all(isinstance(result, Refused) and result.status == 413 for result in results)


@pytest.mark.parametrize(
    ("switch", "position"),
    [
        ("import_summary", "missing"),
        ("import_type_errors", "at_once"),
        ("v3_schema", "closed"),
        ("v3_schema", "lenient"),
        ("unknown_in_answers", True),
    ],
)
def test_an_import_is_read_in_every_form(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState, switch: str, position: object
) -> None:
    setattr(state.switches, switch, position)
    results = replica.send(requests(people, withdrawal(OFFERS)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(people)


def test_an_import_waits_for_another_integration_s_import_to_end(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    """Contacts v3: a 429 by tooManyActiveImports is about jobs, and calls go on meanwhile."""
    state.switches.rate_limits, state.switches.max_active_imports = "tiered", 1
    bulk.submit(state, [{}], "overwrite")
    began = state.clock.now()
    results = replica.send(requests(people, withdrawal(OFFERS)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(people)
    assert state.clock.now() - began >= timedelta(seconds=30), "as long as the other import took"
    assert state.calls.count("importContacts") > 1


def test_an_import_that_does_not_end_in_time_is_in_doubt_and_remembered(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    state.switches.import_polls, state.switches.import_seconds = 10_000, 3600.0
    results = replica.send(requests(people, withdrawal(OFFERS)), no_heartbeat)
    assert all(isinstance(one, SideError) and one.verdict is Verdict.IN_DOUBT for one in results)
    assert replica.has_running_jobs()
    state.clock.advance(3600)
    assert not replica.has_running_jobs()
    before = state.calls.count("getImportStatus")
    assert not replica.has_running_jobs()
    assert state.calls.count("getImportStatus") == before


def test_an_import_of_opt_ins_without_an_answer_may_be_running(
    replica: DotdigitalReplica, state: DotdigitalState, memory: InMemoryKeyValue
) -> None:
    """As an earlier version of the bridge may have left one."""
    JobStore(memory, state.clock.now).begin(raises=True)
    assert replica.has_running_jobs()
    state.clock.advance(3601)
    assert not replica.has_running_jobs()
    assert memory.get(KEY) == "[]"


def test_a_lost_import_of_withdrawals_is_not_waited_for(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    """Sent again, a withdrawal does no harm; kept back, it does."""
    state.faults.add(InjectedFault("importContacts", "reset"))
    replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert not replica.has_running_jobs()


def test_the_next_process_continues_the_import_of_a_killed_one(
    replica: DotdigitalReplica,
    people: list[str],
    state: DotdigitalState,
    memory: InMemoryKeyValue,
    mapping: Mapping,
) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        if state.calls.count("importContacts"):
            raise Died

    state.switches.import_polls, state.switches.import_seconds = 10_000, 600.0
    with pytest.raises(Died):
        replica.send(requests(people, withdrawal(NEWSLETTER)), die)
    v2, v3 = replica._v2, replica._access
    reborn = DotdigitalReplica(v2, v3, mapping, state.clock.now, memory=memory)
    assert reborn.has_running_jobs()
    state.clock.advance(600)
    assert not reborn.has_running_jobs()
    assert all(opted_in(state, address) == {DAILY} for address in people)


def test_polls_that_fail_are_made_again(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    state.faults.add(InjectedFault("getImportStatus", "status", status=503, times=6))
    results = replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert results == [WriteResponse.ACCEPTED] * len(people)


def test_nothing_was_sent_where_who_is_there_cannot_be_read(
    replica: DotdigitalReplica, people: list[str], state: DotdigitalState
) -> None:
    state.faults.add(InjectedFault("getContact", "status", status=503, times=99))
    results = replica.send(requests(people, withdrawal(NEWSLETTER)), no_heartbeat)
    assert all(isinstance(one, SideError) for one in results)
    assert len(results) == len(people)
    assert state.calls.count("importContacts") == 0


def test_many_people_are_read_from_the_listing_undated(
    replica: DotdigitalReplica, state: DotdigitalState, people: list[str]
) -> None:
    list(replica.list_people([]))  # one page: now it is known to be cheaper
    before = state.calls.count("getContacts")
    asked = [who(address) for address in [*people, "nobody@example.com"]]
    views = {view.address: view for page in replica.read_people(asked) for view in page.views}
    assert set(views) == {one.address for one in asked}
    assert views[people[0]].topics[NEWSLETTER].choice is Choice.OPTED_IN
    assert views[people[0]].topics[NEWSLETTER].undated
    assert not any(seen.present for seen in views["nobody@example.com"].topics.values())
    assert state.calls.count("getContacts") == before + 1
    assert state.calls.count("get-subscriptions-for-contact") == 1


def test_a_contact_missing_from_the_listing_is_read_alone(
    replica: DotdigitalReplica, state: DotdigitalState, people: list[str]
) -> None:
    state.switches.lists_suppressed = False
    contact = state.find(people[0])
    assert contact is not None
    state.unsubscribe(contact.id, BEFORE)
    list(replica.list_people([]))
    views = {
        view.address: view
        for page in replica.read_people([who(address) for address in people])
        for view in page.views
    }
    assert views[people[0]].topics[CHANNEL].choice is Choice.OPTED_OUT


@pytest.mark.parametrize("answer", ['{"importId": 7}', "null", "<html>", '{"importId": "a/../b"}', "{}"])
def test_an_import_answer_that_cannot_be_read_is_in_doubt(mocked: Mocked, answer: str) -> None:
    client = ClientV3(mocked(lambda _: httpx.Response(202, text=answer)))
    with pytest.raises(OutcomeUnknown):
        client.import_contacts([ImportChange(7, {NEWS: True})])


def test_a_report_s_parts_may_be_null_or_missing(mocked: Mocked) -> None:
    """The summary and the lists of an import that runs broke the vendor's own client."""
    body = '{"importId": "x", "status": "NotFinished", "summary": null, "created": null, "failures": null}'
    report = ClientV3(mocked(lambda _: httpx.Response(200, text=body))).get_import_status("x")
    assert (report.status, report.updated, report.failures) == ("NotFinished", None, None)


def test_an_import_that_is_gone_is_over(
    mapping: Mapping, v2: ClientV2, v3: ClientV3, state: DotdigitalState
) -> None:
    memory = InMemoryKeyValue()
    jobs = JobStore(memory, state.clock.now)
    jobs.named(jobs.begin(raises=True), "forgotten")
    replica = DotdigitalReplica(v2, v3, mapping, state.clock.now, memory=memory)
    assert not replica.has_running_jobs()
    with pytest.raises(NotFound):
        v3.get_import_status("forgotten")


@pytest.mark.parametrize("name", ["email", "EMAIL", "mobileNumber", "contactId"])
def test_no_import_sets_another_address_number_or_id(name: str) -> None:
    with pytest.raises(ValueError, match="cannot set an address"):
        ImportChange(7, identifiers={name: "other@example.com"})
    body = ImportChange(7, identifiers={"crm": "P-1"}).body
    assert body == {"matchIdentifier": "contactId", "identifiers": {"contactId": 7, "crm": "P-1"}}
