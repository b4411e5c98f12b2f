"""Which events are worth a read."""

from __future__ import annotations

import pytest

from bridge.mypreferences.kinds import Bearing, bearing_of

LISTED = {
    Bearing.LIFE_CYCLE: (
        "profile.created profile.replaced profile.deactivated profile.reactivated profile.deleted"
    ),
    Bearing.REKEY: "contacts.email.updated",
    Bearing.LOOK: (
        "profile.updated preference.added preference.updated preference.archived"
        " consent.added consent.updated"
        " consent.deactivated consent.elementassociation.created consent.elementassociation.updated"
        " consent.elementassociation.deactivated consent.elementassocation.created"
        " consent.filterassociation.created consent.filterassociation.updated"
        " consent.filterassociation.deactivated consent.status.updated contacts.email.added"
        " contacts.email.deleted contacts.alternateid.added contacts.alternateid.updated"
        " contacts.alternateid.deleted contacts.customertype.updated"
    ),
    Bearing.IRRELEVANT: (
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
def test_every_kind_of_the_documents_has_a_meaning(kind: str, bearing: Bearing) -> None:
    """MyPreferences `Events` and its payload pages: ProfileActions, Preferences, Consents, Contacts,
    StandardFields, CustomFields, Groups, Tags."""
    assert bearing_of(kind) is bearing


@pytest.mark.parametrize(
    ("variant", "bearing"),
    [
        ("profile.updated full", Bearing.LOOK),
        ("profile.updated.full", Bearing.LOOK),
        ("profile.updatedfull", Bearing.LOOK),
        ("Profile.Deleted", Bearing.LIFE_CYCLE),
        ("profile_deleted ", Bearing.LIFE_CYCLE),
        ("contact.email.updated", Bearing.REKEY),
        ("Preferences.Archived", Bearing.LOOK),
        ("groups.added", Bearing.IRRELEVANT),
    ],
)
def test_a_kind_is_known_in_each_of_its_spellings(variant: str, bearing: Bearing) -> None:
    assert bearing_of(variant) is bearing


@pytest.mark.parametrize("kind", ["", "consent.melted", "profile", "updated", "preference.updated.twice"])
def test_a_kind_that_no_page_lists_has_no_meaning_of_its_own(kind: str) -> None:
    assert bearing_of(kind) is None
