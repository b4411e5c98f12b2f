"""What a bridge may meet at a service: clocks apart, lagging reads, late writes, mass imports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.world import World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PREFERENCE = 1002
ADDRESSES = ["ann@example.test", "bob@example.test", "eve@example.test"]


class Services:
    """Both services on one clock that stands still, and signed-in clients of both."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = SandboxClock(NOON, frozen=True)
        self.world = stack.enter_context(World(20, 1, clock=self.clock))
        self.mypreferences, self.dotdigital = self.world.mypreferences, self.world.dotdigital
        settings = self.world.settings()
        account = settings["BRIDGE_MYPREFERENCES__ACCOUNT"]
        form = {
            "grant_type": "client_credentials",
            "scope": f"{account}/{settings['BRIDGE_MYPREFERENCES__USER_ID']}",
        }
        client = (
            settings["BRIDGE_MYPREFERENCES__CLIENT_ID"],
            settings["BRIDGE_MYPREFERENCES__CLIENT_SECRET"],
        )
        address = settings["BRIDGE_MYPREFERENCES__TOKEN_URL"]
        token = httpx.post(address, data=form, auth=client, trust_env=False).json()["access_token"]
        user = (settings["BRIDGE_DOTDIGITAL__USERNAME"], settings["BRIDGE_DOTDIGITAL__PASSWORD"])
        base = f"{settings['BRIDGE_MYPREFERENCES__BASE_URL']}/{account}/"
        bearer = {"Authorization": f"Bearer {token}"}
        self.mine = stack.enter_context(httpx.Client(base_url=base, headers=bearer, trust_env=False))
        base = settings["BRIDGE_DOTDIGITAL__BASE_URL"]
        self.theirs = stack.enter_context(httpx.Client(base_url=base, auth=user, trust_env=False))
        self.contact = self.dotdigital.add_contact(ADDRESSES[0])
        self.profile = self.mypreferences.add_profile([("Primary", ADDRESSES[0])])

    def choose(self, kind: int) -> httpx.Response:
        """State a preference at MyPreferences by its API."""
        stated = {"FilterId": "NEWS_EMAIL", "PreferenceType": kind}
        email = {"EmailAddress": ADDRESSES[0], "EmailPreferences": [stated]}
        return self.mine.post(f"Profile/Preferences/{self.profile}", json={"Emails": [email]})

    def chosen(self) -> tuple[str, list[int]]:
        """The status of the profile at MyPreferences, and the choices it shows."""
        profile = self.mine.get(f"Profile/{self.profile}").json()
        stated = profile["Emails"][0]["EmailPreferences"]
        return profile["Status"], [one["PreferenceType"] for one in stated]

    def opted_in(self) -> bool:
        """Whether the tree of the contact at Dotdigital shows the preference as opted in."""
        tree = self.theirs.get(f"/v2/contacts/{self.contact}/preferences").json()
        return next(bool(one["isOptedIn"]) for one in tree if one["id"] == PREFERENCE)

    def opt_in(self) -> httpx.Response:
        """Opt the contact in at Dotdigital by its API."""
        choices = [{"id": PREFERENCE, "isPreference": True, "isOptedIn": True}]
        return self.theirs.put(f"/v2/contacts/{self.contact}/preferences", json=choices)


@pytest.fixture
def services() -> Iterator[Services]:
    with ExitStack() as stack:
        yield Services(stack)


@pytest.mark.parametrize("ahead", [300.0, -300.0])
def test_the_clock_of_mypreferences_alone_can_be_wrong(services: Services, ahead: float) -> None:
    services.mypreferences.switches.clock_ahead_seconds = ahead
    answer = services.choose(1)
    shown = NOON + timedelta(seconds=ahead)
    stated = services.mypreferences.people()[0]["emails"][0]["preferences"]["NEWS_EMAIL"]
    assert parsedate_to_datetime(answer.headers["Date"]) == shown
    assert datetime.fromisoformat(stated["customer_date"]) == shown
    assert datetime.fromisoformat(stated["modified"]) == shown
    assert services.dotdigital.now() == NOON


@pytest.mark.parametrize("ahead", [300.0, -300.0])
def test_the_clock_of_dotdigital_alone_can_be_wrong(services: Services, ahead: float) -> None:
    services.dotdigital.switches.clock_ahead_seconds = ahead
    shown = NOON + timedelta(seconds=ahead)
    assert datetime.fromisoformat(services.theirs.get("/v2/server-time").text) == shown
    services.opt_in()
    assert services.dotdigital.contact(services.contact).opt_ins[PREFERENCE].modified == shown
    assert services.mypreferences.now() == NOON


def test_a_wrong_clock_is_put_right_while_the_service_runs(services: Services) -> None:
    address = f"{services.world.dotdigital_url}/_sandbox/switches"
    for ahead in (-90.0, 0.0):
        httpx.patch(address, json={"clock_ahead_seconds": ahead}, trust_env=False)
        server_time = datetime.fromisoformat(services.theirs.get("/v2/server-time").text)
        assert server_time == NOON + timedelta(seconds=ahead)


def test_moving_the_clock_of_a_service_moves_that_of_the_sandbox(services: Services) -> None:
    services.mypreferences.switches.clock_ahead_seconds = 60.0
    services.mypreferences.clock.set(NOON)
    assert services.clock.now() == NOON - timedelta(seconds=60)
    services.mypreferences.clock.advance(5)
    assert services.clock.now() == NOON - timedelta(seconds=55)


def test_mypreferences_shows_old_values_after_a_write_without_a_sign(services: Services) -> None:
    services.mypreferences.switches.read_lag_seconds = 30.0
    services.choose(1)
    assert services.chosen() == ("Complete", [])
    services.clock.advance(30)
    assert services.chosen() == ("Complete", [1])


def test_mypreferences_shows_old_values_after_what_a_person_did(services: Services) -> None:
    services.choose(1)
    services.mypreferences.switches.read_lag_seconds = 30.0
    services.clock.advance(1)
    services.mypreferences.set_preference(services.profile, "NEWS_EMAIL", False)
    assert services.chosen() == ("Complete", [1])
    assert exported(services) == [1]
    services.clock.advance(30)
    assert services.chosen() == ("Complete", [2])
    assert exported(services) == [2]


def exported(services: Services) -> list[int]:
    token = services.mine.post("export/Segment/EVERYBODY", json={}).json()["AccessToken"]
    while services.mine.get(f"status/Token/{token}").json()["Status"] != "Complete":
        continue
    rows: list[dict[str, Any]] = services.mine.get(f"export/Data/{token}").json()["UserProfilePreferences"]
    return [one["PreferenceType"] for one in rows[0]["Emails"][0]["EmailPreferences"]]


def test_dotdigital_shows_old_values_after_a_write_without_a_sign(services: Services) -> None:
    services.dotdigital.switches.read_lag_seconds = 30.0
    assert services.opt_in().status_code == 200
    assert not services.opted_in()
    services.clock.advance(30)
    assert services.opted_in()


def test_dotdigital_shows_an_old_status_in_every_read_of_a_contact(services: Services) -> None:
    services.dotdigital.switches.read_lag_seconds = 30.0
    services.dotdigital.unsubscribe(services.contact)

    def statuses() -> set[str]:
        one = services.theirs.get(f"/contacts/v3/contactId/{services.contact}").json()
        listed = services.theirs.get("/contacts/v3?include=channelProperties").json()["_items"][0]
        by_v2 = services.theirs.get(f"/v2/contacts/{ADDRESSES[0]}").json()["status"].lower()
        return {by_v2, *(row["channelProperties"]["email"]["status"] for row in (one, listed))}

    assert statuses() == {"subscribed"}
    services.clock.advance(30)
    assert statuses() == {"unsubscribed"}


def test_a_write_without_an_answer_is_applied_late_at_dotdigital(services: Services) -> None:
    fault = InjectedFault("set-preferences-for-contact", "reset_late", delay=90.0)
    services.dotdigital.faults.add(fault)
    with suppress(httpx.TransportError):
        services.opt_in()
    services.clock.advance(89)
    assert not services.opted_in()
    services.clock.advance(1)
    assert services.opted_in()
    recorded = services.dotdigital.contact(services.contact).opt_ins[PREFERENCE]
    assert recorded.modified == NOON + timedelta(seconds=90)


def test_a_write_that_is_applied_late_comes_before_what_people_do_then(services: Services) -> None:
    services.mypreferences.faults.add(InjectedFault("upsertPreferences", "reset_late", delay=400.0))
    with pytest.raises(httpx.TransportError):
        services.choose(1)
    assert services.mypreferences.people()[0]["emails"][0]["preferences"] == {}
    services.clock.advance(401)  # its token has expired by then: it was judged when it came in
    services.mypreferences.set_preference(services.profile, "NEWS_EMAIL", False)
    stated = services.mypreferences.people()[0]["emails"][0]["preferences"]["NEWS_EMAIL"]
    history = services.mypreferences.profiles.get(services.profile)
    assert stated["choice"] == "opted_out"
    assert history is not None
    assert [one.opted_in for one in history.points[0].superseded] == [True]


def test_a_request_that_is_applied_late_is_applied_once(services: Services) -> None:
    services.dotdigital.faults.add(InjectedFault("unsubscribe-contact", "reset_late"))
    with pytest.raises(httpx.TransportError):
        services.theirs.post("/v2/contacts/unsubscribe", json={"email": ADDRESSES[0]})
    assert services.dotdigital.contact(services.contact).status == "Unsubscribed"
    services.dotdigital.subscribe(services.contact)
    assert services.dotdigital.contact(services.contact).status == "Subscribed"


def test_staff_at_dotdigital_import_opt_ins_of_many_at_one_instant(services: Services) -> None:
    services.dotdigital.set_preference(services.contact, PREFERENCE, False, NOON - timedelta(days=9))
    gone = services.dotdigital.add_contact(ADDRESSES[1])
    services.dotdigital.delete_contact(gone)
    ids = services.dotdigital.import_opt_ins(ADDRESSES, [PREFERENCE])
    assert ids[:2] == [services.contact, gone]
    rows = [services.dotdigital.contact(one) for one in ids]
    assert [row.email for row in rows] == ADDRESSES
    assert not any(row.binned for row in rows)
    assert {(row.opt_ins[PREFERENCE].opted_in, row.opt_ins[PREFERENCE].modified) for row in rows} == {
        (True, NOON)
    }


def test_staff_at_mypreferences_import_opt_ins_of_many_at_one_instant(services: Services) -> None:
    before = NOON - timedelta(days=9)
    services.mypreferences.set_preference(services.profile, "NEWS_EMAIL", False, before)
    ids = services.mypreferences.import_opt_ins(ADDRESSES, ["NEWS_EMAIL"])
    assert ids[0] == services.profile
    assert len(set(ids)) == 3
    people = services.mypreferences.people()
    stated = [one["emails"][0]["preferences"]["NEWS_EMAIL"] for one in people]
    dates = {(one["choice"], datetime.fromisoformat(one["customer_date"])) for one in stated}
    assert dates == {("opted_in", NOON)}
    assert len(services.mine.get("Events?eventType=preference.updated").json()) == 1


def test_without_its_subscription_mypreferences_answers_no_events(services: Services) -> None:
    services.choose(1)
    assert services.mine.get("Events").json()
    services.mypreferences.lose_subscriptions()
    services.choose(2)
    answer = services.mine.get("Events")
    assert (answer.status_code, answer.json()) == (200, [])
    assert services.mine.get("Events/Subscriptions").json() == []


def test_mypreferences_refuses_each_write_about_people_and_goes_on_reading(services: Services) -> None:
    services.mypreferences.switches.refused_writes = 403
    assert services.choose(1).status_code == 403
    assert services.mine.post("Import", json={"Name": "opt-outs"}).status_code == 403
    assert services.mine.delete(f"Profile/{services.profile}").status_code == 403
    assert services.chosen() == ("Complete", [])
    assert services.mine.post("export/Segment/EVERYBODY", json={}).status_code == 200
    services.mypreferences.switches.refused_writes = 0
    assert services.choose(1).status_code == 200


def test_dotdigital_refuses_each_write_and_goes_on_reading(services: Services) -> None:
    services.dotdigital.switches.refused_writes = 503
    assert services.opt_in().status_code == 503
    assert not services.opted_in()
    services.dotdigital.switches.refused_writes = 0
    assert services.opt_in().status_code == 200


def test_an_import_at_dotdigital_stays_unfinished_for_the_time_set(services: Services) -> None:
    switches = services.dotdigital.switches
    switches.import_polls, switches.import_seconds = 10_000, 720.0
    choices = [{"id": PREFERENCE, "isOptedIn": True}]
    entry = {
        "matchIdentifier": "email",
        "identifiers": {"email": ADDRESSES[0]},
        "preferences": choices,
    }
    number = services.theirs.put("/contacts/v3/import", json={"contacts": [entry]}).json()["importId"]
    services.clock.advance(719)
    assert services.theirs.get(f"/contacts/v3/import/{number}").json()["status"] == "NotFinished"
    assert not services.opted_in()
    services.clock.advance(1)
    assert services.theirs.get(f"/contacts/v3/import/{number}").json()["status"] == "Finished"
    assert services.opted_in()


def test_an_import_at_mypreferences_stays_unfinished_for_the_time_set(services: Services) -> None:
    switches = services.mypreferences.switches
    switches.import_polls, switches.import_seconds = 0, 250.0
    stated = {"FilterId": "NEWS_EMAIL", "PreferenceType": 1}
    record = {
        "ProfileId": services.profile,
        "Emails": [{"EmailAddress": ADDRESSES[0], "EmailPreferences": [stated]}],
    }
    token = services.mine.post("Import", json={"Name": "opt-ins"}).json()["AccessToken"]
    services.mine.post(f"Import/{token}/Stage", json={"UserProfilePreferences": [record]})
    services.mine.post(f"Import/{token}/Execute", json={})
    services.clock.advance(249)
    assert services.mine.get(f"Import/{token}/Status").json()["Status"] == "Queued"
    assert services.chosen() == ("Complete", [])
    services.clock.advance(1)
    assert services.mine.get(f"Import/{token}/Status").json()["Status"] == "Completed"
    assert services.chosen() == ("Complete", [1])
