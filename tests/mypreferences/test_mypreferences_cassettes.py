"""One recorded exchange for each endpoint and each form of refusal.

They are recorded against the project's sandbox, not the live service:
`BRIDGE_RECORD=1 pytest tests/mypreferences/test_mypreferences_cassettes.py`. Otherwise they are replayed and
nothing is asked of any server.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import vcr
from vcr.serializers import yamlserializer

from bridge.core.errors import (
    Ambiguous,
    Forbidden,
    InvalidResponse,
    MappingStale,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    Refused,
    ServerError,
    SideError,
    SignInRefused,
    Throttled,
)
from bridge.mypreferences.wire.bulk import ExportRequest, ImportRecord, ImportRequest
from bridge.mypreferences.wire.configuration import ConsentType, ConsentVersion, LocalizedField
from bridge.mypreferences.wire.events import WebhookSettings
from bridge.mypreferences.wire.profiles import GRANTED, OPT_OUT, Email, Preference, Profile
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import (
    EVERYBODY,
    MyPreferencesState,
    ProgramGroupConfig,
    SegmentGroup,
    create_app,
)
from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET
from bridge.sandbox.server import Server
from tests.mypreferences import data_episodes
from tests.mypreferences.mp_world import ADDRESS, NOON, World, ago

RECORDING = os.environ.get("BRIDGE_RECORD") == "1"
FOLDER = Path(__file__).parent / "cassettes"
LABEL = "# recorded against the project's sandbox, not the live service\n"
NOWHERE = "http://127.0.0.1:9"  # replayed conversations ask nobody
_LOCAL = re.compile(r"[A-Za-z0-9._+-]+(@|%40)example\.com")
_FAKE = re.compile(r"person-[0-9a-f]{8}(@|%40)example\.com")
_ANY_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+(?:@|%40)[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_SIGNED = re.compile(r"authorization:|\b(basic|bearer) [a-z0-9+/=._-]{8,}\s*$", re.IGNORECASE | re.M)
_KEPT_HEADERS = {"date", "content-type", "retry-after", "www-authenticate"}


@dataclass(frozen=True)
class Episode:
    """What is set up in the sandbox, which call is made, and what it must return."""

    name: str
    ask: Callable[[World], Any]
    expect: Any
    prepare: Callable[[MyPreferencesState], object] = lambda _: None


def fail(operation: str, status: int, times: int = 1, **more: Any) -> Callable[[MyPreferencesState], object]:
    return lambda state: state.faults.add(
        InjectedFault(operation, "status", status=status, times=times, **more)
    )


def many(state: MyPreferencesState) -> None:
    for _ in range(51):
        state.add_profile([("Primary", ADDRESS)])


def opt_out(world: World, filter_id: str = "NEWS_EMAIL") -> Any:
    preference = Preference(filter_id=filter_id, preference_type=2, customer_date="2026-01-20T12:00:00Z")
    email = Email(email_address=ADDRESS, email_address_type="Primary", email_preferences=[preference])
    profile = world.client.update_profile_post("1001", Profile(emails=[email]))
    return profile and [item.kind for email in profile.emails or () for item in email.email_preferences or ()]


def export(world: World) -> Any:
    token = world.client.initiate_export_segment("EVERYBODY")
    statuses = [world.client.export_status(token).status for _ in range(2)]
    page = world.client.retrieve_export(token, offset=1, limit=5)
    return statuses, page.count, page.has_more, page.total_results


def group_export(world: World) -> Any:
    wanted = ExportRequest(match_criteria="EmailAddress", values=["no@example.com"])
    token = world.client.initiate_export_segment_group("ALL", wanted)
    return [world.client.export_status(token).row_count for _ in range(2)]


IMPORT = ImportRequest(name="consent-bridge")


def staged(filter_id: str) -> ImportRecord:
    said = Preference(filter_id=filter_id, preference_type=2, customer_date="2026-01-20T12:00:00Z")
    email = Email(email_address=ADDRESS, email_address_type="Primary", email_preferences=[said])
    return ImportRecord.of(Profile(profile_id=1001), Profile(emails=[email]))


def imported(world: World) -> Any:
    client = world.client
    token = client.initiate_import(IMPORT)
    failed = client.stage_import(token, [staged("GONE_EMAIL"), staged("NEWS_EMAIL")]).validation_failed
    stages = [
        client.execute_import(token).stage,
        *[client.import_status(token).stage for _ in range(2)],
    ]
    page = client.import_exceptions(token, offset=1)
    return failed, stages, [(row.profile_id, row.sequence_number) for row in page.rows], page.has_more


def no_more_imports(state: MyPreferencesState) -> None:
    state.switches.imports_per_day = 0


def subscribe(world: World) -> Any:
    world.subscribe()
    (subscription,) = world.client.retrieve_subscriptions()
    return subscription.name, subscription.state


def by_subscription(world: World) -> int:
    world.subscribe()
    return len(world.client.retrieve_events_by_subscription(1, start_at=ago(hours=1), end_at=NOON).events)


def a_life_of_a_subscription(world: World) -> Any:
    world.subscribe()
    whole = world.client.retrieve_subscription(1)
    paused = world.client.update_subscription(1, whole | {"State": "Paused"})
    world.client.delete_subscription(1)
    return paused.state, world.client.retrieve_subscriptions()


def throughput(world: World) -> Any:
    before = world.client.retrieve_webhook_settings()
    slow = WebhookSettings(max_concurrent_requests=50, duration=300)
    after = world.client.update_webhook_settings(slow)
    return before.max_concurrent_requests, before.duration, after == slow


def told_once(world: World) -> Any:
    world.subscribe()
    opt_out(world)
    (event,) = world.client.retrieve_events_by_profile("1001", start_at=ago(hours=1), end_at=NOON).events
    return event.event_type, world.client.retrieve_event(str(event.event_id)) == event


def upsert(world: World) -> Any:
    email = Email(email_address="new@example.com", email_address_type="Primary")
    made = world.client.upsert_profile_by_alternate_id("CrmId", "77", Profile(emails=[email]))
    return made and [item.pair for item in made.alternate_ids or ()]


def by_address(world: World) -> Any:
    return [(item.id, item.active, item.pending) for item in world.client.retrieve_profiles_by_email(ADDRESS)]


def grouped(state: MyPreferencesState) -> None:
    group = ProgramGroupConfig(
        "MAIL", "What we send", ("NEWS", "OFFERS"), properties=(("Jurisdiction", "EU"),)
    )
    state.config.change(program_groups=(group,))


def group_names(world: World) -> Any:
    groups = world.client.retrieve_program_groups()
    return [(one.program_group_id, [item.program_id for item in one.programs or ()]) for one in groups]


def groups_in_the_eu(world: World) -> Any:
    groups = world.client.retrieve_program_groups_include_matching({"Jurisdiction": "EU"})
    return [one.program_group_id for one in groups]


def create_consent(world: World) -> Any:
    fields = [LocalizedField(locale="en_US", name="Surveys", consent_language="May we?")]
    version = ConsentVersion(consent_version="1.0", localized_fields=fields)
    made = world.client.create_consent_types([ConsentType(type_name="Surveys", versions=[version])])
    return [one.type_name for one in made]


EPISODES = [
    Episode("found_otherwise", data_episodes.found, [["1001"], ["1001"], ["1001"], []]),
    Episode("life_cycle", data_episodes.life, ["Bo"]),
    Episode("consents_and_filters", data_episodes.tie, ([GRANTED], ["NEWS_EMAIL"])),
    Episode("archive_and_history", data_episodes.silence, (["Active", "Archived"], [[]])),
    Episode("patch", data_episodes.rename, 1),
    Episode(
        "error_patch_test", lambda world: data_episodes.rename(world, "old@example.com"), PreconditionFailed
    ),
    Episode(
        "programs",
        lambda world: [item.program_id for item in world.client.retrieve_programs()],
        ["NEWS", "OFFERS"],
    ),
    Episode(
        "consent_types",
        lambda world: [item.type_name for item in world.client.retrieve_consent_types()],
        ["EmailMarketing", "Profiling"],
    ),
    Episode("programs_by_type", lambda world: len(world.client.retrieve_programs_by_type("Marketing")), 2),
    Episode("program", lambda world: world.client.retrieve_program("NEWS").program_id, "NEWS"),
    Episode(
        "programs_include_all", lambda world: world.client.retrieve_programs_include_all({"Region": ""}), []
    ),
    Episode(
        "programs_include_matching",
        lambda world: world.client.retrieve_programs_include_matching({"A": "b"}),
        [],
    ),
    Episode("program_groups", group_names, [("MAIL", ["NEWS", "OFFERS"])], grouped),
    Episode("program_groups_include_matching", groups_in_the_eu, ["MAIL"], grouped),
    Episode("create_consent_types", create_consent, ["Surveys"]),
    Episode(
        "consent_statuses",
        lambda world: [one.id for one in world.client.retrieve_consent_status()],
        [1, 2, 3, 4],
    ),
    Episode(
        "email_types",
        lambda world: [one.type_name for one in world.client.retrieve_email_types()],
        ["Primary", "Work"],
    ),
    Episode("profile_by_id", lambda world: world.client.retrieve_profile_by_id("1001").active, True),
    Episode("profiles_by_email", by_address, [("1001", True, False)]),
    Episode(
        "profiles_by_email_nobody",
        lambda world: world.client.retrieve_profiles_by_email("no@example.com"),
        [],
    ),
    Episode("update_profile", opt_out, [OPT_OUT]),
    Episode("create_or_update_by_alternate_id", upsert, [("crmid", "77")]),
    Episode("subscriptions", subscribe, ("bridge", "Active")),
    Episode(
        "events_by_account",
        lambda world: world.client.retrieve_events(start_at=ago(hours=1), end_at=NOON).server_time,
        NOON,
    ),
    Episode("events_by_subscription", by_subscription, 0),
    Episode("event", told_once, ("preference.updated", True)),
    Episode("subscription_life", a_life_of_a_subscription, ("Paused", [])),
    Episode("webhook_settings", throughput, (500, 1, True)),
    Episode("export", export, (["Processing", "Complete"], 1, False, 1)),
    Episode(
        "export_group",
        group_export,
        [None, 0],
        lambda state: state.add_segment_group(SegmentGroup("ALL", EVERYBODY)),
    ),
    Episode("import", imported, (1, ["processing", "processing", "completed"], [(1001, 1)], False)),
    Episode(
        "error_import_quota", lambda world: world.client.initiate_import(IMPORT), Throttled, no_more_imports
    ),
    Episode("error_import_gone", lambda world: world.client.import_status("1"), NotFound),
    Episode("token_in_body", lambda world: len(world.signed_in(in_body=True).retrieve_programs()), 2),
    Episode(
        "error_token_401", lambda world: world.signed_in(secret="wrong").retrieve_programs(), SignInRefused
    ),
    Episode(
        "error_token_400", lambda world: world.signed_in(user="nobody").retrieve_programs(), SignInRefused
    ),
    Episode(
        "error_token_503", lambda world: world.client.retrieve_programs(), ServerError, fail("token", 503, 4)
    ),
    Episode(
        "error_401",
        lambda world: world.client.retrieve_programs(),
        SignInRefused,
        fail("retrievePrograms", 401, 2, body='{"Message":"Unable to authenticate."}'),
    ),
    Episode("error_403_search", by_address, Ambiguous, many),
    Episode(
        "error_403",
        lambda world: world.client.retrieve_events(start_at=ago(hours=1), end_at=NOON),
        Forbidden,
        lambda state: state.forbidden.add("retrieveEvents"),
    ),
    Episode("error_404_account", lambda world: world.client_of("Nobody").retrieve_programs(), Forbidden),
    Episode("error_404", lambda world: world.client.retrieve_profile_by_id("9999"), NotFound),
    Episode("error_400_filter", lambda world: opt_out(world, "GONE_EMAIL"), MappingStale),
    Episode(
        "error_400",
        lambda world: world.client.retrieve_events(start_at=ago(days=20), end_at=NOON),
        Refused,
    ),
    Episode("error_409", lambda world: (world.subscribe(), world.subscribe()), Refused),
    Episode(
        "error_429",
        lambda world: world.client.retrieve_programs(),
        Throttled,
        fail("retrievePrograms", 429, headers={"Retry-After": "120"}),
    ),
    Episode(
        "error_503_read",
        lambda world: world.client.retrieve_programs(),
        ServerError,
        fail("retrievePrograms", 503, 4),
    ),
    Episode("error_503_write", opt_out, OutcomeUnknown, fail("updateProfilePost", 503)),
    Episode(
        "error_html_read",
        by_address,
        InvalidResponse,
        fail("retrieveProfilesByEmail", 200, body="<html>maintenance</html>", content_type="text/html"),
    ),
    Episode("error_null_write", opt_out, OutcomeUnknown, fail("updateProfilePost", 200, body="null")),
    Episode("error_export_gone", lambda world: world.client.export_status("1"), NotFound),
]


class Labelled:
    """Writes the label over each file; reading passes over it."""

    @staticmethod
    def serialize(cassette: Any) -> str:
        return LABEL + yamlserializer.serialize(cassette)

    @staticmethod
    def deserialize(text: str) -> Any:
        return yamlserializer.deserialize(text)


def scrub(text: str) -> str:
    """Replace addresses by fixed fakes, and everything secret by a word."""

    def fake(match: re.Match[str]) -> str:
        local = match.group(0).split(match.group(1))[0]
        if _FAKE.fullmatch(match.group(0)):
            return match.group(0)
        return f"person-{hashlib.sha256(local.encode()).hexdigest()[:8]}{match.group(1)}example.com"

    text = _LOCAL.sub(fake, text)
    text = re.sub(r"(client_id|client_secret)=[^&]*", r"\1=REDACTED", text)
    return re.sub(r'("access_token"\s*:\s*)"[^"]*"', r'\1"REDACTED"', text)


def scrub_request(request: Any) -> Any:
    request.uri = scrub(re.sub(r"^https?://[^/]+", "http://sandbox", request.uri))
    request.headers = {
        name: value for name, value in request.headers.items() if name.lower() == "content-type"
    }
    if request.body:
        raw = request.body if isinstance(request.body, str) else request.body.decode()
        request.body = scrub(raw)
    return request


def scrub_response(response: Any) -> Any:
    response["headers"] = {
        name: value for name, value in response["headers"].items() if name.lower() in _KEPT_HEADERS
    }
    body = response["body"]["string"]
    response["body"]["string"] = scrub(body if isinstance(body, str) else body.decode()).encode()
    return response


@contextmanager
def at_the_sandbox(episode: Episode) -> Iterator[World]:
    state = MyPreferencesState(clock=SandboxClock(NOON, frozen=True))
    state.switches.surplus_rights = True
    if not RECORDING:
        yield World(state, NOWHERE)
        return
    state.add_profile([("Primary", ADDRESS)], preferences={"NEWS_EMAIL": (True, ago(days=1))})
    episode.prepare(state)
    with Server(create_app(state)) as server:
        yield World(state, server.url)


@pytest.mark.parametrize("episode", EPISODES, ids=lambda episode: episode.name)
def test_a_recorded_conversation_means_what_it_meant(episode: Episode) -> None:
    player = vcr.VCR(
        match_on=["method", "path", "query"],
        record_mode="all" if RECORDING else "none",
        before_record_request=scrub_request,
        before_record_response=scrub_response,
    )
    player.register_serializer("labelled", Labelled)
    path = FOLDER / f"{episode.name}.yaml"
    if RECORDING:
        path.unlink(missing_ok=True)
    with at_the_sandbox(episode) as world, player.use_cassette(str(path), serializer="labelled") as cassette:
        if isinstance(episode.expect, type) and issubclass(episode.expect, SideError):
            with pytest.raises(episode.expect):
                episode.ask(world)
        else:
            assert episode.ask(world) == episode.expect
        world.close()
    assert RECORDING or cassette.all_played


def test_each_cassette_belongs_to_an_episode_and_says_where_it_comes_from() -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    assert [file.stem for file in files] == sorted(episode.name for episode in EPISODES)
    for file in files:
        assert file.read_text(encoding="utf-8").startswith(LABEL), file.name


def test_no_cassette_holds_a_secret_or_an_address() -> None:
    for file in FOLDER.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        for secret in (CLIENT_ID, CLIENT_SECRET, "eyJ", "127.0.0.1", "ookie", "ann@", "ann%40"):
            assert secret not in text, f"{secret!r} in {file.name}"
        assert not _SIGNED.search(text), f"an authorization in {file.name}"
        for found in _ANY_ADDRESS.finditer(text):
            assert _FAKE.search(found.group(0)), f"an address in {file.name}"
