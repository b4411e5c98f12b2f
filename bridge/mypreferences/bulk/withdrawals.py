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
    Unreachable,
    Verdict,
)
from bridge.core.mapping import Topic
from bridge.core.model import Side, Who, Withdrawal
from bridge.core.ports import WriteRequest, WriteResponse
from bridge.mypreferences import profile_updates, wire
from bridge.mypreferences.bulk import pricing
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.profile_lookup import Target

_REFUSALS = 20  # in a row, after which nobody else is tried by themselves
_AT_ONCE = 4
_PAGE = 100

RequestedWithdrawals = Sequence[tuple[Withdrawal, Topic]]
_Read = tuple[Sequence[Target], RequestedWithdrawals]


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One body for one profile, and whose parcel it belongs to."""

    request: int
    profile_id: str
    body: wire.Profile
    record: wire.ImportRecord


@dataclass(slots=True)
class _Results:
    """What came of each parcel: an error, something sent, or nothing to send."""

    errors: dict[int, SideError] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    again: set[int] = field(default_factory=set)  # refused in bulk: alone it is told why

    def of(self, number: int) -> WriteResponse | SideError:
        if number in self.errors:
            return self.errors[number]
        return WriteResponse.ACCEPTED if number in self.sent else WriteResponse.ALREADY_SO


class BulkWithdrawals:
    """Fills the bulk half of `Replica` for withdrawals. `asked` gives a parcel's withdrawals with their
    topics (raises SideError for one that has no place here), `told` reads which profiles one person has,
    `write` carries out one parcel by itself."""

    def __init__(
        self,
        client: MyPreferencesClient,
        importer: Importer,
        *,
        asked: Callable[[WriteRequest], RequestedWithdrawals],
        told: Callable[[Who], Sequence[Target]],
        write: Callable[[WriteRequest], WriteResponse],
    ) -> None:
        self._client, self._importer = client, importer
        self._asked, self._told, self._write = asked, told, write

    def carry(
        self, requests: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> list[WriteResponse | SideError]:
        """Carry them all out; one result each, in order."""
        results = _Results()
        waves = self._read(requests, results, heartbeat)
        for wave in waves:
            # What is in doubt might cross what comes after it.
            loads = [load for load in wave if load.request not in results.errors]
            if len(loads) < pricing.LEAST or not self._importer.may_begin(1):
                self._singly(loads, results, heartbeat)
            else:
                self._imported(loads, results, heartbeat)
        self._afterwards(requests, results, heartbeat)
        return [results.of(number) for number in range(len(requests))]

    def _read(
        self,
        requests: Sequence[WriteRequest],
        results: _Results,
        heartbeat: Callable[[], None],
    ) -> tuple[list[ImportItem], list[ImportItem]]:
        """What is to be sent, on a fresh read of everybody: consents first, then preferences, since revoking
        a consent archives the preferences tied to it."""
        consents: list[ImportItem] = []
        preferences: list[ImportItem] = []
        for number, found in self._fresh(requests, heartbeat):
            if isinstance(found, SideError):
                results.errors[number] = found
                continue
            told, asked = found
            for profile, address in told:
                for body in profile_updates.withdrawing(profile, address, asked):
                    load = ImportItem(number, profile.id, body, wire.ImportRecord.of(profile, body))
                    (consents if _holds_consents(body) else preferences).append(load)
        return consents, preferences

    def _fresh(
        self, requests: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Iterator[tuple[int, _Read | SideError]]:
        """Everybody's profiles and what they are asked, or why they could not be read. What
        stops the side is asked no further."""
        stopped: SideError | None = None
        for start in range(0, len(requests), _PAGE):
            heartbeat()
            some = requests[start : start + _PAGE]
            if stopped is None:
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    read = list(pool.map(self._look, some))
            else:
                read = [stopped] * len(some)
            for number, found in enumerate(read, start):
                if isinstance(found, SideError) and found.stops_side:
                    stopped = found
                yield number, found

    def _look(self, request: WriteRequest) -> _Read | SideError:
        try:
            asked = self._asked(request)
            told = self._told(request.who)
        except SideError as error:
            return error
        return (told, asked) if told else _nobody()

    def _imported(
        self, loads: Sequence[ImportItem], results: _Results, heartbeat: Callable[[], None]
    ) -> None:
        try:
            failed = self._importer.carry([load.record for load in loads], heartbeat)
        except OutcomeUnknown as error:
            results.errors |= {load.request: error for load in loads}
        except SideError as error:
            if isinstance(error, Unreachable | SignInRefused):
                results.errors |= {load.request: error for load in loads}
            else:  # nothing of it was carried out, by a side that is there
                self._singly(loads, results, heartbeat)
        else:
            for load in loads:
                refused = load.record.profile_id in failed
                (results.again if refused else results.sent).add(load.request)

    def _singly(self, loads: Sequence[ImportItem], results: _Results, heartbeat: Callable[[], None]) -> None:
        stopped: SideError | None = None
        for load in loads:
            heartbeat()
            if stopped is not None:
                results.errors.setdefault(load.request, stopped)
                continue
            try:
                self._client.update_profile_post(load.profile_id, load.body)
                results.sent.add(load.request)
            except SideError as error:
                if error.verdict in (Verdict.HOLD, Verdict.FIX_CONFIG):
                    results.again.add(load.request)
                else:
                    results.errors[load.request] = error
                    stopped = error if error.stops_side else None

    def _afterwards(
        self, requests: Sequence[WriteRequest], results: _Results, heartbeat: Callable[[], None]
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
                self._write(requests[number])
                results.sent.add(number)
                refusals = 0
            except SideError as error:
                results.errors[number] = last = error
                refusals += 1


def _holds_consents(body: wire.Profile) -> bool:
    return bool(body.consents) or any(email.consents for email in body.emails or ())


def _nobody() -> SideError:
    return NotFound(
        "MyPreferences has no active profile with this person's address.",
        side=Side.MYPREFERENCES,
        operation="retrieveProfilesByEmail",
    )
