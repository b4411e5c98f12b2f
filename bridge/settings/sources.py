"""The sources of settings: flag, environment, secret file, config file, default, strongest first.

pydantic-settings reads, nests and ranks them. This module adds what the library lacks: an unknown name is an
error with a suggestion, an unreadable file is an error, and each value keeps the name of its source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NestedSecretsSettingsSource,
    TomlConfigSettingsSource,
)
from pydantic_settings import PydanticBaseSettingsSource as Source

from bridge.similarity import closest

PREFIX = "BRIDGE_"
# Names that begin like settings but are none: the config file's own, and those of the test suite.
NOT_SETTINGS = frozenset({"BRIDGE_CONFIG", "BRIDGE_RECORD", "BRIDGE_SPECS_DIR"})
NOT_SETTINGS_PREFIX = "BRIDGE_TEST_"

FLAG, ENVIRONMENT, SECRET_FILE, CONFIG_FILE = "flag", "environment", "secret file", "config file"
DEFAULT = "default"


def env_name(key: str) -> str:
    """The environment name of a key: `web__port` is `BRIDGE_WEB__PORT`."""
    return PREFIX + key.upper()


def from_flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without empty ones, which count as not given: deployment templates leave values empty."""
    kept = {name: from_flags(one) if isinstance(one, dict) else one for name, one in values.items()}
    return {name: one for name, one in kept.items() if one is not None and one != ""}


@dataclass(slots=True)
class Reading:
    """The sources of one `load`, the problems found in them, and the source of each value by key.

    `names` are the known environment names.
    """

    names: Collection[str]
    environ: Mapping[str, str] = field(repr=False)
    config: Path | None
    problems: list[str] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)

    def sources(self, settings: type[BaseSettings], flags: Source, files: Source) -> tuple[Source, ...]:
        """The library's sources, strongest first. `files` is its reader of secret files."""
        environment = EnvSettingsSource(settings)
        environment.env_vars = self._environment()
        config = self._config_file(settings)
        folders = [source().get("secrets_dir") for source in (flags, environment, config)]
        folder = next((Path(one).absolute() for one in folders if isinstance(one, str | Path)), None)
        secrets = self._secret_files(files, folder)
        ranked = {FLAG: flags, ENVIRONMENT: environment, SECRET_FILE: secrets, CONFIG_FILE: config}
        for name, source in ranked.items():
            for key in _keys(source()):
                self.origins.setdefault(key, name)
        return tuple(ranked.values())

    def known(self, values: Mapping[str, str], source: str) -> dict[str, str]:
        """The settings that are not empty. A name that is no setting is added to the problems."""
        for name in sorted(values.keys() - set(self.names)):
            self.unknown(name, source, self.names)
        return {name: value for name, value in values.items() if name in self.names and value}

    def unknown(self, name: str, source: str, known: Collection[str]) -> None:
        """Report an unknown name with the nearest known one."""
        problem = f"unknown setting; the nearest is {closest(name, known)}. Rename or remove it."
        self.problems.append(f"{name} ({source}): {problem}")

    def _environment(self) -> dict[str, str | None]:
        ours = {name for name in self.environ if name.startswith(PREFIX)} - NOT_SETTINGS
        named = {name: self.environ[name] for name in ours if not name.startswith(NOT_SETTINGS_PREFIX)}
        return {name.lower(): value for name, value in self.known(named, ENVIRONMENT).items()}

    def _config_file(self, settings: type[BaseSettings]) -> TomlConfigSettingsSource:
        try:
            if self.config and not S_ISREG(self.config.stat().st_mode):
                raise OSError(0, "it is not a regular file")  # the library would ignore it silently
            source = TomlConfigSettingsSource(settings, self.config)
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{self.config}: the config file is not TOML: {error}.")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"cannot read the config file ({_why(error)}). Check --config."
            self.problems.append(f"{self.config}: {problem}")
        else:
            source.init_kwargs = _beside(self.config, from_flags(source.init_kwargs))
            return source
        return TomlConfigSettingsSource(settings, None)

    def _secret_files(self, files: Source, folder: Path | None) -> SecretFiles:
        try:
            return SecretFiles(files, self, folder)
        except (OSError, ValueError) as error:
            problem = f"cannot read the folder ({_why(error)}). Create it or unset this."
        self.problems.append(f"BRIDGE_SECRETS_DIR: {problem}")
        return SecretFiles(files, self, None)


# Outside of `load` nothing is read: settings are the given values and defaults.
READING: ContextVar[Reading | None] = ContextVar("reading", default=None)


_ALMOST = 85.0  # of 100: how alike a file's name and a setting's must be to be taken for a mistake


class SecretFiles(NestedSecretsSettingsSource):
    """One file per setting, named like it with or without `BRIDGE_`, in either case. Other files are ignored,
    unless their name is nearly that of a setting.

    The library would strip whitespace from secrets, and stop at the first unreadable file.
    """

    def __init__(self, files: Source, reading: Reading, folder: Path | None) -> None:
        self._reading = reading
        super().__init__(files, folder, secrets_dir_missing="ok")  # listing the folder reports why it fails

    def load_secrets(self, path: Path) -> dict[str, str]:  # type: ignore[override]
        found: dict[str, str] = {}
        for file in sorted(one for one in path.iterdir() if one.is_file()):
            upper = file.name.upper()
            name = PREFIX + upper.removeprefix(PREFIX)
            if name in found:
                self._reading.problems.append(f"{name} ({SECRET_FILE}): two files set it. Remove one.")
            elif name in self._reading.names or name == upper:
                found[name] = self._text(name, file)
            elif near := closest(name.removeprefix(PREFIX), self._plain_names(), at_least=_ALMOST):
                problem = f"the file {file.name} sets nothing; the nearest setting is {near.lower()}"
                self._reading.problems.append(f"BRIDGE_SECRETS_DIR: {problem}. Rename or remove it.")
        return self._reading.known(found, SECRET_FILE)

    def _plain_names(self) -> list[str]:
        return [name.removeprefix(PREFIX) for name in self._reading.names]

    def _text(self, name: str, file: Path) -> str:
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"cannot read the file ({_why(error)}). Check its permissions and content."
        self._reading.problems.append(f"{name} ({SECRET_FILE}): {problem}")
        return ""


_PATHS = frozenset({"mapping", "secrets_dir", "certificate_file", "certificate_key_file", "routes_file"})


def _beside(config: Path | None, values: dict[str, Any]) -> dict[str, Any]:
    """The values with relative paths as those beside the config file."""
    if config is None:
        return values
    folder = config.absolute().parent
    return {name: _absolute(folder, name, value) for name, value in values.items()}


def _absolute(folder: Path, name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _absolute(folder, inner, one) for inner, one in value.items()}
    if not isinstance(value, str):
        return value
    if name in _PATHS:
        return str(folder / value)
    scheme, colon, path = value.partition(":///")
    is_file = colon and scheme in ("sqlite", "sqlite+pysqlite") and path not in ("", ":memory:")
    if name == "database_url" and is_file and not path.startswith("file:"):
        return f"{scheme}:///{folder / path}"
    return value


def _keys(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield name
        if isinstance(value, dict):
            yield from (f"{name}__{inner}" for inner in value)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"  # the error itself contains a byte of what may be a secret
    return str(getattr(error, "strerror", None) or error)
