"""`bridge runs`: past runs, from the state DB."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import (
    SIDES,
    ExitCode,
    StatusMark,
    console,
    format_duration,
    format_time,
    note,
    print_json,
    print_wrapped,
    styled,
    table,
    with_side_name,
)
from bridge.core.errors import ConfigError
from bridge.core.model import RunId
from bridge.core.store_values import RunKind, RunRow

Json_ = dict[str, Any]


def list_(
    config: Config = None,
    database_url: DatabaseUrl = None,
    kind: Annotated[RunKind | None, typer.Option("--kind", help="Only runs of this kind.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or were stopped.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many to list.")] = 20,
    json: Json = False,
) -> int:
    """List past runs, newest first."""
    from bridge.cli.db import reading

    found: list[Json_] = []
    with reading(settings_from(config, database_url)) as store:
        before: RunId | None = None
        while len(found) < limit and (page := store.runs.before(before)):
            before = page[-1].id
            found += [
                run_json(run)
                for run in page
                if (kind is None or run.kind is kind) and not (failed and run.state not in _FAILED)
            ]
    found = found[:limit]
    if json:
        print_json({"runs": found})
    else:
        _print_list(found)
    return 0


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, from `runs list`, or `last`.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> int:
    """Show one run: result, counts, calls, what went wrong."""
    from bridge.cli.db import reading

    with reading(settings_from(config, database_url)) as store:
        found = next(iter(store.runs.last(1)), None) if run == "last" else store.runs.find(run)
    if found is None:
        raise ConfigError("There is no such run.", hint="See `bridge runs list`.")
    document = run_json(found)
    if json:
        print_json(document)
    else:
        _print_one(document)
    return ExitCode.DONE


_FAILED = ("failed", "stopped")


def run_json(run: RunRow) -> Json_:
    """A run as JSON, with its report."""
    return {
        "run": run.id,
        "kind": run.kind.value,
        "state": run.state,
        "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
        "seconds": _seconds(run),
        "report": run.report,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _seconds(run: RunRow) -> float | None:
    return None if run.ended_at is None else round((run.ended_at - run.started_at).total_seconds(), 3)


def _print_list(runs: list[Json_]) -> None:
    if not runs:
        note(StatusMark.GOOD, "No run matches.")
        return
    shown = table("run", "kind", "result", "writes", "held", "calls", "took", right=(3, 4, 5, 6), fixed=(0,))
    for run in runs:
        report = run["report"] or {}
        took = "" if run["seconds"] is None else format_duration(run["seconds"])
        writes, calls = _total(report.get("writes")), _total(report.get("calls"))
        held = str(report.get("held", ""))
        shown.add_row(run["run"], run["kind"], run["state"], writes, held, calls, took)
    console().print(shown)
    note(StatusMark.NEXT, f"See one: `bridge runs show {runs[0]['run']}`.")


def _total(counts: object) -> str:
    """The sum of counts by side, or by side and kind; empty where a report has none."""
    if not isinstance(counts, dict):
        return "" if counts is None else str(counts)
    return str(sum(sum(one.values()) if isinstance(one, dict) else int(one) for one in counts.values()))


def _print_one(run: Json_) -> None:
    out = console()
    ended = (
        "still going on, or killed" if run["ended_at"] is None else f"ended {format_time(run['ended_at'])}"
    )
    took = "" if run["seconds"] is None else f", {format_duration(run['seconds'])}"
    out.print(styled((run["run"], "bold"), f"  {run['kind']}: {run['state']}"))
    out.print(f"  began {format_time(run['started_at'])}, {ended}{took} (UTC)")
    report = run["report"] or {}
    for name, words in (("observed", "people read"), ("writes", "writes"), ("calls", "API calls")):
        counts = report.get(name)
        if isinstance(counts, dict):
            parts = [f"{SIDES.get(side, side)} {_counts_text(one)}" for side, one in counts.items()]
            out.print(f"  {words}: {'; '.join(parts)}")
    for name in ("held", "unproven", "failed"):
        if name in report:
            out.print(f"  {name}: {report[name]}")
    for name in ("brakes", "errors", "warnings"):
        mark = StatusMark.WARN if name == "warnings" else StatusMark.BAD
        for line in report.get(name) or ():
            note(mark, with_side_name(str(line)), indent=2)
    rest = {key: value for key, value in report.items() if key in ("error", "refused") and value}
    for value in rest.values():
        print_wrapped(out, styled("  "), styled(str(value)))


def _counts_text(counts: object) -> str:
    if isinstance(counts, dict):
        return ", ".join(f"{number} {kind}" for kind, number in counts.items())
    return str(counts)
