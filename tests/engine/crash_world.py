"""A small world that can be copied, and killed at any of its boundaries.

A boundary lies before each transaction of the state DB, and before and after each write to a side. Nothing
lasting happens between one boundary and the next, so that being killed just after a transaction, or at a
read, is being killed at the next boundary.
"""

from __future__ import annotations

import copy
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge.core.errors import SideError
from bridge.core.model import HoldState, Side
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.core.writes import Raise
from bridge.engine.report import Report
from bridge.store import Store
from tests.engine.world import IN, MINE, NEWS, OFFERS, OUT, THEIRS, UNSET, World
from tests.fakes import FakeSide

QUIET_WITHIN = 4  # runs; the last of them must write nothing


class Killed(BaseException):
    """The process ends here: nothing after it is carried out."""


class Wire:
    """Counts boundaries, and kills at the asked one. Once dead, nothing passes any more."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.count = 0
        self.dead = False
        self.names: list[str] = []
        self._lock = threading.Lock()

    def note(self, name: str, *, boundary: bool = True) -> None:
        with self._lock:
            if self.dead:
                raise Killed(name)
            self.names.append(name)
            self.count += boundary
            if not boundary:
                return
            if self.count == self.at:
                self.dead = True
                raise Killed(name)


class CrashSide(FakeSide):
    """A fake side with a wire through each call, and a record of who was written what."""

    wire: Wire
    sent: list[tuple[str, str, str]]
    refusals: dict[str, tuple[int, SideError]]

    def _call(self, operation: str) -> None:
        self.wire.note(f"{self.side}.{operation}", boundary=operation in ("send_one", "send_bulk"))
        self.calls += 1
        nth, error = self.refusals.get(operation, (0, None))
        if error is not None:
            self.refusals[operation] = (nth - 1, error)
            if nth == 1:
                raise error

    def send(
        self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        results = super().send(batch, heartbeat)
        if self._is_bulk(len(batch)):
            for request in batch:
                self._note(request)
            self.wire.note(f"{self.side}.written")
        return results

    def _send_one(self, request: WriteRequest) -> WriteResponse:
        response = super()._send_one(request)
        self._note(request)
        self.wire.note(f"{self.side}.written")
        return response

    def _note(self, request: WriteRequest) -> None:
        self.sent.extend((request.who.address, one.topic, type(one).__name__) for one in request.writes)

    def raised(self) -> set[tuple[str, str]]:
        return {(address, topic) for address, topic, kind in self.sent if kind == Raise.__name__}


class CrashWorld(World):
    """A world whose state DB forgets nothing at a kill but is not flushed to the disk, to be quick."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        super().__init__(folder)
        self.sides = {side: _side(side, self) for side in Side}
        self.wired(Wire())

    def wired(self, wire: Wire) -> CrashWorld:
        """Put a new wire through everything."""
        self.wire = wire
        for side in Side:
            self.crash_side(side).wire = wire
        _wire_store(self.store, lambda: self.wire)
        return self

    def crash_side(self, side: Side) -> CrashSide:
        found = self.sides[side]
        assert isinstance(found, CrashSide)
        return found

    def restart(self) -> None:
        super().restart()
        self.wired(Wire())

    def twin(self, folder: Path) -> CrashWorld:
        """The same world at the same moment, to live on by itself."""
        self.store.close()
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.folder.glob("bridge.db*"):
            shutil.copy(file, folder / file.name)
        other = CrashWorld(folder)
        other.mapping = self.mapping
        other.now = self.now
        for side in Side:
            other.crash_side(side).people = copy.deepcopy(self.sides[side].people)
            other.crash_side(side).bulk_from = self.sides[side].bulk_from
            other.crash_side(side).undated_reads = self.sides[side].undated_reads
        return other

    def until_quiet(self) -> list[Report]:
        """Runs until a second one writes nothing. Fails where that takes too many."""
        reports = [self.run(), self.run()]
        while reports[-1].written.writes or reports[-1].written.failed or reports[-1].errors:
            assert len(reports) < QUIET_WITHIN, [report.shown() for report in reports]
            reports.append(self.run())
        return reports

    def end(self) -> dict[str, Any]:
        """All that a run leaves behind and that counts: both sides, the agreements, the holds."""
        state: dict[str, Any] = {}
        for side in Side:
            for key, person in self.sides[side].people.items():
                for topic, said in person.said.items():
                    state[f"{side} {key} {topic}"] = (said.choice, said.frequencies)
        addresses = {person.address for side in Side for person in self.sides[side].people.values()}
        for address in sorted(addresses):
            who = self.store.people.find(address)
            assert who is not None
            for cell in self.store.cells.of(who.person):
                agreed = cell.agreed
                shown = None if agreed is None else (agreed.choice, agreed.frequencies)
                state[f"agreed {address} {cell.topic}"] = shown
                if cell.hold is not None:
                    state[f"held {address} {cell.topic}"] = (cell.hold.reason, cell.hold.state)
        state["open"] = sorted(hold.reason for hold in self.store.holds.page(HoldState.OPEN))
        return state

    def sent(self) -> Counter[tuple[str, str, str, str]]:
        """How often each write reached a side."""
        return Counter((side, *one) for side in Side for one in self.crash_side(side).sent)


def _side(side: Side, world: World) -> CrashSide:
    old = world.sides[side]
    made = CrashSide(side, world.mapping, world.clock, page_size=3, history=old.history)
    made.sent, made.refusals, made.wire = [], {}, Wire()
    return made


def _wire_store(store: Store, wire: Callable[[], Wire]) -> None:
    """A boundary before each transaction that may write."""
    unit = store._unit
    sa.event.listen(unit.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF").close())
    unit.engine.dispose()
    write = unit.write

    @contextmanager
    def wired() -> Iterator[sa.Connection]:
        wire().note("store")
        with write() as conn:
            yield conn

    unit.write = wired  # type: ignore[method-assign]


ADA, BOB, CYD, EVE, FAY = (f"{name}@example.com" for name in ("ada", "bob", "cyd", "eve", "fay"))
RAISED = {(BOB, NEWS), (EVE, OFFERS)}
"""The only people who said yes with a date newer than everything against it, or where nothing is."""


def before_the_first_run(world: CrashWorld) -> CrashWorld:
    """People who agree, one who opted out at one side only, and one whose opt-in is from before."""
    month = world.now - timedelta(days=30)
    world.both(ADA, NEWS, IN)
    world.both(ADA, OFFERS, IN, "DAILY")
    world.both(BOB, NEWS, OUT)
    world.both(CYD, OFFERS, IN, "DAILY")
    world.both(EVE, NEWS, UNSET)
    world.say(MINE, FAY, NEWS, IN, at=month)
    world.say(THEIRS, FAY, NEWS, UNSET)
    world.say(MINE, FAY, OFFERS, IN, at=month, frequencies=("DAILY",))
    world.say(THEIRS, FAY, OFFERS, OUT, at=month + timedelta(days=1))
    return world


def a_day_of_acts(world: CrashWorld) -> CrashWorld:
    """Withdrawals and raises both ways, a frequency, undated words, opposites, and something to hold."""
    world.say(MINE, ADA, NEWS, OUT)
    world.say(THEIRS, ADA, OFFERS, OUT)
    world.say(THEIRS, BOB, NEWS, IN)
    world.say(THEIRS, CYD, OFFERS, IN, frequencies=("WEEKLY",))
    now = world.now
    world.say(MINE, EVE, NEWS, IN, at=now)
    world.say(THEIRS, EVE, NEWS, OUT, at=now)
    world.say(MINE, EVE, OFFERS, IN, frequencies=("WEEKLY",))
    world.say(THEIRS, FAY, NEWS, OUT, dated=False)
    world.say(THEIRS, CYD, NEWS, IN, dated=False)
    return world
