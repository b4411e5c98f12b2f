"""Changing the configuration of an account that is being served, as its owner does in the console."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge.sandbox.mypreferences.config import (
    AccountConfig,
    ConsentTypeConfig,
    ConsentVersionConfig,
    FilterConfig,
    ProgramConfig,
)

Change = Callable[[Any], Any]
"""Returns a changed program, filter or consent type, or None to remove it."""


class AccountAdmin:
    """Edits one account's programs and consents. A name that is not configured raises ValueError."""

    def __init__(self, config: AccountConfig) -> None:
        self._config = config

    def add_program(self, program: ProgramConfig) -> None:
        """Configure one more program."""
        self._config.change(programs=(*self._config.programs, program))

    def add_consent_type(self, consent_type: ConsentTypeConfig) -> None:
        """Configure one more consent."""
        self._config.change(consent_types=(*self._config.consent_types, consent_type))

    def rename(self, program_id: str, name: str) -> None:
        """Give a program another name; its ids stay."""
        self._program(program_id, lambda one: replace(one, name=name))

    def activate(self, name: str, *, active: bool = True) -> None:
        """Switch the program, filter or consent of that name on or off."""
        self._any(name, lambda one: replace(one, active=active))

    def remove(self, name: str) -> None:
        """Remove a program, a filter or a consent. What people said about it stays on their profiles."""
        self._any(name, lambda _: None)

    def set_channel(self, filter_id: str, channel: str) -> None:
        """Move a filter to another channel."""
        self._filter(filter_id, lambda one: replace(one, channel=channel))

    def set_frequencies(self, filter_id: str, *frequencies: str) -> None:
        """Give a filter other frequencies, the first its default."""
        first = frequencies[0] if frequencies else None
        self._filter(filter_id, lambda one: replace(one, frequencies=frequencies, default_frequency=first))

    def set_versions(self, consent_type: str, *versions: ConsentVersionConfig) -> None:
        """Give a consent other versions."""
        self._consent_type(consent_type, lambda one: replace(one, versions=versions))

    def hide(self, *names: str) -> None:
        """Let the API user see all but these programs, filters and consents."""
        self._config.change(hidden=frozenset(names))

    def carry_out(self, act: str, wanted: dict[str, Any]) -> None:
        """One change given as JSON, for the control surface. Raises ValueError for any other."""
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
            case "add", {"program": str(program_id), "name": str(name), "filter": str(filter_id)}:
                filters = (FilterConfig(filter_id, wanted.get("channel", "Email")),)
                self.add_program(ProgramConfig(program_id, name, filters))
            case _:
                raise ValueError(f"{act!r} with {sorted(wanted)} is no change of the configuration")

    def _any(self, name: str, change: Change) -> None:
        if self._config.program_of(name) is not None:
            self._filter(name, change)
        elif self._config.program(name) is not None:
            self._program(name, change)
        else:
            self._consent_type(name, change)

    def _program(self, name: str, change: Change) -> None:
        self._config.change(programs=_changed(self._config.programs, "program_id", name, change))

    def _filter(self, name: str, change: Change) -> None:
        program = self._config.program_of(name)
        if program is None:
            raise ValueError(f"no filter {name!r} is configured")
        filters = _changed(program.filters, "filter_id", name, change)
        self._program(program.program_id, lambda one: replace(one, filters=filters))

    def _consent_type(self, name: str, change: Change) -> None:
        found = _changed(self._config.consent_types, "type_name", name, change)
        self._config.change(consent_types=found)


def _changed(known: tuple[Any, ...], id_field: str, name: str, change: Change) -> tuple[Any, ...]:
    after = []
    found = False
    for one in known:
        if getattr(one, id_field).lower() == name.lower():
            found, one = True, change(one)
        if one is not None:
            after.append(one)
    if not found:
        raise ValueError(f"no {name!r} is configured")
    return tuple(after)


def _version(item: Any) -> ConsentVersionConfig:
    if not isinstance(item, dict) or not isinstance(item.get("version"), str):
        raise ValueError('a version is {"version": "1.0", "locales": ["en_US"]}')
    return ConsentVersionConfig(item["version"], tuple(item.get("locales", ("en_US",))))
