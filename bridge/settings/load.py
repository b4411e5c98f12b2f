"""Settings from all their sources, or every problem of all of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.core.errors import ConfigError
from bridge.settings.model import FIELDS, Settings, hint
from bridge.settings.sources import DEFAULT, Gathered, env_name, gather


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
    found = gather(FIELDS, config, os.environ if environ is None else environ, flags or {})
    settings, problems = _checked(found)
    problems = (*found.problems, *problems)
    if settings is None or problems:
        raise ConfigError(
            "The settings cannot be used.",
            problems=problems,
            hint="`bridge doctor` shows each setting and where it came from.",
        )
    return settings


def _checked(found: Gathered) -> tuple[Settings | None, tuple[str, ...]]:
    values = {key: one.value for key, one in found.values.items()}
    sources = {key: one.source for key, one in found.values.items()}
    try:
        return Settings.of(values, sources), ()
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, tuple(_problem(found, one) for one in details)


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "value_error": lambda context: str(context["error"]),
    "int_parsing": lambda _: "is not a whole number",
    "int_from_float": lambda _: "is not a whole number",
    "int_type": lambda _: "is not a whole number",
    "float_parsing": lambda _: "is not a number",
    "float_type": lambda _: "is not a number",
    "finite_number": lambda _: "is not a number",
    "bool_parsing": lambda _: "is neither true nor false",
    "bool_type": lambda _: "is neither true nor false",
    "string_type": lambda _: "is not text",
    "path_type": lambda _: "is not text",
    "enum": lambda context: f"is not {context['expected']}",
    "literal_error": lambda context: f"is not {context['expected']}",
    "greater_than": lambda context: f"is not more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"is less than {context['ge']:g}",
    "less_than_equal": lambda context: f"is more than {context['le']:g}",
}


def _problem(found: Gathered, error: ErrorDetails) -> str:
    """One problem in words: which setting, from where, what is wrong, what is right. Never the value."""
    key = "__".join(str(part) for part in error["loc"][:2] if isinstance(part, str))
    source = found.values[key].source if key in found.values else DEFAULT
    say = _WORDS.get(error["type"])
    what = say(error.get("ctx", {})) if say else "cannot be read"
    return f"{env_name(key)} ({source}): {what}. Give {hint(key)}."
