"""An account with channels of every kind, a group and an inherited filter, and a profile with everything."""

from __future__ import annotations

from bridge.mypreferences.wire.profiles import (
    Address,
    AlternateId,
    Consent,
    CustomerName,
    CustomField,
    Email,
    FullProfile,
    Phone,
    Preference,
    PreferenceAttribute,
    ProfileGroup,
)
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences import (
    ConsentTypeConfig,
    Coupling,
    FilterConfig,
    MyPreferencesState,
    ProgramConfig,
    sample_config,
)
from tests.mypreferences.mp_world import ADDRESS, NOON, World

NUMBER = "+1 (555) 010-2030"
CRM = ("CrmId", "A-1")
IN, OUT = 1, 2
AT = "2026-01-19T12:00:00Z"


def a_state() -> MyPreferencesState:
    filters = (
        FilterConfig("NEWS_EMAIL"),
        FilterConfig("NEWS_DAILY", parent="NEWS_EMAIL"),
        FilterConfig("NEWS_TEXT", "Text"),
        FilterConfig("NEWS_CALL", "Phone"),
        FilterConfig("NEWS_MAIL", "Mail"),
        FilterConfig("NEWS_APP", "Solicit"),
    )
    config = sample_config(
        programs=(ProgramConfig("NEWS", "Newsletter", filters),),
        consent_types=(ConsentTypeConfig("EmailMarketing"), ConsentTypeConfig("Profiling")),
        couplings=(Coupling("Profiling", "NEWS_CALL"),),
    )
    state = MyPreferencesState(config, SandboxClock(NOON, frozen=True))
    state.switches.surplus_rights = True  # every method of the client is tried
    return state


def pref(filter_id: str, kind: int, at: str | None = AT) -> Preference:
    return Preference(filter_id=filter_id, preference_type=kind, customer_date=at)


def consent(name: str, status: int = 1) -> Consent:
    return Consent(
        consent_type=name, consent_version="1.0", locale="en_US", consent_status=status, consent_date=AT
    )


def email(*preferences: Preference, address: str = ADDRESS) -> Email:
    return Email(
        email_address=address, email_address_type="Primary", email_preferences=list(preferences) or None
    )


def phone(*preferences: Preference, number: str = NUMBER) -> Phone:
    return Phone(
        phone_number=number, phone_type="Mobile", is_mobile=True, phone_preferences=list(preferences)
    )


def home(*preferences: Preference) -> Address:
    return Address(
        address_type="Home", address1="1 Elm Street", city="Duluth", state_province="GA",
        address_preferences=list(preferences),
    )  # fmt: skip


def ann() -> FullProfile:
    """A profile with every kind of data."""
    marked = Preference(
        filter_id="NEWS_EMAIL", preference_type=IN, customer_date=AT,
        preference_attributes=[PreferenceAttribute(key="mark", value="m 1")],
    )  # fmt: skip
    return FullProfile(
        customer_name=CustomerName(first_name="Ann", last_name="Lee"),
        alternate_ids=[AlternateId(alternate_id_type=CRM[0], alternate_id=CRM[1])],
        emails=[email(marked)],
        phone_numbers=[phone(pref("NEWS_TEXT", IN), pref("NEWS_CALL", OUT))],
        addresses=[home(pref("NEWS_MAIL", IN))],
        profile_preferences=[pref("NEWS_APP", OUT)],
        consents=[consent("EmailMarketing")],
        custom_fields=[CustomField(name="Shoe", value="42")],
        groups=[ProfileGroup(group_type="Household", group_name="Lee", is_primary=True)],
    )


def stored_profile(world: World, profile: FullProfile | None = None) -> str:
    """Created over HTTP; returns the profile id."""
    made = world.client.create_profile(profile or ann())
    assert made is not None
    return made.id
