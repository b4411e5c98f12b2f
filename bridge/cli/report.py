"""A run's report, for people: what was read and written, what waits, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.cli.output import (
    SIDES,
    Mark,
    console,
    counted,
    failure,
    lasted,
    listed,
    note,
    print_json,
    say,
    table,
)
from bridge.core.model import Side
from bridge.core.state import RunKind

if TYPE_CHECKING:
    from rich.table import Table

    from bridge.core.errors import SideError
    from bridge.engine.report import Report

_KINDS = {
    RunKind.FIRST: "First run",
    RunKind.INCREMENTAL: "Run",
    RunKind.FULL: "Full run",
    RunKind.APPLY: "Saved plan",
}


def tell(report: Report, *, json: bool) -> int:
    """Print a report. Returns the exit code."""
    if json:
        print_json(report.shown())
    else:
        _print(report)
    _print_errors(report.errors)
    return report.exit_code


def _print(report: Report) -> None:
    out = console()
    kind = _KINDS.get(report.kind, report.kind.value)
    people = f", {counted(report.people, 'person', 'people')} known"
    out.print(say((kind, "bold"), f" {report.run}: {lasted(report.seconds)}{people}\n"))
    out.print(_sides(report))
    out.print()
    down = {f"{error.side}: {error}" for error in report.errors}
    for brake in report.brakes:
        note(Mark.BAD, ("brake ", "bold"), brake)
    for warning in report.warnings:
        if warning not in down:
            note(Mark.WARN, warning)
    _print_verdict(report)
    for line in _next(report):
        note(Mark.NEXT, line)


def _sides(report: Report) -> Table:
    shown = table("", "people read", "opt-outs sent", "opt-ins sent", "other", "API calls", right=range(1, 6))
    tally = report.tally
    for side in Side:
        numbers = (report.observed, tally.withdrawals, tally.raises, tally.other, report.calls)
        shown.add_row(SIDES[side], *(f"{number[side]:,}" for number in numbers))
    return shown


def _print_verdict(report: Report) -> None:
    if report.in_sync:
        note(Mark.GOOD, "In sync: nothing waits.")
        return
    counts = report.counts
    waits = [
        words
        for number, words in (
            (counts.held, f"{counts.held:,} held for a person"),
            (counts.dead, f"{counts.dead:,} given up"),
            (counts.unproven, f"{counts.unproven:,} not yet proven"),
            (report.tally.failed, f"{report.tally.failed:,} failed"),
            (counts.waiting, f"{counts.waiting:,} to decide"),
        )
        if number
    ]
    text = f"Not in sync: {listed(waits)}." if waits else "Not in sync: a side could not be used."
    note(Mark.WARN, text)


def _next(report: Report) -> Iterator[str]:
    counts = report.counts
    if counts.held and report.kind is RunKind.FIRST:
        yield "See what is held: `bridge holds list`."
        yield "Opt-ins from before the bridge: approve the dated ones by `bridge reconcile --approve-raises`."
    elif counts.held or counts.dead:
        yield "See what is held: `bridge holds list`; one person: `bridge explain EMAIL`."
    if report.brakes:
        yield "See what it would send: `bridge plan`; then set BRIDGE_BRAKES__… and run again."
    elif (counts.unproven or report.tally.failed) and not report.errors:
        yield "The next `bridge reconcile` reads it back and tries again."
    elif counts.waiting and not report.errors:
        yield "The next `bridge reconcile` goes on."


def _print_errors(errors: list[SideError]) -> None:
    for error in errors:
        failure(error.what, error.hint)
