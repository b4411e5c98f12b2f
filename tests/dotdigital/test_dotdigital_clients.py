"""Each call as the sandbox answers it, and the result of incomplete answers."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from dotdigital_world import CATEGORY, DAILY, NEWS, START, UNMAPPED, WEEKLY

from bridge.core.errors import (
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    ServerError,
    SignInRefused,
    Unreachable,
)
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import Addressee
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.faults import InjectedFault


def test_all_operations_are_understood_by_the_sandbox(
    state: DotdigitalState, v2: ClientV2, v3: ClientV3
) -> None:
    one = state.add_contact("a+b@example.com", opt_ins={NEWS: (True, START)})
    two = state.add_contact("two@example.com", status="HardBounced", when=START)
    assert v2.get_account_information().id == 1
    assert v2.get_server_time() == START
    assert v2.get_contact(contact="a+b@example.com").contact_id == one
    assert v2.get_contact(contact="two@example.com").status == "HardBounced"
    assert v2.get_contact(contact=one).address == "a+b@example.com"
    assert [row.status for row in v2.get_suppressed_contacts_since_date(since=START)] == ["HardBounced"]
    assert v2.get_unsubscribed_contacts_since_date(since=START) == []
    rows = v2.get_subscriptions_for_contact(email="a+b@example.com").rows
    assert [(row.marketing_preference_id, row.is_opted_in, row.changed_at) for row in rows] == [
        (NEWS, True, START)
    ]
    assert [one.id for one in v2.get_contacts_opted_into_a_preference(preference_id=NEWS)] == [one]
    since = START - timedelta(days=1)
    changed = v2.get_contacts_with_modified_preference_opt_in_since_date(preference_id=NEWS, since=since)
    assert [row.contact and row.contact.contact_id for row in changed] == [one]
    assert v3.get_contact(identifier="contactId", value=two).email_status == "hardBounced"
    assert [contact.contact_id for contact in v3.get_contacts(limit=1).items] == [one]
    assert v3.get_contacts(limit=1).next_marker is not None
    removed = v2.unsubscribe_contact(email="a+b@example.com")
    assert (removed.reason, removed.removed_at) == ("Unsubscribed", START)
    back = v2.resubscribe_contact_with_no_challenge(email="a+b@example.com")
    assert (back.status, back.contact and back.contact.status) == ("ContactAdded", "Unsubscribed")
    blocked = v2.bulk_suppress_contacts([Addressee(id=one), Addressee(email="nobody@example.com")])
    assert [entry.id for entry in blocked.suppressed or []] == [one]
    assert [entry.email for entry in blocked.not_found or []] == ["nobody@example.com"]
    patched = v3.import_contact(contact_id=one, preferences={NEWS: False, UNMAPPED: True})
    assert [preference.id for preference in patched.preferences or []] == [UNMAPPED]


def test_definitions_are_read_and_written(state: DotdigitalState, v2: ClientV2) -> None:
    made = v2.create_preference(
        public_name="New", private_name="new", is_preference=True, category_id=CATEGORY
    )
    tree = {node.id: node for node in v2.get_preferences()}
    assert not tree[CATEGORY].is_leaf
    assert tree[NEWS].is_leaf
    children = {leaf.id for leaf in tree[CATEGORY].children}
    new = next(iter(children - {DAILY, WEEKLY}))
    assert made is None or made.id == new
    state.clock.advance(60)
    v2.update_preference(
        preference_id=new, public_name="Newer", private_name="new", is_preference=True, is_public=False
    )
    changed = v2.get_modified_preferences_since_date(since=START + timedelta(seconds=30))
    assert all(not node.is_leaf or node.id == new for node in changed)
    v2.delete_preference(preference_id=new)
    assert new not in {leaf.id for node in v2.get_preferences() for leaf in node.children}


@pytest.mark.parametrize("spelling", ["isPreference", "isPreference2", "both"])
def test_changed_definitions_are_understood_in_each_spelling(
    state: DotdigitalState, v2: ClientV2, spelling: str
) -> None:
    state.switches.modified_flag = spelling
    kinds = {node.id: node.is_leaf for node in v2.get_modified_preferences_since_date(since=START)}
    assert kinds[CATEGORY] is False
    assert kinds[NEWS] is True


@pytest.mark.parametrize("form", ["plain", "error_prefix", "trailing_space"])
def test_an_unknown_contact_is_not_found_in_each_form_of_message(
    state: DotdigitalState, v2: ClientV2, form: str
) -> None:
    state.switches.error_text = form
    with pytest.raises(NotFound) as missing:
        v2.get_contact(contact="nobody@example.com")
    assert missing.value.code == "ERROR_CONTACT_NOT_FOUND"
    assert "nobody" not in str(missing.value)


def test_a_wrong_password_and_a_wrong_region_stop_the_side(state: DotdigitalState, v2: ClientV2) -> None:
    state.switches.region = "wrong"
    with pytest.raises(SignInRefused, match="403"):
        v2.get_preferences()
    object.__setattr__(state.api_user, "password", "other")
    with pytest.raises(SignInRefused, match="401"):
        v2.get_account_information()


@pytest.mark.parametrize("kind", ["html", "null", "empty", "truncate"])
def test_a_read_that_is_not_whole_is_never_taken_for_no_rows(
    state: DotdigitalState, v2: ClientV2, kind: str
) -> None:
    state.add_contact("two@example.com", status="Unsubscribed", when=START)
    state.faults.add(InjectedFault("get-suppressed-contacts-since-date", kind, times=99))
    with pytest.raises((InvalidResponse, Unreachable)):
        v2.get_suppressed_contacts_since_date(since=START)


@pytest.mark.parametrize("kind", ["reset", "status"])
def test_a_read_is_repeated_until_it_works(
    state: DotdigitalState, v2: ClientV2, slept: list[float], kind: str
) -> None:
    state.faults.add(InjectedFault("get-preferences", kind, status=503, times=2))
    assert v2.get_preferences()
    assert len(slept) == 2
    assert v2.transport.calls == state.calls.count("get-preferences") == 3


@pytest.mark.parametrize(
    ("kind", "applied"),
    [
        ("reset", False),
        ("reset_after", True),
        ("truncate", True),
        ("status", False),
        ("status_after", True),
        ("html", False),
        ("null", False),
        ("empty", False),
    ],
)
def test_a_write_without_a_whole_answer_is_in_doubt_and_sent_once(
    state: DotdigitalState, v2: ClientV2, kind: str, applied: bool
) -> None:
    state.add_contact("one@example.com")
    state.faults.add(InjectedFault("unsubscribe-contact", kind, status=500))
    with pytest.raises(OutcomeUnknown):
        v2.unsubscribe_contact(email="one@example.com")
    assert state.calls.count("unsubscribe-contact") == 1
    found = state.find("one@example.com")
    assert found is not None
    assert (found.status == "Unsubscribed") is applied


@pytest.mark.parametrize("kind", ["html", "null", "empty"])
def test_setting_preferences_is_in_doubt_without_the_vendors_answer(
    state: DotdigitalState, v2: ClientV2, kind: str
) -> None:
    number = state.add_contact("one@example.com")
    state.faults.add(InjectedFault("set-preferences-for-contact", kind))
    with pytest.raises(OutcomeUnknown):
        v2.set_preferences_for_contact(contact=number, tree=[])


def test_no_address_reaches_the_logs_or_an_error(
    state: DotdigitalState, v2: ClientV2, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    state.faults.add(InjectedFault("get-contact", "status", times=4))
    with pytest.raises(ServerError) as trouble:
        v2.get_contact(contact="secret.person@example.com")
    ours = [record for record in caplog.records if not record.name.startswith("uvicorn")]
    assert not any("secret" in record.getMessage() for record in ours)
    assert "secret" not in str(trouble.value)
    assert any("get-contact" in record.getMessage() for record in ours)
