"""Recorded calls about single people that the bridge itself does not need."""

from __future__ import annotations

from typing import Any

from bridge.mypreferences.client.patches import Replace, Test, pointer
from bridge.mypreferences.wire.profiles import (
    Address,
    AlternateId,
    Archiving,
    Consent,
    ConsentFilter,
    ConsentLink,
    CustomerName,
    FullProfile,
    Phone,
)
from tests.mypreferences.mp_world import ADDRESS, World


def silence(world: World) -> Any:
    world.client.archive_preferences("1001", Archiving(global_deactivate=True))
    before = world.client.history_preferences_by_id("1001")
    statuses = [item.preference_status for one in before.emails or () for item in one.email_preferences or ()]
    now = world.client.retrieve_preferences("1001")
    return statuses, [one.email_preferences for one in now.emails or ()]


def rename(world: World, former: str = ADDRESS) -> Any:
    place = pointer("Emails", 0, "EmailAddress")
    shown = world.client.update_profile_patch(
        "1001", [Test(place, former), Replace(place, "new@example.com")]
    )
    return shown and len(shown.emails or ())


def tie(world: World) -> Any:
    consent = Consent(
        consent_type="Profiling", consent_version="1.0", locale="en_US", consent_status=1,
        consent_date="2026-01-20T12:00:00Z",
    )  # fmt: skip
    held = world.client.add_consents("1001", [consent])
    ties = [ConsentLink(consent_type="Profiling", consent_version="1.0")]
    wanted = ConsentFilter(filter_id="NEWS_EMAIL", type_name="Primary", consents=ties)
    world.client.add_consent_filters("1001", [wanted])
    shown = [item.filter_id for item in world.client.retrieve_consent_filters("1001")]
    world.client.remove_consent_filter("1001", "NEWS_EMAIL", "Profiling")
    return [item.kind for item in held], shown


def life(world: World) -> Any:
    made = world.client.create_profile(FullProfile(customer_name=CustomerName(first_name="Bo")))
    assert made is not None
    world.client.deactivate_profile(made.id, "left")
    world.client.activate_profile(made.id)
    names = world.client.history_standard_fields_by_id(made.id)
    world.client.delete_profile(made.id, "asked")
    return [item.customer_name and item.customer_name.first_name for item in names]


def found(world: World) -> Any:
    whole = FullProfile(
        alternate_ids=[AlternateId(alternate_id_type="CrmId", alternate_id="A-1")],
        phone_numbers=[Phone(phone_number="+1 555 010-2030", phone_type="Mobile", is_mobile=True)],
        addresses=[Address(address1="1 Elm Street", city="Duluth", state_province="GA")],
    )
    world.client.update_profile_put("1001", whole)
    searches = (
        world.client.retrieve_profiles_by_phone("15550102030"),
        world.client.retrieve_profiles_by_address(Address(city="Duluth", state_province="GA")),
        [world.client.retrieve_profile_by_alternate_id("CrmId", "a-1")],
        world.client.retrieve_profiles_by_preference_attributes({"mark": "1"}),
    )
    return [[item.id for item in profiles] for profiles in searches]
