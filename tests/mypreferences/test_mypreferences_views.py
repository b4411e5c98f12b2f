"""What a profile says, in the bridge's words: the cases one by one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from bridge.core.mapping import Topic
from bridge.core.model import Block, Choice, Observation
from bridge.mypreferences import views
from bridge.mypreferences.wire.codec import render_moment
from bridge.mypreferences.wire.profiles import Consent, Email, Preference, Profile
from tests.mypreferences.mp_world import ADDRESS, CHANNEL, NEWS, NOON, OFFERS, a_mapping, ago, with_type

OUT, IN, UNSET = Choice.OPTED_OUT, Choice.OPTED_IN, Choice.UNSET


def pref(kind: int | str, when: datetime | None = None, **more: Any) -> Preference:
    date = None if when is None else render_moment(when)
    return Preference(**({"filter_id": "news_email", "preference_type": kind, "customer_date": date} | more))


def consent(kind: int | str, when: datetime | None = None, **more: Any) -> Consent:
    date = None if when is None else render_moment(when)
    parts = {"consent_type": "emailmarketing", "consent_version": "1.0", "locale": "en_us"}
    return Consent(consent_status=kind, consent_date=date, **(parts | more))


def on_address(*preferences: Preference, email_type: str = "Primary", **more: Any) -> Email:
    return Email(
        email_address=ADDRESS, email_address_type=email_type, email_preferences=list(preferences), **more
    )


def shown(topic: Topic, *profiles: Profile) -> Observation:
    mapping = a_mapping(topic) if topic is not CHANNEL else a_mapping(NEWS)
    return views.view(ADDRESS, profiles, mapping, NOON, complete=True).topics[topic.id]


def of_preferences(*preferences: Preference, topic: Topic = NEWS) -> Observation:
    return shown(topic, Profile(profile_id=1, emails=[on_address(*preferences)]))


def of_consents(*consents: Consent) -> Observation:
    return shown(CHANNEL, Profile(profile_id=1, consents=list(consents)))


@pytest.mark.parametrize(
    ("item", "choice", "dated"),
    [
        (pref(1, ago(days=1)), IN, True),
        (pref(2, ago(days=1)), OUT, True),
        (pref("OptOut"), OUT, False),
        (pref(1, ago(days=1), match_type="Expressed", preference_status="Active"), IN, True),
        (pref(1, ago(days=1), match_type="Implied"), UNSET, False),
        (pref(2, ago(days=1), match_type="implied"), UNSET, False),
        (pref(1, ago(days=1), preference_status="Expired"), UNSET, False),
        (pref(1, ago(days=1), preference_status="Archived"), UNSET, False),
        (pref(1, ago(days=1), filter_id="OTHER"), UNSET, False),
    ],
)
def test_a_preference_is_read(item: Preference, choice: Choice, dated: bool) -> None:
    seen = of_preferences(item)
    assert (seen.choice, seen.changed_at) == (choice, ago(days=1) if dated else None)


def test_a_preference_type_newer_than_this_program_is_a_block_not_a_choice() -> None:
    seen = of_preferences(pref(9, ago(days=1)))
    assert (seen.choice, seen.block) == (UNSET, Block.UNKNOWN)


def test_an_opt_in_of_unknown_status_is_no_opt_in_but_an_opt_out_is_an_opt_out() -> None:
    assert of_preferences(pref(1, ago(days=1), preference_status="Quarantined")).choice is UNSET
    assert of_preferences(pref(2, ago(days=1), preference_status="Quarantined")).choice is OUT


def test_the_element_comes_before_the_profile() -> None:
    profile = Profile(profile_id=1, emails=[on_address(pref(1))], profile_preferences=[pref(2)])
    assert shown(NEWS, profile).choice is IN
    alone = Profile(profile_id=1, emails=[on_address()], profile_preferences=[pref(2)])
    assert shown(NEWS, alone).choice is OUT


def test_only_elements_of_the_mapped_type_count() -> None:
    emails = [on_address(pref(2), email_type="Work"), on_address(pref(1), email_type="primary")]
    profile = Profile(profile_id=1, emails=emails)
    assert shown(with_type(NEWS, "Primary"), profile).choice is IN
    assert (shown(NEWS, profile).choice, shown(NEWS, profile).consistent) == (OUT, False)


def test_other_addresses_and_inactive_elements_do_not_count() -> None:
    other = Email(email_address="b@example.com", email_preferences=[pref(2)])
    profile = Profile(profile_id=1, emails=[other, on_address(pref(2), is_active=False), on_address(pref(1))])
    assert shown(NEWS, profile).choice is IN


def test_a_frequency_that_the_mapping_does_not_know_is_kept_as_it_came() -> None:
    items = [pref(1, filter_id="OFFERS_EMAIL", frequency_id=name) for name in ("daily", "HOURLY")]
    assert [of_preferences(item, topic=OFFERS).frequencies for item in items] == [("DAILY",), ("HOURLY",)]
    assert of_preferences(pref(1, frequency_id="DAILY")).frequencies == ()
    assert (
        of_preferences(pref(2, filter_id="OFFERS_EMAIL", frequency_id="DAILY"), topic=OFFERS).frequencies
        == ()
    )


OLD, NEW = ago(days=9), ago(days=1)


@pytest.mark.parametrize(
    ("consents", "choice", "at"),
    [
        ([consent(1, NEW)], IN, NEW),
        ([consent("Granted", NEW)], IN, NEW),
        ([consent(2, NEW)], OUT, NEW),
        ([consent(3, NEW)], OUT, NEW),
        ([consent(4, NEW)], UNSET, None),
        ([], UNSET, None),
        ([consent(1, NEW, consent_version="2.0")], UNSET, None),
        ([consent(1, NEW, locale="fr_FR")], UNSET, None),
        ([consent(1, NEW, consent_type="Other")], UNSET, None),
        ([consent(3, OLD, consent_version="0.9")], OUT, OLD),
        ([consent(3, OLD, consent_version="0.9"), consent(1, NEW)], IN, NEW),
        ([consent(3, NEW, locale="fr_FR"), consent(1, OLD)], OUT, NEW),
        ([consent(3, NEW), consent(1, NEW)], OUT, NEW),
        ([consent(3), consent(1, NEW)], OUT, None),
        ([consent(3), consent(3, NEW, locale="fr_FR")], OUT, None),
        ([consent(3, OLD), consent(1)], OUT, OLD),
        ([consent(3, OLD), consent(1, NEW, expired=True)], OUT, OLD),
        ([consent(3, OLD), consent(1, NEW, consent_version="2.0")], OUT, OLD),
    ],
)
def test_a_consent_is_read(consents: list[Consent], choice: Choice, at: datetime | None) -> None:
    seen = of_consents(*consents)
    assert (seen.choice, seen.changed_at) == (choice, at)


def test_an_expired_consent_is_unset_with_a_reason() -> None:
    seen = of_consents(consent(1, NEW, expired=True))
    assert (seen.choice, seen.reason) == (UNSET, "expired")


def test_a_consent_status_newer_than_this_program_hides_no_withdrawal() -> None:
    assert of_consents(consent(8, NEW), consent(1, NEW)).block is Block.UNKNOWN
    assert of_consents(consent(8, NEW), consent(3, OLD)).choice is OUT


def test_a_consent_on_the_address_counts_too() -> None:
    email = Email(email_address=ADDRESS, consents=[consent(3, NEW)])
    profile = Profile(profile_id=1, emails=[email], consents=[consent(1, OLD)])
    assert shown(CHANNEL, profile).choice is OUT


def test_a_topic_missing_from_an_answer_is_left_out() -> None:
    row = Profile(profile_id=1, emails=[Email(email_address=ADDRESS)])
    assert views.view(ADDRESS, [row], a_mapping(), NOON, complete=False).topics == {}


def test_a_topic_missing_from_a_whole_profile_is_unset_and_blocks_opt_ins() -> None:
    """MyPreferences "Permissions": an answer holds only what the user may see. Else nothing would ever be
    decided for this person, and a withdrawal at Dotdigital would wait for ever."""
    profile = Profile(profile_id=1, emails=[Email(email_address=ADDRESS)])
    for topic in (CHANNEL, NEWS):
        seen = shown(topic, profile)
        assert (seen.choice, seen.block, seen.stated, seen.present) == (UNSET, Block.UNREACHABLE, False, True)


def test_an_unknown_status_on_one_record_does_not_weaken_an_opt_out_on_another() -> None:
    profiles = [Profile(profile_id=n, emails=[on_address(pref(kind, NEW))]) for n, kind in ((1, 9), (2, 2))]
    seen = shown(NEWS, *profiles)
    assert (seen.choice, seen.block, seen.consistent) == (OUT, None, False)


def test_several_opt_outs_are_as_new_as_the_newest_and_undated_where_one_is() -> None:
    """Else an opt-in could pass for newer than an opt-out whose date nobody knows."""

    def date_of(*dates: datetime | None) -> list[datetime | None]:
        records = [
            Profile(profile_id=n, emails=[on_address(pref(2, at))]) for n, at in enumerate(dates, start=1)
        ]
        beside = views.with_linked(
            views.view(ADDRESS, records[:1], a_mapping(NEWS), NOON, complete=True),
            [Profile(profile_id=9, profile_preferences=[pref(2, dates[1])])],
            a_mapping(NEWS),
            NOON,
        )
        one = Profile(profile_id=1, emails=[on_address(*(pref(2, at) for at in dates))])
        found = [shown(NEWS, *records), shown(NEWS, one), beside.topics[NEWS.id]]
        assert {seen.choice for seen in found} == {OUT}
        return [seen.changed_at for seen in found]

    assert date_of(OLD, NEW) == date_of(NEW, OLD) == [NEW] * 3
    assert date_of(NEW, None) == date_of(None, NEW) == [None] * 3


@pytest.mark.parametrize("kind", [1, 2])
def test_a_row_of_an_export_without_dates_says_that_a_closer_read_may_have_them(kind: int) -> None:
    """MyPreferences "Segments": what a row holds depends on the segment's settings."""

    def exported(*held: Preference) -> Observation:
        profile = Profile(profile_id=1, emails=[on_address(*held)])
        shown = views.view(ADDRESS, [profile], a_mapping(NEWS), NOON, complete=False, exported=True)
        return shown.topics[NEWS.id]

    assert exported(pref(kind)).undated
    assert not exported(pref(kind, NEW)).undated
    assert not of_preferences(pref(kind)).undated
