"""Dotdigital as the engine sees it: to be looked at, and to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from bridge.core.errors import AlreadyDone, MappingStale, NotFound, Refused, SideError, Verdict
from bridge.core.model import (
    Adjustment,
    Raise,
    Resubscribe,
    Side,
    Who,
    Withdrawal,
    Write,
    address_key,
)
from bridge.core.ports import WriteRequest, WriteResponse, send_each
from bridge.dotdigital import status
from bridge.dotdigital.bulk.bulk import BulkWriter, pays
from bridge.dotdigital.bulk.importer import ImportRunner
from bridge.dotdigital.client.errors import SUPPRESSED
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import Resubscription
from bridge.dotdigital.consent_records import add_consent_records
from bridge.dotdigital.preference_tree import opt_ins, put_body
from bridge.dotdigital.reader import DotdigitalReader
from bridge.dotdigital.write_batches import of_channel, split, withdraws

__all__ = ["DotdigitalReader", "DotdigitalReplica"]

_RESUBSCRIBE = "resubscribe-contact"


class DotdigitalReplica(DotdigitalReader):
    """Fills `bridge.core.ports.Replica`."""

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """The channel by itself, the topics together; withdrawals before everything else."""
        return split(writes)

    def send(
        self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        """By import where that takes fewer calls than one by one: of contacts that are there, and nothing
        but the change. Never without v3."""
        bulk = self._bulk if self._access.presumed() else None
        if len(batch) == 1 or bulk is None or not pays(batch, self._pages):
            return send_each(self._send_one, batch, heartbeat)
        try:
            return bulk.carry(batch, heartbeat)
        except SideError as error:  # nothing at all was sent
            return [error] * len(batch)

    def _send_one(self, request: WriteRequest) -> WriteResponse:
        """One request by itself, its records before it."""
        kept = True
        if request.records:
            try:  # by v3, since v2 has no consent records of its own
                add_consent_records(self._v3, request.who, request.records)
            except SideError as error:
                if error.verdict is not Verdict.HOLD:
                    raise
                kept = False
        response = self._write(request.who, request.writes)
        if not kept and response in (WriteResponse.ACCEPTED, WriteResponse.ALREADY_SO):
            return WriteResponse.UNRECORDED
        return response

    def _write(self, who: Who, unit: Sequence[Write]) -> WriteResponse:
        """Raises ValueError for what `split` would not have put together."""
        if len(split(unit)) != 1:
            raise ValueError("a unit holds the channel or topics, withdrawals or raises")
        if not of_channel(unit[0]):
            return self._write_topics(who, unit)
        if isinstance(unit[0], Withdrawal):
            return self._unsubscribe(who)
        return self._resubscribe(who, unit[0])

    @cached_property
    def _bulk(self) -> BulkWriter | None:
        v3, roster = self._v3, self._roster
        if v3 is None or roster is None:
            return None
        importer = ImportRunner(v3, self._jobs, self._clock, self._sleep, pause=self._import_poll)
        return BulkWriter(roster, importer, overlay=self._overlay, write=self._send_one)

    # the channel

    def _unsubscribe(self, who: Who) -> WriteResponse:
        try:
            self._v2.unsubscribe_contact(email=who.address)
        except (AlreadyDone, NotFound):  # suppressed already, or nobody there to be mailed
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
                    "The mapping leaves resubscribing to a person.",
                    side=Side.DOTDIGITAL, operation=_RESUBSCRIBE,
                    hint='Set `resubscribe = "challenge"` or "silent" under [channels.email] to change that.',
                )  # fmt: skip
        return _resubscribed(answer)

    # topics

    def _write_topics(self, who: Who, unit: Sequence[Write]) -> WriteResponse:
        """Read, lay over, write the whole tree: whether the call merges or replaces is not documented."""
        overlay = self._overlay(unit)
        takes_back = withdraws(unit[0])
        try:
            return self._put(who, overlay)
        except NotFound:
            # v2 may hide suppressed people; v3 tells whether there is really nobody.
            v3 = self._v3
            if v3 is None and not takes_back:
                raise
            return WriteResponse.ALREADY_SO if v3 is None else self._patch(v3, who, overlay, takes_back)
        except Refused as error:
            # Some refusals come without their code; a withdrawal is then tried by the other way as well.
            hidden = error.code == SUPPRESSED or (error.code is None and takes_back)
            v3 = self._v3 if hidden else None
            if v3 is None:
                raise
            return self._patch(v3, who, overlay, takes_back)

    def _put(self, who: Who, overlay: dict[int, bool]) -> WriteResponse:
        tree = self._v2.get_preferences_for_contact(contact=who.address)
        body = put_body(tree, overlay)
        states = opt_ins(tree)
        if all(states[number] is wanted for number, wanted in overlay.items()):
            return WriteResponse.ALREADY_SO
        self._v2.set_preferences_for_contact(contact=who.address, tree=body)
        return WriteResponse.ACCEPTED

    def _patch(self, v3: ClientV3, who: Who, overlay: dict[int, bool], takes_back: bool) -> WriteResponse:
        """v3 takes preferences of suppressed people too. It would also revive a deleted contact, so the
        contact is read first, and the change goes to its id alone."""
        try:
            contact = v3.get_contact(identifier="email", value=who.address)
        except NotFound:
            if takes_back:
                return WriteResponse.ALREADY_SO
            raise
        if status.is_gone(contact.status) or status.is_gone(contact.email_status):
            if takes_back:
                return WriteResponse.ALREADY_SO
            raise _refused("The contact was deleted at Dotdigital; writing to it would bring it back.")
        if contact.address is None or address_key(contact.address) != address_key(who.address):
            raise _refused("Dotdigital answered with another contact than was asked for.")
        v3.import_contact(contact_id=contact.contact_id, preferences=overlay)
        return WriteResponse.ACCEPTED

    def _overlay(self, unit: Sequence[Write]) -> dict[int, bool]:
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


def _frequency(write: Write) -> str | None:
    """The frequency to switch on; the empty one for a topic without; None to switch all off."""
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
                "Dotdigital will not make this person mailable again (complaint, or suppressed by others).",
                side=Side.DOTDIGITAL, operation=_RESUBSCRIBE, code="ContactCannotBeUnsuppressed",
                hint="Only Dotdigital's support can lift it: dismiss the hold, or ask there.",
            )  # fmt: skip
        case _:  # `NotAvailableInThisVersion`, which nobody explains, or a message alone
            return WriteResponse.UNCLEAR


def _refused(what: str) -> Refused:
    return Refused(
        what, side=Side.DOTDIGITAL, operation="importContact", hint="Look at this person in Dotdigital."
    )
