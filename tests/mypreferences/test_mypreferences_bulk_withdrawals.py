"""Many people's withdrawals by bulk import: what is sent, what is not, and what each results in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.core.errors import MappingStale, NotFound, OutcomeUnknown, SideError, SignInRefused, Unreachable
from bridge.core.mapping import FilterRef, Topic
from bridge.core.model import PersonId, Side, TopicId, Who
from bridge.core.ports import WriteRequest, WriteResponse, read_person, saves_calls
from bridge.mypreferences.bulk import importer as import_module
from bridge.mypreferences.bulk import withdrawals
from bridge.mypreferences.bulk.importer import KEY, Importer, parts
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.bulk.withdrawals import IMPORT_MIN, worth_importing
from bridge.mypreferences.replica import MyPreferencesReplica
from bridge.mypreferences.wire.bulk import ImportRecord
from bridge.mypreferences.wire.profiles import Preference
from bridge.sandbox.faults import InjectedFault
from tests.mypreferences.mp_world import (
    CHANNEL,
    NEWS,
    OFFERS,
    PROFILING,
    Memory,
    World,
    a_mapping,
    ago,
    raising,
    withdrawal,
)

GONE = Topic(TopicId("gone"), FilterRef("GONE_EMAIL"), {"": 1})


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdrawals, "IMPORT_MIN", 4)
    monkeypatch.setattr(withdrawals, "_IMPORT_CALLS", 1)


def importer(world: World, **options: Any) -> Importer:
    given: dict[str, Any] = {"per_day": 24, "poll_interval": 15.0, "memory": Memory()} | options
    return Importer(world.client, clock=world.state.clock.now, sleep=world.pauses.append, **given)


def replica(world: World, runner: Importer | None = None, *topics: Topic) -> MyPreferencesReplica:
    return world.replica(a_mapping(*topics), importer=runner or importer(world))


def people_at(world: World, count: int = 6, **more: Any) -> list[Who]:
    given = {"preferences": {"NEWS_EMAIL": (True, ago(days=9))}} | more
    people = []
    for number in range(count):
        address = f"p{number}@example.com"
        people.append(Who(PersonId(number), address, {Side.MYPREFERENCES: (world.add(address, **given),)}))
    return people


def requests(people: Sequence[Who], *topics: Topic) -> list[WriteRequest]:
    unit = [withdrawal(topic, ago(days=1)) for topic in topics or (NEWS,)]
    return [WriteRequest(who, unit) for who in people]


def send(
    world: World, sent: Sequence[WriteRequest], *topics: Topic, runner: Importer | None = None
) -> list[Any]:
    return list(replica(world, runner, *topics).send(sent, heartbeat=lambda: None))


def together(side: MyPreferencesReplica, sent: Sequence[WriteRequest]) -> bool:
    """Whether these requests take fewer calls in one batch than one by one."""
    return saves_calls(side, [request.writes for request in sent])


def choice(world: World, who: Who, filter_id: str = "NEWS_EMAIL") -> int | None:
    (profile_id,) = who.ids[Side.MYPREFERENCES]
    (email,) = world.state.profile(int(profile_id))["Emails"]
    found = [item["PreferenceType"] for item in email["EmailPreferences"] if item["FilterId"] == filter_id]
    return found[0] if found else None


# --- what is sent


def test_withdrawals_go_in_one_import_after_a_fresh_read(world: World) -> None:
    people = people_at(world)
    assert send(world, requests(people)) == [WriteResponse.ACCEPTED] * 6
    assert [choice(world, who) for who in people] == [2] * 6
    assert world.calls("retrieveProfilesByEmail") == 6
    assert [world.calls(f"{step}Import") for step in ("initiate", "stage", "execute")] == [1, 1, 1]
    assert world.calls("updateProfilePost") == 0


def test_consents_are_imported_ahead_of_preferences(world: World) -> None:
    """Revoking a consent archives the preferences tied to it: an opt-out in the same import might vanish."""
    people = people_at(
        world,
        preferences={"OFFERS_EMAIL": (True, ago(days=9))},
        consents={"Profiling": ("Granted", ago(days=9))},
    )
    assert send(world, requests(people, PROFILING, OFFERS)) == [WriteResponse.ACCEPTED] * 6
    assert [choice(world, who, "OFFERS_EMAIL") for who in people] == [2] * 6
    assert world.calls("initiateImport") == 2
    looks = [read_person(replica(world), who).topics for who in people]
    assert {seen[PROFILING.id].choice.value for seen in looks} == {"opted_out"}


def test_who_has_withdrawn_already_is_sent_nothing(world: World) -> None:
    people = people_at(world)
    world.state.set_preference(int(people[0].ids[Side.MYPREFERENCES][0]), "NEWS_EMAIL", False, ago(days=2))
    assert send(world, requests(people)) == [WriteResponse.ALREADY_SO] + [WriteResponse.ACCEPTED] * 5


def test_every_profile_that_shares_an_address_is_written(world: World) -> None:
    people = people_at(world)
    other = world.add("p0@example.com", preferences={"NEWS_EMAIL": (True, ago(days=3))})
    send(world, requests(people))
    assert choice(world, people[0]) == 2
    assert choice(world, Who(PersonId(9), "p0@example.com", {Side.MYPREFERENCES: (other,)})) == 2


def test_a_person_erased_meanwhile_is_not_created_again(world: World) -> None:
    """MyPreferences import, Initiate: an id that is not found creates a profile."""
    people = people_at(world)
    world.state.delete(int(people[2].ids[Side.MYPREFERENCES][0]))
    results = send(world, requests(people))
    assert isinstance(results[2], NotFound)
    assert world.state.find("p2@example.com") == []


def test_opt_ins_never_go_by_import(world: World) -> None:
    people = people_at(world, preferences={})
    raises = [WriteRequest(who, [raising(NEWS)]) for who in people]
    side = replica(world)
    assert not together(side, raises * 100)
    assert list(side.send(raises, heartbeat=lambda: None)) == [WriteResponse.ACCEPTED] * 6
    assert world.calls("initiateImport") == 0
    assert [choice(world, who) for who in people] == [1] * 6


def test_a_few_go_one_by_one(world: World) -> None:
    people = people_at(world, 3)
    assert send(world, requests(people)) == [WriteResponse.ACCEPTED] * 3
    assert (world.calls("initiateImport"), world.calls("updateProfilePost")) == (0, 3)


def test_parts_are_measured_as_they_are_sent(world: World) -> None:
    """MyPreferences import: a body holds 25 MB at the most."""
    people = people_at(world, 12)
    world.state.switches.import_body_max = 900
    assert (
        send(world, requests(people), runner=importer(world, part_max=860)) == [WriteResponse.ACCEPTED] * 12
    )
    assert world.calls("stageImport") > 2


def test_no_record_is_lost_between_parts() -> None:
    said = Preference(filter_id="NEWS", preference_type=2)
    records = [ImportRecord(profile_id=number, profile_preferences=[said]) for number in range(50)]
    for most in (1, 200, 10_000):
        assert [one for part in parts(records, most) for one in part] == records
    assert len(list(parts(records, 1))) == 50


# --- when it is preferred


@pytest.mark.parametrize(
    ("records", "imports", "worth"),
    [(99, 1, False), (100, 1, True), (199, 2, False), (200, 2, True), (0, 0, False)],
)
def test_an_import_is_worth_it_from_a_hundred_records(
    monkeypatch: pytest.MonkeyPatch, records: int, imports: int, worth: bool
) -> None:
    monkeypatch.setattr(withdrawals, "IMPORT_MIN", IMPORT_MIN)
    assert worth_importing(records, imports) is worth


def test_preferring_costs_no_call_and_ends_with_the_days_imports(world: World) -> None:
    people = people_at(world, 12)
    runner = importer(world, per_day=1)
    side = replica(world, runner)
    world.state.calls.reset()
    assert together(side, requests(people))
    assert world.state.calls.total() == 0
    side.send(requests(people), heartbeat=lambda: None)
    assert not together(side, requests(people))
    world.state.clock.advance(86_400)
    assert together(side, requests(people))


def test_none_a_day_means_one_by_one(world: World) -> None:
    people = people_at(world)
    runner = importer(world, per_day=0)
    assert not together(replica(world, runner), requests(people))
    assert send(world, requests(people), runner=runner) == [WriteResponse.ACCEPTED] * 6
    assert world.calls("initiateImport") == 0


@pytest.mark.parametrize("status", [400, 403, 429])
def test_a_quota_that_others_used_up_sends_them_one_by_one(world: World, status: int) -> None:
    people = people_at(world)
    world.state.switches.imports_per_day = 0
    world.state.switches.import_quota_status = status
    assert send(world, requests(people)) == [WriteResponse.ACCEPTED] * 6
    assert [choice(world, who) for who in people] == [2] * 6


def test_a_user_who_may_not_import_withdraws_one_by_one_and_is_not_asked_again(world: World) -> None:
    people = people_at(world)
    world.state.forbidden.add("initiateImport")
    runner = importer(world)
    assert send(world, requests(people), runner=runner) == [WriteResponse.ACCEPTED] * 6
    assert not together(replica(world, runner), requests(people))
    assert world.calls("initiateImport") == 1


# --- what each results in


def test_what_is_not_honoured_is_accepted_and_shown_by_reading_back(world: World) -> None:
    """MyPreferences import, Retrieve status: NotHonored is a count, and names nobody."""
    people = people_at(world)
    world.state.set_preference(int(people[0].ids[Side.MYPREFERENCES][0]), "NEWS_EMAIL", True, ago(hours=1))
    assert send(world, requests(people)) == [WriteResponse.ACCEPTED] * 6
    assert [choice(world, who) for who in people] == [1] + [2] * 5


@pytest.mark.parametrize("kind", ["reset_after", "html", "null", "status_after"])
def test_an_execution_whose_answer_was_lost_is_resolved_by_the_status(world: World, kind: str) -> None:
    people = people_at(world)
    world.state.faults.add(InjectedFault("executeImport", kind, status=503))
    results = send(world, requests(people))
    if kind in ("reset_after", "status_after"):
        assert results == [WriteResponse.ACCEPTED] * 6
    else:  # it never arrived, and might yet
        assert {type(item) for item in results} == {OutcomeUnknown}


@pytest.mark.parametrize("step", ["initiateImport", "stageImport"])
@pytest.mark.parametrize("kind", ["reset", "reset_after", "html"])
def test_a_step_that_failed_before_the_execution_leaves_nobody_in_doubt(
    world: World, step: str, kind: str
) -> None:
    people = people_at(world)
    world.state.faults.add(InjectedFault(step, kind))
    results = send(world, requests(people))
    assert {type(item) for item in results} == {Unreachable}
    assert world.calls("executeImport") == 0
    assert [choice(world, who) for who in people] == [1] * 6


@pytest.mark.parametrize("status", [503, 401])
def test_an_end_that_cannot_be_seen_leaves_everybody_in_doubt(world: World, status: int) -> None:
    people = people_at(world)
    world.state.faults.add(InjectedFault("importStatus", "status", status=status, times=99))
    runner = importer(world)
    results = send(world, requests(people), runner=runner)
    assert {type(item) for item in results} == {OutcomeUnknown}
    world.state.faults.clear()
    assert not together(replica(world, runner), requests(people) * 2), "one import after the other"
    world.state.switches.import_polls = 0
    assert runner.has_running_jobs() is True
    assert runner.has_running_jobs() is False
    assert not together(replica(world, runner), requests(people) * 2), "the next import would fail too"
    world.state.clock.advance(6 * 3600)
    assert together(replica(world, runner), requests(people) * 2)


def test_what_was_begun_is_known_to_the_next_process(world: World) -> None:
    people = people_at(world)
    memory = Memory()
    runner = importer(world, memory=memory, per_day=1)
    world.state.faults.add(InjectedFault("importStatus", "status", status=503, times=99))
    send(world, requests(people), runner=runner)
    world.state.faults.clear()
    restarted = importer(world, memory=memory, per_day=1)
    assert restarted.has_running_jobs()
    assert not restarted.may_start(1)
    assert not restarted.has_running_jobs()
    assert not restarted.may_start(1), "it was the only one of the day"
    world.state.clock.advance(86_400)
    assert restarted.may_start(1)


def test_an_import_whose_token_has_expired_is_no_longer_running(world: World) -> None:
    memory = Memory()
    memory.set(KEY, json.dumps({"open": "5", "begun": []}))
    assert not importer(world, memory=memory).has_running_jobs()
    world.state.faults.add(InjectedFault("importStatus", "reset", times=9))
    memory.set(KEY, json.dumps({"open": "5", "begun": []}))
    with pytest.raises(Unreachable):
        importer(world, memory=memory).has_running_jobs()


def test_an_import_that_failed_as_a_whole_leaves_everybody_in_doubt(world: World) -> None:
    people = people_at(world)
    world.state.switches.import_ends = "Failed"
    runner = importer(world)
    assert {type(item) for item in send(world, requests(people), runner=runner)} == {OutcomeUnknown}
    assert send(world, requests(people), runner=runner) == [WriteResponse.ACCEPTED] * 6
    assert [choice(world, who) for who in people] == [2] * 6


def test_an_import_that_never_ends_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    people = people_at(world)
    world.state.switches.import_seconds = 9999
    world.pauses.clear()
    monkeypatch.setattr(import_module, "_PATIENCE", import_module.timedelta(seconds=8))
    assert {type(item) for item in send(world, requests(people))} == {OutcomeUnknown}
    assert max(world.pauses) <= 5.0


def test_failures_that_cannot_be_read_leave_everybody_in_doubt(world: World) -> None:
    people = people_at(world)
    world.state.faults.add(InjectedFault("importExceptions", "html", times=9))
    results = send(world, requests(people[:5]) + requests(people[5:], GONE), NEWS, GONE)
    assert {type(item) for item in results} == {OutcomeUnknown}


def test_a_sign_in_that_is_refused_stops_the_rest(world: World) -> None:
    people = people_at(world, 130)
    body = json.dumps({"Message": "Unable to authenticate."})
    world.state.faults.add(
        InjectedFault("retrieveProfilesByEmail", "status", status=401, body=body, times=999)
    )
    results = send(world, requests(people))
    assert {type(item) for item in results} == {SignInRefused}
    assert world.calls("retrieveProfilesByEmail") <= 250


def test_one_person_who_cannot_be_read_stops_nobody_else(world: World) -> None:
    people = people_at(world)
    for _ in range(51):
        world.add("p1@example.com")
    results = send(world, requests(people))
    assert isinstance(results[1], SideError)
    assert results[:1] + results[2:] == [WriteResponse.ACCEPTED] * 5


def test_a_lost_lease_ends_the_waiting_and_not_the_import(world: World) -> None:
    people = people_at(world)
    world.state.switches.import_polls = 99
    beats = []

    def heartbeat() -> None:
        beats.append(1)
        if world.calls("importStatus") > 2:
            raise KeyboardInterrupt

    runner = importer(world)
    with pytest.raises(KeyboardInterrupt):
        replica(world, runner).send(requests(people), heartbeat=heartbeat)
    assert runner.has_running_jobs()
    assert [choice(world, who) for who in people] == [2] * 6


def test_a_topic_without_a_place_here_concerns_its_own_request_only(world: World) -> None:
    people = people_at(world)
    sent = requests(people[:5]) + requests(people[5:], GONE)
    results = send(world, sent)
    assert results[:5] == [WriteResponse.ACCEPTED] * 5
    assert isinstance(results[5], MappingStale)


# --- reading many


def everybody(world: World) -> MyPreferencesReplica:
    return world.replica(a_mapping(NEWS, OFFERS, PROFILING), segment=SegmentRef("EVERYBODY"))


def test_many_are_read_by_one_export(world: World) -> None:
    people = people_at(world, 40)
    asked = [*people, Who(PersonId(99), "nobody@example.com", {})]
    world.state.calls.reset()
    views = {view.address: view for page in everybody(world).read_people(asked) for view in page.views}
    assert len(views) == 41
    assert {views[who.address].topics[NEWS.id].changed_at for who in people} == {ago(days=9)}
    assert views["nobody@example.com"].topics[NEWS.id].present is False
    assert (world.calls("initiateExportSegment"), world.calls("retrieveProfilesByEmail")) == (1, 1)


def test_a_person_with_a_profile_outside_the_export_is_read_alone(world: World) -> None:
    """The segment may lack a profile that says something else."""
    people = people_at(world, 30)
    people[3] = Who(
        PersonId(3), people[3].address, {Side.MYPREFERENCES: (*people[3].ids[Side.MYPREFERENCES], "77")}
    )
    world.state.calls.reset()
    views = [view for page in everybody(world).read_people(people) for view in page.views]
    assert len(views) == 30
    assert world.calls("retrieveProfilesByEmail") == 1


@pytest.mark.parametrize("fault", ["forbidden", "gone"])
def test_without_an_export_each_is_read_alone(world: World, fault: str) -> None:
    people = people_at(world, 26)
    world.state.calls.reset()
    if fault == "forbidden":
        world.state.forbidden.add("initiateExportSegment")
    else:
        world.state.switches.export_ends = "Error"
    views = [view for page in everybody(world).read_people(people) for view in page.views]
    assert len(views) == 26
    assert world.calls("retrieveProfilesByEmail") == 26


def test_a_few_are_read_alone(world: World) -> None:
    people = people_at(world, 5)
    assert sum(len(page.views) for page in everybody(world).read_people(people)) == 5
    assert world.calls("initiateExportSegment") == 0


def test_the_channel_is_withdrawn_by_import_too(world: World) -> None:
    people = people_at(world, consents={"EmailMarketing": ("Granted", ago(days=9))})
    assert send(world, requests(people, CHANNEL)) == [WriteResponse.ACCEPTED] * 6
    assert {read_person(everybody(world), who).topics[CHANNEL.id].choice.value for who in people} == {
        "opted_out"
    }
