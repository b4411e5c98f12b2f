"""`bridge plan`: what a run would send, and why. Sends nothing. `bridge apply`: apply a saved plan exactly,
or not at all."""

from __future__ import annotations

import hashlib
import json as jsonlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import (
    ApproveRaises,
    Config,
    Csv,
    DatabaseUrl,
    Full,
    Json,
    MappingFile,
    Note,
    ShowAddresses,
    author,
    ids_text,
    name_shown,
    require_one_format,
    settings_from,
)
from bridge.cli.output import (
    SIDES,
    WARN,
    ExitCode,
    StatusMark,
    console,
    failure,
    format_time,
    join_words,
    note,
    plural,
    print_csv,
    print_json,
    rows,
    styled,
    with_side_name,
)
from bridge.core.approval import ApprovalKind
from bridge.core.errors import BrakeTripped, ConfigError, PlanMoved
from bridge.core.model import mask
from bridge.core.sync_state import Condition, SyncProblem
from bridge.core.sync_state import exit_code as code_of

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.engine.plan import Plan
    from bridge.engine.run import RunOptions
    from bridge.settings import Settings
    from bridge.store import Store

_NEW_PLAN = "Make a new plan: `bridge plan --out FILE`."
FORMAT = 1
INSTANCE = "instance"  # the random id of a state DB, which ties a plan to it
CSV_COLUMNS = (
    "does", "side", "person", "mypreferences", "dotdigital", "topic", "from", "to", "frequency", "why"
)  # fmt: skip
MAX_ROWS = 200  # rows printed per table; --json and --out have all


def plan(
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    full: Full = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for `bridge apply`.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of --out.")] = False,
    approve_raises: ApproveRaises = False,
    show_addresses: ShowAddresses = False,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """Show what a run would send, and why. Sends nothing.

    Nothing is stored either; with --out, only what `bridge apply` needs."""
    from bridge.engine.run import RunOptions

    require_one_format(json=json, csv=csv)
    settings = settings_from(config, database_url, mapping)
    options = RunOptions(full=full, approve_raises=approve_raises)
    name = name_shown(show_addresses)
    return run_plan(settings, options, json=json, csv=csv, out=out, force=force, name=name)


def run_plan(
    settings: Settings,
    options: RunOptions,
    *,
    json: bool,
    csv: bool = False,
    out: Path | None = None,
    force: bool = False,
    name: Callable[[str], str] = mask,
) -> int:
    """Plan, print, and save if requested. `name` shows an address. Returns the exit code."""
    if out is not None and out.exists() and not force:
        raise ConfigError(f"{out} already exists.", hint="Choose another file, or pass --force.")
    made = _make(settings, options, out, name)
    if json:
        print_json(made.shown())
    elif csv:
        print_csv(CSV_COLUMNS, _csv_rows(made))
    else:
        _print(made, out)
    return exit_code(made)


def _make(settings: Settings, options: RunOptions, out: Path | None, name: Callable[[str], str]) -> Plan:
    """Plan on a private copy of the state DB, so that nothing is stored. With `out`, the state DB takes over
    what the plan needs, and nobody may write to it meanwhile."""
    from bridge.app import App
    from bridge.cli.db import is_taken, private_copy, writing
    from bridge.cli.output import show_progress
    from bridge.engine.plan import make_plan
    from bridge.engine.scopes import topics_to_keep

    with ExitStack() as opened:
        beats: list[Callable[[], None]] = []
        kept: App | None = None
        if out is not None:
            if holder := is_taken(settings):
                raise ConfigError(
                    f"No plan can be saved while {holder} the state DB.",
                    hint="Stop it first, or leave --out away: a plan alone is made beside it.",
                )
            kept = opened.enter_context(App(settings))
            beats.append(opened.enter_context(writing(kept.lease())))
        app = opened.enter_context(App(opened.enter_context(private_copy(settings))))
        beats.append(opened.enter_context(writing(app.lease())))
        progress = opened.enter_context(show_progress())
        services = app.services(progress=progress, heartbeat=lambda: _beat(beats))
        made = make_plan(services, options, name=name)
        if out is not None and kept is not None:
            people = {act["person"] for act in made.acts}
            kept.store.keep_people(app.store, people, topics_to_keep(kept.store, app.mapping))
            _save(out, made, kept.store)
    return made


def _beat(heartbeats: Iterable[Callable[[], None]]) -> None:
    for heartbeat in heartbeats:
        heartbeat()


def _csv_rows(made: Plan) -> Iterator[dict[str, Any]]:
    """What would be written, then what would be held."""
    for does, lines in (("write", made.writes), ("hold", made.held)):
        for line in lines:
            yield {"does": does, **line, **{side: " ".join(ids) for side, ids in line["ids"].items()}}


def exit_code(made: Plan) -> int:
    """5: a side was not read to its end. 4: a brake would stop the run. 3: something would wait for an
    operator. 0: none of these; writes that a run would send are no trouble."""
    held = [SyncProblem(Condition.HELD, len(made.held))] if made.held else []
    return code_of([*made.problems, *held])


def instance_of(store: Store) -> str:
    """The id of this state DB, created on first use."""
    import uuid

    known = store.facts.instance
    if known is None:
        known = uuid.uuid4().hex
        store.facts.instance = known
    return known


def _save(path: Path, made: Plan, store: Store) -> None:
    """Write the file completely or not at all, readable for its owner only. The state DB keeps its hash."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "instance": instance_of(store),
        "mapping": made.mapping,
        "made_at": made.made_at.isoformat().replace("+00:00", "Z"),
        **made.shown(),
        "acts": made.acts,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            jsonlib.dump(document, file, indent=2)
        store.approvals.give(ApprovalKind.PLAN, _hash(document), author(None))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(
            f"Cannot save the plan to {path}: {error.strerror}.", hint="Choose another file with --out."
        ) from None


def _hash(document: dict[str, Any]) -> str:
    """The hash of a saved plan's content, however its file is laid out."""
    import rfc8785

    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def _print(made: Plan, saved: Path | None) -> None:
    out = console()
    if made.writes:
        rows(out, _by_reason(made.writes[:MAX_ROWS], _cells))
        out.print()
    if made.held:
        out.print(styled(("Would be held for review:", "bold")))
        rows(
            out,
            _by_reason(made.held[:MAX_ROWS], _held_cells),
            style=WARN,
        )
        out.print()
    if max(len(made.writes), len(made.held)) > MAX_ROWS:
        out.print(f"Only the first {MAX_ROWS} rows of each are shown; --json shows all.")
    if made.writes or made.held:
        out.print("Numbers after a person: ProfileId / contactId.")
    for brake in made.brakes:
        note(StatusMark.BAD, ("brake ", "bold"), brake)
    for warning in made.warnings:
        note(StatusMark.WARN, with_side_name(warning))
    _print_end(made, saved)


def _by_reason(
    written: list[dict[str, Any]], cells: Callable[[dict[str, Any]], tuple[str, ...]]
) -> dict[str, list[tuple[str, ...]]]:
    """Rows grouped by reason, the most frequent first."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for row in written:
        found.setdefault(_reason(row)[0], []).append(cells(row))
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def _reason(row: dict[str, Any]) -> tuple[str, str]:
    """The reason, and the date of the statement behind it."""
    words, _, said = row["why"].partition(" (said ")
    return words, said.rstrip(")")


def _held_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return row["person"], ids_text(row["ids"]), row["topic"]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    said = _reason(row)[1]
    dated = f"stated {format_time(said)[:16]}" if said else "undated"
    return SIDES[row["side"]], row["person"], ids_text(row["ids"]), row["topic"], _change(row), dated


def _print_end(made: Plan, saved: Path | None) -> None:
    if made.writes:
        note(StatusMark.GOOD, f"{plural(len(made.writes), 'write')} would be sent; nothing was sent.")
    elif made.complete:
        note(StatusMark.GOOD, "Nothing would be written.")
    note(StatusMark.NEXT, f"A run now would make about {_calls_text(made)}.")
    if not made.complete:
        note(StatusMark.BAD, "A side could not be read, so the plan is incomplete. Nothing was sent.")
    if made.held:
        note(StatusMark.WARN, f"{plural(len(made.held), 'choice')} would be held for review.")
    if made.gone:
        note(
            StatusMark.NEXT,
            "See what the mapping names and a side no longer has: `bridge mapping check --live`.",
        )
    if saved is not None:
        note(StatusMark.NEXT, f"Apply exactly this plan: `bridge apply {saved}`")
    elif made.writes:
        note(StatusMark.NEXT, "Send it: `bridge reconcile`. Save it: `bridge plan --out FILE`.")


def _calls_text(made: Plan) -> str:
    """The calls of a run, and what they are for."""
    words = []
    for side, calls in made.calls.items():
        parts = f"{made.reading[side]:,} to read, {calls - made.reading[side]:,} to write and verify"
        words.append(f"{plural(calls, 'call')} to {SIDES[side]} ({parts})")
    return join_words(words)


def _change(row: dict[str, Any]) -> str:
    short = {"opted_in": "in", "opted_out": "out", "unset": "-"}
    if "frequency" not in row:
        return f"{short[row['from']]} → {short[row['to']]}"
    before = "other" if row["from"] == row["to"] else short[row["from"]]
    return f"{before} → {row['frequency']}"


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A plan saved by `bridge plan --out`.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    why: Note = None,
    json: Json = False,
) -> int:
    """Apply a saved plan exactly, or refuse it if its data changed.

    A plan can be applied once, and only as it was saved.
    """
    saved = load_plan(file)
    settings = settings_from(config, database_url, mapping)

    from bridge.app import App
    from bridge.cli.db import writing
    from bridge.cli.interrupt import explained
    from bridge.cli.output import keeping_code, show_progress
    from bridge.cli.report import print_report
    from bridge.engine.plan import apply_plan, require_unused

    with (
        App(settings) as app,
        writing(app.lease()) as heartbeat,
        explained(app),
        show_progress() as progress,
    ):
        _check_instance(app, saved)
        services = app.services(progress=progress, heartbeat=heartbeat)
        try:
            plan = require_unused(app.store.approvals.of(_hash(saved)), app.store.now())
            report = apply_plan(
                services,
                app.writers(),
                saved["acts"],
                mapping=saved["mapping"],
                plan=plan,
                author=author(why),
            )
        except BrakeTripped as error:
            return _report_brake(error.reasons, json=json)
    return keeping_code(report.exit_code, lambda: print_report(report, json=json))


def load_plan(path: Path) -> dict[str, Any]:
    """Read a saved plan. Raises ConfigError where the file is not one."""

    try:
        document = jsonlib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the plan {path}: {error.strerror}.", hint=_NEW_PLAN) from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("acts"), list):
        raise ConfigError(f"{path} is not a saved plan.", hint=_NEW_PLAN)
    if document.get("format") != FORMAT:
        raise ConfigError(f"{path} was saved by a different version of the bridge.", hint=_NEW_PLAN)
    if not all(isinstance(document.get(key), str) for key in ("instance", "mapping")):
        raise ConfigError(f"{path} is not a complete plan.", hint=_NEW_PLAN)
    _check_acts(path, document["acts"])
    return document


def _check_acts(path: Path, acts: list[Any]) -> None:
    """Refuse an edited file here, before any API call."""
    from bridge.engine.serialize import act_in

    try:
        for act in acts:
            if not isinstance(act["person"], int) or not isinstance(act["shown"], str):
                raise TypeError("a person without a numeric id")
            for shown in act["acts"].values():
                act_in(shown)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} contains a write that cannot be read.", hint=_NEW_PLAN) from None


def _check_instance(app: App, saved: dict[str, Any]) -> None:

    if saved["instance"] != instance_of(app.store):
        raise PlanMoved("This plan was made with a different state DB; nothing was written.", hint=_NEW_PLAN)


def _report_brake(reasons: tuple[str, ...], *, json: bool) -> int:
    from bridge.cli.report import ways_out

    for reason in reasons:
        failure(f"A brake stops this plan: {reason}.")
    note(StatusMark.NEXT, "Nothing was written.", stderr=True)
    for way in ways_out(reasons):
        note(StatusMark.NEXT, f"{way}, and apply again.", stderr=True)
    if json:
        print_json({"brakes": list(reasons), "writes_sent": 0})
    return ExitCode.BRAKE
