"""Many people's withdrawals together: read afresh, imported, and what an import refuses sent by itself.

Opt-ins never go this way. An import is carried out minutes or hours later: what was newest when it was staged
need not be so then; and it creates whom it does not find, so that somebody erased meanwhile would come back,
opted in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bridge.core.errors import (
    NotFound,
    OutcomeUnknown,
    SideError,
    SignInRefused,
    Throttled,
    Unreachable,
    Verdict,
)
from bridge.core.mapping import Topic
from bridge.core.model import Side, Who, Withdrawal
from bridge.core.ports import Outcome, Parcel
from bridge.mypreferences import changes, pricing, wire
from bridge.mypreferences.binding import Told
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.importing import Importer

_REFUSALS = 20  # in a row, after which nobody else is tried by themselves
_AT_ONCE = 4
_PAGE = 100

Asked = Sequence[tuple[Withdrawal, Topic]]
_Read = tuple[Sequence[Told], Asked]


@dataclass(frozen=True, slots=True)
class Load:
    """One body for one profile, and whose parcel it belongs to."""

    parcel: int
    profile_id: str
    body: wire.Profile
    record: wire.ImportRecord


@dataclass(slots=True)
class _Results:
    """What came of each parcel: an error, something sent, or nothing to send."""

    errors: dict[int, SideError] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    again: set[int] = field(default_factory=set)  # refused in bulk: alone it is told why

    def of(self, number: int) -> Outcome | SideError:
        if number in self.errors:
            return self.errors[number]
        return Outcome.ACCEPTED if number in self.sent else Outcome.ALREADY_SO


class Burst:
    """Fills the bulk half of `Replica` for withdrawals. `asked` gives a parcel's withdrawals with their
    topics (raises SideError for one that has no place here), `told` reads which profiles one person has,
    `write` carries out one parcel by itself."""

    def __init__(
        self,
        client: MyPreferencesClient,
        importer: Importer,
        *,
        asked: Callable[[Parcel], Asked],
        told: Callable[[Who], Sequence[Told]],
        write: Callable[[Parcel], Outcome],
    ) -> None:
        self._client, self._importer = client, importer
        self._asked, self._told, self._write = asked, told, write

    def prefers(self, kinds: Sequence[frozenset[object]]) -> bool:
        """Whether to import, by the kinds of places (filters, consents) that each parcel speaks of: each
        takes a body of its own."""
        imports = len(frozenset[object]().union(*kinds))
        return pricing.worth_importing(sum(map(len, kinds)), imports) and self._importer.may_begin(imports)

    def carry(self, parcels: Sequence[Parcel], heartbeat: Callable[[], None]) -> list[Outcome | SideError]:
        """Carry them all out; one result each, in order."""
        results = _Results()
        waves = self._read(parcels, results, heartbeat)
        for wave in waves:
            # What is in doubt might cross what comes after it.
            loads = [load for load in wave if load.parcel not in results.errors]
            if len(loads) < pricing.LEAST or not self._importer.may_begin(1):
                self._singly(loads, results, heartbeat)
            else:
                self._imported(loads, results, heartbeat)
        self._afterwards(parcels, results, heartbeat)
        return [results.of(number) for number in range(len(parcels))]

    def _read(
        self,
        parcels: Sequence[Parcel],
        results: _Results,
        heartbeat: Callable[[], None],
    ) -> tuple[list[Load], list[Load]]:
        """What is to be sent, on a fresh read of everybody: consents first, then preferences, since revoking
        a consent archives the preferences tied to it."""
        consents: list[Load] = []
        preferences: list[Load] = []
        for number, found in self._fresh(parcels, heartbeat):
            if isinstance(found, SideError):
                results.errors[number] = found
                continue
            told, asked = found
            for profile, address in told:
                for body in changes.withdrawing(profile, address, asked):
                    load = Load(number, profile.id, body, wire.ImportRecord.of(profile, body))
                    (consents if _holds_consents(body) else preferences).append(load)
        return consents, preferences

    def _fresh(
        self, parcels: Sequence[Parcel], heartbeat: Callable[[], None]
    ) -> Iterator[tuple[int, _Read | SideError]]:
        """Everybody's profiles and what they are asked, or why they could not be read. What
        stops the side is asked no further."""
        stopped: SideError | None = None
        for start in range(0, len(parcels), _PAGE):
            heartbeat()
            some = parcels[start : start + _PAGE]
            if stopped is None:
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    read = list(pool.map(self._look, some))
            else:
                read = [stopped] * len(some)
            for number, found in enumerate(read, start):
                if isinstance(found, SideError) and _stops(found):
                    stopped = found
                yield number, found

    def _look(self, parcel: Parcel) -> _Read | SideError:
        try:
            asked = self._asked(parcel)
            told = self._told(parcel.who)
        except SideError as error:
            return error
        return (told, asked) if told else _nobody()

    def _imported(self, loads: Sequence[Load], results: _Results, heartbeat: Callable[[], None]) -> None:
        try:
            failed = self._importer.carry([load.record for load in loads], heartbeat)
        except OutcomeUnknown as error:
            results.errors |= {load.parcel: error for load in loads}
        except SideError as error:
            if isinstance(error, Unreachable | SignInRefused):
                results.errors |= {load.parcel: error for load in loads}
            else:  # nothing of it was carried out, by a side that is there
                self._singly(loads, results, heartbeat)
        else:
            for load in loads:
                refused = load.record.profile_id in failed
                (results.again if refused else results.sent).add(load.parcel)

    def _singly(self, loads: Sequence[Load], results: _Results, heartbeat: Callable[[], None]) -> None:
        stopped: SideError | None = None
        for load in loads:
            heartbeat()
            if stopped is not None:
                results.errors.setdefault(load.parcel, stopped)
                continue
            try:
                self._client.update_profile(load.profile_id, load.body)
                results.sent.add(load.parcel)
            except SideError as error:
                if error.verdict in (Verdict.HOLD, Verdict.MEND):
                    results.again.add(load.parcel)
                else:
                    results.errors[load.parcel] = error
                    stopped = error if _stops(error) else None

    def _afterwards(
        self, parcels: Sequence[Parcel], results: _Results, heartbeat: Callable[[], None]
    ) -> None:
        """What was refused is sent once more by itself: the part of it that can be, is, and the rest says
        why. After so many refusals in a row the others are told the same."""
        refusals = 0
        last: SideError | None = None
        for number in sorted(results.again - set(results.errors)):
            heartbeat()
            if last is not None and refusals >= _REFUSALS:
                results.errors[number] = last
                continue
            try:
                self._write(parcels[number])
                results.sent.add(number)
                refusals = 0
            except SideError as error:
                results.errors[number] = last = error
                refusals += 1


def _holds_consents(body: wire.Profile) -> bool:
    return bool(body.consents) or any(email.consents for email in body.emails or ())


def _stops(error: SideError) -> bool:
    return error.verdict is Verdict.STOP or isinstance(error, Unreachable | Throttled)


def _nobody() -> SideError:
    return NotFound(
        "MyPreferences has no active profile with this person's address.",
        side=Side.MYPREFERENCES,
        operation="profiles_by_email",
    )
