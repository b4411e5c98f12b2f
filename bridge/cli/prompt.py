"""Asking before something is done."""

from __future__ import annotations

import sys

import typer

from bridge.cli.output import console
from bridge.core.errors import ConfigError


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether somebody said yes, by flag or now. Raises ConfigError where nobody is there to be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody is there to confirm.", hint="Give --yes to do it unasked.")
    if typer.confirm(question, err=True):
        return True
    console(stderr=True).print("Nothing was changed.")
    return False
