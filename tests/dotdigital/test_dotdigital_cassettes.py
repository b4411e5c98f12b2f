"""Recorded exchanges, one for each endpoint and each shape of error, replayed without a server.

`BRIDGE_RECORD=1 pytest tests/dotdigital/test_dotdigital_cassettes.py` records them again, against the
project's sandbox: no live service was ever called.
"""

from __future__ import annotations

import base64
import inspect
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import vcr
from dotdigital_world import CATEGORY, DAILY, NEWS, START, UNMAPPED, USER, transport_to

from bridge.core import errors
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3, ImportChange
from bridge.dotdigital.client.wire import Addressee
from bridge.dotdigital.polling.events import TYPES
from bridge.sandbox.dotdigital import DotdigitalState, create_app
from bridge.sandbox.faults import InjectedFault
from bridge.sandbox.server import Server

FOLDER = Path(__file__).parent / "cassettes"
LABEL = "# recorded against the project's sandbox, not the live service\n"
RECORDING = os.environ.get("BRIDGE_RECORD") == "1"
NOWHERE = "127.0.0.1:1"
KEPT_HEADERS = {"date", "content-type", "content-length"}
ADDRESS = re.compile(r"[A-Za-z0-9._+-]+(?:@|%40)[A-Za-z0-9.-]+")
ONE, TWO, NOBODY = "person-one@example.com", "person-two@example.com", "person-none@example.com"
SINCE = START - timedelta(days=1)


@dataclass(frozen=True)
class Clients:
    v2: ClientV2
    v3: ClientV3


Call = Callable[[Clients], Any]
Prepare = Callable[[DotdigitalState], object]


@dataclass(frozen=True)
class Episode:
    """A call, what it gives (or the error it raises), and how the sandbox is made to answer so."""

    call: Call
    gives: object
    prepare: Prepare = lambda state: state
    code: str | None = None


def switch(**changes: object) -> Prepare:
    def prepare(state: DotdigitalState) -> None:
        for name, value in changes.items():
            setattr(state.switches, name, value)

    return prepare


def fault(operation: str, kind: str, **more: Any) -> Prepare:
    return lambda state: state.faults.add(InjectedFault(operation, kind, times=99, **more))


def blocked(state: DotdigitalState) -> None:
    state.add_contact(TWO, status="HardBounced", when=START)


def wrong_password(state: DotdigitalState) -> None:
    object.__setattr__(state.api_user, "password", "another")


def leaf(number: int, on: bool) -> dict[str, object]:
    return {"id": number, "isPreference": True, "isOptedIn": on}


def imported(clients: Any) -> str:
    """One contact that is there leaves e-mail, and one that is not."""
    return str(
        clients.v3.import_contacts(
            [ImportChange(1, {NEWS: False}, unsubscribes=True), ImportChange(99, {NEWS: True})]
        )
    )


def deleted(clients: Any) -> Any:
    """One contact that is there, and one that is not."""
    return clients.v3.get_delete_status(clients.v3.delete_contacts([1, 99]))


def subscribed(clients: Any) -> int:
    return int(clients.v3.create_subscription(name="bridge", types=TYPES).id)


def exported(clients: Any) -> Any:
    number = subscribed(clients)
    clients.v3.import_contact(contact_id=1, preferences={NEWS: False})
    return clients.v3.export_events(subscription=number)


GOOD: dict[str, Episode] = {
    "get-account-information": Episode(
        lambda c: (
            c.v2.get_account_information().id,
            c.v2.get_account_information().value("ApiCallsRemaining"),
        ),
        (1, "1998"),
        switch(rate_limits="flat"),
    ),
    "get-server-time": Episode(lambda c: c.v2.get_server_time(), START),
    "get-contact": Episode(lambda c: c.v2.get_contact(contact=ONE).status, "Subscribed"),
    "delete-contact": Episode(lambda c: c.v2.delete_contact(contact_id=1), None),
    "v3-deleteContacts": Episode(lambda c: len(c.v3.delete_contacts([1])) > 0, True),
    "v3-getDeleteStatus": Episode(lambda c: deleted(c).status, "Finished", switch(delete_polls=0)),
    "unsubscribe-contact": Episode(lambda c: c.v2.unsubscribe_contact(email=ONE).removed_at, START),
    "bulk-suppress-contacts": Episode(
        lambda c: len(c.v2.bulk_suppress_contacts([Addressee(email=ONE), Addressee(id=99)]).not_found or ()),
        1,
    ),
    "resubscribe-contact": Episode(
        lambda c: c.v2.resubscribe_contact(email=TWO).status, "ContactChallenged", blocked
    ),
    "resubscribe-contact-with-no-challenge": Episode(
        lambda c: c.v2.resubscribe_contact_with_no_challenge(email=ONE).status, "ContactAdded"
    ),
    "get-suppressed-contacts-since-date": Episode(
        lambda c: [row.status for row in c.v2.get_suppressed_contacts_since_date(since=SINCE)],
        ["HardBounced"],
        blocked,
    ),
    "get-unsubscribed-contacts-since-date": Episode(
        lambda c: c.v2.get_unsubscribed_contacts_since_date(since=SINCE), [], blocked
    ),
    "get-subscriptions-for-contact": Episode(
        lambda c: {
            row.marketing_preference_id: row.is_opted_in
            for row in c.v2.get_subscriptions_for_contact(email=ONE).rows
        },
        {NEWS: True, DAILY: False},
    ),
    "create-preference": Episode(
        lambda c: c.v2.create_preference(public_name="New", private_name="new", is_preference=True) is None,
        False,
    ),
    "get-preferences": Episode(
        lambda c: {node.id: node.is_leaf for node in c.v2.get_preferences()}[CATEGORY], False
    ),
    "update-preference": Episode(
        lambda c: (
            c.v2.update_preference(
                preference_id=UNMAPPED,
                public_name="Still not ours",
                private_name="Not ours",
                is_preference=True,
                is_public=True,
            )
            is None
        ),
        False,
    ),
    "delete-preference": Episode(lambda c: c.v2.delete_preference(preference_id=UNMAPPED), None),
    "get-modified-preferences-since-date": Episode(
        lambda c: {node.id: node.is_leaf for node in c.v2.get_modified_preferences_since_date(since=SINCE)}[
            CATEGORY
        ],
        False,
    ),
    "set-preferences-for-contact": Episode(
        lambda c: c.v2.set_preferences_for_contact(contact=ONE, tree=[leaf(NEWS, False)]), None
    ),
    "get-preferences-for-contact": Episode(
        lambda c: {node.id: node.is_opted_in for node in c.v2.get_preferences_for_contact(contact=ONE)}[NEWS],
        True,
    ),
    "get-contacts-opted-into-a-preference": Episode(
        lambda c: [one.address for one in c.v2.get_contacts_opted_into_a_preference(preference_id=NEWS)],
        [ONE],
    ),
    "get-contacts-with-modified-preference-opt-in-since-date": Episode(
        lambda c: len(
            c.v2.get_contacts_with_modified_preference_opt_in_since_date(preference_id=NEWS, since=SINCE)
        ),
        1,
    ),
    "v3-getContacts": Episode(
        lambda c: [one.email_status for one in c.v3.get_contacts(limit=2, modified_since=SINCE).items],
        ["subscribed"],
    ),
    "v3-getContact": Episode(lambda c: c.v3.get_contact(identifier="email", value=ONE).address, ONE),
    "v3-importContact": Episode(
        lambda c: c.v3.import_contact(contact_id=1, preferences={NEWS: False}).contact_id, 1
    ),
    "v3-importContacts": Episode(lambda c: len(imported(c)), 36),
    "v3-getImportStatus": Episode(
        lambda c: [
            (len(report.updated or ()), [failed.failure_code for failed in row.failures or ()])
            for report in [c.v3.get_import_status(imported(c))]
            for row in report.failures or ()
        ],
        [(1, ["invalidContactId"])],
        switch(import_polls=0),
    ),
    "v3-getCustomIdentifiers": Episode(lambda c: c.v3.get_custom_identifiers(), []),
    "v3-createSubscription": Episode(subscribed, 1),
    "v3-listSubscriptions": Episode(lambda c: c.v3.list_subscriptions(), []),
    "v3-updateSubscription": Episode(
        lambda c: c.v3.update_subscription(subscription=subscribed(c), name="bridge", types=TYPES).name,
        "bridge",
    ),
    "v3-exportEvents": Episode(
        lambda c: [event.data for event in exported(c).events],
        [{"contactId": 1}],
        switch(event_activation_seconds=0),
    ),
}

BAD: dict[str, Episode] = {
    "429-too-many-imports": Episode(
        imported, errors.Throttled, switch(max_active_imports=0), code="contacts:tooManyActiveImports"
    ),
    "404-import": Episode(
        lambda c: c.v3.get_import_status("gone"), errors.NotFound, code="contacts:importNotFound"
    ),
    "403-events": Episode(
        lambda c: c.v3.list_subscriptions(), errors.SignInRefused, switch(events="forbidden")
    ),
    "404-events": Episode(
        lambda c: c.v3.export_events(subscription=7), errors.Refused, code="events:subscriptionNotFound"
    ),
    "409-events-name": Episode(
        lambda c: [subscribed(c), subscribed(c)], errors.Refused, code="events:nameAlreadyExists"
    ),
    "400-events-checkpoint": Episode(
        lambda c: c.v3.export_events(subscription=subscribed(c), check_point="other"),
        errors.Refused,
        code="events:invalidCheckpoint",
    ),
    "401-v2": Episode(lambda c: c.v2.get_preferences(), errors.SignInRefused, wrong_password),
    "401-v3-empty": Episode(lambda c: c.v3.get_contacts(), errors.SignInRefused, wrong_password),
    "403-wrong-region": Episode(
        lambda c: c.v2.get_preferences(), errors.SignInRefused, switch(region="wrong")
    ),
    "404-contact": Episode(
        lambda c: c.v2.get_contact(contact=NOBODY), errors.NotFound, code="ERROR_CONTACT_NOT_FOUND"
    ),
    "404-contact-v3": Episode(
        lambda c: c.v3.get_contact(identifier="email", value=NOBODY),
        errors.NotFound,
        code="contacts:contactNotFound",
    ),
    "404-preference": Episode(
        lambda c: c.v2.delete_preference(preference_id=7),
        errors.MappingStale,
        code="ERROR_PREFERENCE_NOT_FOUND",
    ),
    "404-html": Episode(
        lambda c: c.v2.get_subscriptions_for_contact(email=ONE),
        errors.InvalidResponse,
        fault(
            "get-subscriptions-for-contact",
            "status",
            status=404,
            body="<h1>Not found</h1>",
            content_type="text/html",
        ),
    ),
    "400-suppressed-goal-met": Episode(
        lambda c: c.v2.unsubscribe_contact(email=TWO),
        errors.AlreadyDone,
        blocked,
        code="ERROR_CONTACT_SUPPRESSED",
    ),
    "400-suppressed-refused": Episode(
        lambda c: c.v2.set_preferences_for_contact(contact=TWO, tree=[leaf(NEWS, False)]),
        errors.Refused,
        blocked,
        code="ERROR_CONTACT_SUPPRESSED",
    ),
    "400-v3-patch": Episode(
        lambda c: c.v3.import_contact(contact_id=1, preferences={7: True}),
        errors.Refused,
        code="contacts:badRequest",
    ),
    "400-flat-limit": Episode(
        lambda c: c.v2.get_preferences(),
        errors.Throttled,
        switch(rate_limits="flat", limit_flat=0),
        code="ERROR_APIUSAGE_EXCEEDED",
    ),
    "400-suppressed-not-deleted": Episode(
        lambda c: [c.v2.get_contact(contact=TWO), c.v2.delete_contact(contact_id=2)],
        errors.Refused,
        lambda state: [blocked(state), switch(delete_suppressed="refused")(state)],
        code="ERROR_CONTACT_SUPPRESSED",
    ),
    "429-too-many-deletions": Episode(
        deleted, errors.Throttled, switch(max_active_deletes=0), code="contacts:tooManyBulkDeleteJobs"
    ),
    "413-import": Episode(imported, errors.Refused, switch(import_bytes=10)),
    "429-tiered-limit": Episode(
        lambda c: c.v2.get_preferences(), errors.Throttled, switch(rate_limits="tiered", limit_medium=0)
    ),
    "503-read": Episode(
        lambda c: c.v2.get_preferences(), errors.ServerError, fault("get-preferences", "status", status=503)
    ),
    "503-write": Episode(
        lambda c: c.v2.unsubscribe_contact(email=ONE),
        errors.OutcomeUnknown,
        fault("unsubscribe-contact", "status", status=503),
    ),
    "200-html": Episode(
        lambda c: c.v2.get_preferences(), errors.InvalidResponse, fault("get-preferences", "html")
    ),
    "200-null": Episode(
        lambda c: c.v2.get_suppressed_contacts_since_date(since=SINCE),
        errors.InvalidResponse,
        fault("get-suppressed-contacts-since-date", "null"),
    ),
}
EPISODES = GOOD | BAD


def scrub_request(request: Any) -> Any:
    parts = urlsplit(request.uri)
    request.uri = urlunsplit(("http", NOWHERE, parts.path, parts.query, ""))
    request.headers = {name: "REDACTED" for name in request.headers if name.lower() == "authorization"}
    return request


def scrub_response(response: Any) -> Any:
    kept = {name: value for name, value in response["headers"].items() if _harmless(name)}
    body = response.get("content", response.get("body", {}).get("string", b""))
    found = ADDRESS.findall(body.decode() if isinstance(body, bytes) else str(body))
    strangers = set(found) - {ONE, TWO, NOBODY, "owner@example.com"}
    assert not strangers, f"an address that is not one of the fixed fakes: {len(strangers)}"
    return {**response, "headers": kept}


def _harmless(name: str) -> bool:
    return name.lower() in KEPT_HEADERS or name.lower().startswith("x-ratelimit-")


@contextmanager
def cassette(name: str) -> Iterator[None]:
    path = FOLDER / f"{name}.yaml"
    if RECORDING:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="all" if RECORDING else "none",
        match_on=["method", "path", "query"],
        before_record_request=scrub_request,
        before_record_response=scrub_response,
    )
    with recorder.use_cassette(str(path)):
        yield
    if RECORDING:
        path.write_text(LABEL + path.read_text())


@contextmanager
def clients(state: DotdigitalState, episode: Episode) -> Iterator[Clients]:
    if not RECORDING:
        with closing_clients(f"http://{NOWHERE}") as made:
            yield made
        return
    state.add_contact(ONE, opt_ins={NEWS: (True, START), DAILY: (False, START)})
    episode.prepare(state)
    with Server(create_app(state)) as server, closing_clients(server.url) as made:
        yield made


@contextmanager
def closing_clients(url: str) -> Iterator[Clients]:
    transport = transport_to(url, lambda _: None)
    try:
        yield Clients(ClientV2(transport), ClientV3(transport))
    finally:
        transport.close()


@pytest.mark.parametrize("name", sorted(EPISODES))
def test_a_recorded_exchange_is_understood(state: DotdigitalState, name: str) -> None:
    episode = EPISODES[name]
    with clients(state, episode) as made, cassette(name):
        if isinstance(episode.gives, type):
            with pytest.raises(episode.gives) as refused:
                episode.call(made)
            assert type(refused.value) is episode.gives
            assert refused.value.code == episode.code  # type: ignore[attr-defined]
            assert refused.value.hint  # type: ignore[attr-defined]
        else:
            assert episode.call(made) == episode.gives


def test_there_is_a_cassette_for_each_episode_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(EPISODES)


def test_every_operation_the_clients_call_has_a_cassette() -> None:
    folder = Path(inspect.getfile(ClientV2)).parent
    source = "".join((folder / name).read_text() for name in ("v2.py", "v3.py"))
    called = re.findall(r'operation = "([\w-]+)"|self\._suppressions\("([\w-]+)"', source)
    operations = {first or second for first, second in called}
    assert {name.removeprefix("v3-") for name in GOOD} == operations


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_cassette_holds_a_secret_or_an_address(path: Path) -> None:
    text = path.read_text()
    token = base64.b64encode(f"{USER.username}:{USER.password}".encode()).decode()
    assert text.startswith(LABEL)
    for secret in (token, "Basic ", "apiuser", "set-cookie", "client_secret", "access_token"):
        assert secret.lower() not in text.lower()
    found = {address.replace("%40", "@") for address in ADDRESS.findall(text)}
    assert found <= {ONE, TWO, NOBODY, "owner@example.com"}
    assert set(re.findall(r"uri: http://([^/\s]+)", text)) == {NOWHERE}
