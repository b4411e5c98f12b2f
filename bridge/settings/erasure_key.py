"""The key of erasure markers: set by the operator or, for SQLite, made by the first erasure. It is kept
outside the state DB, so that the DB alone does not allow testing addresses."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bridge.core.erasure import ErasureKey
from bridge.core.errors import ConfigError
from bridge.settings import Settings

_SUFFIX = ".erasure-key"


def key_of(settings: Settings) -> ErasureKey | None:
    """The key, or None. Raises ConfigError for a file that cannot be read or is empty."""
    if settings.erasure_key is not None:
        return ErasureKey(settings.erasure_key.get_secret_value())
    path = key_file(settings)
    if path is None or not path.exists():
        return None
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path) from error
    if not text:
        raise _unreadable(path)
    return ErasureKey(text)


def key_file(settings: Settings) -> Path | None:
    """The path of a generated key; None where the state DB is not a file."""
    scheme, _, path = settings.database_url.partition(":///")
    return Path(path + _SUFFIX) if scheme.startswith("sqlite") and path not in ("", ":memory:") else None


def make_key(path: Path) -> None:
    """Generate a key that only this user may read. Raises FileExistsError where there is one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secrets.token_hex(32)}\n")
        file.flush()
        os.fsync(file.fileno())


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(
        f"Cannot read the erasure key from {path}.",
        hint="Restore the file from a backup, or set its content as BRIDGE_ERASURE_KEY.",
    )
