"""Every command with its name, group and examples."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bridge.cli.options import examples
from bridge.cli.output import PIPE_CLOSED, silence_stdout

ABOUT = "Keep MyPreferences and Dotdigital in agreement. If in doubt, an opt-out wins."
SYNC, INSPECT, SETUP = "Sync", "Inspect", "Setup"


def _without_type(params: list[Any]) -> list[Any]:
    """A flag takes no value, so its help must not show a value type."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class BridgeCommand(TyperCommand):
    """A command whose help hides the types of flags."""

    def get_params(self, ctx: Any) -> Any:
        return _without_type(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """A group that handles a closed pipe before the parser reports it as an error."""

    def get_params(self, ctx: Any) -> Any:
        return _without_type(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence_stdout()
            raise typer.Exit(PIPE_CLOSED) from None


def build() -> typer.Typer:
    """Build the whole command line."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        os.environ.setdefault(
            "_TYPER_FORCE_DISABLE_TERMINAL", "1"
        )  # else typer forces colours on CI services
    app = _group(ABOUT)
    app.callback(epilog=examples("bridge demo", "bridge doctor", "bridge reconcile --dry-run"))(_top)
    _sync_commands(app)
    _inspect_commands(app)
    _setup_commands(app)
    _hook_commands(app)
    return app


def _group(about: str) -> typer.Typer:
    return typer.Typer(
        cls=CommandGroup,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def _version(asked: bool) -> None:
    if asked:
        from bridge import __version__

        sys.stdout.write(f"consent-bridge {__version__}\n")
        raise typer.Exit


def _top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="With any command: write a log, and show the traceback of an error."),
    ] = False,
) -> None:
    """Keep MyPreferences and Dotdigital in agreement. If in doubt, an opt-out wins."""
    del version, debug  # handled above and in the entry point


def _sync_commands(app: typer.Typer) -> None:
    from bridge.cli import apply, forget, plan, reconcile, run

    def add(name: str, *lines: str) -> Any:
        return app.command(name, cls=BridgeCommand, epilog=examples(*lines), rich_help_panel=SYNC)

    add("plan", "bridge plan", "bridge plan --out plan.json")(plan.plan)
    add("apply", "bridge apply plan.json")(apply.apply)
    add("reconcile", "bridge reconcile", "bridge reconcile --full --json")(reconcile.reconcile)
    add("run", "bridge run --config bridge.toml")(run.run)
    add("forget", "bridge forget ada@example.com --dry-run", "bridge forget - --yes < address.txt")(
        forget.forget
    )


def _inspect_commands(app: typer.Typer) -> None:
    from bridge.cli import explain, holds, ledger, status

    def add(name: str, *lines: str) -> Any:
        return app.command(name, cls=BridgeCommand, epilog=examples(*lines), rich_help_panel=INSPECT)

    add("status", "bridge status", "bridge status --json")(status.status)
    add("explain", "bridge explain maria@example.com", "bridge explain 12")(explain.explain)
    group = _group("Review held changes.")
    app.add_typer(group, name="holds", rich_help_panel=INSPECT)
    listing = examples("bridge holds list", "bridge holds list --reason complaint")
    group.command("list", cls=BridgeCommand, epilog=listing)(holds.list_)
    releasing = examples("bridge holds release 12 15", "bridge holds release --reason first_run --yes")
    group.command("release", cls=BridgeCommand, epilog=releasing)(holds.release)
    dismissing = examples("bridge holds dismiss 12", "bridge holds dismiss --reason burst --yes")
    group.command("dismiss", cls=BridgeCommand, epilog=dismissing)(holds.dismiss)
    group = _group("Verify or export the decision log.")
    app.add_typer(group, name="ledger", rich_help_panel=INSPECT)
    group.command("verify", cls=BridgeCommand, epilog=examples("bridge ledger verify"))(ledger.verify)
    group.command("export", cls=BridgeCommand, epilog=examples("bridge ledger export > ledger.jsonl"))(
        ledger.export
    )


def _setup_commands(app: typer.Typer) -> None:
    from bridge.cli import db, demo, mapping, sandbox, scaffold
    from bridge.cli import profile_links as pin
    from bridge.cli.doctor import command

    def add(name: str, *lines: str) -> Any:
        return app.command(name, cls=BridgeCommand, epilog=examples(*lines), rich_help_panel=SETUP)

    add("demo", "bridge demo", "bridge demo --people 2000 --seed 7 --serve")(demo.demo)
    add("sandbox", "bridge sandbox --people 500", "bridge sandbox --mypreferences-port 9001")(sandbox.sandbox)
    add("doctor", "bridge doctor", "bridge doctor --provision --as John.Doe")(command.doctor)
    group = _group("The mapping file: which filter or consent maps to which preference.")
    app.add_typer(group, name="mapping", rich_help_panel=SETUP)
    checking = examples("bridge mapping check mappings/bridge.toml", "bridge mapping check --live")
    group.command("check", cls=BridgeCommand, epilog=checking)(mapping.check)
    drafting = examples("bridge mapping scaffold", "bridge mapping scaffold --out draft.toml")
    group.command("scaffold", cls=BridgeCommand, epilog=drafting)(scaffold.scaffold)
    group.command(
        "schema", cls=BridgeCommand, epilog=examples("bridge mapping schema > mappings/schema.json")
    )(mapping.schema)
    pinning = examples("bridge mapping pin --dry-run", "bridge mapping pin --yes")
    group.command("pin", cls=BridgeCommand, epilog=pinning)(pin.pin)
    _preference_commands(group)
    group = _group("Manage the state DB's schema.")
    app.add_typer(group, name="db", rich_help_panel=SETUP)
    group.command("upgrade", cls=BridgeCommand, epilog=examples("bridge db upgrade --config bridge.toml"))(
        db.upgrade
    )
    group.command("check", cls=BridgeCommand, epilog=examples("bridge db check"))(db.check)
    group.command("adopt", cls=BridgeCommand, epilog=examples("bridge db adopt"))(db.adopt)


def _preference_commands(mapping: typer.Typer) -> None:
    from bridge.cli import preferences

    group = _group("Manage the preferences defined at Dotdigital. Runs never change them.")
    mapping.add_typer(group, name="preferences")

    def add(name: str, *lines: str) -> Any:
        return group.command(
            name, cls=BridgeCommand, epilog=examples(*(f"bridge mapping {one}" for one in lines))
        )

    add("list", "preferences list", "preferences list --changed-since 2026-03-01")(preferences.list_)
    creating = (
        "preferences create --name Events --category 1",
        "preferences create --for EVENTS_EMAIL --dry-run",
    )
    add("create", *creating)(preferences.create)
    add("update", "preferences update 1012 --name Surveys --private")(preferences.update)
    add("delete", "preferences delete 1012")(preferences.delete)


def _hook_commands(app: typer.Typer) -> None:
    from bridge.cli import webhooks

    group = _group("Manage webhook subscriptions at MyPreferences.")
    app.add_typer(group, name="hooks", rich_help_panel=SETUP)

    def add(name: str, *lines: str) -> Any:
        return group.command(name, cls=BridgeCommand, epilog=examples(*lines))

    add("list", "bridge hooks list", "bridge hooks list --json")(webhooks.list_)
    add("create", "bridge hooks create --url https://bridge.example.com")(webhooks.create)
    add("pause", "bridge hooks pause 17")(webhooks.pause)
    add("resume", "bridge hooks resume 17")(webhooks.resume)
    add("delete", "bridge hooks delete 17")(webhooks.delete)
    add("settings", "bridge hooks settings", "bridge hooks settings --most 200 --rest 5")(webhooks.settings)
