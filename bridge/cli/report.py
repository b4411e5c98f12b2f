"""A run's report as text: what was read and written, what is open, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bridge.cli.output import (
    SIDES,
    StatusMark,
    console,
    failure,
    format_duration,
    join_words,
    note,
    plural,
    print_json,
    styled,
    table,
    with_side_name,
)
from bridge.core.model import Side
from bridge.core.store_values import RunKind
from bridge.core.sync_state import Condition

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


def print_report(report: Report, *, json: bool) -> int:
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
    people = f", {plural(report.people, 'person', 'people')} known"
    out.print(styled((kind, "bold"), f" {report.run}: {format_duration(report.seconds)}{people}\n"))
    out.print(_sides_table(report))
    out.print()
    down = {f"{error.side}: {error}" for error in report.errors}
    for brake in report.brakes:
        note(StatusMark.BAD, ("brake ", "bold"), brake)
    for warning in report.warnings:
        if warning not in down:
            note(StatusMark.WARN, with_side_name(warning))
    if mails := report.written.mails.total():
        note(
            StatusMark.WARN,
            f"{plural(mails, 'confirmation mail')} sent: only those who confirm are opted in.",
        )
    _print_verdict(report)
    for line in _next_steps(report):
        note(StatusMark.NEXT, line)


def _sides_table(report: Report) -> Table:
    shown = table("", "people read", "opt-outs sent", "opt-ins sent", "other", "API calls", right=range(1, 6))
    written = report.written
    for side in Side:
        numbers = (report.observed, written.withdrawals, written.raises, written.other, report.calls)
        shown.add_row(SIDES[side], *(f"{number[side]:,}" for number in numbers))
    return shown


def _print_verdict(report: Report) -> None:
    if report.in_sync:
        note(StatusMark.GOOD, "In sync: nothing is waiting.")
        return
    if _plan_done(report):
        note(StatusMark.GOOD, "The plan was applied and verified.")
        return
    note(StatusMark.WARN, f"Not in sync: {join_words(dict.fromkeys(one.short for one in report.problems))}.")


def _plan_done(report: Report) -> bool:
    """The plan was applied completely, and only changes outside it are open."""
    outside = {Condition.WAITING, Condition.FIRST_RUN}
    return report.kind is RunKind.APPLY and all(one.condition in outside for one in report.problems)


def _next_steps(report: Report) -> Iterator[str]:
    counts = report.counts
    if counts.held and report.kind is RunKind.FIRST:
        yield "Review held changes: `bridge holds list`."
        yield "Approve dated opt-ins from before the bridge: `bridge reconcile --approve-raises`."
    elif counts.held or counts.dead:
        yield "Review held changes: `bridge holds list`; one person: `bridge explain EMAIL`."
    if report.brakes:
        yield "See what would be sent: `bridge plan`."
        yield from (f"{way}." for way in ways_out(report.brakes))
    elif (counts.unproven or report.written.failed) and not report.errors:
        yield "The next `bridge reconcile` verifies these writes and retries."
    elif _plan_done(report):
        if counts.waiting:
            yield f"Not in this plan: {plural(counts.waiting, 'choice')}. `bridge reconcile` decides them."
    elif report.gone:
        yield "See what the mapping names and a side no longer has: `bridge doctor`."
    elif counts.waiting and not report.errors:
        yield "The next `bridge reconcile` continues."


def ways_out(brakes: Sequence[str]) -> Iterator[str]:
    """What to do about these brakes (`raises: …`, `withdrawals: …`, `mapping: …`) if what they stop is
    intended."""
    kinds = [kind for kind in ("raises", "withdrawals") if any(one.startswith(kind) for one in brakes)]
    if limits := " and ".join(f"BRIDGE_BRAKES__{kind.upper()}_MAX" for kind in kinds):
        yield f"If intended, raise {limits} for one run"
    if any(one.startswith("mapping") for one in brakes):
        yield "If the mapping is right, approve it once by `bridge reconcile --approve-mapping`"


def _print_errors(errors: list[SideError]) -> None:
    for error in errors:
        failure(error.what, error.hint)
