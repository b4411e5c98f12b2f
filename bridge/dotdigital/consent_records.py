"""Consent records of a contact: read first, so that none is kept twice."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from bridge.core.errors import Refused
from bridge.core.model import ConsentRecord, Side, Who, address_key
from bridge.dotdigital import status
from bridge.dotdigital.bulk.import_changes import MOST_RECORDS
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import ConsentRecordV3, ContactV3, render_date


def add_consent_records(v3: ClientV3 | None, who: Who, records: Sequence[ConsentRecord]) -> None:
    """Keep these with the contact, at most five a call, but for those that it has. Raises Refused, after the
    others were sent, for a record that no call would take or that the answer does not show; and for somebody
    who is not there or was deleted, whom the call would bring back."""
    if v3 is None:
        raise _refused("Consent records need Dotdigital's v3 API.", "Allow it by BRIDGE_DOTDIGITAL__V3.")
    contact = _contact(v3, who)
    missing, left_out = lacking(contact, records)
    for start in range(0, len(missing), MOST_RECORDS):
        some = missing[start : start + MOST_RECORDS]
        contact = v3.import_contact(contact_id=contact.contact_id, records=some)
        if _without(contact, some):
            raise _refused("Dotdigital took a consent record and does not show it.")
    if left_out:
        raise _refused(
            "A consent record holds an IP address that Dotdigital does not take.",
            "Correct the preference's attributes in MyPreferences.",
        )


def lacking(contact: ContactV3, records: Sequence[ConsentRecord]) -> tuple[list[ConsentRecordV3], bool]:
    """Those records that the contact does not show, to be written; and whether one is left out, since no
    call would take it."""
    good = [_rendered(record) for record in records if _takes(record)]
    return _without(contact, good), len(good) < len(records)


def _contact(v3: ClientV3, who: Who) -> ContactV3:
    contact = v3.get_contact(identifier="email", value=who.address)
    if contact.address is None or address_key(contact.address) != address_key(who.address):
        raise _refused("Dotdigital answered with another contact than was asked for.")
    if status.is_gone(contact.status) or status.is_gone(contact.email_status):
        raise _refused("The contact was deleted at Dotdigital; writing to it would bring it back.")
    return contact


def _takes(record: ConsentRecord) -> bool:
    """The service was seen to refuse a loopback address."""
    try:
        return not ip_address(record.ip).is_loopback
    except ValueError:
        return False


def _without(contact: ContactV3, records: Sequence[ConsentRecordV3]) -> list[ConsentRecordV3]:
    """Those that the contact does not show, each once."""
    held = {_key(one) for one in contact.consent_records or ()}
    missing = {_key(one): one for one in records}
    return [one for key, one in missing.items() if key not in held]


def _key(record: ConsentRecordV3) -> tuple[str | None, str, str | None]:
    """To the second: how finely the service keeps a time is not documented."""
    return record.text, (record.date_time_consented or "")[:19], record.url


def _rendered(record: ConsentRecord) -> ConsentRecordV3:
    return ConsentRecordV3(
        text=record.text,
        date_time_consented=render_date(record.at),
        url=record.url,
        ip_address=record.ip,
        user_agent=record.agent,
    )


def _refused(what: str, hint: str = "Look at this person in Dotdigital.") -> Refused:
    return Refused(what, side=Side.DOTDIGITAL, operation="importContact", hint=hint)
