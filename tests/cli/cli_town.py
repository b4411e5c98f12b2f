"""A small town at both services, and what a command left behind."""

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
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The whole of stdout as one document."""
        return json.loads(self.out)


class Town:
    """Anna says the same at both sides. Ben withdrew at MyPreferences, and Dotdigital has not heard of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.profiles: dict[str, int] = {}
        self.contacts: dict[str, int] = {}
        self.move_in("anna.archer@example.com", mine=IN, theirs=IN)
        self.move_in("ben.baker@example.com", mine=OUT, theirs=IN)

    def move_in(self, address: str, *, mine: str | None, theirs: str | None, days: int = 30) -> None:
        """Somebody with a newsletter choice at each side, MyPreferences' the newer by a day."""
        then = datetime.now(UTC) - timedelta(days=days)
        choices = {} if mine is None else {"NEWS_EMAIL": (mine, then, None)}
        rows = {} if theirs is None else {1002: (theirs == IN, then - timedelta(days=1))}
        name = address.partition(".")[0]
        self.profiles[name] = self.world.mypreferences.add_profile(
            [("Primary", address)], preferences=choices
        )
        self.contacts[name] = self.world.dotdigital.add_contact(address, opt_ins=rows)

    def cora_waits(self) -> None:
        """An opt-in from before the bridge, which the first run holds."""
        self.move_in("cora.carter@example.com", mine=IN, theirs=None)

    def withdraws(self, name: str) -> None:
        """Somebody opts out of the newsletter at MyPreferences, now."""
        self.world.mypreferences.set_preference(self.profiles[name], "NEWS_EMAIL", False, datetime.now(UTC))

    def gets_newsletter(self, name: str) -> bool:
        """What Dotdigital would send."""
        state = self.world.dotdigital
        contact = state.contacts.by_contact_id(self.contacts[name], state.now())
        return contact is not None and 1002 in contact.opt_ins and contact.opt_ins[1002].opted_in


Call = Callable[..., Said]


def command(*args: str | Path) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-m", "bridge", *map(str, args)]


def environment(settings: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment of a process."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**plain, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **settings, **more}
