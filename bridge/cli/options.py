"""The flags that commands share, the settings they select, and the confirmation prompt."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import SIDES, console
from bridge.core.errors import ConfigError
from bridge.core.model import mask

if TYPE_CHECKING:
    from bridge.core.approval import Operator
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
ShowAddresses = Annotated[
    bool, typer.Option("--show-addresses", help="Show whole addresses. They are masked otherwise.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, one row a line.")]
ApproveVanished = Annotated[
    bool,
    typer.Option("--approve-vanished", help="Believe that many people or definitions are gone from a side."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


Note = Annotated[
    str | None,
    typer.Option("--note", metavar="TEXT", help="Why; kept in the ledger. Put no address into it."),
]


def author(note: str | None) -> Operator:
    """Who acts, by the account they signed in with, and their note."""
    import getpass
    import os

    from bridge.core.approval import Operator

    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        name = f"uid {os.getuid()}"
    return Operator(name, note)


def examples(*lines: str) -> str:
    """The end of a command's help: example command lines."""
    return "\n\n".join(("[bold]Examples[/bold]", *(line.replace("[", r"\[") for line in lines)))


def require_one_format(*, json: bool, csv: bool) -> None:
    """Raises ConfigError where both were asked for."""
    if json and csv:
        raise ConfigError("--json and --csv cannot be combined.", hint="Give one of the two.")


def name_shown(show_addresses: bool) -> Callable[[str], str]:
    """How addresses are shown: masked unless the operator asked for them."""
    return str if show_addresses else mask


def ids_text(ids: Mapping[str, Sequence[str]]) -> str:
    """A person's record ids: ProfileIds, then contactIds."""
    return " / ".join(" ".join(ids[side]) or "-" for side in SIDES)


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
