"""Very many contacts for the v3 listing: generated page by page as it is read, and never stored.

For measuring what reads everybody. Other operations know stored contacts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_PATTERNS = 97  # a prime: pages do not repeat themselves
_WHEN = '"2026-01-01T00:00:00.000Z"'


@dataclass(frozen=True)
class GeneratedContacts:
    """`people` contacts, numbered from 1, each opted in to about a quarter of `preferences`."""

    people: int
    preferences: Sequence[int]
    _opt_ins: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opt_ins", [self._pattern(number) for number in range(_PATTERNS)])

    def page(self, after: int, limit: int) -> tuple[str, int | None]:
        """Up to `limit` contacts behind number `after` as a JSON list, and the last one's number while there
        are more."""
        last = min(after + limit, self.people)
        rows = ",".join(self._row(number) for number in range(after + 1, last + 1))
        return f"[{rows}]", (last if last < self.people else None)

    def _row(self, number: int) -> str:
        return (
            f'{{"contactId":{number},"status":"subscribed","created":{_WHEN},"updated":{_WHEN},'
            f'"identifiers":{{"email":"m{number}@example.com"}},"channelProperties":{{"email":'
            '{"emailType":"Html","optInType":"Single","status":"subscribed"}}'
            f"{self._opt_ins[number % _PATTERNS]}}}"
        )

    def _pattern(self, number: int) -> str:
        chosen = [one for at, one in enumerate(self.preferences) if (at + number) % 4 == 0]
        rows = ",".join(
            f'{{"id":{one},"isOptedIn":true,"publicName":"Preference {one}","privateName":"P{one}"}}'
            for one in chosen
        )
        return f',"preferences":[{rows}]' if rows else ""
