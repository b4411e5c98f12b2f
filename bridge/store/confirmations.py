"""The part of the store that remembers who was asked by mail to confirm an opt-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bridge.core.mapping import CHANNEL
from bridge.core.model import ChallengeState, PersonId, RunId
from bridge.core.store_port import LedgerEntry
from bridge.store import cells, challenges, ledger, people
from bridge.store.reader import StoreReader


class ConfirmationStore(StoreReader):
    """What is asked of it is told by `StoreReader`; here it is written."""

    def record_challenge(
        self, run: RunId, person: PersonId, opt_in_at: datetime, *, sent_at: datetime, look_at: datetime
    ) -> None:
        """Somebody was asked, or may have been, about the opt-in of that date. Noted once."""
        with self._unit.write() as conn:
            people.lock(conn, [person])
            if challenges.note(conn, person, opt_in_at, sent_at=sent_at, look_at=look_at):
                ledger.append(conn, run, [_challenged(person, ChallengeState.PENDING)], self._unit.clock())

    def set_challenge_state(self, run: RunId, person: PersonId, state: ChallengeState) -> None:
        """How the person's last question stands now."""
        with self._unit.write() as conn:
            challenges.move(conn, person, state)
            ledger.append(conn, run, [_challenged(person, state)], self._unit.clock())

    def schedule_checks(self, looks: Mapping[PersonId, datetime | None], lapsed: Sequence[PersonId]) -> None:
        """When to look at these people next, None for never again; those whose time is over are decided
        again."""
        with self._unit.write() as conn:
            challenges.looked(conn, looks)
            cells.make_dirty(conn, [(person, CHANNEL) for person in lapsed])


def _challenged(person: PersonId, state: ChallengeState) -> LedgerEntry:
    return LedgerEntry("challenge", {"state": state.value}, person, CHANNEL)
