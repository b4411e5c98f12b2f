"""The Data API's calls, each over real HTTP: find, create, change, archive, history."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_world import (
    AT,
    CRM,
    IN,
    NUMBER,
    OUT,
    a_state,
    ann,
    consent,
    email,
    home,
    phone,
    pref,
    stored_profile,
)

from bridge.core.errors import Ambiguous, MappingStale, NotFound, OutcomeUnknown, Refused
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.replica import MyPreferencesReplica
from bridge.mypreferences.wire import profiles as wire
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.mypreferences import MyPreferencesState
from tests.mypreferences.mp_world import (
    ADDRESS,
    NEWS,
    NOON,
    World,
    a_mapping,
    raising,
    who,
    withdrawal,
)
from tests.port_calls import send_one


@pytest.fixture
def state() -> MyPreferencesState:
    return a_state()


def kinds(preferences: list[wire.Preference] | None) -> dict[str, str]:
    return {item.filter_id: item.kind for item in preferences or ()}


# finding


def test_a_profile_is_found_by_everything_on_it(world: World) -> None:
    """MyPreferences `Retrieve profiles by phone`, by address, by preference attributes, by alternate id."""
    found = stored_profile(world)
    client = world.client
    home_of = wire.Address(city="duluth", state_province="ga")
    assert [item.id for item in client.retrieve_profiles_by_email(ADDRESS, email_type="Primary")] == [found]
    assert [item.id for item in client.retrieve_profiles_by_phone("1-555-010-2030")] == [found]
    assert [item.id for item in client.retrieve_profiles_by_phone(NUMBER, phone_type="mobile")] == [found]
    assert [item.id for item in client.retrieve_profiles_by_address(home_of)] == [found]
    assert [item.id for item in client.retrieve_profiles_by_preference_attributes({"mark": "m 1"})] == [found]
    assert client.retrieve_profile_by_alternate_id("crmid", "a-1").id == found
    assert client.retrieve_profiles_by_phone(NUMBER, phone_type="Home") == []
    assert client.retrieve_profiles_by_preference_attributes({"mark": "2"}) == []


def test_everything_on_a_profile_is_read(world: World) -> None:
    """MyPreferences `UserProfile`: elements of each kind with what hangs on them."""
    (shown,) = world.client.retrieve_profiles_by_phone(NUMBER) or [
        world.client.retrieve_full_profile_by_id(stored_profile(world))
    ]
    assert shown.customer_name == wire.CustomerName(first_name="Ann", last_name="Lee")
    (number,), (place,) = shown.phone_numbers or (), shown.addresses or ()
    assert kinds(number.preferences) == {"NEWS_TEXT": wire.OPT_IN, "NEWS_CALL": wire.OPT_OUT}
    assert kinds(place.address_preferences) == {"NEWS_MAIL": wire.OPT_IN}
    assert kinds(shown.profile_preferences) == {"NEWS_APP": wire.OPT_OUT}
    assert [item.value for item in shown.custom_fields or ()] == ["42"]
    assert (shown.preserve_preferences, shown.preserve_consents) == (True, True)


def test_a_search_by_address_requests_parts_where_configured(world: World) -> None:
    """MyPreferences `Retrieve profiles by address`: exact match on all that is given."""
    stored_profile(world)
    part = wire.Address(city="Duluth", state_province="GA", address1="1 Elm")
    name = wire.CustomerName(first_name="A", last_name="Le")
    search = world.client.retrieve_profiles_by_address
    assert search(part) == [] != search(part, partial_address=True)
    assert search(part, name, partial_address=True) == []
    assert search(part, name, partial_address=True, partial_name=True) != []
    with pytest.raises(ValueError, match="city"):
        search(wire.Address(city="Duluth"))


def test_the_members_of_a_group_are_found_by_its_primary_profile(world: World) -> None:
    """MyPreferences `Retrieve group profiles by profile id`, by e-mail address, by phone."""
    first = stored_profile(world)
    group = wire.ProfileGroup(group_type="Household", group_name="Lee")
    second = stored_profile(world, wire.FullProfile(emails=[email(address="bo@example.com")], groups=[group]))
    client = world.client
    for members in (
        client.retrieve_group_profiles_by_id(first, "household"),
        client.retrieve_group_profiles_by_email(ADDRESS, "Household", "Lee"),
        client.retrieve_group_profiles_by_phone(NUMBER, "Household"),
    ):
        assert [item.id for item in members] == [first, second]
    assert client.retrieve_group_profiles_by_id(second, "Household") == []
    assert client.retrieve_group_profiles_by_email(ADDRESS, "Household", "Smith") == []


def test_more_than_fifty_matches_are_ambiguous_in_every_search_and_asked_for_once(world: World) -> None:
    """MyPreferences answers 403 above 50 matches, as if a permission were missing."""
    for _ in range(51):
        world.client.create_profile(
            wire.FullProfile(
                emails=[email(wire.Preference(
                    filter_id="NEWS_EMAIL", preference_type=IN,
                    preference_attributes=[wire.PreferenceAttribute(key="mark", value="1")],
                ))],
                phone_numbers=[phone()], addresses=[home()],
                groups=[wire.ProfileGroup(group_type="Household", group_name="Lee", is_primary=True)],
            )
        )  # fmt: skip
    client = world.client
    place = wire.Address(city="Duluth", state_province="GA")
    searches = {
        "retrieveProfilesByEmail": lambda: client.retrieve_profiles_by_email(ADDRESS),
        "retrieveProfilesByPhone": lambda: client.retrieve_profiles_by_phone(NUMBER),
        "retrieveProfilesByAddress": lambda: client.retrieve_profiles_by_address(place),
        "retrieveProfilesByPreferenceAttributes": lambda: client.retrieve_profiles_by_preference_attributes(
            {"mark": "1"}
        ),
        "retrieveGroupProfilesById": lambda: client.retrieve_group_profiles_by_id("1001", "Household"),
        "retrieveGroupProfilesByEmail": lambda: client.retrieve_group_profiles_by_email(ADDRESS, "Household"),
        "retrieveGroupProfilesByPhone": lambda: client.retrieve_group_profiles_by_phone(NUMBER, "Household"),
    }
    for operation, search in searches.items():
        with pytest.raises(Ambiguous):
            search()
        assert world.calls(operation) == 1


@pytest.mark.parametrize("is_404", [True, False])
def test_nobody_found_is_nobody_whichever_way_it_is_said(world: World, is_404: bool) -> None:
    world.state.switches.no_match_is_404 = is_404
    assert world.client.retrieve_profiles_by_phone("5550000000") == []
    assert world.client.retrieve_profiles_by_address(wire.Address(city="X", state_province="Y")) == []


def test_a_type_that_is_not_configured_is_not_taken_for_nobody(world: World) -> None:
    with pytest.raises(MappingStale):
        world.client.retrieve_profiles_by_phone(NUMBER, phone_type="Yacht")
    with pytest.raises(MappingStale):
        world.client.retrieve_profile_by_alternate_id("PassportNo", "1")


def test_calls_by_alternate_id_go_by_path_where_the_routes_say_so(world: World, tmp_path: Path) -> None:
    """The v4 pages have the alternate id in the query, the older help in the path."""
    file = tmp_path / "routes.toml"
    path = "/{account}/Profile/AlternateIdType/{alternate_id_type}/AlternateId/{alternate_id}"
    query = "POST /{account}/Profile/Preferences/AlternateId"
    file.write_text(
        f'profile_by_alternate_id = "GET {path}"\nreplace_profile_by_alternate_id = "PUT {path}"\n'
        f'create_or_update_by_alternate_id = "POST {path}"\npatch_profile_by_alternate_id = "PATCH {path}"\n'
        f'update_preferences_by_alternate_id = "{query}"\n'
    )
    routes = load_routes(file)
    client = MyPreferencesClient(world.transport, account=world.state.config.account, routes=routes)
    found = stored_profile(world)
    assert client.retrieve_profile_by_alternate_id(*CRM).id == found
    said = wire.Submission(emails=[email(pref("NEWS_EMAIL", OUT, "2026-01-20T11:00:00Z"))])
    client.upsert_preferences_by_alternate_id(*CRM, said)
    assert world.state.profile(int(found))["Emails"][0]["EmailPreferences"][0]["PreferenceType"] == OUT
    kept = client.replace_profile_by_alternate_id(*CRM, wire.FullProfile(alternate_ids=ann().alternate_ids))
    assert kept is not None
    assert kept.emails == []


# creating and replacing


def test_a_replacement_keeps_only_what_it_says(world: World) -> None:
    """MyPreferences `Update profile (PUT)`: omitted properties and collections become blank."""
    found = stored_profile(world)
    whole = wire.FullProfile(alternate_ids=ann().alternate_ids, emails=[email(pref("NEWS_EMAIL", IN))])
    world.client.update_profile_put(found, whole)
    shown = world.client.retrieve_full_profile_by_id(found)
    assert (shown.phone_numbers, shown.addresses, shown.consents, shown.groups) == ([], [], [], [])
    again = world.client.replace_profile_by_alternate_id(*CRM, whole)
    assert again is not None
    assert again.id == found


REPLACING = ("update_profile_put", "replace_profile", "updateProfilePut", "replaceProfile")


def test_the_bridge_never_replaces_a_profile(world: World) -> None:
    """PUT blanks what it leaves out: nothing that the engine can reach sends one."""
    found = stored_profile(world)
    replica: MyPreferencesReplica = world.replica(a_mapping(NEWS))
    send_one(replica, who(), [withdrawal(NEWS)])
    send_one(replica, who(), [raising(NEWS, NOON.replace(hour=13))])
    sent = {name for name, count in world.state.calls.counts().items() if count}
    assert sent.isdisjoint({"updateProfilePut", "replaceProfileByAlternateId", "updateProfilePatch"})
    side = Path(__file__).resolve().parents[2] / "bridge" / "mypreferences"
    for source in side.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        assert source.parent.name == "client" or not any(call in text for call in REPLACING), source.name
    assert world.client.retrieve_full_profile_by_id(found).phone_numbers


@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "truncate", "html", "null", "status_after"])
@pytest.mark.parametrize("operation", ["createProfile", "updateProfilePut", "upsertPreferences"])
def test_a_write_without_a_trustworthy_answer_is_in_doubt_and_sent_once(
    world: World, operation: str, kind: str
) -> None:
    found = stored_profile(world)
    world.state.calls.reset()
    world.state.faults.add(InjectedFault(operation, kind))
    writes = {
        "createProfile": lambda: world.client.create_profile(wire.Profile()),
        "updateProfilePut": lambda: world.client.update_profile_put(found, ann()),
        "upsertPreferences": lambda: world.client.upsert_preferences(found, wire.Submission()),
    }
    with pytest.raises(OutcomeUnknown):
        writes[operation]()
    assert world.calls(operation) == 1


# preferences


def test_preferences_are_added_updated_and_read_by_themselves(world: World) -> None:
    """MyPreferences `Add or update preferences`, `Retrieve preferences`."""
    found = stored_profile(world)
    later = "2026-01-20T11:00:00Z"
    said = wire.Submission(
        emails=[email(pref("NEWS_EMAIL", OUT, later), address="new@example.com")],
        phone_numbers=[phone(pref("NEWS_CALL", IN, later))],
        profile_preferences=[pref("NEWS_APP", IN, later)],
    )
    world.client.upsert_preferences(found, said)
    shown = world.client.retrieve_preferences(found)
    assert [item.email_address for item in shown.emails or ()] == [ADDRESS, "new@example.com"]
    assert kinds(shown.profile_preferences) == {"NEWS_APP": wire.OPT_IN}
    one = world.client.retrieve_preferences(found, "NEWS_CALL")
    calls = [item for number in one.phone_numbers or () for item in number.preferences]
    assert kinds(calls) == {"NEWS_CALL": wire.OPT_IN}
    assert not any(item.email_preferences for item in one.emails or ())
    with pytest.raises(NotFound):
        world.client.upsert_preferences_by_alternate_id("CrmId", "nobody", said)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"email_address_type": "Primary"}, ["b"]),
        ({"email_address_type": "Primary", "email_address": "a@example.com"}, ["b", "c"]),
        ({"email_address": "a@example.com", "email_address_type": "Primary", "filter_id": "NEWS_DAILY"},
         ["a", "b", "c"]),
        ({"email_address": "b@example.com"}, ["a", "c"]),
    ],
)  # fmt: skip
def test_archiving_takes_what_type_value_and_filter_select(
    world: World, wanted: dict[str, str], left: list[str]
) -> None:
    """MyPreferences `ArchiveEmailPreference`: type only, type and value, all three, value only."""
    held = [("a", "Primary"), ("b", "Work"), ("c", "Primary")]
    emails = [
        wire.Email(
            email_address=f"{name}@example.com", email_address_type=kind,
            email_preferences=[pref("NEWS_EMAIL", IN)],
        )
        for name, kind in held
    ]  # fmt: skip
    found = stored_profile(world, wire.FullProfile(emails=emails))
    item = wire.ArchivedEmail(reason="asked", **wanted)
    world.client.archive_preferences(found, wire.Archiving(emails=[item], reason="unsaid"))
    shown = world.client.retrieve_profile_by_id(found)
    assert [one.email_address[0] for one in shown.emails or () if one.email_preferences] == left
    history = world.client.history_preferences_by_id(found)
    reasons = {
        pair.value
        for one in history.emails or ()
        for choice in one.email_preferences or ()
        for pair in choice.preference_attributes or ()
    }
    assert reasons == ({"asked"} if len(left) < 3 else set())


def test_archiving_reaches_every_kind_of_element_and_all_at_once(world: World) -> None:
    """MyPreferences `Archive preferences`: GlobalDeactivate takes the whole profile's."""
    found = stored_profile(world)
    some = wire.Archiving(
        phone_numbers=[wire.ArchivedPhone(phone_number="15550102030", filter_id="NEWS_TEXT")],
        addresses=[wire.ArchivedAddress(address_type="Home")],
        profile_preferences=[wire.ArchivedPreference(filter_id="NEWS_APP")],
    )
    world.client.archive_preferences(found, some)
    shown = world.client.retrieve_full_profile_by_id(found)
    assert kinds(shown.phone_numbers[0].preferences if shown.phone_numbers else None) == {
        "NEWS_CALL": wire.OPT_OUT
    }
    assert [item.address_preferences for item in shown.addresses or ()] == [[]]
    assert (shown.profile_preferences, bool(shown.emails and shown.emails[0].email_preferences)) == ([], True)
    world.client.archive_preferences(found, wire.Archiving(global_deactivate=True))
    emails = world.client.retrieve_profile_by_id(found).emails or ()
    assert [item.email_preferences for item in emails] == [[]]
    with pytest.raises(Refused):
        world.client.archive_preferences(found, wire.Archiving())


# life cycle


@pytest.mark.parametrize("shows", [True, False])
def test_what_was_preserved_is_there_again_after_activation(world: World, shows: bool) -> None:
    """MyPreferences `Deactivate`, `Activate`: preferences are restored where PreservePreferences was true."""
    world.state.switches.inactive_shows_preferences = shows
    found = stored_profile(world)
    world.client.deactivate_profile(found, "x" * 256)
    gone = world.client.retrieve_profile_by_id(found)
    assert (gone.active, world.client.retrieve_profiles_by_email(ADDRESS)) == (False, [])
    assert bool(gone.emails and gone.emails[0].email_preferences) is shows
    world.client.activate_profile(found)
    back = world.client.retrieve_profile_by_id(found)
    assert back.active
    assert kinds(back.emails[0].email_preferences if back.emails else None) == {"NEWS_EMAIL": wire.OPT_IN}
    with pytest.raises(ValueError, match="256"):
        world.client.deactivate_profile(found, "x" * 257)


def test_a_deleted_profile_is_not_there(world: World) -> None:
    """MyPreferences `Delete`: permanent, with all preferences."""
    found = stored_profile(world)
    world.client.delete_profile(found, "asked")
    with pytest.raises(NotFound):
        world.client.retrieve_profile_by_id(found)
    with pytest.raises(NotFound):
        world.client.delete_profile(found)


# consents


def test_consents_are_added_to_a_profile_and_to_an_address(world: World) -> None:
    """MyPreferences `Add consents to profile`; in v4 those of elements are nested in the profile call."""
    found = stored_profile(world)
    held = world.client.add_consents(found, [consent("EmailMarketing", 3), consent("Profiling", 2)])
    assert {item.consent_type: item.kind for item in held} == {
        "EmailMarketing": wire.REVOKED, "Profiling": wire.DENIED
    }  # fmt: skip
    on_email = wire.Email(
        email_address=ADDRESS, email_address_type="Primary", consents=[consent("Profiling")]
    )
    world.client.add_element_consents(found, wire.FullProfile(emails=[on_email]))
    emails = world.client.retrieve_profile_by_id(found).emails or ()
    assert [item.kind for one in emails for item in one.consents or ()] == [wire.GRANTED]


def test_a_consent_is_tied_to_a_filter_and_taken_off_it(world: World) -> None:
    """MyPreferences `Filter associations`: read, add, remove; inherited ties are left out."""
    found = stored_profile(world)
    tie = wire.ConsentFilter(
        filter_id="NEWS_EMAIL", type_name="primary",
        consents=[wire.ConsentLink(consent_type="EmailMarketing", consent_version="1.0")],
    )  # fmt: skip
    world.client.add_consent_filters(found, [tie])
    (shown,) = world.client.retrieve_consent_filters(found, "NEWS_EMAIL")
    assert (shown.type_name, shown.implied, shown.consents[0].consent_status) == ("Primary", False, 1)
    assert world.client.retrieve_consent_filters(found, "NEWS_DAILY") == []
    world.client.remove_consent_filter(found, "NEWS_EMAIL", "EmailMarketing")
    assert world.client.retrieve_consent_filters(found) == []
    with pytest.raises((NotFound, MappingStale)):
        world.client.remove_consent_filter(found, "NEWS_EMAIL", "EmailMarketing")


def test_a_tie_made_by_the_api_takes_the_preference_down_with_its_consent(world: World) -> None:
    """MyPreferences `preference.archived`: revoking a consent archives what is associated with it."""
    found = stored_profile(world)
    tie = wire.ConsentFilter(
        filter_id="NEWS_EMAIL",
        type_name="Primary",
        consents=[wire.ConsentLink(consent_type="EmailMarketing")],
    )
    world.client.add_consent_filters(found, [tie])
    world.client.add_consents(found, [consent("EmailMarketing", 3)])
    emails = world.client.retrieve_profile_by_id(found).emails or ()
    assert [item.email_preferences for item in emails] == [[]]


# what was before


def test_what_was_before_is_kept_by_id_and_by_alternate_id(world: World) -> None:
    """MyPreferences `Retrieve historical preferences`, consents, custom fields and standard fields."""
    found = stored_profile(world)
    world.state.clock.advance(60)
    change = wire.FullProfile(
        emails=[email(pref("NEWS_EMAIL", OUT, "2026-01-20T12:01:00Z"))],
        consents=[wire.Consent(
            consent_type="EmailMarketing", consent_version="1.0", locale="en_US", consent_status=3,
        )],
        custom_fields=[wire.CustomField(name="Shoe", value="43")],
        customer_name=wire.CustomerName(first_name="Anne"),
    )  # fmt: skip
    world.client.update_profile_post(found, change)
    client = world.client
    for said in (client.history_preferences_by_id(found, "NEWS_EMAIL"),
                 client.history_preferences_by_alternate_id(*CRM, "NEWS_EMAIL")):  # fmt: skip
        rows = [item.kind for one in said.emails or () for item in one.email_preferences or ()]
        assert rows == [wire.OPT_IN, wire.OPT_OUT]
    for before in (client.history_consents_by_id(found), client.history_consents_by_alternate_id(*CRM)):
        assert [item.kind for item in before.consents or ()] == [wire.GRANTED, wire.REVOKED]
    for fields in (
        client.history_custom_fields_by_id(found),
        client.history_custom_fields_by_alternate_id(*CRM),
    ):
        assert [item.value for item in fields.custom_fields or ()] == ["42", "43"]
    for names in (
        client.history_standard_fields_by_id(found),
        client.history_standard_fields_by_alternate_id(*CRM),
    ):
        assert [item.customer_name and item.customer_name.first_name for item in names] == ["Ann", "Anne"]


def test_a_date_is_sent_as_it_was_said(world: World) -> None:
    found = stored_profile(world)
    emails = world.client.retrieve_profile_by_id(found).emails or ()
    assert [item.customer_date for one in emails for item in one.email_preferences or ()] == [AT]
