"""Two people on both services, and the result of a command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.sandbox.world import World

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "mappings" / "bridge.toml"
IN, OUT = "opted_in", "opted_out"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The whole of stdout as one document."""
        return json.loads(self.out)


class CliWorld:
    """Anna agrees on both sides. Ben opted out at MyPreferences; Dotdigital does not know yet."""

    def __init__(self, world: World) -> None:
        self.services = world
        self.profiles: dict[str, int] = {}
        self.contacts: dict[str, int] = {}
        self.add_person("anna.archer@example.com", mine=IN, theirs=IN)
        self.add_person("ben.baker@example.com", mine=OUT, theirs=IN)

    def add_person(self, address: str, *, mine: str | None, theirs: str | None, days: int = 30) -> None:
        """A person with a newsletter choice on each side, the one at MyPreferences a day newer."""
        then = datetime.now(UTC) - timedelta(days=days)
        choices = {} if mine is None else {"NEWS_EMAIL": (mine, then, None)}
        rows = {} if theirs is None else {1002: (theirs == IN, then - timedelta(days=1))}
        name = address.partition(".")[0]
        self.profiles[name] = self.services.mypreferences.add_profile(
            [("Primary", address)], preferences=choices
        )
        self.contacts[name] = self.services.dotdigital.add_contact(address, opt_ins=rows)

    def add_held_opt_in(self) -> None:
        """An opt-in from before the bridge, which the first run holds."""
        self.add_person("cora.carter@example.com", mine=IN, theirs=None)

    def opt_out(self, name: str) -> None:
        """A person opts out of the newsletter at MyPreferences, now."""
        self.services.mypreferences.set_preference(
            self.profiles[name], "NEWS_EMAIL", False, datetime.now(UTC)
        )

    def gets_newsletter(self, name: str) -> bool:
        """What Dotdigital would send."""
        state = self.services.dotdigital
        contact = state.contacts.find_id(self.contacts[name])
        return contact is not None and 1002 in contact.opt_ins and contact.opt_ins[1002].opted_in


Call = Callable[..., CommandResult]


def command(*args: str | Path) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-m", "bridge", *map(str, args)]


def environment(settings: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment of a process."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**plain, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **settings, **more}
