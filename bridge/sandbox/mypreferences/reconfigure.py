"""Changing the configuration of an account that is being served: what its owner does in the console."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge.sandbox.mypreferences.config import Config, ConsentType, ConsentVersion, Filter, Program

Change = Callable[[Any], Any]
"""What becomes of a program, filter, consent type or version; None: it is gone."""


class Console:
    """Edits one account's programs and consents. A name that is not configured raises ValueError."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def add_program(self, program: Program) -> None:
        """Configure one more program."""
        self._config.change(programs=(*self._config.programs, program))

    def add_consent_type(self, consent_type: ConsentType) -> None:
        """Configure one more consent."""
        self._config.change(consent_types=(*self._config.consent_types, consent_type))

    def rename(self, program_id: str, name: str) -> None:
        """Call a program otherwise; its ids stay."""
        self._program(program_id, lambda one: replace(one, name=name))

    def activate(self, name: str, *, active: bool = True) -> None:
        """Switch a program, a filter or a consent on or off, whichever bears the name."""
        self._any(name, lambda one: replace(one, active=active))

    def remove(self, name: str) -> None:
        """Take a program, a filter or a consent away. What people said about it stays on their profiles."""
        self._any(name, lambda _: None)

    def set_channel(self, filter_id: str, channel: str) -> None:
        """Move a filter to another channel."""
        self._filter(filter_id, lambda one: replace(one, channel=channel))

    def set_frequencies(self, filter_id: str, *frequencies: str) -> None:
        """Give a filter other frequencies, the first its default."""
        first = frequencies[0] if frequencies else None
        self._filter(filter_id, lambda one: replace(one, frequencies=frequencies, default_frequency=first))

    def set_versions(self, consent_type: str, *versions: ConsentVersion) -> None:
        """Give a consent other versions."""
        self._consent(consent_type, lambda one: replace(one, versions=versions))

    def hide(self, *names: str) -> None:
        """Let the API user see all but these programs, filters and consents."""
        self._config.change(hidden=frozenset(names))

    def carry_out(self, act: str, wanted: dict[str, Any]) -> None:
        """One act given as JSON, for the control surface. Raises ValueError for any other."""
        match act, wanted:
            case "rename", {"program": str(name), "to": str(to)}:
                self.rename(name, to)
            case "activate", {"name": str(name)}:
                self.activate(name)
            case "deactivate", {"name": str(name)}:
                self.activate(name, active=False)
            case "remove", {"name": str(name)}:
                self.remove(name)
            case "channel", {"filter": str(name), "to": str(to)}:
                self.set_channel(name, to)
            case "frequencies", {"filter": str(name), "to": list(to)}:
                self.set_frequencies(name, *map(str, to))
            case "versions", {"consent": str(name), "to": list(to)}:
                self.set_versions(name, *(_version(one) for one in to))
            case "add", {"program": str(name), "name": str(said), "filter": str(filter_id)}:
                self.add_program(Program(name, said, (Filter(filter_id, wanted.get("channel", "Email")),)))
            case _:
                raise ValueError(f"{act!r} with {sorted(wanted)} is no change of the configuration")

    def _any(self, name: str, change: Change) -> None:
        for kind in (self._filter, self._program, self._consent):
            try:
                kind(name, change)
            except ValueError:
                continue
            return
        raise ValueError(f"no program, filter or consent {name!r} is configured")

    def _program(self, name: str, change: Change) -> None:
        found = _changed(self._config.programs, lambda one: one.program_id, name, change)
        self._config.change(programs=found)

    def _filter(self, name: str, change: Change) -> None:
        home = self._config.program_of(name)
        if home is None:
            raise ValueError(f"no filter {name!r} is configured")
        filters = _changed(home.filters, lambda one: one.filter_id, name, change)
        self._program(home.program_id, lambda one: replace(one, filters=filters))

    def _consent(self, name: str, change: Change) -> None:
        found = _changed(self._config.consent_types, lambda one: one.type_name, name, change)
        self._config.change(consent_types=found)


def _changed(known: tuple[Any, ...], name_of: Callable[[Any], str], name: str, change: Change) -> Any:
    if not any(name_of(one).lower() == name.lower() for one in known):
        raise ValueError(f"no {name!r} is configured")
    after = (change(one) if name_of(one).lower() == name.lower() else one for one in known)
    return tuple(one for one in after if one is not None)


def _version(item: Any) -> ConsentVersion:
    if not isinstance(item, dict) or not isinstance(item.get("version"), str):
        raise ValueError('a version is {"version": "1.0", "locales": ["en_US"]}')
    return ConsentVersion(item["version"], tuple(item.get("locales", ("en_US",))))
