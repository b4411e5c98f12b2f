"""Where settings come from: flags, environment, secret files, a TOML file. Strongest first, each value with
the name of its source, and every name that nobody knows reported beside the nearest one that is known."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.nearest import nearest

PREFIX = "BRIDGE_"
# Names that begin like settings and are none: the config file's own, and those of the test suite.
NOT_SETTINGS = frozenset({"BRIDGE_CONFIG", "BRIDGE_RECORD", "BRIDGE_SPECS_DIR"})
NOT_SETTINGS_PREFIX = "BRIDGE_TEST_"

FLAG, ENVIRONMENT, SECRET_FILE, CONFIG_FILE, DEFAULT = (
    "flag",
    "environment",
    "secret file",
    "config file",
    "default",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A raw value and where it was found. Never shown: it may be a secret."""

    value: object = field(repr=False)
    source: str


@dataclass(slots=True)
class Gathered:
    """Raw values by key (`web__port`), and every problem met on the way, in words."""

    values: dict[str, Found] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, key: str, value: object, source: str) -> None:
        """Keep a value. An empty one counts as not given: deployment templates leave things out that way."""
        if value is not None and value != "":
            self.values[key] = Found(value, source)

    def unknown(self, name: str, source: str, near: str, mend: str) -> None:
        """Report a name that is no setting."""
        self.problems.append(f"{name} ({source}): there is no such setting; the nearest is {near}. {mend}")


def env_name(key: str) -> str:
    """The environment name of a key: `web__port` is `BRIDGE_WEB__PORT`."""
    return PREFIX + key.upper()


def gather(
    known: Collection[str], config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> Gathered:
    """Read all sources. `known` are the keys that exist; unknown names and unreadable files are problems."""
    flagged = _from_flags(known, flags)
    env = _from_environment(known, environ)
    if config is None and environ.get("BRIDGE_CONFIG"):
        config = Path(environ["BRIDGE_CONFIG"])
    toml = Gathered() if config is None else _from_config(known, config)
    folders = [one.values["secrets_dir"].value for one in (flagged, env, toml) if "secrets_dir" in one.values]
    folder = folders[0] if folders else None
    secrets = _from_secrets(known, Path(folder)) if isinstance(folder, (str, Path)) else Gathered()
    merged = Gathered()
    for source in (toml, secrets, env, flagged):
        merged.values.update(source.values)
    for source in (flagged, env, secrets, toml):
        merged.problems.extend(source.problems)
    return merged


def _from_flags(known: Collection[str], flags: Mapping[str, Any]) -> Gathered:
    found = Gathered()
    for key, value in flags.items():
        if key not in known:
            raise KeyError(f"no setting is called {key}")  # a mistake in the program, not the operator's
        found.take(key, value, FLAG)
    return found


def _from_environment(known: Collection[str], environ: Mapping[str, str]) -> Gathered:
    names = {env_name(key): key for key in known}
    found = Gathered()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or name.startswith(NOT_SETTINGS_PREFIX):
            continue
        if name in names:
            found.take(names[name], environ[name], ENVIRONMENT)
        else:
            found.unknown(name, ENVIRONMENT, nearest(name, names), "Rename or unset it.")
    return found


def _from_secrets(known: Collection[str], folder: Path) -> Gathered:
    """One file a setting, named like it with or without `BRIDGE_`, in either case. Others are left alone."""
    found = Gathered()
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        found.problems.append(
            f"BRIDGE_SECRETS_DIR: the folder cannot be read ({error.strerror}). Make it or unset this."
        )
        return found
    names = {env_name(key): key for key in known if key != "secrets_dir"}
    for path in files:
        upper = path.name.upper()
        name = upper if upper.startswith(PREFIX) else PREFIX + upper
        if name in names:
            _take_secret(found, names[name], path)
        elif upper.startswith(PREFIX):
            found.unknown(path.name, SECRET_FILE, nearest(name, names), "Rename or remove the file.")
    return found


def _take_secret(found: Gathered, key: str, path: Path) -> None:
    if key in found.values:
        found.problems.append(f"{env_name(key)} ({SECRET_FILE}): two files give it. Remove one.")
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        found.problems.append(
            f"{env_name(key)} ({SECRET_FILE}): the file cannot be read ({why}). Mend its rights or content."
        )
        return
    found.take(key, text.rstrip("\r\n"), SECRET_FILE)


def _from_config(known: Collection[str], path: Path) -> Gathered:
    found = Gathered()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        found.problems.append(f"{path}: the config file cannot be read ({error.strerror}); check --config.")
    except UnicodeDecodeError:
        found.problems.append(f"{path}: the config file is not UTF-8 text; save it as UTF-8.")
    except tomllib.TOMLDecodeError as error:
        found.problems.append(f"{path}: the config file is not TOML: {error}.")
    else:
        _take_tables(found, known, document)
    return found


def _take_tables(found: Gathered, known: Collection[str], document: Mapping[str, object]) -> None:
    groups = {key.partition("__")[0] for key in known if "__" in key}
    for name, value in document.items():
        if name not in groups and name not in known and isinstance(value, dict):
            found.unknown(f"[{name}]", CONFIG_FILE, f"[{nearest(name, groups)}]", "Rename or remove it.")
        elif name not in groups:
            _take_key(found, known, (name,), value)
        elif isinstance(value, dict):
            for inner, one in value.items():
                _take_key(found, known, (name, inner), one)
        else:
            found.problems.append(f"{name} ({CONFIG_FILE}): is a table. Write its settings under [{name}].")


def _take_key(found: Gathered, known: Collection[str], path: tuple[str, ...], value: object) -> None:
    """A key of the file; `web__port` at the top is no spelling of `port` under [web]."""
    key = "__".join(path)
    if key in known and key.count("__") == len(path) - 1:
        found.take(key, value, CONFIG_FILE)
    else:
        near = nearest(key, known).replace("__", ".")
        found.unknown(".".join(path), CONFIG_FILE, near, "Rename or remove it.")
