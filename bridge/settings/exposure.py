"""Files with secrets or addresses that others than their owner may read or change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bridge.settings.load import key_file
from bridge.settings.model import Settings

_OTHERS_READ = stat.S_IROTH
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SUPERUSER = 0


def exposed_files(settings: Settings) -> list[str]:
    """What is wrong with the files that hold secrets and addresses, each with its path. Empty where nothing
    is, and where the system has no owners."""
    if not hasattr(os, "getuid"):
        return []
    return [problem for path in _files(settings) for problem in _problems(path)]


def _files(settings: Settings) -> Iterator[Path]:
    scheme, _, path = settings.database_url.partition(":///")
    if scheme.startswith("sqlite") and path not in ("", ":memory:"):
        yield from (Path(path + suffix) for suffix in ("", "-wal"))
    if (key := key_file(settings)) is not None:
        yield key
    if settings.mypreferences.certificate_key_file is not None:
        yield settings.mypreferences.certificate_key_file
    if (folder := settings.secrets_dir) is not None:
        yield folder
        if folder.is_dir():
            yield from sorted(one for one in folder.iterdir() if one.is_file())


def _problems(path: Path) -> Iterator[str]:
    try:
        found = path.stat()
    except OSError:
        return
    shown = path.absolute()
    if found.st_uid not in (os.getuid(), _SUPERUSER):
        yield f"{shown} belongs to another user."
    if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
        yield f"{shown} may be changed by others."
    elif found.st_mode & _OTHERS_READ and not stat.S_ISDIR(found.st_mode):
        yield f"{shown} may be read by everybody."
