"""Who was asked by mail to confirm: noted before anything can be forgotten, and looked at until they do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bridge.core.double_opt_in import CHECK_INTERVAL_MIN, challenge_state_after, next_check
from bridge.core.errors import SideError
from bridge.core.mapping import CHANNEL
from bridge.core.model import PersonId, Raise, RunId, Side, Write, address_key
from bridge.core.store_port import PendingConfirmation, StorePort
from bridge.engine.context import RunHealth, Services
from bridge.engine.deciding import CellDecision
from bridge.engine.fetch import Fetcher


def note_asked(
    state: StorePort, run: RunId, person: PersonId, unit: Iterable[Write], sent_at: datetime
) -> None:
    """The person was asked by what was sent, or may have been."""
    for write in unit:
        if isinstance(write, Raise) and write.topic == CHANNEL and write.side is Side.DOTDIGITAL:
            said = write.evidence.changed_at
            state.confirmations.record(
                run, person, said, sent_at=sent_at, look_at=sent_at + CHECK_INTERVAL_MIN
            )


def note_decided(state: StorePort, run: RunId, decisions: CellDecision) -> None:
    """How a question stands after its cell was decided, where that is news."""
    challenge = decisions.cell.challenge
    if challenge is None:
        return
    after = challenge_state_after(decisions.cell, challenge, decisions.decision)
    if after is not challenge.state:
        state.confirmations.set_state(run, decisions.cell.person, after)


class ConfirmationPoller:
    """Looks at those who were asked, at growing distances: no feed tells of a click."""

    def __init__(self, services: Services, health: RunHealth, fetcher: Fetcher) -> None:
        self._services = services
        self._health = health
        self._fetcher = fetcher

    def look(self) -> None:
        """Look at everybody who is due. Whoever could not be read is looked at again; nobody's time is over
        before a last look."""
        now = self._services.clock()
        while Side.DOTDIGITAL not in self._health.down:
            due = self._services.state.confirmations.due(now, self._services.tuning.page)
            if not due or not self._page(due, now):
                return

    def _page(self, due: list[PendingConfirmation], now: datetime) -> bool:
        state, wait = self._services.state, self._services.tuning.challenge_wait
        whose = {address_key(who.address): who for who in state.people.get_many([one.person for one in due])}
        seen: set[PersonId] = set()
        try:
            for page in self._services.readers[Side.DOTDIGITAL].read_people(list(whose.values())):
                self._fetcher.record(Side.DOTDIGITAL, page.views)
                seen |= {whose[address_key(view.address)].person for view in page.views}
                self._services.heartbeat()
        except SideError as error:
            self._health.failed(Side.DOTDIGITAL, "confirmations by mail", error)
            return False
        looks = {one.person: next_check(one.challenge.sent_at, now, wait) for one in due}
        looks |= {one.person: now + CHECK_INTERVAL_MIN for one in due if one.person not in seen}
        state.confirmations.schedule(looks, [person for person in seen if looks[person] is None])
        return True
