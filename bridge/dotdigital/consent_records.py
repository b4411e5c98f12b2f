"""Consent records of a contact: those it has already are not written again."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from bridge.core.errors import Refused
from bridge.core.model import ConsentRecord, Side
from bridge.dotdigital.client.parameters import render_date
from bridge.dotdigital.client.v3 import MOST_RECORDS, ClientV3
from bridge.dotdigital.client.wire import ConsentRecordV3, ContactV3


def add_consent_records(v3: ClientV3, contact: ContactV3, records: Sequence[ConsentRecord]) -> None:
    """Add those that the contact lacks, at most five a call. Raises Refused, after the others were sent, for
    a record that no call would take or that the answer does not show."""
    missing, left_out = missing_records(contact, records)
    for start in range(0, len(missing), MOST_RECORDS):
        some = missing[start : start + MOST_RECORDS]
        contact = v3.import_contact(contact_id=contact.contact_id, records=some)
        if _without(contact, some):
            raise refused("Dotdigital accepted a consent record and does not show it.")
    if left_out:
        raise refused(
            "A consent record holds an IP address that Dotdigital does not take.",
            "Correct the preference's attributes in MyPreferences.",
        )


def missing_records(
    contact: ContactV3, records: Sequence[ConsentRecord]
) -> tuple[list[ConsentRecordV3], bool]:
    """Those records that the contact does not show, to be written; and whether one is left out, since no
    call would take it."""
    valid = [_rendered(record) for record in records if _is_valid(record)]
    return _without(contact, valid), len(valid) < len(records)


def refused(what: str, hint: str = "Check this contact in Dotdigital.") -> Refused:
    return Refused(what, side=Side.DOTDIGITAL, operation="importContact", hint=hint)


def _is_valid(record: ConsentRecord) -> bool:
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
