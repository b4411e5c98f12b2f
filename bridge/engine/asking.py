"""Who was asked by mail to confirm: noted before anything can be forgotten, and looked at until they do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bridge.core.challenge import SOONEST, next_look, state_after
from bridge.core.errors import SideError
from bridge.core.mapping import CHANNEL
from bridge.core.model import PersonId, Raise, RunId, Side, Write, address_key
from bridge.core.state import Asked, State
from bridge.engine.judge import Judged
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Weather


def note_asked(state: State, run: RunId, person: PersonId, unit: Iterable[Write], sent_at: datetime) -> None:
    """The person was asked by what was sent, or may have been."""
    for write in unit:
        if isinstance(write, Raise) and write.topic == CHANNEL and write.side is Side.DOTDIGITAL:
            said = write.evidence.changed_at
            state.note_challenge(run, person, said, sent_at=sent_at, look_at=sent_at + SOONEST)


def note_decided(state: State, run: RunId, judged: Judged) -> None:
    """How a question stands after its cell was decided, where that is news."""
    challenge = judged.cell.challenge
    if challenge is None:
        return
    after = state_after(judged.cell, challenge, judged.decision)
    if after is not challenge.state:
        state.move_challenge(run, judged.cell.person, after)


class Lookout:
    """Looks at those who were asked, at growing distances: no feed tells of a click."""

    def __init__(self, eyes: Eyes, weather: Weather, looker: Looker) -> None:
        self._eyes = eyes
        self._weather = weather
        self._looker = looker

    def look(self) -> None:
        """Look at everybody who is due. Whoever could not be read is looked at again; nobody's time is over
        before a last look."""
        now = self._eyes.clock()
        while Side.DOTDIGITAL not in self._weather.down:
            due = self._eyes.state.challenges_due(now, self._eyes.tuning.page)
            if not due or not self._page(due, now):
                return

    def _page(self, due: list[Asked], now: datetime) -> bool:
        state, wait = self._eyes.state, self._eyes.tuning.challenge_wait
        whose = {address_key(who.address): who for who in state.who_many([one.person for one in due])}
        seen: set[PersonId] = set()
        try:
            for page in self._eyes.readers[Side.DOTDIGITAL].look_many(list(whose.values())):
                self._looker.record(Side.DOTDIGITAL, page.views)
                seen |= {whose[address_key(view.address)].person for view in page.views}
                self._eyes.heartbeat()
        except SideError as error:
            self._weather.failed(Side.DOTDIGITAL, "confirmations by mail", error)
            return False
        looks = {one.person: next_look(one.challenge.sent_at, now, wait) for one in due}
        looks |= {one.person: now + SOONEST for one in due if one.person not in seen}
        state.note_looks(looks, [person for person in seen if looks[person] is None])
        return True
