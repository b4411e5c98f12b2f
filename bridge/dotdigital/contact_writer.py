"""One person's writes by single calls: the e-mail channel, preferences, and the consent records for them.
Records that the contact has already are not written again.

A write names only the preferences that it changes, by v3 (Dotdigital 4.5, PATCH one contact). Only an account
without v3 takes the whole tree (see `tree_writer`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import ip_address

from bridge.core.errors import (
    AlreadyDone,
    MappingStale,
    NotFound,
    Refused,
    SideError,
    Verdict,
)
from bridge.core.mapping import Mapping
from bridge.core.model import ConsentRecord, Side, Who, address_key
from bridge.core.ports import Repaired, Unrecorded, WriteRequest, WriteResponse
from bridge.core.writes import Adjustment, Raise, Resubscribe, Withdrawal, Write
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.arguments import render_date
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import MOST_RECORDS, ClientV3
from bridge.dotdigital.client.wire import ConsentRecordV3, ContactV3, Resubscription
from bridge.dotdigital.preference_tree import opt_ins, stale
from bridge.dotdigital.tree_writer import TreeWriter, change_dates
from bridge.dotdigital.views import is_deleted
from bridge.dotdigital.write_batches import of_channel, withdraws

_RESUBSCRIBE = "resubscribe-contact"


class ContactWriter:
    """`trees` writes the topics where there is no v3."""

    def __init__(self, v2: ClientV2, access: V3Access, mapping: Mapping, trees: TreeWriter) -> None:
        self._v2, self._access, self._mapping, self.trees = v2, access, mapping, trees

    def send(self, request: WriteRequest) -> WriteResponse | Unrecorded | Repaired:
        """Write one unit, its consent records first. Raises SideError."""
        reason = self._record(request) if request.records else None
        answer = self._write(request.who, request.writes)
        if reason is not None and answer in (WriteResponse.ACCEPTED, WriteResponse.ALREADY_SO):
            return Unrecorded(reason)
        return answer

    def overlay(self, unit: Sequence[Write]) -> dict[int, bool]:
        """The state to set per preference. Raises MappingStale for a topic or frequency the mapping lacks."""
        overlay: dict[int, bool] = {}
        for write in unit:
            topic = self._mapping.topic(write.topic)
            wanted = _frequency(write)
            if topic is None or (wanted is not None and wanted not in topic.preferences):
                raise MappingStale(
                    "A write names a topic or frequency that the mapping does not have.",
                    side=Side.DOTDIGITAL, operation="set-preferences-for-contact",
                    hint="The mapping file has changed since the plan was made: plan again.",
                )  # fmt: skip
            overlay |= {number: name == wanted for name, number in topic.preferences.items()}
        return overlay

    def _record(self, request: WriteRequest) -> str | None:
        """Add the consent records, by v3, since v2 has none of its own. Returns why not all of them are kept;
        a refusal does not stop the choice from being written. Raises any other SideError."""
        v3 = self._access.client()
        try:
            contact = None if v3 is None else _contact_to_write(v3, request.who)
            if v3 is None:
                return "Dotdigital takes consent records by v3 of its API only, which cannot be used."
            if contact is None:
                return "The contact was deleted at Dotdigital; writing to it would restore it."
            add_consent_records(v3, contact, request.records)
        except SideError as error:
            if error.verdict is not Verdict.HOLD:
                raise
            logging.getLogger("bridge.dotdigital").warning("a consent record was not kept: %s", error)
            return str(error)
        return None

    def _write(self, who: Who, unit: Sequence[Write]) -> WriteResponse | Repaired:
        if not of_channel(unit[0]):
            return self._write_topics(who, unit)
        if isinstance(unit[0], Withdrawal):
            return self._unsubscribe(who)
        return self._resubscribe(who, unit[0])

    # the channel

    def _unsubscribe(self, who: Who) -> WriteResponse:
        try:
            self._v2.unsubscribe_contact(email=who.address)
        except (AlreadyDone, NotFound):  # suppressed already, or no contact to be mailed
            return WriteResponse.ALREADY_SO
        return WriteResponse.ACCEPTED

    def _resubscribe(self, who: Who, write: Write) -> WriteResponse:
        how = write.how if isinstance(write, Raise) else None
        match how:
            case Resubscribe.SILENT:
                answer = self._v2.resubscribe_contact_with_no_challenge(email=who.address)
            case Resubscribe.CHALLENGE:
                answer = self._v2.resubscribe_contact(email=who.address)
            case _:
                raise Refused(
                    "The mapping leaves resubscribing to an operator.",
                    side=Side.DOTDIGITAL, operation=_RESUBSCRIBE,
                    hint='Set `resubscribe = "challenge"` or "silent" under [channels.email] to change that.',
                )  # fmt: skip
        return _resubscribed(answer)

    # topics

    def _write_topics(self, who: Who, unit: Sequence[Write]) -> WriteResponse | Repaired:
        """By v3 what changes, and nothing else; without v3 the whole tree."""
        overlay = self.overlay(unit)
        v3 = self._access.client()
        if v3 is not None:
            return self._patch(v3, who, overlay, withdrawn=withdraws(unit[0]))
        try:
            return self.trees.write(who, overlay)
        except NotFound:
            if not withdraws(unit[0]):
                raise
            return WriteResponse.ALREADY_SO

    def _patch(self, v3: ClientV3, who: Who, overlay: dict[int, bool], *, withdrawn: bool) -> WriteResponse:
        """v3 takes preferences of suppressed contacts too. It names what is opted in to, or nothing: what it
        leaves out is not opted in (Dotdigital 4.3)."""
        try:
            contact = _contact_to_write(v3, who)
        except NotFound:
            if not withdrawn:
                raise
            return WriteResponse.ALREADY_SO
        if contact is None:
            if not withdrawn:
                raise refused("The contact was deleted at Dotdigital; writing to it would restore it.")
            return WriteResponse.ALREADY_SO
        states = {one.id: one.is_opted_in for one in contact.preferences or ()}
        if contact.preferences is None:  # opted in to nothing: what has a row was opted out of before
            is_so = not any(overlay.values()) and overlay.keys() <= change_dates(self._v2, who).keys()
        else:
            is_so = all(states.get(number, False) is on for number, on in overlay.items())
        if is_so:
            return WriteResponse.ALREADY_SO
        try:
            v3.import_contact(contact_id=contact.contact_id, preferences=overlay)
        except Refused:
            if missing := overlay.keys() - opt_ins(self._v2.get_preferences()).keys():
                raise stale(sorted(missing)) from None
            raise
        return WriteResponse.ACCEPTED


def _contact_to_write(v3: ClientV3, who: Who) -> ContactV3 | None:
    """The contact with this address, to be written by its id alone; None where it was deleted, since a write
    would restore it. Raises NotFound, and Refused for another contact than was asked for."""
    contact = v3.get_contact(identifier="email", value=who.address)
    if is_deleted(contact):
        return None
    if contact.address is None or address_key(contact.address) != address_key(who.address):
        raise refused("Dotdigital answered with another contact than was asked for.")
    return contact


def _frequency(write: Write) -> str | None:
    """The frequency to opt in to; the empty one for a topic without; None to opt out of all."""
    match write:
        case Withdrawal():
            return None
        case Raise():
            return write.frequency or ""
        case Adjustment():
            return write.frequency


def _resubscribed(answer: Resubscription) -> WriteResponse:
    """By the answer's status alone: the contact nested in it still shows its old state."""
    match answer.status:
        case "ContactAdded":
            return WriteResponse.ACCEPTED
        case "ContactChallenged":
            return WriteResponse.CHALLENGED
        case "ContactCannotBeUnsuppressed":
            raise Refused(
                "Dotdigital will not resubscribe this contact (complaint, or suppressed by others).",
                side=Side.DOTDIGITAL, operation=_RESUBSCRIBE, code="ContactCannotBeUnsuppressed",
                hint="Only Dotdigital support can lift it: dismiss the hold, or ask them.",
            )  # fmt: skip
        case _:  # `NotAvailableInThisVersion`, which is not documented, or a message alone
            return WriteResponse.UNCLEAR


def add_consent_records(v3: ClientV3, contact: ContactV3, records: Sequence[ConsentRecord]) -> None:
    """Add those that the contact lacks, at most five a call. Raises Refused, after the others were sent, for
    a record that no call would take or that the answer does not show."""
    missing, left_out = missing_records(contact, records)
    for start in range(0, len(missing), MOST_RECORDS):
        some = missing[start : start + MOST_RECORDS]
        contact = v3.import_contact(contact_id=contact.contact_id, records=some)
        if _records_lacking(contact, some):
            raise refused("Dotdigital accepted a consent record and does not show it.")
    if left_out:
        raise address_refused()


def address_refused() -> Refused:
    """Why a record is left out: no call would take it."""
    return refused(
        "A consent record holds an IP address that Dotdigital does not take.",
        "Correct the preference's attributes in MyPreferences.",
    )


def missing_records(
    contact: ContactV3, records: Sequence[ConsentRecord]
) -> tuple[list[ConsentRecordV3], bool]:
    """Those records that the contact does not show, to be written; and whether one is left out, since no
    call would take it."""
    valid = [_rendered_record(record) for record in records if _is_valid_record(record)]
    return _records_lacking(contact, valid), len(valid) < len(records)


def refused(what: str, hint: str = "Check this contact in Dotdigital.") -> Refused:
    return Refused(what, side=Side.DOTDIGITAL, operation="importContact", hint=hint)


def _is_valid_record(record: ConsentRecord) -> bool:
    """The service was seen to refuse a loopback address."""
    try:
        return not ip_address(record.ip).is_loopback
    except ValueError:
        return False


def _records_lacking(contact: ContactV3, records: Sequence[ConsentRecordV3]) -> list[ConsentRecordV3]:
    """Those that the contact does not show, each once."""
    held = {_record_key(one) for one in contact.consent_records or ()}
    missing = {_record_key(one): one for one in records}
    return [one for key, one in missing.items() if key not in held]


def _record_key(record: ConsentRecordV3) -> tuple[str | None, str, str | None]:
    """To the second: how finely the service keeps a time is not documented."""
    return record.text, (record.date_time_consented or "")[:19], record.url


def _rendered_record(record: ConsentRecord) -> ConsentRecordV3:
    return ConsentRecordV3(
        text=record.text,
        date_time_consented=render_date(record.at),
        url=record.url,
        ip_address=record.ip,
        user_agent=record.agent,
    )
