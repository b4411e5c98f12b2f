"""The flags that commands share, the settings they select, and the confirmation prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import console
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.settings import Settings

READ_TIMEOUT = 30.0  # seconds; an operator is waiting

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).", show_default=False)
]
IgnoredConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Accepted for consistency; not used by this command.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, all else on stderr.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url", metavar="URL", help="State DB, e.g. sqlite:///bridge.db.", show_default=False
    ),
]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", metavar="FILE", help="Mapping file.", show_default=False)
]
Full = Annotated[bool, typer.Option("--full", help="Read every person on both sides instead of the feeds.")]
ApproveRaises = Annotated[
    bool,
    typer.Option(
        "--approve-raises",
        help="Send dated opt-ins from before the first run, or from before a topic was mapped.",
    ),
]
ApproveMapping = Annotated[
    bool,
    typer.Option("--approve-mapping", help="Send what a changed mapping writes for many people."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def examples(*lines: str) -> str:
    """The end of a command's help: example command lines."""
    return "\n\n".join(("[bold]Examples[/bold]", *(line.replace("[", r"\[") for line in lines)))


def settings_from(
    config: Path | None, database_url: str | None = None, mapping: Path | None = None
) -> Settings:
    """The settings; flags override other sources. Raises ConfigError with every problem of every source."""
    from bridge.settings import load

    return load(config, flags={"database_url": database_url, "mapping": mapping})


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether the operator agrees: by --yes, or asked on the terminal. Raises ConfigError without either."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Not a terminal.", hint="Pass --yes to confirm.")
    if typer.confirm(question, err=True):
        return True
    console(stderr=True).print("Nothing was changed.")
    return False
