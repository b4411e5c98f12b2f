"""Every command with its name, group and examples."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bridge.cli.interrupt import Interrupted
from bridge.cli.options import examples
from bridge.cli.output import ExitCode, silence_stdout

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
    """A group that handles a closed pipe and Ctrl-C before the parser does."""

    def get_params(self, ctx: Any) -> Any:
        return _without_type(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence_stdout()
            raise typer.Exit(ExitCode.PIPE_CLOSED) from None
        except KeyboardInterrupt:  # the parser would end without a word
            raise Interrupted from None


def build() -> typer.Typer:
    """Build the whole command line."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        # Without this typer forces colours on CI services.
        os.environ.setdefault("_TYPER_FORCE_DISABLE_TERMINAL", "1")
    app = _group(ABOUT, completion=True)
    app.callback(epilog=examples("bridge demo", "bridge doctor", "bridge reconcile --dry-run"))(_top)
    _sync_commands(app)
    _inspect_commands(app)
    _setup_commands(app)
    return app


def _sync_commands(app: typer.Typer) -> None:
    from bridge.cli import forget, plan, run

    _add(app, {
        "plan": (plan.plan, "bridge plan", "bridge plan --csv --show-addresses > plan.csv"),
        "apply": (plan.apply, "bridge apply plan.json"),
        "reconcile": (run.reconcile, "bridge reconcile", "bridge reconcile --full --json"),
        "run": (run.run, "bridge run --config bridge.toml"),
        "forget": (
            forget.forget,
            "bridge forget ada@example.com --dry-run",
            "bridge forget - --yes < address.txt",
            "bridge forget ada@example.com --check",
        ),
    }, SYNC)  # fmt: skip


def _inspect_commands(app: typer.Typer) -> None:
    from bridge.cli import explain, holds, ledger, runs, status

    _add(app, {
        "status": (status.status, "bridge status", "bridge status --json"),
        "explain": (explain.explain, "bridge explain maria@example.com", "bridge explain 12"),
    }, INSPECT)  # fmt: skip
    _add(_subgroup(app, "runs", "Review past runs.", INSPECT), {
        "list": (runs.list_, "bridge runs list", "bridge runs list --failed --json"),
        "show": (runs.show, "bridge runs show last", "bridge runs show 20260301-030000-12"),
    })  # fmt: skip
    _add(_subgroup(app, "holds", "Review held changes.", INSPECT), {
        "list": (holds.list_, "bridge holds list", "bridge holds list --reason complaint --csv"),
        "release": (
            holds.release, "bridge holds release 12 15", "bridge holds release --reason first_run --yes"
        ),
        "dismiss": (holds.dismiss, "bridge holds dismiss 12", "bridge holds dismiss --reason burst --yes"),
    })  # fmt: skip
    _add(_subgroup(app, "ledger", "Verify or export the decision log.", INSPECT), {
        "verify": (ledger.verify, "bridge ledger verify"),
        "export": (ledger.export, "bridge ledger export > ledger.jsonl"),
    })  # fmt: skip


def _setup_commands(app: typer.Typer) -> None:
    from bridge.cli import backup, db, demo, mapping, preferences, profile_links, simulate, webhooks
    from bridge.cli.doctor import command as doctor

    _add(app, {
        "demo": (demo.demo, "bridge demo", "bridge demo --people 2000 --seed 7 --serve"),
        "sandbox": (
            demo.sandbox, "bridge sandbox --people 500", "bridge sandbox --mypreferences-port 9001"
        ),
        "simulate": (
            simulate.simulate,
            "bridge simulate --mapping mappings/bridge.toml",
            "bridge simulate --seeds 1 --seed 4711",
        ),
        "doctor": (doctor.doctor, "bridge doctor", "bridge doctor --provision --as John.Doe"),
    }, SETUP)  # fmt: skip
    about = "The mapping file: which filter or consent maps to which preference."
    group = _subgroup(app, "mapping", about, SETUP)
    _add(group, {
        "check": (
            mapping.check, "bridge mapping check mappings/bridge.toml", "bridge mapping check --live"
        ),
        "scaffold": (
            mapping.scaffold, "bridge mapping scaffold", "bridge mapping scaffold --out draft.toml"
        ),
        "schema": (mapping.schema, "bridge mapping schema > mappings/schema.json"),
        "pin": (profile_links.pin, "bridge mapping pin --dry-run", "bridge mapping pin --yes"),
    })  # fmt: skip
    about = "Manage the preferences defined at Dotdigital. Runs never change them."
    prefix = "bridge mapping preferences"
    _add(_subgroup(group, "preferences", about), {
        "list": (preferences.list_, f"{prefix} list", f"{prefix} list --changed-since 2026-03-01"),
        "create": (
            preferences.create,
            f"{prefix} create --name Events --category 1",
            f"{prefix} create --for EVENTS_EMAIL --dry-run",
        ),
        "update": (preferences.update, f"{prefix} update 1012 --name Surveys --private"),
        "delete": (preferences.delete, f"{prefix} delete 1012"),
    })  # fmt: skip
    _add(_subgroup(app, "db", "Manage the state DB: its schema, its copies.", SETUP), {
        "upgrade": (db.upgrade, "bridge db upgrade --config bridge.toml"),
        "check": (db.check, "bridge db check"),
        "adopt": (db.adopt, "bridge db adopt"),
        "backup": (backup.backup, "bridge db backup /backups/bridge-2026-03-01.db"),
        "restore": (backup.restore, "bridge db restore /backups/bridge-2026-03-01.db --note 'disk failure'"),
        "restored": (backup.restored, "bridge db restored --note 'snapshot of 03:00 put back'"),
    })  # fmt: skip
    _add(_subgroup(app, "hooks", "Manage webhook subscriptions at MyPreferences.", SETUP), {
        "list": (webhooks.list_, "bridge hooks list", "bridge hooks list --json"),
        "create": (webhooks.create, "bridge hooks create --url https://bridge.example.com"),
        "pause": (webhooks.pause, "bridge hooks pause 17"),
        "resume": (webhooks.resume, "bridge hooks resume 17"),
        "delete": (webhooks.delete, "bridge hooks delete 17"),
        "settings": (
            webhooks.settings, "bridge hooks settings", "bridge hooks settings --most 200 --rest 5"
        ),
    })  # fmt: skip


def _add(
    group: typer.Typer,
    commands: Mapping[str, tuple[Callable[..., Any], *tuple[str, ...]]],
    panel: str | None = None,
) -> None:
    """Add commands, each with its function and example lines."""
    for name, (function, *lines) in commands.items():
        add = group.command(name, cls=BridgeCommand, epilog=examples(*lines), rich_help_panel=panel)
        add(function)


def _subgroup(parent: typer.Typer, name: str, about: str, panel: str | None = None) -> typer.Typer:
    group = _group(about)
    parent.add_typer(group, name=name, rich_help_panel=panel)
    return group


def _group(about: str, *, completion: bool = False) -> typer.Typer:
    return typer.Typer(
        cls=CommandGroup,
        help=about,
        no_args_is_help=True,
        add_completion=completion,
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
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="With any command: settings file (TOML)."),
    ] = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="With any command: write a log, and show the traceback of an error."),
    ] = False,
) -> None:
    """Keep MyPreferences and Dotdigital in agreement. If in doubt, an opt-out wins."""
    del version, config, debug  # handled above and in the entry point
