"""Routes, the rate limit, the event pages and the check of a mapping."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from bridge.core.catalogue import CatalogueKind
from bridge.core.errors import ConfigError
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, Topic
from bridge.core.mapping_check import MappingProblem, find_problems, missing_topics
from bridge.core.mapping_check import ProblemKind as Unfit
from bridge.core.model import TopicId
from bridge.core.ports import Hint, Page
from bridge.mypreferences.catalogue import read_catalogue
from bridge.mypreferences.client import EventSlice, MyPreferencesClient
from bridge.mypreferences.client.base import RateLimit
from bridge.mypreferences.client.routes import builtin_routes, former_names, load_routes
from bridge.mypreferences.events.drain import drain_events
from bridge.mypreferences.wire.events import Event
from bridge.mypreferences.wire.profiles import Email, Profile
from bridge.sandbox.faults import InjectedFault
from bridge.similarity import did_you_mean
from bridge.transport import Response
from tests.mypreferences.mp_world import CHANNEL, NEWS, NOON, World, a_mapping, ago

# --- routes


def test_a_value_in_a_path_cannot_leave_its_segment() -> None:
    route = builtin_routes()["initiateExportSegment"]
    assert route.path({"account": "A", "segment": "x/../y z?"}) == "/A/export/Segment/x%2F..%2Fy%20z%3F"


@pytest.mark.parametrize("key", ["retrieveProfilesByEmail", "profiles_by_email"])
def test_a_routes_file_overlays_the_table(tmp_path: Path, key: str) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(f'{key} = "get /{{account}}/Profiles/ByEmail"\n')
    routes = load_routes(file)
    route = routes["retrieveProfilesByEmail"]
    assert (route.method, route.template) == ("GET", "/{account}/Profiles/ByEmail")
    assert routes["retrievePrograms"] == builtin_routes()["retrievePrograms"]
    assert routes.keys() == builtin_routes().keys()


def test_every_operation_may_be_named_as_in_the_first_version(tmp_path: Path) -> None:
    """Routes files are the operator's: keys that were valid once stay valid."""
    file = tmp_path / "routes.toml"
    for operation, former in former_names().items():
        line = f'"{builtin_routes()[operation].method} /x{builtin_routes()[operation].template}"\n'
        file.write_text(f"{former} = {line}")
        assert load_routes(file)[operation].template == f"/x{builtin_routes()[operation].template}"
    assert len(set(former_names().values())) == len(builtin_routes())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('profile_by_emial = "GET /{account}/x"', "Did you mean 'profiles_by_email'"),
        ('programs = "GET /Programs"', "lacks {account}"),
        ('programs = "GET /{account}/{other}"', "takes no {other}"),
        ('programs = "/{account}/Programs"', "METHOD /path"),
        ('programs = "FETCH /{account}/Programs"', "METHOD /path"),
        ('programs = "GET /{account"', "braces"),
        ("programs = 7", "not a text"),
        ("programs = ", "TOML"),
    ],
)
def test_a_bad_routes_file_is_refused_with_what_is_wrong(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(line)
    with pytest.raises(ConfigError) as caught:
        load_routes(file)
    assert problem in str(caught.value)


def test_a_missing_routes_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ROUTES_FILE"):
        load_routes(tmp_path / "none.toml")


# --- the rate limit


class Watch:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def ticks(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


def test_calls_are_spread_evenly_after_a_small_burst() -> None:
    watch = Watch()
    limit = RateLimit(5, burst=2, monotonic=watch.ticks, sleep=watch.sleep)
    for _ in range(5):
        limit.before("any")
    assert watch.slept == [0.2, 0.2, 0.2]
    watch.now += 60
    limit.before("any")
    assert len(watch.slept) == 3


def test_no_rate_means_no_wait() -> None:
    watch = Watch()
    limit = RateLimit(None, monotonic=watch.ticks, sleep=watch.sleep)
    for _ in range(1000):
        limit.before("any")
    assert watch.slept == []


def test_a_429_closes_the_gate_for_everybody() -> None:
    watch = Watch()
    limit = RateLimit(None, monotonic=watch.ticks, sleep=watch.sleep)
    limit.after("any", Response(200, httpx.Headers({"Retry-After": "9"}), b"", None))
    limit.before("any")
    limit.after("any", Response(429, httpx.Headers({"Retry-After": "9"}), b"", None))
    limit.before("other")
    assert watch.slept == [9.0]


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimit(0)


# --- pages of events


def drained(events: list[Event], server_time: datetime | None) -> list[Page]:
    def read(start: datetime, end: datetime) -> EventSlice:
        return EventSlice(events, server_time)

    return list(drain_events(read, ago(minutes=5), window=NOON - ago(hours=1), clock=lambda: NOON))


def test_hints_are_distinct_and_in_order_of_first_sight() -> None:
    events = [Event(profile_id=number, event_type="preference.added") for number in (3, 1, 3, "2")]
    (page,) = drained(events, NOON)
    assert page.hints == [Hint(id="3"), Hint(id="1"), Hint(id="2")]


def test_an_unknown_event_type_is_a_hint_all_the_same_and_is_named() -> None:
    events = [Event(profile_id=1, event_type=name) for name in ("consent.melted", "consent.melted", "a@b.c")]
    (page,) = drained(events, NOON)
    assert page.hints == [Hint(id="1")]
    assert page.warnings == [
        "1 events of the unknown type 'a?b.c'",
        "2 events of the unknown type 'consent.melted'",
    ]


def test_what_nothing_of_consent_hangs_on_costs_no_read() -> None:
    """MyPreferences `EventsExport`: groups, tags, names and custom fields are entities of their own."""
    kinds = (
        "group.added",
        "tag.deleted",
        "standardfield.firstname.updated",
        "customfield.added",
        "contacts.phone.added",
    )
    (page,) = drained([Event(profile_id=1, event_type=kind) for kind in kinds], NOON)
    assert (page.hints, page.warnings) == ([], [])


def test_a_burst_about_one_profile_is_one_hint_whichever_windows_it_falls_into() -> None:
    def read(start: datetime, end: datetime) -> EventSlice:
        event = Event(event_id=f"{start:%H%M}", profile_id=7, event_type="preference.updated")
        return EventSlice([event, event], NOON)

    pages = list(drain_events(read, ago(hours=3), window=timedelta(hours=1), clock=lambda: NOON))
    assert [page.hints for page in pages] == [[Hint(id="7")], [], []]
    assert [list(page.repeated) for page in pages] == [[], ["1000", "1000"], ["1100", "1100"]]


@pytest.mark.parametrize("inside", [False, True])
def test_the_address_before_a_change_is_found_anywhere_in_the_event(inside: bool) -> None:
    """MyPreferences `Event payload samples`: PreviousData stands beside Data, or inside it."""
    before = {"EmailAddress": "old@example.com"}
    data: dict[str, object] = {"EmailAddress": "new@example.com"}
    body = {"EventType": "contacts.email.updated", "ProfileId": 7, "Data": data, "PreviousData": before}
    if inside:
        data["PreviousData"] = body.pop("PreviousData")
    (page,) = drained([msgspec.json.decode(msgspec.json.encode(body), type=Event)], NOON)
    assert [hint.former for hint in page.hints] == [(("old@example.com", None),)]
    assert "example.com" not in repr(page)


@pytest.mark.parametrize("odd", [7, "x", [1], None, {"EmailAddress": 7}, {"EmailAddress": "NEW@example.com"}])
def test_previous_data_without_another_address_are_ignored(odd: object) -> None:
    body = {
        "EventType": "contacts.email.updated", "ProfileId": 7,
        "Data": {"EmailAddress": "new@example.com"}, "PreviousData": odd,
    }  # fmt: skip
    (page,) = drained([msgspec.json.decode(msgspec.json.encode(body), type=Event)], NOON)
    assert [(hint.id, hint.former) for hint in page.hints] == [("7", ())]


def test_events_that_name_an_alternate_id_are_counted_not_followed() -> None:
    (page,) = drained([Event(profile_id="CRM-7", event_type="profile.updated"), Event()], NOON)
    assert (page.hints, page.skipped) == ([], 2)
    assert "AlternateIdType" in page.warnings[-1]


def test_without_a_date_header_the_newest_event_is_the_watermark() -> None:
    def event(text: str) -> Event:
        return Event(profile_id=1, event_type="profile.updated", original_event_time=text)

    events = [event("2026-01-20T11:58:00Z"), event("2026-01-20T11:57:00Z"), event("")]
    assert drained(events, None)[-1].watermark == ago(minutes=2)
    assert drained([], None)[-1].watermark is None
    assert drained([event("2026-02-01T00:00:00Z")], None)[-1].watermark == NOON


def test_the_watermark_is_no_later_than_the_start_of_the_read() -> None:
    """The Date header is written when the answer is: a slow answer's is later than its question."""
    times = iter([NOON, NOON, NOON + timedelta(seconds=40)])

    def read(start: datetime, end: datetime) -> EventSlice:
        return EventSlice([], NOON + timedelta(seconds=41))

    (page,) = drain_events(read, ago(minutes=5), window=NOON - ago(hours=1), clock=lambda: next(times))
    assert page.watermark == NOON + timedelta(seconds=1)


# --- the mapping against the catalogue


def unfit(world: World, mapping: Mapping) -> list[MappingProblem]:
    return find_problems(mapping, read_catalogue(world.client, frozenset(CatalogueKind)), did_you_mean)


def test_a_mapping_that_fits_has_no_problems(world: World) -> None:
    assert unfit(world, a_mapping()) == []


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        (
            Topic(TopicId("x"), FilterRef("NEWS_EMIAL"), {"": 1}),
            "no filter 'NEWS_EMIAL'. Did you mean 'NEWS_EMAIL'",
        ),
        (Topic(TopicId("x"), FilterRef("DEALS_APP"), {"": 1}), "the channel Solicit"),
        (Topic(TopicId("x"), FilterRef("OFFERS_EMAIL"), {"HOURLY": 1}), "no frequency 'HOURLY'"),
        (Topic(TopicId("x"), ConsentRef("Profilin", "1.0", "en_US"), {"": 1}), "Did you mean 'Profiling'"),
        (Topic(TopicId("x"), ConsentRef("Profiling", "9", "en_US"), {"": 1}), "no version '9'"),
        (Topic(TopicId("x"), ConsentRef("Profiling", "1.0", "de_DE"), {"": 1}), "no locale 'de_DE'"),
    ],
)
def test_what_the_mapping_names_wrongly_is_found(world: World, topic: Topic, problem: str) -> None:
    (found,) = unfit(world, a_mapping(NEWS, topic))
    assert problem in f"{found.what}. {found.hint}"
    assert found.topic == "x"


@pytest.mark.parametrize(
    ("source", "gone"),
    [
        (FilterRef("GONE_EMAIL"), True),
        (ConsentRef("Gone", "1.0", "en_US"), True),
        (ConsentRef("Profiling", "9", "en_US"), True),
        (ConsentRef("Profiling", "1.0", "de_DE"), False),
        (FilterRef("DEALS_APP"), False),
    ],
)
def test_a_topic_is_missing_only_where_its_counterpart_is_gone(
    world: World, source: FilterRef | ConsentRef, gone: bool
) -> None:
    mapping = a_mapping(NEWS, Topic(TopicId("x"), source, {"": 1}))
    assert set(missing_topics(mapping, world.replica(mapping).catalogue())) == ({"x"} if gone else set())
    assert world.calls("retrievePrograms") == 1


def test_the_feed_covers_every_topic_with_a_place_here(world: World) -> None:
    mapping = a_mapping(NEWS, channel=Topic(TopicId("email"), None, {}))
    (feed,) = world.replica(mapping).feeds(timedelta(minutes=1))
    assert (feed.name, feed.topics, feed.period) == ("mypreferences.events", {NEWS.id}, timedelta(minutes=1))


def test_inactive_things_are_found(world: World) -> None:
    programs = '{"Programs":[{"ProgramId":"N","IsActive":false,"Filters":[{"FilterId":"NEWS_EMAIL"}]}]}'
    consents = '{"ConsentTypes":[{"TypeName":"EmailMarketing","IsActive":false}]}'
    world.state.faults.add(InjectedFault("retrievePrograms", "status", status=200, body=programs))
    world.state.faults.add(InjectedFault("retrieveConsentTypes", "status", status=200, body=consents))
    problems = unfit(world, a_mapping(NEWS, channel=CHANNEL))
    assert [problem.kind for problem in problems] == [Unfit.INACTIVE, Unfit.INACTIVE]


def test_the_alternate_id_goes_in_the_query_or_where_the_route_says(world: World, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(
        "create_or_update_by_alternate_id = "
        '"POST /{account}/Profile/AlternateIdType/{alternate_id_type}/AlternateId/{alternate_id}"\n'
    )
    account = world.state.config.account
    change = Profile(emails=[Email(email_address="c@example.com")])
    made = world.client.upsert_profile_by_alternate_id("CrmId", "A/1", change)
    other = MyPreferencesClient(world.transport, account=account, routes=load_routes(file))
    again = other.upsert_profile_by_alternate_id("CRMID", "B1", change)
    assert made is not None
    assert again is not None
    assert made.id != again.id
    assert world.client.upsert_profile_by_alternate_id("crmid", "a/1", change) == made
