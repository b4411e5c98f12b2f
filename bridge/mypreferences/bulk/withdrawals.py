"""Many people's withdrawals together: profiles read again, imported, and what the import refuses sent alone.

Opt-ins are never imported. An import is applied minutes or hours later: what was newest when it was staged
may not be so then; and it creates profiles it does not find, so a person erased meanwhile would come back,
opted in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

from bridge.core.errors import OutcomeUnknown, SideError, SignInRefused, Unreachable, Verdict
from bridge.core.mapping import Topic
from bridge.core.ports import Unrecorded, WriteRequest, WriteResponse, WriteResult, batched
from bridge.core.writes import Withdrawal
from bridge.mypreferences import profile_updates
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.bulk.segment_export import calls_to_read
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.profile_lookup import Target, read_in_parallel
from bridge.mypreferences.wire.bulk import ImportRecord
from bridge.mypreferences.wire.profiles import Profile

IMPORT_MIN = 100  # records that are worth one of the few imports of a day
_IMPORT_CALLS = 10
_REFUSALS_MAX = 20  # in a row, after which no other refused request is sent alone
_PAGE = 100  # people read between two heartbeats

RequestedWithdrawals = Sequence[tuple[Withdrawal, Topic]]
Heartbeat = Callable[[], None]


def worth_importing(records: int, imports: int) -> bool:
    """Whether imports take fewer calls than a POST for each record.

    The reads before and after are the same. An import takes Initiate, one Stage for each 20 MB (some 60,000
    records), Execute, some six questions for its status and a page of exceptions: ten calls. Consents and
    preferences take one import each. But the account allows few a day, and people wait for each: it takes 100
    records or more.
    """
    return records >= IMPORT_MIN * imports and records > _IMPORT_CALLS * imports


def estimate_calls(
    kinds: Sequence[Set[object]], *, raised: int, exports: bool, may_start: Callable[[int], bool]
) -> int:
    """Calls for these people's writes, each with one profile: a read and a read back, one more read before an
    opt-in, and the POSTs between them. `kinds` are the places (filters, consents) of each person's
    withdrawals: each takes a body of its own; `raised` people are opted in by one POST each instead.
    `exports`: many can be read by export; `may_start`: whether so many imports may be started."""
    posts, imports = sum(map(len, kinds)), len(frozenset[object]().union(*kinds))
    if worth_importing(posts, imports) and may_start(imports):
        return len(kinds) + _IMPORT_CALLS * imports + calls_to_read(len(kinds), exports=exports)
    return 2 * len(kinds) + posts + 2 * raised


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One body for one profile, and the number of its request."""

    request: int
    profile_id: str
    body: Profile
    record: ImportRecord


@dataclass(slots=True)
class _Results:
    """What became of each request: an error, something sent, or nothing to send."""

    errors: dict[int, SideError] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)  # the import gives no reason: sent alone it has one

    def of(self, number: int) -> WriteResponse | SideError:
        if number in self.errors:
            return self.errors[number]
        return WriteResponse.ACCEPTED if number in self.sent else WriteResponse.ALREADY_SO


class BulkWithdrawals:
    """Sends withdrawals by import. `read` reads the profiles a request is for and gives its withdrawals with
    their topics (raises SideError), `send_one` sends one request alone (raises SideError)."""

    def __init__(
        self,
        client: MyPreferencesClient,
        importer: Importer,
        *,
        read: Callable[[WriteRequest], tuple[Sequence[Target], RequestedWithdrawals]],
        send_one: Callable[[WriteRequest], WriteResponse | Unrecorded],
    ) -> None:
        self._client, self._importer = client, importer
        self._read, self._send_one = read, send_one

    def send(self, batch: Sequence[WriteRequest], heartbeat: Heartbeat) -> list[WriteResult]:
        """One result for each request, in order."""
        results = _Results()
        for wave in self._items(batch, results, heartbeat):
            # What is in doubt might cross what comes after it.
            items = [item for item in wave if item.request not in results.errors]
            if len(items) < IMPORT_MIN or not self._importer.may_start(1):
                self._post(items, results, heartbeat)
            else:
                self._import(items, results, heartbeat)
        self._send_refused(batch, results, heartbeat)
        return [results.of(number) for number in range(len(batch))]

    def _items(
        self, batch: Sequence[WriteRequest], results: _Results, heartbeat: Heartbeat
    ) -> tuple[list[ImportItem], list[ImportItem]]:
        """What is to be sent, by a fresh read of everybody: consents first, then preferences, since revoking
        a consent archives the preferences linked to it."""
        consents: list[ImportItem] = []
        preferences: list[ImportItem] = []
        for number, found in enumerate(self._fresh(batch, heartbeat)):
            if isinstance(found, SideError):
                results.errors[number] = found
                continue
            targets, writes = found
            for profile, address in targets:
                for body in profile_updates.withdrawing(profile, address, writes):
                    item = ImportItem(number, profile.id, body, ImportRecord.of(profile, body))
                    (consents if _holds_consents(body) else preferences).append(item)
        return consents, preferences

    def _fresh(
        self, batch: Sequence[WriteRequest], heartbeat: Heartbeat
    ) -> list[tuple[Sequence[Target], RequestedWithdrawals] | SideError]:
        """Targets and withdrawals of each request, or why they could not be read."""
        found: list[tuple[Sequence[Target], RequestedWithdrawals] | SideError] = []
        stopped: SideError | None = None
        for some in batched(batch, _PAGE):
            heartbeat()
            page = read_in_parallel(self._read, some) if stopped is None else [stopped] * len(some)
            for one in page:
                if isinstance(one, SideError) and one.stops_side:
                    stopped = one
            found += page
        return found

    def _import(self, items: Sequence[ImportItem], results: _Results, heartbeat: Heartbeat) -> None:
        try:
            failed = self._importer.run([item.record for item in items], heartbeat)
        except (OutcomeUnknown, Unreachable, SignInRefused) as error:
            results.errors |= {item.request: error for item in items}
        except SideError:  # nothing of it was applied, by a side that answers
            self._post(items, results, heartbeat)
        else:
            for item in items:
                refused = item.record.profile_id in failed
                (results.refused if refused else results.sent).add(item.request)

    def _post(self, items: Sequence[ImportItem], results: _Results, heartbeat: Heartbeat) -> None:
        stopped: SideError | None = None
        for item in items:
            heartbeat()
            if stopped is not None:
                results.errors.setdefault(item.request, stopped)
                continue
            try:
                self._client.update_profile_post(item.profile_id, item.body)
                results.sent.add(item.request)
            except SideError as error:
                if error.verdict in (Verdict.HOLD, Verdict.FIX_CONFIG):
                    results.refused.add(item.request)
                else:
                    results.errors[item.request] = error
                    stopped = error if error.stops_side else None

    def _send_refused(self, batch: Sequence[WriteRequest], results: _Results, heartbeat: Heartbeat) -> None:
        """Send refused requests once more, alone: the part that can be applied is, and the rest gets a
        reason. After many refusals in a row the others get the same reason."""
        refusals = 0
        last: SideError | None = None
        for number in sorted(results.refused - set(results.errors)):
            heartbeat()
            if last is not None and refusals >= _REFUSALS_MAX:
                results.errors[number] = last
                continue
            try:
                self._send_one(batch[number])
                results.sent.add(number)
                refusals = 0
            except SideError as error:
                results.errors[number] = last = error
                refusals += 1


def _holds_consents(body: Profile) -> bool:
    return bool(body.consents) or any(email.consents for email in body.emails or ())
