"""Who this process is, told so that another can find out whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

_TOKEN = secrets.token_hex(3)  # tells this process from an earlier one with the same number


@dataclass(frozen=True, slots=True)
class Owner:
    """A process by host, number, and the number space its number counts in ("" where that is unknown)."""

    host: str
    pid: int
    space: str
    token: str

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid} [{self.space} {self.token}]"


def this_process() -> Owner:
    """This very process."""
    return Owner(socket.gethostname(), os.getpid(), _space(), _TOKEN)


def is_gone(shown: str) -> bool:
    """Whether the process that `str(Owner)` named is certainly no more. Under doubt it lives: its lease then
    ends by itself."""
    owner, mine = _read(shown), this_process()
    if owner is None or not owner.space or (owner.host, owner.space) != (mine.host, mine.space):
        return False
    if owner.pid == mine.pid:
        return owner.token != mine.token
    return not Path(f"/proc/{owner.pid}").exists()


def _space() -> str:
    """Which boot of which machine, and which space of process numbers: two containers may share the rest."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _read(shown: str) -> Owner | None:
    """The owner that a text names, if it is one."""
    before, _, after = shown.rstrip("]").partition(" [")
    host, _, pid = before.rpartition(" pid ")
    space, _, token = after.partition(" ")
    return Owner(host, int(pid), space, token) if host and pid.isdigit() and token else None
