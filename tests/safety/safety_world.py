"""A live bridge whose clocks can differ, whose settings can be changed, and whose people can act between any
two calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.app import App, Options
from bridge.core.model import Choice, Side
from bridge.engine.report import Report
from bridge.sandbox import dotdigital, mypreferences
from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.faults import InjectedFault
from bridge.settings import load
from tests.scenarios.live import LEAVES, MINE, NEWS, Live, Plan, Servers

WRITES = {
    Side.MYPREFERENCES: ("updateProfilePost", "upsertPreferences", "addConsents", "initiateImport"),
    Side.DOTDIGITAL: (
        "set-preferences-for-contact",
        "unsubscribe-contact",
        "resubscribe-contact",
        "resubscribe-contact-with-no-challenge",
        "bulk-suppress-contacts",
        "importContact",
        "importContacts",
    ),
}
"""The operations by which the bridge may write choices."""

READS_OF_ONE = (
    "get-subscriptions-for-contact",
    "get-preferences-for-contact",
    "get-contact",
    "getContact",
    "retrieveProfileById",
)
DAY = 86_400


class ShiftedClock(SandboxClock):
    """Another clock, which is so many seconds ahead of the first (negative: behind)."""

    def __init__(self, base: SandboxClock, seconds: float) -> None:
        super().__init__(frozen=True)
        self._true, self.seconds = base, seconds

    def now(self) -> datetime:
        return self._true.now() + timedelta(seconds=self.seconds)


class SafetyLive(Live):
    """`offset` is how far ahead the bridge's own clock is; `extra` are further settings of the bridge."""

    def __init__(self, servers: Servers, folder: Path, plan: Plan) -> None:
        self.offset, self.extra = timedelta(0), dict[str, str]()
        super().__init__(servers, folder, plan)
        self.servers = servers

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.extra}

    def _app(self) -> App:
        options = Options(
            clock=self.own_time,
            sleep=self.clock.advance,
            monotonic=self.seconds,
            export_poll=1.0,
            read_timeout=120.0,
            tries=2,
        )
        return App(load(environ=self.environment()), options)

    def own_time(self) -> datetime:
        """What the bridge's own clock shows."""
        return self.clock.now() + self.offset

    def set_own_clock(self, **ahead: float) -> None:
        """The clock of the bridge's host is so far ahead of the true time."""
        self.offset = timedelta(**ahead)

    def set_service_clock(self, side: Side, **ahead: float) -> None:
        """The clock of a service is so far ahead of the true time."""
        clock = ShiftedClock(self.clock, timedelta(**ahead).total_seconds())
        if side is MINE:
            self.mypreferences.clock = clock
            self.servers.apps[side].app = mypreferences.create_app(self.mypreferences)
        else:
            self.dotdigital.clock = clock
            self.servers.apps[side].app = dotdigital.create_app(self.dotdigital)

    def started(self) -> SafetyLive:
        super().started()
        return self

    def with_settings(self, **settings: object) -> SafetyLive:
        """Restarts the bridge with further settings, by their names without the prefix."""
        self.extra |= {f"BRIDGE_{name}": str(value).lower() for name, value in settings.items()}
        self.restart()
        return self

    # what goes wrong

    def refuse_writes(self, side: Side, status: int) -> None:
        """From now on the service refuses every write."""
        for operation in WRITES[side]:
            body = '{"Message": "refused"}' if side is MINE else '{"message": "Refused."}'
            self.faults(side).add(InjectedFault(operation, "status", status=status, body=body, times=10_000))

    def accept_writes(self, side: Side) -> None:
        """It takes writes again."""
        self.faults(side).clear()

    def faults(self, side: Side) -> Any:
        return self.mypreferences.faults if side is MINE else self.dotdigital.faults

    def before_call(
        self, side: Side, operations: str | tuple[str, ...], act: Callable[[], None]
    ) -> list[str]:
        """Once, just before the service answers the next call of one of these operations, a person acts.
        Returns a list that names the call once it was met."""
        wanted = (operations,) if isinstance(operations, str) else operations
        calls = self.mypreferences.calls if side is MINE else self.dotdigital.calls
        record, met = calls.record, list[str]()

        def recorded(operation: str) -> None:
            record(operation)
            if operation in wanted and not met:
                met.append(operation)
                act()

        calls.record = recorded  # type: ignore[method-assign]
        return met

    # what is seen in the end

    def runs(self, count: int, seconds: float = 0, **orders: bool) -> list[Report]:
        """So many runs, with that much more time between them."""
        reports = []
        for _ in range(count):
            self.clock.advance(seconds)
            reports.append(self.run(**orders))
        return reports

    def holds_of(self, address: str, topic: str = NEWS) -> list[str]:
        """The reasons of the open holds of one person's topic."""
        who = self.app.store.people.find(address)
        open_holds = self.app.store.holds.page() if who is not None else ()
        return [
            hold.reason for hold in open_holds if who and (hold.person, hold.topic) == (who.person, topic)
        ]

    def theirs_exactly(self, address: str) -> Choice:
        """What Dotdigital records of the newsletter. To it two addresses are equal but for upper case."""
        found = self.dotdigital.find(address)
        assert found is not None
        return Choice.OPTED_IN if found.opt_ins[LEAVES[NEWS][""]].opted_in else Choice.OPTED_OUT

    def is_out(self, address: str, topic: str = NEWS) -> bool:
        """Whether neither side has the person opted in, and one at least records the opt-out."""
        shown = self.shows(address, topic)
        return Choice.OPTED_OUT in shown and set(shown) <= {Choice.OPTED_OUT, Choice.UNSET}


def is_open(report: Report) -> bool:
    """Whether a run says that something is still to be done or reviewed."""
    return not report.in_sync


def followed_or_seen(live: SafetyLive, reports: list[Report], address: str, topic: str = NEWS) -> bool:
    """Whether an opt-out has reached both sides, or the last report says that not all is in agreement."""
    return live.is_out(address, topic) or is_open(reports[-1])
