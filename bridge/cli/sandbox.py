"""`bridge sandbox`: both services emulated, to try things against."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bridge.cli.options import IgnoredConfig
from bridge.core.errors import ConfigError

People = Annotated[
    int, typer.Option("--people", metavar="N", min=20, max=100_000, help="How many live there.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="Which people they are, and what they do.")]
Port = Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0 takes a free one.")]


def sandbox(
    people: People = 200,
    seed: Seed = 1,
    mypreferences_port: Port = 0,
    dotdigital_port: Port = 0,
    config: IgnoredConfig = None,
) -> int:
    """Serve both services, emulated and full of people, until Ctrl-C. Loopback only."""
    from bridge.sandbox.serve import serve

    del config
    try:
        return serve(people, seed, mypreferences_port, dotdigital_port, sys.stdout)
    except OSError as error:
        raise ConfigError(
            f"The sandbox cannot listen there: {error.strerror}.", hint="Name other ports, or leave them out."
        ) from None
