"""`bridge status`: the state of the sync, from the state DB only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.cli.doctor.feeds import polling, polling_lines
from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import (
    SIDES,
    StatusMark,
    console,
    format_duration,
    format_time,
    note,
    plural,
    print_json,
    print_problems,
    print_wrapped,
    styled,
    table,
)
from bridge.core.sync_state import exit_code, in_sync, is_ready
from bridge.engine.sync_facts import Schedule, last_turns, overdue_by, state_of_sync

if TYPE_CHECKING:
    from bridge.core.brakes import BrakeLimits
    from bridge.core.store_values import RunRow
    from bridge.core.sync_state import SyncProblem
    from bridge.settings import Settings
    from bridge.store import Store


def status(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Show lag, watermarks, last runs, open work and API budget."""
    from bridge.cli.db import now, reading

    settings = settings_from(config, database_url)
    with reading(settings) as store:
        people = store.people.count()
        schedule = schedule_of(settings, store)
        problems = state_of_sync(store, schedule, now())
        document = status_document(store, schedule, problems, now())
        document["window"] = _window_json(store, settings.brakes.limits(), people, now())
    if json:
        print_json(document)
    else:
        _print(document, problems, people=people)
    return exit_code(problems)


def schedule_of(settings: Settings, store: Store) -> Schedule:
    """How often the feeds of the last run are to be read."""
    poll, overlap = timedelta(seconds=settings.poll_seconds), timedelta(seconds=settings.overlap_seconds)
    return Schedule(poll, overlap, last_turns(store))


def status_document(
    store: Store, schedule: Schedule, problems: Sequence[SyncProblem], now: datetime
) -> dict[str, Any]:
    """The status as JSON. `lag_seconds` is the time from each feed's watermark to now, `overdue_seconds` how
    much of it is more than the feed's schedule explains."""
    watermarks, counts, runs = store.feeds.watermarks(), store.cells.counts(), store.runs.last(10)
    confirmations = store.confirmations.counts()
    last = next((run.report for run in runs if run.report and "writes" in run.report), None)
    return {
        "watermarks": {feed: _iso(at) for feed, at in watermarks.items()},
        "lag_seconds": {
            feed: round(max(0.0, (now - at) / timedelta(seconds=1)), 1) for feed, at in watermarks.items()
        },
        "overdue_seconds": overdue_by(schedule, watermarks, now),
        "waiting": counts.waiting + len(store.facts.lagging_reads or ()) + store.retry_queue.waiting().count,
        "unproven": counts.unproven,
        "held": counts.held,
        "dead": counts.dead,
        "unfinished_erasures": store.erasures.unfinished(),
        "challenges": {
            "pending": confirmations.pending,
            "oldest": _iso(confirmations.oldest),
            "expired": confirmations.expired,
        },
        "deaf_feeds": list(store.facts.deaf_feeds or ()),
        "brakes": list((last or {}).get("brakes", [])),
        "last_runs": [_run_json(run) for run in runs],
        "budget": dict((last or {}).get("budget", {})),
        "polling": polling(store.key_values),
        "ledger_head": None if (head := store.ledger.head()) is None else str(head),
        "ledger_signature": store.ledger.signature(),
        "in_sync": in_sync(problems),
        "ready": is_ready(problems),
        "exit_code": int(exit_code(problems)),
        "conditions": [problem.shown() for problem in problems],
    }


def _window_json(store: Store, limits: BrakeLimits, people: int, now: datetime) -> dict[str, Any]:
    """How many people were opted in within the window, and how many may be."""
    use = store.attempts.window(now - limits.window, 0)
    return {
        "hours": limits.window // timedelta(hours=1),
        "raises": len(use.raised),
        "allowed": limits.raises_allowed(people),
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _run_json(run: RunRow) -> dict[str, Any]:
    return {
        "run": run.id,
        "kind": run.kind.value,
        "state": run.state,
        "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
        "report": run.report,
    }


def _print(document: dict[str, Any], problems: Sequence[SyncProblem], *, people: int) -> None:
    out = console()
    if not document["last_runs"]:
        note(StatusMark.WARN, "No run yet.")
        print_problems(problems)
        return
    out.print(_runs_table(document["last_runs"]))
    out.print()
    if document["watermarks"]:
        out.print(_feeds_table(document))
        out.print()
    if document["budget"]:
        out.print(_budget_table(document["budget"]))
        out.print()
    for line in polling_lines(document["polling"]):
        print_wrapped(out, styled(), styled(line))
    out.print(f"{plural(people, 'person', 'people')} known.")
    out.print(_window_text(document["window"]))
    if head := document["ledger_head"]:
        out.print(f"Ledger head: {head}", soft_wrap=True)
    if confirmations := _confirmations_text(document["challenges"]):
        note(StatusMark.NEXT, confirmations)
    print_problems(problems)
    if not problems:
        note(StatusMark.GOOD, "In sync: nothing is waiting.")


def _window_text(window: dict[str, Any]) -> str:
    people = plural(window["raises"], "person", "people")
    return f"Opted in within the last {window['hours']} hours: {people} of {window['allowed']:,} allowed."


def _runs_table(runs: list[dict[str, Any]]) -> Any:
    shown = table("last runs (UTC)", "kind", "state", "writes", "held", "took", right=(3, 4, 5))
    for run in runs:
        report = run["report"] or {}
        began, ended = run["started_at"], run["ended_at"]
        took = ""
        if ended:
            took = format_duration(
                (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
            )
        state = "refused" if report.get("refused") else run["state"]
        shown.add_row(format_time(began), run["kind"], state, *_run_counts(run["kind"], report), took)
    return shown


def _run_counts(kind: str, report: dict[str, Any]) -> tuple[str, str]:
    if kind == "plan":
        return "none sent", str(report.get("held", ""))
    writes = report.get("writes")
    if not isinstance(writes, dict):
        return "", ""
    return str(sum(sum(side.values()) for side in writes.values())), str(report.get("held", ""))


def _feeds_table(document: dict[str, Any]) -> Any:
    shown = table("feed", "read up to (UTC)", "lag", "overdue", right=(2, 3))
    late = document["overdue_seconds"]
    for feed, at in document["watermarks"].items():
        side, _, name = feed.partition(".")
        words = f"{SIDES[side]} {name}" if side in SIDES and name else feed
        lag, over = format_duration(document["lag_seconds"][feed]), late.get(feed, 0.0)
        shown.add_row(words, format_time(at), lag, format_duration(over) if over else "")
    return shown


def _budget_table(budget: dict[str, Any]) -> Any:
    """The budget after the last run. Tiers refill every minute, the flat scheme's hour continuously."""
    shown = table("Dotdigital calls", "allowed", "left", "reserved", "waited", right=(1, 2, 3, 4))
    for tier, one in budget.items():
        if tier == "flat":
            shown.add_row("capped until", format_time(one["resets_at"]), "", "", "")
            continue
        numbers = [str(one.get(name, "")) for name in ("limit", "remaining", "left_to_others")]
        name = "all, per hour" if tier == "hour" else tier.removesuffix("CallRate")
        shown.add_row(name, *numbers, format_duration(one.get("waited_seconds", 0)))
    return shown


def _confirmations_text(confirmations: dict[str, Any]) -> str:
    """Pending email confirmations, which need no action."""
    if not confirmations["pending"]:
        return ""
    people = plural(confirmations["pending"], "person was", "people were")
    return f"{people} asked by email to confirm; the earliest {format_time(confirmations['oldest'])}."
