"""The sweep: every person of both sides, to find what feeds cannot tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bridge.core.errors import DrainIncomplete, SideError
from bridge.core.lanes import Lane, calls_for
from bridge.core.model import RunId, Side, Who
from bridge.engine.look import Looker
from bridge.engine.parts import Eyes, Weather

OWED = "sweep_owed"  # the fact that something came to pass which only a whole sweep can mend


class Sweeper:
    """Reads everybody. Dotdigital comes first: it can list its people, and whom it knows is whom a side
    without a listing is asked for."""

    def __init__(self, eyes: Eyes, run: RunId, weather: Weather, looker: Looker) -> None:
        self._eyes = eyes
        self._run = run
        self._weather = weather
        self._looker = looker

    def everyone(self) -> bool:
        """Sweep both sides. Returns whether both were read to a proven end."""
        began = self._eyes.clock()
        with calls_for(Lane.SWEEP):
            results = [self._side(side, began) for side in (Side.DOTDIGITAL, Side.MYPREFERENCES)]
        return all(results)

    def _side(self, side: Side, began: datetime) -> bool:
        if side in self._weather.down:
            return False
        try:
            unread = self._list(side)
        except DrainIncomplete as error:
            self._partial(side, str(error))
            return False
        except SideError as error:
            self._weather.failed(side, side, error)
            self._partial(side, "its people could not all be read")
            return False
        self._missing(side, began, unread=unread)
        return side not in self._weather.down

    def _list(self, side: Side) -> int:
        """Read and store everybody. Returns how many of those asked for singly could not be read."""
        reader, state = self._eyes.readers[side], self._eyes.state
        done = skipped = unread = 0
        for page in reader.everyone(self._known()):
            recorded = state.record(page.views, side, run=self._run, spreads=self._eyes.mapping.spreads)
            self._looker.observed[side] += len(page.views)
            self._looker.look(side, recorded.look_again)
            self._looker.follow(side, page.hints)
            if side in self._weather.down:
                raise self._weather.down[side]
            for warning in page.warnings:
                self._weather.warn(f"{side}: {warning}")
            done += len(page.views)
            skipped += page.skipped
            unread += page.unread
            self._eyes.progress(f"reading everybody at {side}", done)
            self._eyes.heartbeat()
        if skipped:
            self._weather.warn(f"{side}: records without an address, left out of the sweep: {skipped}")
        return unread

    def _known(self) -> Iterator[Who]:
        for page in self._eyes.state.known():
            yield from page

    def _missing(self, side: Side, began: datetime, *, unread: int) -> None:
        """People the sweep did not show: those never seen there are not there, unless it was a read that
        failed; the others are looked for."""
        state, topics = self._eyes.state, [topic.id for topic in self._eyes.mapping.all]
        for page in state.unseen_since(side, began):
            self._looker.look(side, [who.person for who in page])
            if side in self._weather.down:
                return
        if not unread:
            state.mark_absent(side, topics, run=self._run, read_at=began)

    def _partial(self, side: Side, why: str) -> None:
        self._weather.unsure |= {topic.id for topic in self._eyes.mapping.all}
        self._weather.warn(f"{side}: the sweep is incomplete ({why}); no opt-in is sent in this run")
