"""Where the mapping asks for it, an opt-in sends its consent record to Dotdigital.

Dotdigital contacts v3, consentRecords: text, time, URL, IP address and agent, all required, at most five of a
contact in one call, each write adding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from bridge.core.errors import InvalidResponse
from bridge.core.model import ConsentRecord, TopicId, Who
from bridge.sandbox.faults import InjectedFault
from tests.scenarios.conftest import Make
from tests.scenarios.live import IN, MINE, NEWS, OUT, THEIRS, Live

KEYS = 'consent_record = { text = "Wording", url = "Page", ip = "Ip", agent = "Browser" }'
HELD = {
    "Wording": "Yes, news please",
    "Page": "https://example.com/sign-up",
    "Ip": "192.0.2.7",
    "Browser": "X/1",
}


@pytest.fixture
def asking(make: Make) -> Live:
    """A bridge whose newsletter asks for consent records, and Ada, who is out at both sides."""
    live = make()
    live.remap('id = "newsletter"', f'id = "newsletter"\n{KEYS}')
    live.add("ada", both={NEWS: OUT})
    return live.started()


def _opts_in(live: Live, **attributes: str | None) -> None:
    held = {name: value for name, value in {**HELD, **attributes}.items() if value is not None}
    profile = live.profile("ada@example.com")
    live.mypreferences.set_preference(profile, "NEWS_EMAIL", True, live.clock.now(), attributes=held)
    live.clock.advance(2)


def _records(live: Live) -> list[dict[str, Any]]:
    return live.dotdigital.contact(live.contact("ada@example.com")).consent_records


def test_an_opt_in_takes_its_evidence_along(asking: Live) -> None:
    said = asking.clock.now()
    _opts_in(asking)
    asking.until_quiet()
    assert asking.shows("ada@example.com") == (IN, IN)
    [record] = _records(asking)
    assert (record["text"], record["url"]) == (HELD["Wording"], HELD["Page"])
    assert (record["ipAddress"], record["userAgent"]) == (HELD["Ip"], HELD["Browser"])
    assert record["dateTimeConsented"][:19] == f"{said:%Y-%m-%dT%H:%M:%S}"


@pytest.mark.parametrize("part", HELD)
def test_what_is_not_held_is_not_made_up(asking: Live, part: str) -> None:
    _opts_in(asking, **{part: None})
    asking.until_quiet()
    assert asking.shows("ada@example.com") == (IN, IN)
    assert _records(asking) == []


def test_without_the_mapping_keys_no_record_is_sent(live: Live) -> None:
    live.add("ada", both={NEWS: OUT})
    live.started()
    _opts_in(live)
    live.until_quiet()
    assert live.shows("ada@example.com") == (IN, IN)
    assert _records(live) == []


def test_a_record_is_kept_once_however_often_its_opt_in_is_sent(asking: Live) -> None:
    _opts_in(asking)
    asking.dotdigital.faults.add(InjectedFault("importContact", "reset", nth=2))
    asking.run()
    asking.until_quiet()
    assert asking.shows("ada@example.com") == (IN, IN)
    assert len(_records(asking)) == 1


def test_a_record_whose_outcome_is_unknown_is_not_sent_again(asking: Live) -> None:
    _opts_in(asking)
    asking.dotdigital.faults.add(InjectedFault("importContact", "reset_after"))
    asking.run()
    asking.until_quiet()
    assert asking.shows("ada@example.com") == (IN, IN)
    assert len(_records(asking)) == 1


def test_a_rejected_record_is_logged_and_blocks_no_opt_in(asking: Live) -> None:
    _opts_in(asking, Ip="::1")
    reports = asking.until_quiet()
    assert asking.shows("ada@example.com") == (IN, IN)
    assert _records(asking) == []
    warnings = [text for one in reports for text in one.warnings if "consent records" in text]
    assert len(warnings) == 1
    assert "people whose consent records were not kept: 1 (" in warnings[0]
    assert "IP address" in warnings[0]
    assert HELD["Ip"] not in warnings[0]
    assert "ada@" not in warnings[0]


def test_a_later_opt_in_has_a_record_of_its_own(asking: Live) -> None:
    _opts_in(asking)
    asking.until_quiet()
    asking.say(THEIRS, "ada@example.com", NEWS, OUT)
    asking.until_quiet()
    asking.clock.advance(timedelta(hours=1).total_seconds())
    _opts_in(asking, Wording="Yes, again")
    asking.until_quiet()
    assert [record["text"] for record in _records(asking)] == [HELD["Wording"], "Yes, again"]


def test_no_record_goes_with_a_withdrawal(asking: Live) -> None:
    _opts_in(asking)
    asking.until_quiet()
    asking.say(MINE, "ada@example.com", NEWS, OUT)
    asking.until_quiet()
    assert asking.shows("ada@example.com") == (OUT, OUT)
    assert len(_records(asking)) == 1


MANY = [f"p{number}@example.com" for number in range(7)]


@pytest.fixture
def populated(make: Make) -> Live:
    """A newsletter with consent records, and people who were opted out at both sides and have just opted
    in, one of them without evidence."""
    live = make()
    live.remap('id = "newsletter"', f'id = "newsletter"\n{KEYS}')
    for address in MANY:
        live.add(address.partition("@")[0], both={NEWS: OUT})
    live.started()
    for address in MANY:
        held = {} if address == MANY[0] else HELD
        live.mypreferences.set_preference(
            live.profile(address), "NEWS_EMAIL", True, live.clock.now(), attributes=held
        )
    live.clock.advance(2)
    return live


def _kept(live: Live) -> list[int]:
    return [len(live.dotdigital.contact(live.contact(address)).consent_records) for address in MANY]


def test_many_opt_ins_and_their_consent_records_go_one_by_one(populated: Live) -> None:
    populated.until_quiet()
    assert {populated.shows(address) for address in MANY} == {(IN, IN)}
    assert _kept(populated) == [0, *[1] * (len(MANY) - 1)]
    calls = populated.dotdigital.calls
    assert (calls.count("importContacts"), calls.count("importContact")) == (0, 2 * len(MANY) - 1)


@pytest.mark.parametrize("kind", ["reset", "reset_after"])
def test_records_of_many_whose_answer_was_lost_are_kept_once(populated: Live, kind: str) -> None:
    populated.dotdigital.faults.add(InjectedFault("importContact", kind, nth=3))
    populated.run()
    populated.clock.advance(3600)
    populated.until_quiet()
    assert {populated.shows(address) for address in MANY} == {(IN, IN)}
    assert _kept(populated) == [0, *[1] * (len(MANY) - 1)]


def test_only_the_person_whose_evidence_cannot_be_read_waits(
    populated: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, unread = populated.app.readers[MINE], MANY[3]
    read = reader.consent_records

    def failing(who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        if who.address == unread:
            raise InvalidResponse("half a page", side=MINE, operation="retrieveProfilesByEmail")
        return read(who, topics)

    with monkeypatch.context() as patch:
        patch.setattr(reader, "consent_records", failing)
        populated.run()
    assert populated.shows(unread) == (IN, OUT)
    assert {populated.shows(address) for address in MANY if address != unread} == {(IN, IN)}
    populated.until_quiet()
    assert populated.shows(unread) == (IN, IN)
    assert _kept(populated) == [0, *[1] * (len(MANY) - 1)]


def test_a_person_who_opts_out_while_evidence_is_read_is_not_opted_in(
    populated: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = populated.app.readers[MINE]
    read = reader.consent_records
    late = MANY[3]

    def slow(*args: Any) -> Any:
        found = read(*args)
        if populated.theirs(late, NEWS) is OUT and populated.status(late) == "Subscribed":
            populated.clock.advance(60)
            populated.unsubscribe(late)
            populated.say(THEIRS, late, NEWS, OUT)
        return found

    monkeypatch.setattr(reader, "consent_records", slow)
    populated.until_quiet()
    assert populated.shows(late) == (OUT, OUT)
    assert {populated.shows(address) for address in MANY if address != late} == {(IN, IN)}
