"""The demo's result, and how it is printed: who changed what, what was synced, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.cli.explain import rule_text
from bridge.cli.output import (
    SIDES,
    ExitCode,
    StatusMark,
    console,
    format_duration,
    note,
    plural,
    styled,
    table,
    with_side_name,
)
from bridge.core.model import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from bridge.engine.report import Report
    from bridge.sandbox.actions import Action
    from bridge.sandbox.compare import Comparison

SAMPLES = 12  # decisions shown
_WHERE = {**{side: f"at {name}" for side, name in SIDES.items()}, "both": "at both"}
_SHORT = {"opted_in": "in", "opted_out": "out", "unset": "none"}


@dataclass(slots=True)
class DemoResult:
    """What happened in the demo, step by step."""

    people: int
    seed: int
    first: Report
    acts: Sequence[Action]
    reconcile: Report
    again: Report
    agreement: Comparison
    seconds: float
    decided: list[dict[str, Any]] = field(default_factory=list)  # the second run's decisions, from the ledger
    names: dict[int, str] = field(default_factory=dict)  # masked addresses, by person id

    @property
    def agrees(self) -> bool:
        return self.agreement.agree

    @property
    def exit_code(self) -> int:
        if not self.agrees or self.again.written.writes or self.again.errors:
            return ExitCode.UNEXPECTED
        return ExitCode.REVIEW if self.again.counts.held or self.again.counts.dead else 0

    def shown(self) -> dict[str, Any]:
        """The demo as JSON."""
        document: dict[str, Any] = {
            "people": self.people,
            "seed": self.seed,
            "first": self.first.shown(),
            "acts": len(self.acts),
            "reconcile": self.reconcile.shown(),
            "again": self.again.shown(),
            "agree": self.agrees,
            "seconds": round(self.seconds, 3),
        }
        if self.agreement.differences:
            document["differences"] = list(self.agreement.differences)
        return document


def print_demo(result: DemoResult, *, kept: Path | None, serve: bool) -> None:
    """Print the demo's result."""
    out = console()
    _print_first_run(result)
    _print_actions(result)
    _print_second_run(result)
    _print_third_run(result.again)
    _print_agreement(result)
    calls = sum(sum(run.calls.values()) for run in (result.first, result.reconcile, result.again))
    out.print(f"  {format_duration(result.seconds)} in total; the bridge made {calls:,} API calls.")
    for line in _next_steps(kept, serve=serve):
        note(StatusMark.NEXT, line)


def _print_first_run(result: DemoResult) -> None:
    first = result.first
    out = console()
    about = " Both services are emulated here, on loopback."
    out.print(styled((f"{result.people:,} people.", "bold"), about))
    read = " and ".join(f"{first.observed[side]:,} at {SIDES[side]}" for side in Side)
    out.print(styled(("First run:", "bold"), f" read {read}, {format_duration(first.seconds)}."))
    out.print(f"  Synced {_count_writes(first)} from before the bridge.")
    _print_warnings(first)


def _print_actions(result: DemoResult) -> None:
    out = console()
    out.print()
    out.print(
        styled(
            ("Then people made changes,", "bold"),
            f" {len(result.acts):,} in all, on either side.",
        )
    )
    counts = Counter((act.side, act.words) for act in result.acts)
    for side, where in _WHERE.items():
        chosen = [(words, number) for (at, words), number in counts.most_common() if at == side]
        if chosen:
            out.print(styled((f"  {where}", "cyan")))
        for words, number in chosen:
            out.print(styled((f"  {number:>4} x ", "bold"), words))


def _print_second_run(result: DemoResult) -> None:
    out = console()
    run = result.reconcile
    out.print()
    out.print(styled(("Second run:", "bold"), f" {_count_writes(run)}, {format_duration(run.seconds)}."))
    shown = table("  written to", "opt-outs", "opt-ins", "other", "API calls", right=(1, 2, 3, 4))
    for side in Side:
        numbers = (run.written.withdrawals, run.written.raises, run.written.other, run.calls)
        shown.add_row(f"  {SIDES[side]}", *(f"{number[side]:,}" for number in numbers))
    out.print(shown)
    _print_warnings(run)
    out.print(styled(("Reasons", "bold"), " from the ledger:"))
    for line in _reasons(result):
        out.print(line)
    out.print()


def _reasons(result: DemoResult) -> Iterator[Text]:
    """A few decisions of each rule, with the rule in words."""
    by_rule: dict[str, list[str]] = {}
    for entry in result.decided:
        name = result.names.get(entry["person"], "…")
        for topic, ground in entry["body"]["grounds"].items():
            for write in entry["body"]["writes"]:
                if write["topic"] == topic:
                    by_rule.setdefault(ground["rule"], []).append(_change(name, topic, ground, write))
    each = max(1, SAMPLES // max(1, len(by_rule)))
    for rule, changes in sorted(by_rule.items(), key=lambda one: -len(one[1])):
        yield styled(("  ", ""), (rule_text(rule), "cyan"), (f" ({len(changes)})", "dim"))
        for change in changes[:each]:
            yield styled("    ", change)


def _change(name: str, topic: str, ground: dict[str, Any], write: dict[str, Any]) -> str:
    side = write["side"]
    seen = ground["seen"][side] or {"choice": "unset"}
    before = ", ".join(seen.get("frequencies", ())) or _SHORT[seen["choice"]]
    after = "out" if write["kind"] == "withdrawal" else write.get("frequency") or "in"
    return f"{name:<18} {topic:<11} {before} → {after} at {SIDES[side]}"


def _print_third_run(run: Report) -> None:
    if run.written.writes:
        note(StatusMark.BAD, ("Third run: ", "bold"), f"{_count_writes(run)}, although nothing had changed.")
    else:
        note(StatusMark.GOOD, ("Third run: ", "bold"), f"nothing to write, {format_duration(run.seconds)}.")


def _print_agreement(result: DemoResult) -> None:
    found = result.agreement
    if found.agree:
        words = f" on all {found.people:,} people they share (read back over HTTP by an independent check)"
        alone = f"; {found.one_sided:,} exist on one side only" if found.one_sided else ""
        note(StatusMark.GOOD, ("Both sides agree", "bold"), f"{words}{alone}.")
        return
    note(StatusMark.BAD, (f"{plural(len(found.differences), 'difference')} between the sides:", "bold"))
    for one in found.differences[:SAMPLES]:
        console().print(f"    {one}")


def _print_warnings(run: Report) -> None:
    for warning in (*run.brakes, *run.warnings):
        note(StatusMark.WARN, with_side_name(warning), indent=2)
    if run.counts.held:
        note(StatusMark.WARN, f"{plural(run.counts.held, 'choice')} held for review.", indent=2)


def _count_writes(run: Report) -> str:
    written = run.written
    out, up, other = (sum(kind.values()) for kind in (written.withdrawals, written.raises, written.other))
    parts = [plural(out, "opt-out"), plural(up, "opt-in")] if up or not out else [plural(out, "opt-out")]
    return ", ".join([*parts, *([plural(other, "frequency change")] if other else [])])


def _next_steps(kept: Path | None, *, serve: bool) -> Iterator[str]:
    if kept is not None:
        yield f"Inspect the result: `bridge status --database-url sqlite:///{kept / 'bridge.db'}`"
    if not serve:
        yield "Keep it running: `bridge demo --serve`. Try your own mapping: `bridge sandbox`."
        yield "Use real accounts: set BRIDGE_… (see `bridge doctor`), then run `bridge plan`."


def act_line(side: str, person: str, topic: str, words: str) -> str:
    """What a person did, in a line."""
    return f"  {person} {words} ({topic}) {_WHERE[side]}"


def print_serving(mypreferences: str, dotdigital: str, database: Path, *, stderr: bool) -> None:
    """Print how to use a demo that stays up."""
    out = console(stderr=stderr)
    out.print(
        styled(
            ("\nBoth services stay up, ", "bold"), "and the bridge keeps them in agreement. Stop with Ctrl-C."
        )
    )
    act = f"""curl -X POST {mypreferences}/_sandbox/act -d '{{"count": 10}}'"""
    for what, how in (
        ("Let ten people make changes:", act),
        ("List the people at MyPreferences:", f"curl {mypreferences}/_sandbox/people"),
        ("List the people at Dotdigital:", f"curl {dotdigital}/_sandbox/people"),
    ):
        out.print(styled(f"  {what}\n", (f"    {how}", "cyan")), soft_wrap=True)
    out.print(styled(("\nIn another terminal,", "bold"), f" on its state DB {database}:"), soft_wrap=True)
    url = f"--database-url sqlite:///{database}"
    for what, how in (
        ("See the state of the sync:", f"bridge status {url}"),
        ("See what waits for you:", f"bridge holds list {url}"),
        ("See past runs:", f"bridge runs list {url}"),
    ):
        out.print(styled(f"  {what}\n", (f"    {how}", "cyan")), soft_wrap=True)
    out.print("The address that follows shows the bridge's health in a browser.")
