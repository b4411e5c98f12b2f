"""Load settings from all sources, or report every problem at once; and the key of erasure markers.

That key is set by the operator or, for SQLite, made by the first erasure. It is kept outside the state DB,
so that the DB alone does not allow testing addresses.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.core.erasure import ErasureKey
from bridge.core.errors import ConfigError
from bridge.settings.model import FIELDS, Settings, hint
from bridge.settings.sources import DEFAULT, READING, Reading, env_name, from_flags

_SUFFIX = ".erasure-key"


def load(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings. `config` is a TOML file, `environ` the environment (the process's own where None),
    `flags` values by key (`database_url`, `web__port`), None meaning not given.

    Raises ConfigError with every problem of every source at once.
    """
    values = os.environ if environ is None else environ
    if config is None and values.get("BRIDGE_CONFIG"):
        config = Path(values["BRIDGE_CONFIG"])
    reading = Reading([env_name(key) for key in FIELDS], values, config)
    settings = copy_context().run(_read, reading, from_flags(_nested(flags or {})))
    if settings is None or reading.problems:
        raise ConfigError(
            "The settings are not valid.",
            problems=tuple(reading.problems),
            hint="`bridge doctor` shows each setting and its source.",
        )
    return settings


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in flags.items():
        if key not in FIELDS:
            raise KeyError(f"no setting is called {key}")  # a bug in the program, not an operator's mistake
        group, _, name = key.rpartition("__")
        (values.setdefault(group, {}) if group else values)[name] = value
    return values


def _read(reading: Reading, flags: Mapping[str, Any]) -> Settings | None:
    """The settings, or None where a value is wrong, which is then in `reading.problems`."""
    READING.set(reading)
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            _add_problem(reading, one)
        return None
    settings._origins = reading.origins
    return settings


_PROBLEM_TEXTS: Mapping[str, str] = {
    "value_error": "{error}",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_type": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "string_type": "is not text",
    "path_type": "is not text",
    "enum": "is not {expected}",
    "literal_error": "is not {expected}",
    "greater_than": "is not more than {gt:g}",
    "greater_than_equal": "is less than {ge:g}",
    "less_than_equal": "is more than {le:g}",
}


def _add_problem(reading: Reading, error: ErrorDetails) -> None:
    """Add one problem: the setting, its source, what is wrong and what is right. Never the value."""
    path = [str(part) for part in error["loc"][:2]]
    key = "__".join(path)
    source = reading.origins.get(key, DEFAULT)
    if error["type"] == "extra_forbidden":
        name = f"[{'.'.join(path)}]" if isinstance(error["input"], dict) else ".".join(path)
        tables = {f"[{known.partition('__')[0]}]" for known in FIELDS if "__" in known}
        reading.unknown(name, source, tables | {known.replace("__", ".") for known in FIELDS})
    elif error["type"] == "model_type":
        reading.problems.append(f"{key} ({source}): is a table. Write its settings under [{key}].")
    else:
        what = _PROBLEM_TEXTS.get(error["type"], "cannot be read").format(**error.get("ctx", {}))
        reading.problems.append(f"{env_name(key)} ({source}): {what}. Give {hint(key)}.")


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
