"""Which feeds the daemon's rounds read: by the allowance, and by `~modified` once that was shown to tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta

from bridge.core.ports import KeyValue, Watermarks
from bridge.dotdigital.polling.capabilities import Capability
from bridge.dotdigital.polling.modified import FEED as MODIFIED
from bridge.dotdigital.polling.modified import LONGEST, ModifiedFeed
from bridge.dotdigital.polling.probe import CapabilityProbe
from bridge.dotdigital.polling.rotation import KEY, RateBudget, Rotation, in_order, rotation_of, taken

OPERATION = "get-contacts-with-modified-preference-opt-in-since-date"
_FEW = 1  # feeds that take no more calls than asking whether they have to be read


class FeedScheduler:
    """`feeds` are those that take turns: one for each preference. How long that takes is noted in `memory`,
    for whoever only looks."""

    def __init__(
        self,
        feeds: Sequence[str],
        pace: RateBudget,
        probe: CapabilityProbe,
        modified: ModifiedFeed,
        memory: KeyValue,
    ) -> None:
        self._feeds, self._pace = feeds, pace
        self._probe, self._modified = probe, modified
        self._memory = memory
        self._noted: str | None = None  # by this process

    def turns(self, marks: Watermarks, every: timedelta) -> Iterator[str]:
        """Those read longest ago, as many as the allowance has room for. Where `~modified` is trusted it is
        asked first, and only those are read that are due, unless it could not be asked."""
        self._note(self.whole_turn(every))
        turns, queue = self._turns(every), in_order(self._feeds, marks)
        if self._is_helped():
            yield MODIFIED
            if self._modified.read_at is not None:
                queue = [feed for feed in queue if self._modified.is_due(marks.get(feed), every)]
        yield from taken(queue, turns, self._pace, OPERATION)

    def whole_turn(self, every: timedelta) -> timedelta:
        """How long it may take until each of them has had its turn, at what is known of the allowance."""
        whole = self._turns(every).whole
        return max(whole, LONGEST) if self._is_helped() else whole

    def _note(self, whole: timedelta) -> None:
        row = json.dumps({"feeds": len(self._feeds), "seconds": whole.total_seconds()})
        if row != self._noted:
            self._memory.set_meta(KEY, row)
            self._noted = row

    def _is_helped(self) -> bool:
        return (
            len(self._feeds) > _FEW
            and self._modified.is_there()
            and self._probe.trusts(Capability.MOVES_ON_PREFERENCES)
        )

    def _turns(self, every: timedelta) -> Rotation:
        beside = 1 + self._is_helped()  # suppressed-since, and `~modified`
        return rotation_of(len(self._feeds), self._pace.allowance(OPERATION), every, beside=beside)
