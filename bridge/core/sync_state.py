"""The state of the sync: which conditions it is in, made from facts. Exit codes, the report of a run,
`bridge status`, `bridge doctor` and readiness are all made from these, so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from bridge.core.ledger import WAY_OUT


class Exit(IntEnum):
    """The exit codes that tell the state of the sync."""

    IN_SYNC = 0  # everything was seen in sync, and nothing waits
    UNEXPECTED = 1
    INVALID = 2  # settings, mapping or state DB
    WAITS = 3  # something waits: for the next run, or for an operator
    BRAKE = 4
    UNSEEN = 5  # a side was unavailable, refused, or was not read to its end
    LOCKED = 6  # another process holds the state DB


# Of several exit codes the first of these counts: what keeps a run from seeing, then what it leaves undone.
_PRECEDENCE = (Exit.UNEXPECTED, Exit.LOCKED, Exit.INVALID, Exit.UNSEEN, Exit.BRAKE, Exit.WAITS)


class Source(StrEnum):
    """Where a condition is known from."""

    RUN = "run"  # a run found it; it stands until the next run
    STATE = "state"  # the state DB tells it at any time
    PROCESS = "process"  # the daemon about itself; no command sees it


class Condition(StrEnum):
    """Each way in which the sync may not be in order."""

    # the daemon itself
    STOPPING = "stopping"
    HUNG = "hung"
    IDLE = "idle"
    STATE_DB_DOWN = "state_db_down"
    # a run
    RUN_FAILED = "run_failed"
    RUN_REFUSED = "run_refused"
    RUN_STOPPED = "run_stopped"
    SIDE_DOWN = "side_down"
    INCOMPLETE = "incomplete"
    PEOPLE_UNREAD = "people_unread"
    CLOCKS = "clocks"
    BRAKE = "brake"
    UNAPPROVED = "unapproved"
    GONE = "gone"
    FAILED = "failed"
    # the state DB
    LEDGER = "ledger"
    NEVER_RAN = "never_ran"
    FIRST_RUN = "first_run"
    OVERDUE = "overdue"
    DEAF_FEED = "deaf_feed"
    HELD = "held"
    DEAD = "dead"
    UNPROVEN = "unproven"
    LAGGING = "lagging"
    UNREAD = "unread"
    WAITING = "waiting"
    ERASURES = "erasures"
    ERASURE_KEY = "erasure_key"


@dataclass(frozen=True, slots=True)
class Row:
    """What a condition means. `text` says it of a number and of names; `short` is its part of a sentence
    "Not in sync: …". `ready` False: new choices are not synced soon, and `/readyz` says so."""

    exit_code: Exit
    ready: bool
    source: Source
    text: Callable[[int, str], str]
    short: Callable[[int, str], str]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SyncProblem:
    """One condition that holds: how many things are in it, and their names, which hold no address."""

    condition: Condition
    number: int = 1
    names: str = ""

    @property
    def row(self) -> Row:
        return TABLE[self.condition]

    @property
    def text(self) -> str:
        return self.row.text(self.number, self.names)

    @property
    def short(self) -> str:
        return self.row.short(self.number, self.names)

    def shown(self) -> dict[str, Any]:
        """As JSON, in reports, `status`, `doctor` and `/readyz` alike."""
        return {
            "condition": self.condition.value,
            "number": self.number,
            "names": self.names,
            "text": self.text,
            "exit_code": int(self.row.exit_code),
            "ready": self.row.ready,
        }


def problem_in(shown: Mapping[str, Any]) -> SyncProblem:
    """A problem from its JSON. Raises ValueError for a condition that this version does not know."""
    return SyncProblem(Condition(shown["condition"]), int(shown["number"]), str(shown["names"]))


def exit_code(problems: Iterable[SyncProblem]) -> Exit:
    """The exit code of a command that reports this state."""
    codes = {problem.row.exit_code for problem in problems}
    return next((code for code in _PRECEDENCE if code in codes), Exit.IN_SYNC)


def in_sync(problems: Sequence[SyncProblem]) -> bool:
    """Everything was seen in sync, and nothing waits: exactly where the exit code is 0."""
    return not problems


def is_ready(problems: Iterable[SyncProblem]) -> bool:
    """Whether new choices are synced soon."""
    return all(problem.row.ready for problem in problems)


def counted(**numbers: int) -> list[SyncProblem]:
    """The problems that are a number of things each, by the names of their conditions; without zeros."""
    found = [SyncProblem(Condition(name), number) for name, number in numbers.items() if number]
    return sorted(found, key=lambda problem: _ORDER[problem.condition])


def named(condition: Condition, names: Iterable[str]) -> list[SyncProblem]:
    """One problem about all of these; none where there are none."""
    every = list(dict.fromkeys(names))
    return [SyncProblem(condition, len(every), ", ".join(every))] if every else []


def ordered(problems: Iterable[SyncProblem]) -> list[SyncProblem]:
    """Each once, in the order in which they are told."""
    return sorted(dict.fromkeys(problems), key=lambda problem: _ORDER[problem.condition])


def of_run(problems: Iterable[SyncProblem]) -> list[SyncProblem]:
    """Those that only a run can know."""
    return [problem for problem in problems if problem.row.source is Source.RUN]


def _count(one: str, many: str, rest: str) -> Callable[[int, str], str]:
    return lambda number, _: f"{number:,} {one if number == 1 else many} {rest}"


def _names(before: str, after: str = "") -> Callable[[int, str], str]:
    return lambda _, names: f"{before}{names}{after}"


def _fixed(text: str) -> Callable[[int, str], str]:
    return lambda _number, _names: text


def _each(one: str, many: str, rest: str) -> Callable[[int, str], str]:
    return lambda number, names: f"{one if number == 1 else many} {rest}: {names}"


_NEXT_RUN = "The next `bridge reconcile` continues."
_DOCTOR = "Find the cause: `bridge doctor`. Nothing is lost; the next run continues."
_HOLDS = "Review held changes: `bridge holds list`; one person: `bridge explain EMAIL`."

TABLE: Mapping[Condition, Row] = {
    Condition.STOPPING: Row(
        Exit.WAITS, False, Source.PROCESS, _fixed("the daemon is stopping"), _fixed("the daemon is stopping")
    ),
    Condition.HUNG: Row(
        Exit.UNEXPECTED, False, Source.PROCESS,
        lambda seconds, step: f"the current run has hung for {seconds:,} s at: {step}",
        _fixed("the current run has hung"),
    ),
    Condition.IDLE: Row(
        Exit.UNEXPECTED, False, Source.PROCESS,
        lambda seconds, _: f"no run has started for {seconds:,} s",
        _fixed("no run has started"),
    ),
    Condition.STATE_DB_DOWN: Row(
        Exit.INVALID, False, Source.PROCESS,
        _names("the state DB is unavailable (", ")"),
        _fixed("the state DB is unavailable"),
    ),
    Condition.RUN_FAILED: Row(
        Exit.UNEXPECTED, False, Source.RUN,
        lambda number, error: (
            f"the last {number} runs ended with unexpected errors ({error}); see the log"
            if number > 1
            else f"the last run failed with an unexpected error ({error})"
        ),
        _fixed("the last run failed"),
        _DOCTOR,
    ),
    Condition.RUN_REFUSED: Row(
        Exit.INVALID, False, Source.RUN,
        _names("the last run could not be carried out: "),
        _fixed("the last run was refused"),
        "Check the setup: `bridge doctor`.",
    ),
    Condition.RUN_STOPPED: Row(
        Exit.WAITS, True, Source.RUN,
        _fixed("the last run was stopped before it finished"),
        _fixed("the last run was stopped"),
        _NEXT_RUN,
    ),
    Condition.SIDE_DOWN: Row(
        Exit.UNSEEN, False, Source.RUN,
        _names(""),
        _fixed("a side was unavailable"),
        _DOCTOR,
    ),
    Condition.INCOMPLETE: Row(
        Exit.UNSEEN, True, Source.RUN,
        _each("this was", "these were", "not read to the end"),
        _names("not read to the end: "),
        "The next run reads it again; opt-ins that depend on it wait until then.",
    ),
    Condition.PEOPLE_UNREAD: Row(
        Exit.WAITS, True, Source.RUN,
        _count("person was", "people were", "not read as they are now in the last run"),
        lambda number, _: f"{number:,} not read as they are now",
        "Each run reads them again; nobody of them is opted in meanwhile.",
    ),
    Condition.CLOCKS: Row(
        Exit.WAITS, True, Source.RUN,
        _names("opt-ins are suspended: "),
        _fixed("opt-ins are suspended because of the clocks"),
        "Synchronise the clock by NTP; `bridge doctor` shows how far each clock is off.",
    ),
    Condition.BRAKE: Row(
        Exit.BRAKE, True, Source.RUN,
        _names("a brake stopped the last run: "),
        _fixed("stopped by a brake"),
        "See what would be sent: `bridge plan`.",
    ),
    Condition.UNAPPROVED: Row(
        Exit.BRAKE, False, Source.RUN,
        _names("topics wait for `bridge reconcile --approve-mapping`: "),
        _names("topics wait for approval: "),
        "If the mapping is right, approve it once by `bridge reconcile --approve-mapping`.",
    ),
    Condition.GONE: Row(
        Exit.WAITS, True, Source.RUN,
        _names("topics are skipped, since a side no longer has what they name: "),
        _names("topics skipped: "),
        "See what the mapping names and a side no longer has: `bridge doctor`.",
    ),
    Condition.FAILED: Row(
        Exit.WAITS, True, Source.RUN,
        _count("write failed", "writes failed", "in the last run"),
        lambda number, _: f"{number:,} failed",
        "The next `bridge reconcile` verifies these writes and retries.",
    ),
    Condition.LEDGER: Row(
        Exit.BRAKE, False, Source.STATE,
        _names("opt-ins are suspended: "),
        _fixed("the ledger is not trusted"),
        WAY_OUT,
    ),
    Condition.NEVER_RAN: Row(
        Exit.WAITS, False, Source.STATE,
        _fixed("no run has read a feed yet"),
        _fixed("no run yet"),
        "Check the setup: `bridge doctor`. Then run once: `bridge reconcile`.",
    ),
    Condition.FIRST_RUN: Row(
        Exit.WAITS, True, Source.STATE,
        _fixed("the first run is not complete: opt-ins from before it are held"),
        _fixed("the first run is not complete"),
        _NEXT_RUN,
    ),
    Condition.OVERDUE: Row(
        Exit.UNSEEN, False, Source.STATE,
        _names(""),
        _names(""),
        _DOCTOR,
    ),
    Condition.DEAF_FEED: Row(
        Exit.WAITS, False, Source.STATE,
        lambda number, names: (
            f"{names} {'brings' if number == 1 else 'bring'} no events; opt-ins are suspended"
        ),
        _names("no events come from "),
        "Check the webhook subscription: `bridge hooks list`.",
    ),
    Condition.HELD: Row(
        Exit.WAITS, True, Source.STATE,
        _count("choice is held", "choices are held", "for review"),
        lambda number, _: f"{number:,} held for review",
        _HOLDS,
    ),
    Condition.DEAD: Row(
        Exit.WAITS, True, Source.STATE,
        _count("write was", "writes were", "given up"),
        lambda number, _: f"{number:,} given up",
        _HOLDS,
    ),
    Condition.UNPROVEN: Row(
        Exit.WAITS, True, Source.STATE,
        _count("write is", "writes are", "not verified yet"),
        lambda number, _: f"{number:,} not yet verified",
        "The next run reads it back.",
    ),
    Condition.LAGGING: Row(
        Exit.WAITS, True, Source.STATE,
        _count("record does", "records do", "not show yet what its events told"),
        lambda number, _: f"{number:,} not showing what events told",
        "It is read again by later runs.",
    ),
    Condition.UNREAD: Row(
        Exit.WAITS, True, Source.STATE,
        _count("person", "people", "could not be read; each run tries again"),
        lambda number, _: f"{number:,} not readable",
        "The warnings of the last run say why; `bridge holds list --reason unreadable`.",
    ),
    Condition.WAITING: Row(
        Exit.WAITS, True, Source.STATE,
        _count("choice waits", "choices wait", "for the next run"),
        lambda number, _: f"{number:,} to decide",
        _NEXT_RUN,
    ),
    Condition.ERASURES: Row(
        Exit.WAITS, True, Source.STATE,
        _count("erasure is", "erasures are", "not finished: run `bridge forget` again for each"),
        lambda number, _: f"{number:,} erasure{'' if number == 1 else 's'} not finished",
    ),
    Condition.ERASURE_KEY: Row(
        Exit.WAITS, True, Source.STATE,
        _count("erasure marker was", "erasure markers were", "made with a different BRIDGE_ERASURE_KEY"),
        _fixed("erased people cannot be recognised"),
        "Restore the key. If it is lost: `bridge forget --drop-unreadable`.",
    ),
}  # fmt: skip
_ORDER = {condition: at for at, condition in enumerate(Condition)}
