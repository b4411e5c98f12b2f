"""Every parser of what either service sends, fed with mutations of real shapes: a result or the one error.

A plain loop with a fixed seed: 10^5 inputs in an ordinary run of the tests, more by BRIDGE_TEST_SIZE=full.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from bridge import bounds
from bridge.core.errors import SideError
from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import CHANNEL, TopicId
from bridge.dotdigital import views as their_views
from bridge.dotdigital.client import errors as their_errors
from bridge.dotdigital.client import wire
from bridge.dotdigital.polling import v2_feeds
from bridge.dotdigital.polling.events import hint_of
from bridge.mypreferences import views as my_views
from bridge.mypreferences.client import errors as my_errors
from bridge.mypreferences.client.base import listed
from bridge.mypreferences.events.claims import claims_of, shows
from bridge.mypreferences.events.webhooks import read_delivery
from bridge.mypreferences.wire import codec
from bridge.mypreferences.wire.bulk import ExportAnswer, ExportPage, ImportStatus
from bridge.mypreferences.wire.configuration import Program, ProgramGroup
from bridge.mypreferences.wire.events import Event, Subscription
from bridge.mypreferences.wire.profiles import Profile
from bridge.transport import Response, retry_after
from tests.sizes import size

INPUTS = size(100_000, 2_000_000)
AT = datetime(2026, 3, 1, tzinfo=UTC)
MAPPING = Mapping(
    topics=(Topic(TopicId("news"), FilterRef("NEWS_EMAIL"), {"": 1002}),),
    channel=Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {}),
    on_unsubscribe=OnUnsubscribe.CHANNEL,
    digest="test",
)
PROFILE = {
    "ProfileId": 1001,
    "IsActive": True,
    "AlternateIds": [{"AlternateIdType": "CrmId", "AlternateId": "77"}],
    "Emails": [
        {
            "EmailAddress": "ada@example.com",
            "EmailAddressType": "Primary",
            "EmailPreferences": [
                {
                    "FilterId": "NEWS_EMAIL",
                    "PreferenceType": "OptIn",
                    "CustomerDate": "2026-02-01T10:00:00Z",
                    "PreferenceAttributes": [{"Key": "source", "Value": "web"}],
                    "LastModifiedDate": "2026-02-01T10:00:01.123Z",
                }
            ],
        }
    ],
    "Consents": [
        {
            "ConsentType": "EmailMarketing", "ConsentVersion": "1.0", "Locale": "en_US", "ConsentStatus": 1,
            "ConsentDate": "2026-02-01",
        }
    ],
}  # fmt: skip
EVENT = {
    "EventId": "evt-1", "EventType": "Contact.Email.Updated", "ProfileId": 1001,
    "OriginalEventTime": "2026-02-01T10:00:00", "RecordedTime": "2026-02-01T10:00:02Z",
    "Data": {"EmailAddress": "b@example.com", "FilterId": "NEWS_EMAIL"},
    "PreviousData": {"EmailAddress": "a@example.com"},
}  # fmt: skip
SUPPRESSED = {
    "suppressedContact": {"id": 7, "email": "ada@example.com", "status": "Unsubscribed"},
    "dateRemoved": "2026-02-01T10:00:00Z",
    "reason": "Unsubscribed",
}
OPT_INS = {
    "contact": {"id": 7, "email": "ada@example.com", "status": "Subscribed"},
    "marketingPreferenceOptIns": [
        {"marketingPreferenceId": 1002, "isOptedIn": True, "dateModifed": "2026-02-01T10:00:00.000Z"}
    ],
}
CONTACT = {
    "contactId": 7, "status": "subscribed", "identifiers": {"email": "ada@example.com"},
    "channelProperties": {"email": {"status": "subscribed"}},
    "preferences": [{"id": 1002, "isOptedIn": True}], "created": "2026-01-01T00:00:00Z",
    "updated": "2026-02-01T00:00:00Z",
}  # fmt: skip
TREE = {"id": 1, "publicName": "a", "isPreference": False, "preferences": [{"id": 2, "isOptedIn": True}]}
EXPORT = {"checkPoint": "c1", "events": [{"data": {"contactId": 7, "contact": {"email": "a@example.com"}}}]}


def answer(body: bytes, status: int = 200, **headers: str) -> Response:
    return Response(status, httpx.Headers(headers), body, AT)


def events(body: bytes) -> None:
    found = listed("retrieveEvents", answer(body), "Events", Event, malformed=Event.of_malformed)
    claims_of(found, MAPPING)
    for one in found:
        _ = one.former_address, one.earliest, one.is_lost


def profiles(body: bytes) -> None:
    for one in listed("retrieveProfilesByEmail", answer(body), "Profiles", Profile):
        for address in my_views.addresses(one):
            my_views.view(address, [one], MAPPING, AT, complete=True)
        shows(one, {"filter:NEWS_EMAIL": AT})


def export(body: bytes) -> None:
    page = ExportPage.of(codec.decode(ExportAnswer, body, operation="retrieveExport"))
    for one in page.user_profile_preferences:
        _ = one.id, one.is_unreadable, my_views.addresses(one)


def suppressions(body: bytes) -> None:
    rows = wire.decode_rows(answer(body), wire.Suppression, "op")
    v2_feeds._suppressed_page(rows, AT)
    for row in rows:
        hash(v2_feeds._suppression_key(row))


def opt_ins(body: bytes) -> None:
    rows = wire.decode_rows(answer(body), wire.ContactSubscriptions, "op")
    v2_feeds._page(1002, MAPPING.topics, rows, AT)
    for row in rows:
        hash(v2_feeds._key(row))


def contacts(body: bytes) -> None:
    for one in wire.decode_page(answer(body), "getContacts").items:
        their_views.from_listing(one, MAPPING, AT, "profile")
        _ = one.created_at, one.updated_at, one.is_unusable


def exported(body: bytes) -> None:
    for one in wire.decode(answer(body), wire.ExportedEvents, "exportEvents").events:
        hint_of(one)


def refusals(body: bytes) -> None:
    their_errors.to_error("get-contact", answer(body, 400), False)
    my_errors.to_error("retrieveProfileById", answer(body, 404), False)


def headers(body: bytes) -> None:
    text = body.decode("ascii", "replace").replace("\ufffd", "?").replace("\n", "")[:2000]
    found = answer(b"", 429, **{"Retry-After": text, "X-RateLimit-Reset": text})
    retry_after(found)
    wire.reset_in(found, AT)


def server_time(body: bytes) -> None:
    wire.parse_server_time(body.decode("latin-1"))


def typed(kind: Any) -> Callable[[bytes], None]:
    def parse(body: bytes) -> None:
        codec.decode(kind, body, operation="op")

    return parse


def sides(kind: Any) -> Callable[[bytes], None]:
    def parse(body: bytes) -> None:
        wire.decode(answer(body), kind, "op")

    return parse


PARSERS: dict[str, tuple[Callable[[bytes], None], Any]] = {
    "events": (events, {"Events": [EVENT, EVENT]}),
    "profiles": (profiles, [PROFILE]),
    "export": (export, {"UserProfilePreferences": [PROFILE, {"ProfileId": 2}], "HasMore": False}),
    "import status": (typed(ImportStatus), {"AccessToken": 1, "Status": "Complete", "Exceptions": 0}),
    "programs": (typed(list[Program]), [{"ProgramId": "NEWS", "Filters": [{"FilterId": "N"}]}]),
    "groups": (typed(list[ProgramGroup]), [{"ProgramGroupId": "G", "ProgramGroups": [{}]}]),
    "subscriptions": (typed(list[Subscription]), [{"Id": 1, "Name": "b", "Url": "https://x", "State": "a"}]),
    "webhook": (lambda body: bool(read_delivery(body)), [EVENT]),
    "suppressions": (suppressions, [SUPPRESSED, SUPPRESSED]),
    "opt-ins": (opt_ins, [OPT_INS, OPT_INS]),
    "contacts": (contacts, {"_items": [CONTACT], "_links": {"next": {"marker": "m"}}}),
    "contact": (sides(wire.ContactV3), CONTACT),
    "tree": (sides(list[wire.PreferenceTreeNode]), [TREE]),
    "account": (sides(wire.AccountInfo), {"id": 1, "properties": [{"name": "Name", "value": "x"}]}),
    "import report": (sides(wire.ImportReport), {"status": "Finished", "updated": [{"contactId": 7}]}),
    "exported events": (exported, EXPORT),
    "refusals": (refusals, {"message": "no ERROR_CONTACT_NOT_FOUND", "ModelState": {"a": ["b"]}}),
    "headers": (headers, 120),
    "server time": (server_time, "2026-02-01T10:00:00.0000000Z"),
}
DOCUMENTED = {"webhook": (ValueError,), "server time": (ValueError,)}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1.5, "", "\x00", "\ud800", "x" * 300, "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", "2026-02-30", "1e400", "NaN", [], {}, [[]], [None], {"": {}},
    "a@b", "\ufeffa@example.com", "a" * 300 + "@example.com", 2**63, -(2**63),
)  # fmt: skip


def mutated(shape: Any, random: random.Random) -> Any:
    """The shape with a few of its values replaced, dropped, doubled or renamed."""
    if random.random() < 0.15:
        return random.choice(ODD)
    if isinstance(shape, dict):
        changed = {name: mutated(value, random) for name, value in shape.items() if random.random() > 0.05}
        if random.random() < 0.05:
            changed[random.choice(("id", "ProfileId", "Data", "email", ""))] = random.choice(ODD)
        return changed
    if isinstance(shape, list):
        rows = [mutated(value, random) for value in shape]
        return rows * random.choice((1, 1, 1, 2)) if random.random() < 0.9 else [*rows, random.choice(ODD)]
    return shape


def spoiled(body: bytes, random: random.Random) -> bytes:
    """The bytes with a few of them changed, or cut off."""
    if random.random() < 0.5:
        return body[: random.randrange(len(body) + 1)]
    changed = bytearray(body)
    for _ in range(random.randrange(1, 4)):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value).encode()


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_gives_a_result_or_the_one_error(name: str) -> None:
    parse, shape = PARSERS[name]
    draw = random.Random(f"{name} 1")
    slowest = 0.0
    for _ in range(INPUTS // len(PARSERS) + 1):
        body = encoded(mutated(shape, draw))
        if draw.random() < 0.2:
            body = spoiled(body, draw)
        began = time.process_time()
        with suppress(SideError, bounds.Malformed, *DOCUMENTED.get(name, ())):
            parse(body)
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 1.0
