"""`bridge simulate`: the real engine against simulated services, clocks and faults, with this mapping."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge import __version__
from bridge.cli.options import Config, Json, MappingFile, settings_from
from bridge.cli.output import (
    SIDES,
    ExitCode,
    StatusMark,
    console,
    format_duration,
    join_words,
    note,
    plural,
    print_json,
    show_progress,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 10  # lines of a list


def simulate(
    config: Config = None,
    mapping: MappingFile = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many schedules to try.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first of them.")] = 1,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.0, help="Stop after this time.", show_default=False),
    ] = None,
    json: Json = False,
) -> int:
    """Try the mapping: people, faults and crashes by chance, the real engine, no service.

    Nothing outside this process is read or written, but for the mapping file."""
    from bridge.mapping_file import load_mapping
    from bridge.simulation.campaign import document, run_campaign

    path = mapping or settings_from(config).mapping
    known = load_mapping(path)
    with show_progress() as progress:
        found = run_campaign(
            known,
            seeds=seeds,
            first_seed=seed,
            minutes=minutes,
            progress=lambda done: progress("simulating", done, seeds),
        )
    shown = document(found, known, commit())
    if json:
        print_json(shown)
    else:
        _print(shown, path)
    return ExitCode.UNEXPECTED if found.story is not None else ExitCode.DONE


def commit() -> str:
    """The commit of a checkout, or else the program's version."""
    git = Path(__file__).resolve().parents[2] / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        _, is_named, name = head.partition("ref: ")
        return (git / name).read_text(encoding="ascii").strip()[:12] if is_named else head[:12]
    except OSError:
        return __version__


def _print(shown: Mapping[str, Any], path: Path) -> None:
    out = console()
    number, took = plural(shown["schedules"], "schedule"), format_duration(shown["seconds"])
    out.print(
        f"{number} in {took}, {shown['per_second']} a second: {plural(shown['runs'], 'run')}, "
        f"{plural(shown['boundaries'], 'call or transaction', 'calls and transactions')}"
    )
    for title, counts in (("Writes", shown["writes"]), ("Holds", shown["holds"])):
        out.print(f"\n{title}")
        for name, count in counts.items():
            out.print(f"  {count:>8,}  {name}")
    out.print(f"\nHolds a week and small world: {shown['holds_a_week']}")
    calls = (f"{count:,} to {SIDES[side]}" for side, count in shown["calls"].items())
    out.print(f"Calls: {join_words(calls)}")
    empty = shown["coverage"]["empty"]
    out.print(f"Acts by state of both sides: {shown['coverage']['filled']} met, {len(empty)} not met")
    for cell in empty[:_MOST]:
        out.print(f"  not met: {cell[0]}, while {cell[1]} and {cell[2]}")
    broken = shown["broken"]
    if broken is None:
        note(StatusMark.GOOD, "No promise was broken.")
        return
    note(StatusMark.BAD, f"{broken['promise']} was broken: {broken['what']}")
    for step in broken["steps"]:
        out.print(f"  - {step}")
    line = f"bridge simulate --seeds 1 --seed {broken['seed']} --mapping {shlex.quote(str(path))}"
    out.print(f"\nAgain: {line}  (commit {shown['commit']}, mapping {shown['mapping'][:12]})")
