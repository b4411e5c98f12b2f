"""What a plan would cost in calls, if it were carried out as a round does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bridge.core.model import Side, Withdrawal, Write
from bridge.engine.consent_evidence import wants_record
from bridge.engine.context import Services

_READ_EVIDENCE = 1  # call for each person, at the side that holds it


class CallEstimate:
    """Adds up people's writes, which a round gathers in waves: whoever is written at one side only may go
    together with the others there, withdrawals before everything else."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._calls = dict.fromkeys(Side, 0)
        self._waves: dict[tuple[Side, bool], list[Sequence[Write]]] = defaultdict(list)

    def add(self, writes: Sequence[Write]) -> None:
        """One person's writes."""
        for out in (True, False):
            same = [write for write in writes if isinstance(write, Withdrawal) is out]
            sides = {side: mine for side in Side if (mine := [one for one in same if one.side is side])}
            for side, mine in sides.items():
                if len(sides) > 1:
                    self._calls[side] += self._services.readers[side].estimate_calls([mine])
                else:
                    self._gather(side, mine, out=out)
            if any(wants_record(self._services.mapping, write) for write in same):
                self._calls[Side.MYPREFERENCES] += _READ_EVIDENCE

    def calls(self) -> Mapping[Side, int]:
        """Calls per side, for everybody added."""
        for (side, _), people in self._waves.items():
            self._calls[side] += self._services.readers[side].estimate_calls(people) if people else 0
        self._waves.clear()
        return dict(self._calls)

    def _gather(self, side: Side, writes: Sequence[Write], *, out: bool) -> None:
        wave = self._waves[side, out]
        wave.append(writes)
        if len(wave) >= self._services.tuning.wave:
            self._calls[side] += self._services.readers[side].estimate_calls(wave)
            wave.clear()
