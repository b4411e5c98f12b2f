"""`bridge sandbox`: both services emulated, to try a mapping or a policy against."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bridge.cli.options import IgnoredConfig
from bridge.core.errors import ConfigError

People = Annotated[
    int, typer.Option("--people", metavar="N", min=20, max=100_000, help="How many people to create.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="Seed for the people and their changes.")]
Port = Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0: any free port.")]


def sandbox(
    people: People = 200,
    seed: Seed = 1,
    mypreferences_port: Port = 0,
    dotdigital_port: Port = 0,
    config: IgnoredConfig = None,
) -> int:
    """Emulate both services with test people on loopback, until Ctrl-C."""
    from bridge.sandbox.serve import serve

    del config
    try:
        return serve(people, seed, mypreferences_port, dotdigital_port, sys.stdout)
    except OSError as error:
        raise ConfigError(
            f"The sandbox cannot use this port: {error.strerror}.", hint="Choose other ports, or give none."
        ) from None
