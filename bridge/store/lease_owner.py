"""The name of this process as owner of the lease, by which another can find out whether it still runs."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

_TOKEN = secrets.token_hex(3)  # tells this process from an earlier one with the same number


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its host, its number, and the space in which that number is unique ("": unknown)."""

    host: str
    pid: int
    space: str
    token: str

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid} [{self.space} {self.token}]"


def this_process() -> Owner:
    """The owner that this process is."""
    return Owner(socket.gethostname(), os.getpid(), _space(), _TOKEN)


def is_gone(shown: str) -> bool:
    """Whether the process that `str(Owner)` named has certainly ended. In doubt it runs: its lease then
    expires by itself."""
    owner, mine = _parse(shown), this_process()
    if owner is None or not owner.space or (owner.host, owner.space) != (mine.host, mine.space):
        return False
    if owner.pid == mine.pid:
        return owner.token != mine.token
    return not Path(f"/proc/{owner.pid}").exists()


def _space() -> str:
    """This boot of this machine, and this space of process numbers: two containers may share the rest."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _parse(shown: str) -> Owner | None:
    """The owner that a text names, if it is one."""
    before, _, after = shown.rstrip("]").partition(" [")
    host, _, pid = before.rpartition(" pid ")
    space, _, token = after.partition(" ")
    return Owner(host, int(pid), space, token) if host and pid.isdigit() and token else None
