"""One call of every method of the MyPreferences client, in an order in which each is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_world import CRM, NUMBER, OUT, ann, consent, email, pref

from bridge.mypreferences import wire
from bridge.mypreferences.client import MyPreferencesClient as Client
from bridge.mypreferences.client.patches import Replace
from bridge.sandbox.mypreferences import State
from bridge.sandbox.mypreferences.config import ProgramGroup
from bridge.sandbox.mypreferences.segments import SegmentGroup
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
HOME = wire.Address(city="Duluth", state_province="GA")
TIE = wire.ConsentFilter(
    filter_id="NEWS_EMAIL", type_name="Primary", consents=[wire.Tie(consent_type="EmailMarketing")]
)
SAID = wire.Submission(emails=[email(pref("NEWS_EMAIL", OUT, LATER))])
RENAME = [Replace("/CustomerName/FirstName", "Anne")]
INTEREST = wire.EventInterest(entity="ProfileActions", event_type="profile.created")
WANTED = wire.Subscription(
    name="bridge", url="https://bridge.example.com/hook", state="Active", subscriptions=[INTEREST]
)
COOKIES = wire.ConsentType(
    type_name="Cookies",
    versions=[
        wire.ConsentVersion(
            consent_version="1.0", localized_fields=[wire.LocalizedField(locale="en_US", name="Cookies")]
        )
    ],
)


def _subscribe(client: Client, known: Known) -> None:
    known.subscription = int(client.create_subscription(WANTED).id or 0)


def _create(client: Client, known: Known) -> None:
    made = client.create_profile(ann())
    known.profile = made.id if made else known.profile


def _events(client: Client, known: Known) -> None:
    for event in client.events_by_account(**SPAN).events:
        known.event = str(event.event_id)


def _import(client: Client, known: Known) -> None:
    known.imported = client.import_initiate(wire.ImportRequest(name="consent-bridge"))


def _stage(client: Client, known: Known) -> None:
    said = wire.Profile(emails=[email(pref("NEWS_EMAIL", OUT, LATER))])
    client.import_stage(known.imported, [wire.ImportRecord.of(wire.Profile(profile_id=known.profile), said)])


def _export(client: Client, known: Known) -> None:
    known.export = client.export_initiate("EVERYBODY")


CALLS: dict[str, Call] = {
    "create_subscription": _subscribe,
    "programs": lambda c, _: c.programs(locale="en_US"),
    "program": lambda c, _: c.program("NEWS"),
    "programs_by_type": lambda c, _: c.programs_by_type("Marketing"),
    "programs_include_all": lambda c, _: c.programs_include_all({"Region": "EU"}),
    "programs_include_matching": lambda c, _: c.programs_include_matching({"Region": "EU"}),
    "program_groups": lambda c, _: c.program_groups(),
    "program_group": lambda c, _: c.program_group("TOP"),
    "program_groups_include_all": lambda c, _: c.program_groups_include_all({"Region": "EU"}),
    "program_groups_include_matching": lambda c, _: c.program_groups_include_matching({"Region": "EU"}),
    "consent_types": lambda c, _: c.consent_types(),
    "create_consent_types": lambda c, _: c.create_consent_types([COOKIES]),
    "update_consent_type": lambda c, _: c.update_consent_type(
        "Cookies", [wire.PatchStep(op="replace", path="/IsActive", value=False)]
    ),
    "consent_statuses": lambda c, _: c.consent_statuses(),
    "email_types": lambda c, _: c.email_types(),
    "phone_types": lambda c, _: c.phone_types(),
    "address_types": lambda c, _: c.address_types(),
    "alternate_id_types": lambda c, _: c.alternate_id_types(),
    "customer_types": lambda c, _: c.customer_types(),
    "group_types": lambda c, _: c.group_types(),
    "create_user": lambda c, _: c.create_user(wire.User(user_name="bridge-2", source_group_id="SYNC")),
    "create_profile": _create,
    "profile_by_id": lambda c, k: c.profile_by_id(k.profile),
    "authors_by_id": lambda c, k: c.authors_by_id(k.profile),
    "whole_profile_by_id": lambda c, k: c.whole_profile_by_id(k.profile),
    "profile_by_alternate_id": lambda c, _: c.profile_by_alternate_id(*CRM),
    "profiles_by_email": lambda c, _: c.profiles_by_email(ADDRESS),
    "profiles_by_phone": lambda c, _: c.profiles_by_phone(NUMBER),
    "profiles_by_address": lambda c, _: c.profiles_by_address(HOME),
    "profiles_by_preference_attributes": lambda c, _: c.profiles_by_preference_attributes({"mark": "m 1"}),
    "group_members": lambda c, k: c.group_members(k.profile, "Household"),
    "group_members_by_email": lambda c, _: c.group_members_by_email(ADDRESS, "Household"),
    "group_members_by_phone": lambda c, _: c.group_members_by_phone(NUMBER, "Household"),
    "update_profile": lambda c, k: c.update_profile(k.profile, wire.Profile(emails=SAID.emails)),
    "create_or_update_by_alternate_id": lambda c, _: c.create_or_update_by_alternate_id(*CRM, wire.Profile()),
    "patch_profile": lambda c, k: c.patch_profile(k.profile, RENAME),
    "patch_profile_by_alternate_id": lambda c, _: c.patch_profile_by_alternate_id(*CRM, RENAME),
    "update_preferences": lambda c, k: c.update_preferences(k.profile, SAID),
    "update_preferences_by_alternate_id": lambda c, _: c.update_preferences_by_alternate_id(*CRM, SAID),
    "preferences": lambda c, k: c.preferences(k.profile, "NEWS_EMAIL"),
    "add_consents": lambda c, k: c.add_consents(k.profile, [consent("Profiling")]),
    "add_element_consents": lambda c, k: c.add_element_consents(
        k.profile,
        wire.WholeProfile(emails=[wire.Email(email_address=ADDRESS, consents=[consent("Profiling")])]),
    ),
    "add_consent_filters": lambda c, k: c.add_consent_filters(k.profile, [TIE]),
    "consent_filters": lambda c, k: c.consent_filters(k.profile),
    "remove_consent_filter": lambda c, k: c.remove_consent_filter(k.profile, "NEWS_EMAIL", "EmailMarketing"),
    "preference_history": lambda c, k: c.preference_history(k.profile, "NEWS_EMAIL"),
    "preference_history_by_alternate_id": lambda c, _: c.preference_history_by_alternate_id(*CRM),
    "consent_history": lambda c, k: c.consent_history(k.profile),
    "consent_history_by_alternate_id": lambda c, _: c.consent_history_by_alternate_id(*CRM),
    "custom_field_history": lambda c, k: c.custom_field_history(k.profile),
    "custom_field_history_by_alternate_id": lambda c, _: c.custom_field_history_by_alternate_id(*CRM),
    "standard_field_history": lambda c, k: c.standard_field_history(k.profile),
    "standard_field_history_by_alternate_id": lambda c, _: c.standard_field_history_by_alternate_id(*CRM),
    "archive_preferences": lambda c, k: c.archive_preferences(
        k.profile, wire.Archiving(emails=[wire.ArchivedEmail(email_address=ADDRESS, reason="asked")])
    ),
    "deactivate_profile": lambda c, k: c.deactivate_profile(k.profile, "left"),
    "activate_profile": lambda c, k: c.activate_profile(k.profile),
    "events_by_account": _events,
    "events_by_subscription": lambda c, k: c.events_by_subscription(k.subscription, **SPAN),
    "events_by_profile": lambda c, k: c.events_by_profile(k.profile, **SPAN),
    "event_by_id": lambda c, k: c.event_by_id(k.event),
    "subscriptions": lambda c, _: c.subscriptions(),
    "subscription": lambda c, k: c.subscription(k.subscription),
    "replace_subscription": lambda c, k: c.replace_subscription(k.subscription, wire.encode(WANTED)),
    "webhook_settings": lambda c, _: c.webhook_settings(),
    "update_webhook_settings": lambda c, _: c.update_webhook_settings(
        wire.WebhookSettings(max_concurrent_requests=50, duration=1)
    ),
    "delete_subscription": lambda c, k: c.delete_subscription(k.subscription),
    "export_initiate_group": lambda c, _: c.export_initiate_group("ALL"),
    "export_initiate": _export,
    "export_status": lambda c, k: [c.export_status(k.export) for _ in range(2)],
    "export_retrieve": lambda c, k: c.export_retrieve(k.export, offset=1),
    "import_initiate": _import,
    "import_stage": _stage,
    "import_execute": lambda c, k: c.import_execute(k.imported),
    "import_status": lambda c, k: c.import_status(k.imported),
    "import_exceptions": lambda c, k: c.import_exceptions(k.imported, offset=1),
    "replace_profile": lambda c, k: c.replace_profile(k.profile, ann()),
    "replace_profile_by_alternate_id": lambda c, _: c.replace_profile_by_alternate_id(*CRM, ann()),
    "delete_profile": lambda c, k: c.delete_profile(k.profile, "asked"),
}


def prepared() -> State:
    """An account in which every call finds what it asks for."""
    state = a_state()
    state.config.change(program_groups=(ProgramGroup("TOP", "Top", programs=("NEWS",)),))
    state.add_segment_group(SegmentGroup("ALL", state.segments.segment("EVERYBODY")))
    return state
