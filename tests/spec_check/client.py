"""The client's own requests, sent to Prism, which refuses what the description does not allow."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from bridge.core.errors import SideError
from bridge.core.model import Side
from bridge.dotdigital.client.access import ApiUserAuth
from bridge.dotdigital.client.errors import to_error
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.wire import Addressee
from bridge.dotdigital.limits.limiter import RateLimiter
from bridge.transport import Transport
from tests.spec_check import prism
from tests.spec_check.published import Failed, load, operation_ids, with_times

ANN = "ann+news@example.com"
TREE = (
    {
        "id": 14,
        "isPreference": False,
        "preferences": [{"id": 26, "isPreference": True, "isOptedIn": True}],
    },
    {"id": 1027, "isPreference": True, "isOptedIn": False},
)
Call = Callable[[ClientV2, date], object]

CALLS: Mapping[str, Call] = {
    "unsubscribe-contact": lambda c, _: c.unsubscribe_contact(email=ANN),
    "bulk-suppress-contacts": lambda c, _: c.bulk_suppress_contacts([Addressee(id=5), Addressee(email=ANN)]),
    "resubscribe-contact": lambda c, _: c.resubscribe_contact(
        email=ANN,
        data_fields={"FIRSTNAME": "Ann"},
        preferred_locale="de-DE",
        return_url="https://www.example.com/thanks",
    ),
    "resubscribe-contact-with-no-challenge": lambda c, _: c.resubscribe_contact_with_no_challenge(
        email=ANN, data_fields={"FIRSTNAME": "Ann"}
    ),
    "get-suppressed-contacts-since-date": lambda c, day: c.get_suppressed_contacts_since_date(
        since=day, select=100, skip=100
    ),
    "get-unsubscribed-contacts-since-date": lambda c, day: c.get_unsubscribed_contacts_since_date(since=day),
    "get-subscriptions-for-contact": lambda c, _: c.get_subscriptions_for_contact(email=ANN),
    "get-contacts-opted-into-a-preference": lambda c, _: c.get_contacts_opted_into_a_preference(
        preference_id=26, min_contact_id=9
    ),
    "get-contacts-with-modified-preference-opt-in-since-date": lambda c, day: (
        c.get_contacts_with_modified_preference_opt_in_since_date(preference_id=26, since=day)
    ),
    "get-preferences-for-contact": lambda c, _: c.get_preferences_for_contact(contact=7),
    "set-preferences-for-contact": lambda c, _: c.set_preferences_for_contact(contact=ANN, tree=TREE),
    "get-preferences": lambda c, _: c.get_preferences(),
    "get-modified-preferences-since-date": lambda c, day: c.get_modified_preferences_since_date(since=day),
    "create-preference": lambda c, _: c.create_preference(
        public_name="Tents", private_name="tents", is_preference=True, order=0, category_id=14
    ),
    "update-preference": lambda c, _: c.update_preference(
        preference_id=26, public_name="Tents", private_name="tents", is_preference=True, is_public=False
    ),
    "delete-preference": lambda c, _: c.delete_preference(preference_id=26),
}


def check(path: Path) -> str:
    """What was seen, in a line. Raises Failed for a request that was refused, Skipped without npm."""
    document = load(path)
    if missing := operation_ids(document) ^ CALLS.keys():
        raise Failed(f"described and called differ: {', '.join(sorted(missing))}")
    instant = datetime(2026, 2, 28, 23, 59, 59, 999000, tzinfo=UTC)
    with prism.installed() as command, tempfile.TemporaryDirectory() as folder:
        widened = Path(folder) / path.name
        widened.write_text(json.dumps(with_times(document)), encoding="utf-8")
        _accepted(command, path, instant.date())
        _accepted(command, widened, instant)
    return (
        f"Prism took the client's requests for all {len(CALLS)} operations by the description as it is (dates"
        " without a time), and again with the times that the bridge sends"
    )


def _accepted(command: Path, description: Path, since: date) -> None:
    with prism.mock(command, description) as (url, log):
        client = ClientV2(_transport(url))
        refused = [line for name, call in CALLS.items() if (line := _refusal(client, name, call, since))]
        client.transport.close()
        if refused:
            said = [line for line in log.read_text(encoding="utf-8").splitlines() if "✖" in line]
            raise Failed("\n".join(["Prism refused:", *refused, *said]))


def _refusal(client: ClientV2, name: str, call: Call, since: date) -> str:
    before = client.transport.calls
    try:
        call(client, since)
    except SideError as error:
        return f"  {name}: {error}"
    return "" if client.transport.calls == before + 1 else f"  {name}: sent no request, or several"


def _transport(url: str) -> Transport:
    return Transport(
        side=Side.DOTDIGITAL,
        base_url=url,
        auth=ApiUserAuth("apiuser@example.com", "secret"),
        throttle=RateLimiter(clock=lambda: datetime.now(UTC), sleep=time.sleep),
        to_error=to_error,
        jitter=random.Random(1),
        tries=1,
    )
