"""One call of every method of the MyPreferences client, in an order in which each is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_world import CRM, NUMBER, OUT, ann, consent, email, pref

from bridge.mypreferences.client import MyPreferencesClient as Client
from bridge.mypreferences.client.patches import Replace
from bridge.mypreferences.wire.bulk import ImportRecord, ImportRequest
from bridge.mypreferences.wire.codec import encode
from bridge.mypreferences.wire.configuration import (
    ConsentType,
    ConsentVersion,
    LocalizedField,
    PatchStep,
    User,
)
from bridge.mypreferences.wire.events import EventInterest, Subscription, WebhookSettings
from bridge.mypreferences.wire.profiles import (
    Address,
    ArchivedEmail,
    Archiving,
    ConsentFilter,
    ConsentLink,
    Email,
    FullProfile,
    Profile,
    Submission,
)
from bridge.sandbox.mypreferences import MyPreferencesState
from bridge.sandbox.mypreferences.account import SegmentGroup
from bridge.sandbox.mypreferences.config import ProgramGroupConfig
from tests.mypreferences.data_world import a_state
from tests.mypreferences.mp_world import ADDRESS, NOON, ago


@dataclass
class Known:
    """What calls answered that later ones need; the ids of a fresh sandbox until then."""

    profile: str = "1001"
    export: str = "700001"
    imported: str = "1"
    subscription: int = 1
    event: str = "evt-000000001"


Call = Callable[[Client, Known], Any]
SPAN = {"start_at": ago(hours=1), "end_at": NOON}
LATER = "2026-01-20T11:00:00Z"
HOME = Address(city="Duluth", state_province="GA")
TIE = ConsentFilter(
    filter_id="NEWS_EMAIL", type_name="Primary", consents=[ConsentLink(consent_type="EmailMarketing")]
)
SAID = Submission(emails=[email(pref("NEWS_EMAIL", OUT, LATER))])
RENAME = [Replace("/CustomerName/FirstName", "Anne")]
INTEREST = EventInterest(entity="ProfileActions", event_type="profile.created")
WANTED = Subscription(
    name="bridge", url="https://bridge.example.com/hook", state="Active", subscriptions=[INTEREST]
)
COOKIES = ConsentType(
    type_name="Cookies",
    versions=[
        ConsentVersion(
            consent_version="1.0", localized_fields=[LocalizedField(locale="en_US", name="Cookies")]
        )
    ],
)


def _subscribe(client: Client, known: Known) -> None:
    known.subscription = int(client.create_subscription(WANTED).id or 0)


def _create(client: Client, known: Known) -> None:
    made = client.create_profile(ann())
    known.profile = made.id if made else known.profile


def _events(client: Client, known: Known) -> None:
    for event in client.retrieve_events(**SPAN).events:
        known.event = str(event.event_id)


def _import(client: Client, known: Known) -> None:
    known.imported = client.initiate_import(ImportRequest(name="consent-bridge"))


def _stage(client: Client, known: Known) -> None:
    said = Profile(emails=[email(pref("NEWS_EMAIL", OUT, LATER))])
    client.stage_import(known.imported, [ImportRecord.of(Profile(profile_id=known.profile), said)])


def _export(client: Client, known: Known) -> None:
    known.export = client.initiate_export_segment("EVERYBODY")


CALLS: dict[str, Call] = {
    "create_subscription": _subscribe,
    "retrieve_programs": lambda c, _: c.retrieve_programs(locale="en_US"),
    "retrieve_program": lambda c, _: c.retrieve_program("NEWS"),
    "retrieve_programs_by_type": lambda c, _: c.retrieve_programs_by_type("Marketing"),
    "retrieve_programs_include_all": lambda c, _: c.retrieve_programs_include_all({"Region": "EU"}),
    "retrieve_programs_include_matching": lambda c, _: c.retrieve_programs_include_matching({"Region": "EU"}),
    "retrieve_program_groups": lambda c, _: c.retrieve_program_groups(),
    "retrieve_program_group": lambda c, _: c.retrieve_program_group("TOP"),
    "retrieve_program_groups_include_all": lambda c, _: c.retrieve_program_groups_include_all(
        {"Region": "EU"}
    ),
    "retrieve_program_groups_include_matching": lambda c, _: c.retrieve_program_groups_include_matching(
        {"Region": "EU"}
    ),
    "retrieve_consent_types": lambda c, _: c.retrieve_consent_types(),
    "create_consent_types": lambda c, _: c.create_consent_types([COOKIES]),
    "update_consent_type": lambda c, _: c.update_consent_type(
        "Cookies", [PatchStep(op="replace", path="/IsActive", value=False)]
    ),
    "retrieve_consent_status": lambda c, _: c.retrieve_consent_status(),
    "retrieve_email_types": lambda c, _: c.retrieve_email_types(),
    "retrieve_phone_types": lambda c, _: c.retrieve_phone_types(),
    "retrieve_address_types": lambda c, _: c.retrieve_address_types(),
    "retrieve_alternate_id_types": lambda c, _: c.retrieve_alternate_id_types(),
    "retrieve_customer_types": lambda c, _: c.retrieve_customer_types(),
    "retrieve_group_types": lambda c, _: c.retrieve_group_types(),
    "create_user": lambda c, _: c.create_user(User(user_name="bridge-2", source_group_id="SYNC")),
    "create_profile": _create,
    "retrieve_profile_by_id": lambda c, k: c.retrieve_profile_by_id(k.profile),
    "retrieve_authors_by_id": lambda c, k: c.retrieve_authors_by_id(k.profile),
    "retrieve_full_profile_by_id": lambda c, k: c.retrieve_full_profile_by_id(k.profile),
    "retrieve_profile_by_alternate_id": lambda c, _: c.retrieve_profile_by_alternate_id(*CRM),
    "retrieve_profiles_by_email": lambda c, _: c.retrieve_profiles_by_email(ADDRESS),
    "retrieve_profiles_by_phone": lambda c, _: c.retrieve_profiles_by_phone(NUMBER),
    "retrieve_profiles_by_address": lambda c, _: c.retrieve_profiles_by_address(HOME),
    "retrieve_profiles_by_preference_attributes": lambda c, _: c.retrieve_profiles_by_preference_attributes(
        {"mark": "m 1"}
    ),
    "retrieve_group_profiles_by_id": lambda c, k: c.retrieve_group_profiles_by_id(k.profile, "Household"),
    "retrieve_group_profiles_by_email": lambda c, _: c.retrieve_group_profiles_by_email(ADDRESS, "Household"),
    "retrieve_group_profiles_by_phone": lambda c, _: c.retrieve_group_profiles_by_phone(NUMBER, "Household"),
    "update_profile_post": lambda c, k: c.update_profile_post(k.profile, Profile(emails=SAID.emails)),
    "upsert_profile_by_alternate_id": lambda c, _: c.upsert_profile_by_alternate_id(*CRM, Profile()),
    "update_profile_patch": lambda c, k: c.update_profile_patch(k.profile, RENAME),
    "patch_profile_by_alternate_id": lambda c, _: c.patch_profile_by_alternate_id(*CRM, RENAME),
    "upsert_preferences": lambda c, k: c.upsert_preferences(k.profile, SAID),
    "upsert_preferences_by_alternate_id": lambda c, _: c.upsert_preferences_by_alternate_id(*CRM, SAID),
    "retrieve_preferences": lambda c, k: c.retrieve_preferences(k.profile, "NEWS_EMAIL"),
    "add_consents": lambda c, k: c.add_consents(k.profile, [consent("Profiling")]),
    "add_element_consents": lambda c, k: c.add_element_consents(
        k.profile,
        FullProfile(emails=[Email(email_address=ADDRESS, consents=[consent("Profiling")])]),
    ),
    "add_consent_filters": lambda c, k: c.add_consent_filters(k.profile, [TIE]),
    "retrieve_consent_filters": lambda c, k: c.retrieve_consent_filters(k.profile),
    "remove_consent_filter": lambda c, k: c.remove_consent_filter(k.profile, "NEWS_EMAIL", "EmailMarketing"),
    "history_preferences_by_id": lambda c, k: c.history_preferences_by_id(k.profile, "NEWS_EMAIL"),
    "history_preferences_by_alternate_id": lambda c, _: c.history_preferences_by_alternate_id(*CRM),
    "history_consents_by_id": lambda c, k: c.history_consents_by_id(k.profile),
    "history_consents_by_alternate_id": lambda c, _: c.history_consents_by_alternate_id(*CRM),
    "history_custom_fields_by_id": lambda c, k: c.history_custom_fields_by_id(k.profile),
    "history_custom_fields_by_alternate_id": lambda c, _: c.history_custom_fields_by_alternate_id(*CRM),
    "history_standard_fields_by_id": lambda c, k: c.history_standard_fields_by_id(k.profile),
    "history_standard_fields_by_alternate_id": lambda c, _: c.history_standard_fields_by_alternate_id(*CRM),
    "archive_preferences": lambda c, k: c.archive_preferences(
        k.profile, Archiving(emails=[ArchivedEmail(email_address=ADDRESS, reason="asked")])
    ),
    "deactivate_profile": lambda c, k: c.deactivate_profile(k.profile, "left"),
    "activate_profile": lambda c, k: c.activate_profile(k.profile),
    "retrieve_events": _events,
    "retrieve_events_by_subscription": lambda c, k: c.retrieve_events_by_subscription(k.subscription, **SPAN),
    "retrieve_events_by_profile": lambda c, k: c.retrieve_events_by_profile(k.profile, **SPAN),
    "retrieve_event": lambda c, k: c.retrieve_event(k.event),
    "retrieve_subscriptions": lambda c, _: c.retrieve_subscriptions(),
    "retrieve_subscription": lambda c, k: c.retrieve_subscription(k.subscription),
    "update_subscription": lambda c, k: c.update_subscription(k.subscription, encode(WANTED)),
    "retrieve_webhook_settings": lambda c, _: c.retrieve_webhook_settings(),
    "update_webhook_settings": lambda c, _: c.update_webhook_settings(
        WebhookSettings(max_concurrent_requests=50, duration=1)
    ),
    "delete_subscription": lambda c, k: c.delete_subscription(k.subscription),
    "initiate_export_segment_group": lambda c, _: c.initiate_export_segment_group("ALL"),
    "initiate_export_segment": _export,
    "export_status": lambda c, k: [c.export_status(k.export) for _ in range(2)],
    "retrieve_export": lambda c, k: c.retrieve_export(k.export, offset=1),
    "initiate_import": _import,
    "stage_import": _stage,
    "execute_import": lambda c, k: c.execute_import(k.imported),
    "import_status": lambda c, k: c.import_status(k.imported),
    "import_exceptions": lambda c, k: c.import_exceptions(k.imported, offset=1),
    "update_profile_put": lambda c, k: c.update_profile_put(k.profile, ann()),
    "replace_profile_by_alternate_id": lambda c, _: c.replace_profile_by_alternate_id(*CRM, ann()),
    "delete_profile": lambda c, k: c.delete_profile(k.profile, "asked"),
}


def prepared() -> MyPreferencesState:
    """An account in which every call finds what it asks for."""
    state = a_state()
    state.config.change(program_groups=(ProgramGroupConfig("TOP", "Top", programs=("NEWS",)),))
    state.add_segment_group(SegmentGroup("ALL", state.segments["everybody"]))
    return state
