"""MyPreferences as one side of the bridge. Its quirks end here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from bridge.core.errors import NotFound, OutcomeUnknown, Refused, SideError, Verdict
from bridge.core.mapping import Mapping, Topic
from bridge.core.model import (
    Adjustment,
    Choice,
    Raise,
    Side,
    Who,
    Withdrawal,
    Write,
)
from bridge.core.ports import WriteRequest, WriteResponse, send_each
from bridge.mypreferences import profile_updates, views, wire
from bridge.mypreferences.bulk.importer import Importer
from bridge.mypreferences.bulk.withdrawals import BulkWithdrawals, RequestedWithdrawals
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.profile_lookup import ProfileMatch, Target
from bridge.mypreferences.reader import MyPreferencesReader

__all__ = ["MyPreferencesReader", "MyPreferencesReplica"]


class MyPreferencesReplica(MyPreferencesReader):
    """Adds writing: always by POST of the changed part, never by PUT, which blanks what it leaves out; many
    people's withdrawals by `importer`, where there is one."""

    def __init__(
        self,
        client: MyPreferencesClient,
        mapping: Mapping,
        clock: Callable[[], datetime],
        *,
        importer: Importer | None = None,
        **reading: Any,
    ) -> None:
        super().__init__(client, mapping, clock, **reading)
        self._burst = None
        if importer is not None:
            self._burst = BulkWithdrawals(
                client,
                importer,
                asked=self._asked,
                told=lambda who: self._binder.bound(who).all,
                write=self._send_one,
            )

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """Withdrawals first, together; then all that gives or changes consent."""
        withdrawals = [write for write in writes if isinstance(write, Withdrawal)]
        others = [write for write in writes if not isinstance(write, Withdrawal)]
        return [unit for unit in (withdrawals, others) if unit]

    def send(
        self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]
    ) -> Sequence[WriteResponse | SideError]:
        """Withdrawals by import, where that takes fewer calls than one by one. Opt-ins are always sent one
        by one: see `bulk.withdrawals`. There is no place here for consent records: with them an
        opt-in results in UNRECORDED."""
        withdrawals = all(isinstance(write, Withdrawal) for request in batch for write in request.writes)
        if self._burst is not None and len(batch) > 1 and withdrawals:
            return self._burst.carry(batch, heartbeat)
        return send_each(self._send_one, batch, heartbeat)

    def _send_one(self, request: WriteRequest) -> WriteResponse:
        """Send one request on a fresh read of the profiles. ACCEPTED says that the service took it, not that
        it honours it: an older date than the one it holds is taken and passed over."""
        who, unit = request.who, request.writes
        withdrawals = [(write, self._topic(write)) for write in unit if isinstance(write, Withdrawal)]
        others = [(write, self._topic(write)) for write in unit if not isinstance(write, Withdrawal)]
        if bool(withdrawals) is bool(others):
            raise ValueError("a unit holds either withdrawals or raises")
        bound = self._binder.bound(who)
        if not bound.all:
            raise _error(NotFound, "MyPreferences has no active profile with this person's address.")
        if withdrawals:
            return self._withdraw(bound.all, withdrawals)
        response = self._raise(who, bound, others)
        return WriteResponse.UNRECORDED if request.records else response

    def _asked(self, request: WriteRequest) -> RequestedWithdrawals:
        return [(write, self._topic(write)) for write in request.writes if isinstance(write, Withdrawal)]

    def _withdraw(self, told: Sequence[Target], writes: Sequence[tuple[Withdrawal, Topic]]) -> WriteResponse:
        """Every profile of the person is told, also after one of them was refused; then that is raised, an
        unknown outcome before a known one."""
        failures: list[SideError] = []
        sent = False
        for profile, address in told:
            sent = self._tell(profile, address, writes, failures) or sent
            if any(error.verdict in (Verdict.RETRY, Verdict.STOP) for error in failures):
                break  # the same would befall the rest
        if failures:
            raise next((error for error in failures if isinstance(error, OutcomeUnknown)), failures[0])
        return WriteResponse.ACCEPTED if sent else WriteResponse.ALREADY_SO

    def _tell(
        self,
        profile: wire.Profile,
        address: str | None,
        writes: Sequence[tuple[Withdrawal, Topic]],
        failures: list[SideError],
    ) -> bool:
        """Send one profile its withdrawals; whether anything was sent. Refused together, they go one by one:
        a filter that is gone must not keep the other opt-outs from arriving."""
        bodies = profile_updates.withdrawing(profile, address, writes)
        for body in bodies:
            try:
                self._client.update_profile_post(profile.id, body)
            except SideError as error:
                if error.verdict in (Verdict.HOLD, Verdict.FIX_CONFIG) and len(writes) > 1:
                    for write in writes:
                        self._tell(profile, address, [write], failures)
                    return True
                failures.append(error)
        return bool(bodies)

    def _raise(
        self, who: Who, bound: ProfileMatch, writes: Sequence[tuple[Raise | Adjustment, Topic]]
    ) -> WriteResponse:
        self._refuse_outdated(who.address, bound.here, writes)
        target = self._target(who, bound)
        try:
            body = profile_updates.raising(target, who.address, writes)
        except LookupError:
            raise _error(
                Refused,
                "The profile holds the address under another e-mail type than the mapping names.",
                "Mend email_type in the mapping, or the profile in MyPreferences.",
            ) from None
        self._client.update_profile_post(target.id, body)
        return WriteResponse.ACCEPTED

    def _refuse_outdated(
        self,
        address: str,
        profiles: Sequence[wire.Profile],
        writes: Sequence[tuple[Raise | Adjustment, Topic]],
    ) -> None:
        """The last look before a raise is this one: an opt-out that came in meanwhile stands."""
        for write, topic in writes:
            for profile in profiles:
                for said in views.statements(profile, address, topic) or ():
                    out = said.choice is Choice.OPTED_OUT and said.changed_at is not None
                    if out and said.changed_at is not None and said.changed_at >= write.evidence.changed_at:
                        raise _error(Refused, "A withdrawal at MyPreferences is newer than this opt-in.")

    def _target(self, who: Who, bound: ProfileMatch) -> wire.Profile:
        """The one profile that consent may be given on: the pinned one, else the only one. It holds the
        address that the person opted in with."""
        profiles = bound.here
        if bound.pinned is not None:
            return bound.pinned
        if bound.elsewhere:
            raise _error(
                Refused,
                "The profile that is pinned to this person's Dotdigital contact holds another address.",
                "Put the address or the alternate id right in MyPreferences.",
            )
        if len(profiles) == 1 and who.ids.get(Side.DOTDIGITAL) and self._binder.pins(profiles[0]):
            raise _error(
                Refused,
                "The only profile with this address is pinned to another Dotdigital contact.",
                "Put the alternate id right in MyPreferences.",
            )
        if len(profiles) == 1:
            return profiles[0]
        raise _error(
            Refused,
            f"{len(profiles)} profiles share this address and none is pinned to the Dotdigital contact.",
            "Merge them, or set an alternate id and BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE.",
        )


def _error(kind: type[SideError], what: str, hint: str = "") -> SideError:
    return kind(what, side=Side.MYPREFERENCES, operation="updateProfilePost", hint=hint)
