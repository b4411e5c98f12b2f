"""The project's own files, as the house checks see them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"__pycache__", "build", "dist"}


def files() -> list[Path]:
    """Every file that belongs to the project."""
    return [path for path in entries() if path.is_file()]


def entries() -> list[Path]:
    """All that belongs to the project, links too: git's list, or where there is no git, all files."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        return [ROOT / name for name in sorted(set(listed.split("\0"))) if name]
    return sorted(_walk())


def _walk() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.startswith(".")]
        yield from (Path(folder) / name for name in names)


def python(*parts: str) -> list[Path]:
    """The Python files under the named top-level folders."""
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in parts]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
