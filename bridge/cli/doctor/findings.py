"""The doctor's findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from bridge.cli.output import ExitCode
from bridge.core.errors import BridgeError, ConfigError, SideError
from bridge.core.sync_state import SyncProblem

T = TypeVar("T")

MYPREFERENCES, DOTDIGITAL = "MyPreferences", "Dotdigital"  # sections of the two sides


class FindingState(StrEnum):
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, its state, and how to fix it. `code` is the exit code it requires."""

    section: str
    state: FindingState
    what: str
    hint: str = ""
    code: int = 0


@dataclass(slots=True)
class Findings:
    """All findings, in order."""

    all: list[Finding] = field(default_factory=list)
    problems: list[SyncProblem] = field(default_factory=list)  # of the sync, not of the setup

    def good(self, section: str, what: str) -> None:
        self.all.append(Finding(section, FindingState.GOOD, what))

    def note(self, section: str, what: str, hint: str) -> None:
        """Something to know, which is no problem."""
        self.all.append(Finding(section, FindingState.GOOD, what, hint))

    def warn(self, section: str, what: str, hint: str) -> None:
        self.all.append(Finding(section, FindingState.WARN, what, hint))

    def bad(self, section: str, what: str, hint: str, code: int) -> None:
        self.all.append(Finding(section, FindingState.BAD, what, hint, code))

    @property
    def exit_code(self) -> int:
        """A problem that an operator must fix comes before one that may pass by itself."""
        codes = {one.code for one in self.all if one.state is FindingState.BAD}
        return next(
            (code for code in (ExitCode.INVALID, ExitCode.UNREACHABLE, ExitCode.UNEXPECTED) if code in codes),
            0,
        )

    def attempt(self, section: str, call: Callable[[], T]) -> T | None:
        """The call's result; None where it failed, which adds a finding."""
        try:
            return call()
        except ConfigError as error:
            for problem in error.problems or (error.what,):
                self.bad(section, problem, error.hint, ExitCode.INVALID)
        except SideError as error:
            self.bad(section, error.what, error.hint, ExitCode.UNREACHABLE)
        except BridgeError as error:
            self.bad(section, error.what, error.hint, error.exit_code)
        return None
