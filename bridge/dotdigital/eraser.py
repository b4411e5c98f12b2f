"""Erasing a person at Dotdigital: first suppressed, then deleted, each proven before the next.

A deletion alone would lose the opt-out: a contact in the recycle bin may be imported again and then starts as
subscribed. The suppression stays with the address. The recycle bin is never emptied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.erasure import RecordFound, SideErasure
from bridge.core.errors import AlreadyDone, InvalidResponse, NotFound, OutcomeUnknown, Refused
from bridge.core.jobs import polls
from bridge.core.model import Block, Choice, Who, address_key
from bridge.dotdigital import views
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v2 import LARGEST_BATCH, ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import Addressee
from bridge.dotdigital.views import contact_status, is_gone

SHOWN_WITHIN = (0.0, 2.0, 5.0, 10.0)  # seconds between reads: what was done may show a little later
JOB_PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0)
_PATIENCE = timedelta(minutes=10)
_SIDE = "dotdigital"
_TOO_MANY = (400, 413)
_ENDED = ("finished", "failed")
_REPEAT = "Repeat `bridge forget`: it continues from there."


@dataclass(frozen=True, slots=True)
class _Found:
    contact_id: int
    status: str

    @property
    def blocked(self) -> bool:
        """Whether the person or the account's owner has barred mail to the address for good."""
        meaning = contact_status(self.status)
        return meaning.choice is Choice.OPTED_OUT or meaning.block is Block.CONTROLLER


class DotdigitalEraser:
    """Fills `bridge.core.erasure.Eraser`. `sleep` takes seconds."""

    def __init__(
        self,
        v2: ClientV2,
        access: V3Access,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._v2, self._access, self._clock, self._sleep = v2, access, clock, sleep

    def traces(self, who: Who) -> Sequence[RecordFound]:
        found = self._find(who)
        if found is None:
            return ()
        first = "stays suppressed" if found.blocked else "suppressed"
        return (RecordFound(f"contact {found.contact_id}", found.status, f"{first}, then deleted"),)

    def block(self, people: Sequence[Who]) -> None:
        """Suppress all who are not yet, in batches: a person's own unsubscribe is kept as it is. How many one
        call takes is not documented: a batch that is refused is halved."""
        open_to_mail = [who for who in people if (found := self._find(who)) is not None and not found.blocked]
        waiting = [
            open_to_mail[start : start + LARGEST_BATCH]
            for start in range(0, len(open_to_mail), LARGEST_BATCH)
        ]
        while waiting:
            batch = waiting.pop()
            try:
                self._v2.bulk_suppress_contacts([Addressee(email=who.address) for who in batch])
            except (Refused, InvalidResponse) as error:
                if error.status not in _TOO_MANY:
                    raise
                half = len(batch) // 2
                waiting += [batch[:half], batch[half:]] if half else []

    def erase(self, who: Who) -> SideErasure:
        found = self._find(who)
        if found is None:
            return SideErasure()
        done = []
        if found.blocked:
            done.append(f"the address was blocked already ({found.status}), and stays blocked")
        else:
            self._suppress(who)
            done.append("the address is suppressed")
        refused = self._delete(found.contact_id)
        left = self._shown(who, lambda now: now is None or refused)
        if left is None:
            done.append("the contact is deleted; Dotdigital keeps the address blocked")
        elif refused and left.blocked:
            done.append(
                f"Dotdigital cannot delete a suppressed contact: {left.contact_id} is kept, suppressed. Ask "
                "Dotdigital support to remove it"
            )
        else:
            raise InvalidResponse(
                "Dotdigital accepted a deletion and still shows the contact.",
                side=_SIDE, operation="delete-contact", hint=_REPEAT,
            )  # fmt: skip
        return SideErasure(done)

    def _find(self, who: Who) -> _Found | None:
        """The contact with this address; None where there is none, or it is in the recycle bin."""
        v3 = self._access.client()
        try:
            if v3 is None:
                contact = self._v2.get_contact(contact=who.address)
                number, address, statuses = contact.contact_id, contact.address, [contact.status]
            else:
                seen = v3.get_contact(identifier="email", value=who.address)
                number, address = seen.contact_id, seen.address
                statuses = [views.email_status(seen), seen.status, seen.email_status]
        except NotFound:
            return None
        if any(is_gone(one) for one in statuses if one):
            return None
        if number is None or address is None or address_key(address) != address_key(who.address):
            raise Refused(
                "Dotdigital answered with another contact than was asked for.",
                side=_SIDE, operation="get-contact", hint="Check this contact in Dotdigital.",
            )  # fmt: skip
        return _Found(number, statuses[0] or "unknown")

    # the block

    def _suppress(self, who: Who) -> None:
        """By address and not by id, so that the block is the address's."""
        with suppress(AlreadyDone):  # the read that follows proves it
            self._v2.bulk_suppress_contacts([Addressee(email=who.address)])
        found = self._shown(who, lambda now: now is None or now.blocked)
        if found is not None and not found.blocked:
            raise OutcomeUnknown(
                "Dotdigital accepted a suppression and does not show it yet. Nothing was deleted.",
                side=_SIDE, operation="bulk-suppress-contacts", hint=_REPEAT,
            )  # fmt: skip

    def _shown(self, who: Who, enough: Callable[[_Found | None], bool]) -> _Found | None:
        found = None
        for pause in SHOWN_WITHIN:
            if pause:
                self._sleep(pause)
            found = self._find(who)
            if enough(found):
                break
        return found

    # the deletion

    def _delete(self, contact_id: int) -> bool:
        """Delete the contact, by v3 where it may be used. Returns whether that was refused."""
        v3 = self._access.client()
        try:
            if v3 is None:
                self._v2.delete_contact(contact_id=contact_id)
                return False
            return self._by_job(v3, contact_id)
        except NotFound:
            return False
        except Refused:
            return True  # the read that follows shows whether the contact is suppressed, as it must be

    def _by_job(self, v3: ClientV3, contact_id: int) -> bool:
        job = v3.delete_contacts([contact_id])
        for _ in polls(JOB_PAUSES, patience=_PATIENCE, clock=self._clock, sleep=self._sleep):
            report = v3.get_delete_status(job)
            if report.status.casefold() in _ENDED:
                return report.status.casefold() == "failed" or bool(report.failures)
        raise OutcomeUnknown(
            "A deletion at Dotdigital did not end in time: it may still be applied.",
            side=_SIDE, operation="deleteContacts", hint=_REPEAT,
        )  # fmt: skip
