"""`bridge status`: the state of the sync, from the state DB only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.cli.doctor.feeds import polling, polling_lines
from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import (
    SIDES,
    ExitCode,
    StatusMark,
    console,
    format_duration,
    format_time,
    note,
    plural,
    print_json,
    print_wrapped,
    styled,
    table,
)

if TYPE_CHECKING:
    from bridge.core.brakes import BrakeLimits
    from bridge.store import RunRow, Store


def status(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Show lag, watermarks, last runs, open work and API budget."""
    from bridge.cli.db import now, reading

    settings = settings_from(config, database_url)
    with reading(settings) as store:
        people = store.people.count()
        document = status_document(store, now())
        document["window"] = _window_json(store, settings.brakes.limits(), people, now())
        first = store.facts.first_run_completed is None
    if json:
        print_json(document)
    else:
        _print(document, people=people, first=first)
    review = any(document[key] for key in ("held", "dead", "brakes", "unfinished_erasures", "deaf_feeds"))
    return ExitCode.REVIEW if review else 0


def status_document(store: Store, now: datetime) -> dict[str, Any]:
    """The status as JSON. `lag_seconds` is the time from each feed's watermark to now."""
    watermarks, counts, runs = store.feeds.watermarks(), store.cells.counts(), store.runs.last(10)
    confirmations = store.confirmations.counts()
    last = next((run.report for run in runs if run.report and "writes" in run.report), None)
    return {
        "watermarks": {feed: _iso(at) for feed, at in watermarks.items()},
        "lag_seconds": {
            feed: round(max(0.0, (now - at) / timedelta(seconds=1)), 1) for feed, at in watermarks.items()
        },
        "waiting": counts.waiting + len(store.facts.lagging_reads or ()),
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


def _print(document: dict[str, Any], *, people: int, first: bool) -> None:
    out = console()
    if not document["last_runs"]:
        note(StatusMark.WARN, "No run yet.")
        note(StatusMark.NEXT, "Check the setup: `bridge doctor`. Then run once: `bridge reconcile`.")
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
    failed = _failed_text(document["last_runs"])
    if failed:
        note(StatusMark.BAD, failed)
        note(StatusMark.NEXT, "Find the cause: `bridge doctor`. Nothing is lost; the next run continues.")
    for line in _open_work(document):
        note(StatusMark.WARN, line)
    if confirmations := _confirmations_text(document["challenges"]):
        note(StatusMark.NEXT, confirmations)
    for brake in document["brakes"]:
        note(StatusMark.BAD, ("brake ", "bold"), brake)
    for feed in document["deaf_feeds"]:
        note(StatusMark.BAD, f"{feed} brings no events; opt-ins are suspended: `bridge hooks list`.")
    if first:
        note(StatusMark.WARN, "The first run is not complete: opt-ins from before it are held.")
    if not (failed or document["brakes"] or document["deaf_feeds"] or _open_work(document) or first):
        note(StatusMark.GOOD, "Nothing is waiting.")


def _window_text(window: dict[str, Any]) -> str:
    people = plural(window["raises"], "person", "people")
    return f"Opted in within the last {window['hours']} hours: {people} of {window['allowed']:,} allowed."


def _failed_text(runs: list[dict[str, Any]]) -> str:
    """A sentence about the last writing run if it failed, else empty."""
    last = next((run for run in runs if run["kind"] not in ("plan", "apply")), None)
    if last is None or last["state"] not in ("failed", "stopped"):
        return ""
    how = "failed" if last["state"] == "failed" else "was stopped before it finished"
    return f"The last run ({format_time(last['started_at'])}) {how}."


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
    shown = table("feed", "read up to (UTC)", "lag", right=(2,))
    for feed, at in document["watermarks"].items():
        side, _, name = feed.partition(".")
        words = f"{SIDES[side]} {name}" if side in SIDES and name else feed
        shown.add_row(words, format_time(at), format_duration(document["lag_seconds"][feed]))
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


def _open_work(document: dict[str, Any]) -> list[str]:
    words = {
        "held": ("choice is held", "choices are held", "for review: `bridge holds list`"),
        "dead": ("write was given up", "writes were given up", ": `bridge holds list`"),
        "unfinished_erasures": (
            "erasure is not finished",
            "erasures are not finished",
            ": run `bridge forget` again for each",
        ),
        "unproven": ("write is not verified", "writes are not verified", "yet: the next run reads it back"),
        "waiting": ("choice waits", "choices wait", "for the next run"),
    }
    lines = []
    for key, (one, many, rest) in words.items():
        if number := document[key]:
            lines.append(f"{number:,} {one if number == 1 else many} {rest}.".replace(" :", ":"))
    return lines
