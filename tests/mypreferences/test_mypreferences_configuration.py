"""The configuration of an account (MyPreferences Experience API), read and changed over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from bridge.core.errors import Forbidden, InvalidResponse, MappingStale, NotFound, OutcomeUnknown, Refused
from bridge.mypreferences.wire.configuration import (
    ConsentType,
    ConsentVersion,
    LocalizedField,
    PatchStep,
    Program,
)
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import (
    AccountConfig,
    ConsentTypeConfig,
    ConsentVersionConfig,
    FilterConfig,
    MyPreferencesState,
    ProgramConfig,
    ProgramGroupConfig,
)
from tests.mypreferences.mp_world import NOON, World

EU, SMS = (("Jurisdiction", "EU"),), (("Jurisdiction", "US"), ("Urgent", "yes"))


@pytest.fixture
def state() -> MyPreferencesState:
    """An account with a tree of groups, several locales, something inactive and something hidden."""
    news = ProgramConfig(
        "NEWS",
        "Newsletter",
        (FilterConfig("NEWS_EMAIL", properties=EU), FilterConfig("NEWS_TEXT", "Text", properties=SMS)),
        properties=EU,
        names=(("de_DE", "Rundbrief"),),
    )
    offers = ProgramConfig(
        "OFFERS",
        "Offers",
        (FilterConfig("OFFERS_EMAIL", "Email", ("DAILY", "WEEKLY"), "WEEKLY", attributes=("Store",)),),
        properties=SMS,
    )
    bills = ProgramConfig(
        "BILLS", "Bills", (FilterConfig("BILLS_EMAIL", active=False),), "Transactional", active=False
    )
    deep = ProgramGroupConfig("SHOP", "Shop", ("OFFERS",), properties=SMS)
    top = ProgramGroupConfig("ALL", "All we send", ("NEWS", "BILLS"), (deep,), EU, (("de_DE", "Alles"),))
    consents = (
        ConsentTypeConfig(
            "EmailMarketing", (ConsentVersionConfig("1.0", ("en_US", "de_DE")), ConsentVersionConfig("2.0"))
        ),
        ConsentTypeConfig("Profiling", (ConsentVersionConfig("1.0", active=False),), active=False),
    )
    config = AccountConfig(
        "ACME_Corp",
        (news, offers, bills),
        consents,
        program_groups=(top,),
        type_consents=(("Primary", "EmailMarketing"),),
    )
    state = MyPreferencesState(config, SandboxClock(NOON, frozen=True))
    state.switches.surplus_rights = True  # every method of the client is tried
    return state


def filters(programs: Iterable[Program] | None) -> dict[str, list[str]]:
    return {str(one.program_id): [item.filter_id for item in one.filters or ()] for one in programs or ()}


def test_programs_come_whole_or_by_type_or_alone(world: World) -> None:
    """MyPreferences `Retrieve programs by Program Type`, `Retrieve a program`."""
    assert list(filters(world.client.retrieve_programs())) == ["NEWS", "OFFERS", "BILLS"]
    assert filters(world.client.retrieve_programs_by_type("transactional")) == {"BILLS": ["BILLS_EMAIL"]}
    offers = world.client.retrieve_program("OFFERS")
    (item,) = offers.filters or ()
    assert [one.frequency_id for one in item.frequencies or ()] == ["DAILY", "WEEKLY"]
    assert item.default_frequency_id == "WEEKLY"
    assert [one.key for one in item.preference_attributes or ()] == ["Store"]
    with pytest.raises(NotFound):
        world.client.retrieve_program("NOTHING")


def test_what_is_inactive_is_answered_and_says_so(world: World) -> None:
    bills = world.client.retrieve_program("BILLS")
    assert bills.is_active is False
    assert [one.is_active for one in bills.filters or ()] == [False]
    consents = {one.type_name: one for one in world.client.retrieve_consent_types()}
    assert consents["Profiling"].is_active is False
    assert [one.is_active for one in consents["Profiling"].versions or ()] == [False]


def test_names_come_in_the_locale_that_is_asked_for(world: World) -> None:
    def name(locale: str | None) -> list[tuple[str | None, str | None]]:
        program = world.client.retrieve_program("NEWS", locale=locale)
        return [(tag.locale, tag.name) for tag in program.text_tags or ()]

    assert name(None) == [("en_US", "Newsletter")]
    assert name("de_DE") == [("de_DE", "Rundbrief")]
    world.state.switches.all_locales_answered = True
    assert name(None) == [("en_US", "Newsletter"), ("de_DE", "Rundbrief")]
    (group,) = world.client.retrieve_program_groups(locale="de_DE")
    assert [tag.name for tag in group.text_tags or ()] == ["Alles"]


@pytest.mark.parametrize(
    ("properties", "everything", "matching"),
    [
        ({"Jurisdiction": "EU"}, {"NEWS": ["NEWS_EMAIL", "NEWS_TEXT"]}, {"NEWS": ["NEWS_EMAIL"]}),
        ({"jurisdiction": "eu"}, {"NEWS": ["NEWS_EMAIL", "NEWS_TEXT"]}, {"NEWS": ["NEWS_EMAIL"]}),
        ({"Urgent": ""}, {"OFFERS": ["OFFERS_EMAIL"]}, {"OFFERS": []}),
        ({"Urgent": "no"}, {}, {}),
        ({"Jurisdiction": "US", "Urgent": "yes"}, {"OFFERS": ["OFFERS_EMAIL"]}, {"OFFERS": []}),
    ],
)
def test_programs_are_chosen_by_their_properties(
    world: World, properties: dict[str, str], everything: Any, matching: Any
) -> None:
    """MyPreferences `Retrieve programs (Include All)` and `(Include Matching)`: a property named without a
    value may have any."""
    assert filters(world.client.retrieve_programs_include_all(properties)) == everything
    assert filters(world.client.retrieve_programs_include_matching(properties)) == matching


def test_groups_hold_groups_and_programs(world: World) -> None:
    """MyPreferences `Program Groups`."""
    (top,) = world.client.retrieve_program_groups()
    (deep,) = top.program_groups or ()
    assert (top.program_group_id, list(filters(top.programs))) == ("ALL", ["NEWS", "BILLS"])
    assert (deep.program_group_id, filters(deep.programs)) == ("SHOP", {"OFFERS": ["OFFERS_EMAIL"]})
    assert world.client.retrieve_program_group("SHOP") == deep
    with pytest.raises(NotFound):
        world.client.retrieve_program_group("NOTHING")


def test_groups_are_chosen_by_their_properties(world: World) -> None:
    (everything,) = world.client.retrieve_program_groups_include_all({"Jurisdiction": "EU"})
    assert list(filters(everything.programs)) == ["NEWS", "BILLS"]
    assert len(everything.program_groups or ()) == 1
    (matching,) = world.client.retrieve_program_groups_include_matching({"Jurisdiction": "EU"})
    assert filters(matching.programs) == {"NEWS": ["NEWS_EMAIL"]}
    assert matching.program_groups == []


def test_a_choice_without_a_property_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        world.client.retrieve_programs_include_all({})


def test_consents_have_versions_and_locales_and_statuses_numbers(world: World) -> None:
    """MyPreferences `Retrieve consents`, `Retrieve consent status`."""
    first = world.client.retrieve_consent_types()[0]
    assert [
        (version.consent_version, [item.locale for item in version.localized_fields or ()])
        for version in first.versions or ()
    ] == [("1.0", ["en_US", "de_DE"]), ("2.0", ["en_US"])]
    statuses = {one.name: one.id for one in world.client.retrieve_consent_status()}
    assert statuses == {"Granted": 1, "Denied": 2, "Revoked": 3, "NotSet": 4}


def test_contact_types_come_with_their_consents(world: World) -> None:
    """MyPreferences `Contact Types`."""
    client = world.client
    kinds = {one.type_name: one for one in client.retrieve_email_types()}
    assert list(kinds) == ["Primary", "Work"]
    assert [one.type_name for one in kinds["Primary"].consents or ()] == ["EmailMarketing"]
    rest = (
        client.retrieve_phone_types,
        client.retrieve_address_types,
        client.retrieve_alternate_id_types,
        client.retrieve_customer_types,
        client.retrieve_group_types,
    )
    names = [[one.type_name for one in call()] for call in rest]
    assert names == [["Mobile", "Home"], ["Home", "Office"], ["CrmId"], ["Customer"], ["Household"]]


def test_a_consent_is_created_once_and_then_changed(world: World) -> None:
    """MyPreferences `Create consent types` (409 where it exists) and its JSON patch."""
    version = ConsentVersion(
        consent_version="1.0",
        localized_fields=[LocalizedField(locale="en_US", name="Cookies", consent_language="May we?")],
    )
    wanted = ConsentType(type_name="Cookies", versions=[version])
    (made,) = world.client.create_consent_types([wanted])
    assert made.type_name == "Cookies"
    with pytest.raises(Refused):
        world.client.create_consent_types([wanted])
    steps = [
        PatchStep(
            op="add",
            path="/Versions/-",
            value=ConsentVersion(consent_version="2.0", localized_fields=version.localized_fields),
        ),
        PatchStep(op="replace", path="/IsActive", value=False),
    ]
    changed = world.client.update_consent_type("cookies", steps)
    assert (changed.is_active, len(changed.versions or ())) == (False, 2)
    assert world.client.retrieve_consent_types()[-1] == changed
    with pytest.raises(MappingStale):
        world.client.update_consent_type("Nothing", steps)
    with pytest.raises(Refused):
        world.client.update_consent_type("Cookies", [PatchStep(op="test", path="/X", value=True)])


@pytest.mark.parametrize("body", ["null", "<html>", "[]", '{"ConsentTypes":null}', '{"Message":null}'])
def test_whether_a_consent_was_created_is_unknown_after_a_bad_answer(world: World, body: str) -> None:
    world.state.faults.add(InjectedFault("createConsentTypes", "status", status=201, body=body))
    if body == "[]":
        assert world.client.create_consent_types([]) == []
        return
    with pytest.raises(OutcomeUnknown, match="createConsentTypes"):
        world.client.create_consent_types([])


READS: list[tuple[str, Callable[[World], object]]] = [
    ("retrieveProgramsByType", lambda world: world.client.retrieve_programs_by_type("Marketing")),
    ("retrieveProgramsIncludeAll", lambda world: world.client.retrieve_programs_include_all({"A": ""})),
    (
        "retrieveProgramsIncludeMatching",
        lambda world: world.client.retrieve_programs_include_matching({"A": ""}),
    ),
    ("retrieveProgram", lambda world: world.client.retrieve_program("NEWS")),
    ("retrieveProgramGroups", lambda world: world.client.retrieve_program_groups()),
    ("retrieveProgramGroup", lambda world: world.client.retrieve_program_group("ALL")),
    (
        "retrieveProgramGroupsIncludeAll",
        lambda world: world.client.retrieve_program_groups_include_all({"A": ""}),
    ),
    (
        "retrieveProgramGroupsIncludeMatching",
        lambda world: world.client.retrieve_program_groups_include_matching({"A": ""}),
    ),
    ("retrieveConsentStatus", lambda world: world.client.retrieve_consent_status()),
    ("retrieveEmailTypes", lambda world: world.client.retrieve_email_types()),
    ("retrieveGroupTypes", lambda world: world.client.retrieve_group_types()),
]


@pytest.mark.parametrize(("operation", "read"), READS, ids=[name for name, _ in READS])
def test_a_read_arrives_as_its_operation_and_believes_no_bad_answer(
    world: World, operation: str, read: Callable[[World], object]
) -> None:
    for body in ("null", "<html>maintenance</html>", '{"Programs":', '{"Message":null}'):
        world.state.faults.add(InjectedFault(operation, "status", status=200, body=body))
        with pytest.raises(InvalidResponse):
            read(world)
    world.state.forbidden.add(operation)
    with pytest.raises(Forbidden):
        read(world)


def test_what_the_user_may_not_see_is_left_out(world: World) -> None:
    world.state.admin.hide("NEWS", "OFFERS_EMAIL", "Profiling")
    assert filters(world.client.retrieve_programs()) == {"OFFERS": [], "BILLS": ["BILLS_EMAIL"]}
    assert [one.type_name for one in world.client.retrieve_consent_types()] == ["EmailMarketing"]
    (top,) = world.client.retrieve_program_groups()
    assert list(filters(top.programs)) == ["BILLS"]
    with pytest.raises(NotFound):
        world.client.retrieve_program("NEWS")


ACTS: list[dict[str, Any]] = [
    {"act": "rename", "program": "NEWS", "to": "Weekly news"},
    {"act": "deactivate", "name": "OFFERS_EMAIL"},
    {"act": "activate", "name": "BILLS"},
    {"act": "remove", "name": "Profiling"},
    {"act": "channel", "filter": "NEWS_TEXT", "to": "Fax"},
    {"act": "frequencies", "filter": "OFFERS_EMAIL", "to": ["MONTHLY"]},
    {"act": "versions", "consent": "EmailMarketing", "to": [{"version": "3.0", "locales": ["fr_FR"]}]},
    {"act": "add", "program": "CLUB", "name": "Club", "filter": "CLUB_EMAIL"},
]


def test_the_configuration_changes_while_it_is_served(world: World) -> None:
    def act(body: dict[str, Any]) -> int:
        return httpx.post(f"{world.url}/_sandbox/config", json=body, trust_env=False).status_code

    assert [act(one) for one in ACTS] == [200] * len(ACTS)
    news, offers, bills, club = world.client.retrieve_programs()
    assert [tag.name for tag in news.text_tags or ()] == ["Weekly news"]
    assert [one.channel_id for one in news.filters or ()] == ["Email", "Fax"]
    (item,) = offers.filters or ()
    assert (item.is_active, [one.frequency_id for one in item.frequencies or ()]) == (False, ["MONTHLY"])
    assert bills.is_active is True
    assert filters([club]) == {"CLUB": ["CLUB_EMAIL"]}
    (consent,) = world.client.retrieve_consent_types()
    assert [one.consent_version for one in consent.versions or ()] == ["3.0"]
    assert act({"act": "rename", "program": "GONE", "to": "x"}) == 400
    assert act({"act": "explode"}) == 400


def test_a_choice_outlives_its_filter(world: World) -> None:
    """Nothing says that a filter that goes takes people's choices along."""
    profile_id = world.add(preferences={"NEWS_EMAIL": (True, NOON)})
    world.state.admin.remove("NEWS_EMAIL")
    (email,) = world.client.retrieve_profile_by_id(profile_id).emails or ()
    assert [one.filter_id for one in email.email_preferences or ()] == ["NEWS_EMAIL"]
