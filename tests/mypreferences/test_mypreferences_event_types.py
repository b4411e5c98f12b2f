"""Which events are worth a read."""

from __future__ import annotations

import pytest

from bridge.mypreferences.events.types import EventRelevance, relevance_of

LISTED = {
    EventRelevance.LIFECYCLE: (
        "profile.created profile.replaced profile.deactivated profile.reactivated profile.deleted"
    ),
    EventRelevance.ADDRESS: "contacts.email.updated",
    EventRelevance.CONSENT: (
        "profile.updated preference.added preference.updated preference.archived"
        " consent.added consent.updated"
        " consent.deactivated consent.elementassociation.created consent.elementassociation.updated"
        " consent.elementassociation.deactivated consent.elementassocation.created"
        " consent.filterassociation.created consent.filterassociation.updated"
        " consent.filterassociation.deactivated consent.status.updated contacts.email.added"
        " contacts.email.deleted contacts.alternateid.added contacts.alternateid.updated"
        " contacts.alternateid.deleted contacts.customertype.updated"
    ),
    EventRelevance.NONE: (
        "contacts.phone.added contacts.phone.updated contacts.phone.deleted contacts.address.added"
        " contacts.address.updated contacts.address.deleted standardfield.defaultlocale.updated"
        " standardfield.registrationstatus.updated standardfield.prefix.added standardfield.firstname.updated"
        " standardfield.middlename.deleted standardfield.lastname.updated standardfield.suffix.deleted"
        " customfield.added customfield.updated customfield.deleted group.added group.updated"
        " group.deactivated tag.added tag.deleted"
    ),
}


@pytest.mark.parametrize(
    ("kind", "bearing"), [(kind, bearing) for bearing, kinds in LISTED.items() for kind in kinds.split()]
)
def test_every_kind_of_the_documents_has_a_meaning(kind: str, bearing: EventRelevance) -> None:
    """MyPreferences `EventsExport` and its payload pages: ProfileActions, Preferences, Consents, Contacts,
    StandardFields, CustomFields, Groups, Tags."""
    assert relevance_of(kind) is bearing


@pytest.mark.parametrize(
    ("variant", "bearing"),
    [
        ("profile.updated full", EventRelevance.CONSENT),
        ("profile.updated.full", EventRelevance.CONSENT),
        ("profile.updatedfull", EventRelevance.CONSENT),
        ("Profile.Deleted", EventRelevance.LIFECYCLE),
        ("profile_deleted ", EventRelevance.LIFECYCLE),
        ("contact.email.updated", EventRelevance.ADDRESS),
        ("Preferences.Archived", EventRelevance.CONSENT),
        ("groups.added", EventRelevance.NONE),
    ],
)
def test_a_kind_is_known_in_each_of_its_spellings(variant: str, bearing: EventRelevance) -> None:
    assert relevance_of(variant) is bearing


@pytest.mark.parametrize("kind", ["", "consent.melted", "profile", "updated", "preference.updated.twice"])
def test_a_kind_that_no_page_lists_has_no_meaning_of_its_own(kind: str) -> None:
    assert relevance_of(kind) is None
