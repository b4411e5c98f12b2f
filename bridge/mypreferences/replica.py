"""MyPreferences, read and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.core.errors import NotFound, OutcomeUnknown, Refused, SideError, Verdict
from bridge.core.guards import is_outdated
from bridge.core.mapping import Topic
from bridge.core.model import PersonId, Side, Who
from bridge.core.ports import Repaired, Unrecorded, WriteRequest, WriteResponse, WriteResult, send_each
from bridge.core.writes import Adjustment, Raise, Withdrawal, Write
from bridge.mypreferences import profile_updates, views
from bridge.mypreferences.bulk.withdrawals import (
    BulkWithdrawals,
    RequestedWithdrawals,
    worth_importing,
)
from bridge.mypreferences.profile_lookup import ProfileMatch, Target
from bridge.mypreferences.reader import MyPreferencesReader
from bridge.mypreferences.wire.profiles import Profile

_NO_PROFILE = "MyPreferences has no active profile with this person's address."


class MyPreferencesReplica(MyPreferencesReader):
    """Adds writing: always by POST of what changes, never by PUT, which blanks what it leaves out; many
    people's withdrawals by import, where there is an importer. ACCEPTED means that the service took a write,
    not that it honours it: it ignores a date older than the one it holds."""

    def split(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """Withdrawals first, together; then what gives or changes consent."""
        withdrawals: list[Write] = []
        others: list[Write] = []
        for write in writes:
            (withdrawals if isinstance(write, Withdrawal) else others).append(write)
        return [some for some in (withdrawals, others) if some]

    def send(self, batch: Sequence[WriteRequest], heartbeat: Callable[[], None]) -> Sequence[WriteResult]:
        """Withdrawals by import where that takes fewer calls, else one request after the other. Opt-ins are
        never imported: see `bulk.withdrawals`. MyPreferences cannot store external consent records."""
        if self._importer is not None and len(batch) > 1 and self._is_bulk(batch):
            bulk = BulkWithdrawals(
                self._client, self._importer, read=self._read_targets, send_one=self._send_one
            )
            return bulk.send(batch, heartbeat)
        return send_each(self._send_one, batch, heartbeat)

    def unfinished(self) -> Sequence[PersonId]:
        """Nobody: a write changes nothing but what it names."""
        return ()

    def finish(self, people: Sequence[Who]) -> Sequence[Repaired]:  # noqa: ARG002
        """Nothing is to be taken back."""
        return ()

    def _is_bulk(self, batch: Sequence[WriteRequest]) -> bool:
        if not all(isinstance(write, Withdrawal) for request in batch for write in request.writes):
            return False
        kinds = [self._kinds(request.writes) for request in batch]
        imports = len(frozenset[object]().union(*kinds))
        return worth_importing(sum(map(len, kinds)), imports) and self._may_import(imports)

    def _send_one(self, request: WriteRequest) -> WriteResponse | Unrecorded:
        """Send one request on a fresh read of the profiles."""
        raises = [(one, self._topic(one)) for one in request.writes if not isinstance(one, Withdrawal)]
        if not raises and request.writes:
            return self._withdraw(*self._read_targets(request))
        if len(raises) < len(request.writes) or not raises:
            raise ValueError("a request holds either withdrawals or raises")
        self._raise(request.who, raises)
        if request.records:
            return Unrecorded("MyPreferences keeps how a person consented in its own preferences only.")
        return WriteResponse.ACCEPTED

    # withdrawals

    def _read_targets(self, request: WriteRequest) -> tuple[Sequence[Target], RequestedWithdrawals]:
        """Where a person's withdrawals go, by a fresh read, and the withdrawals with their topics."""
        writes = [(one, self._topic(one)) for one in request.writes if isinstance(one, Withdrawal)]
        targets = self._finder.find(request.who).targets
        if not targets:
            raise _error(NotFound, _NO_PROFILE)
        return targets, writes

    def _withdraw(self, targets: Sequence[Target], writes: RequestedWithdrawals) -> WriteResponse:
        """Write to every profile of the person, also after one of them was refused; then that error is
        raised, an unknown outcome before a known one."""
        failures: list[SideError] = []
        sent = False
        for target in targets:
            sent = self._withdraw_on(target, writes, failures) or sent
            if any(error.verdict in (Verdict.RETRY, Verdict.STOP) for error in failures):
                break  # the other profiles would get the same error
        if failures:
            raise next((error for error in failures if isinstance(error, OutcomeUnknown)), failures[0])
        return WriteResponse.ACCEPTED if sent else WriteResponse.ALREADY_SO

    def _withdraw_on(self, target: Target, writes: RequestedWithdrawals, failures: list[SideError]) -> bool:
        """Write withdrawals to one profile; whether anything was sent. Refused together, they are sent one by
        one: a filter that no longer exists must not keep the other opt-outs from arriving."""
        profile, address = target
        bodies = profile_updates.withdrawing(profile, address, writes)
        for body in bodies:
            try:
                self._client.update_profile_post(profile.id, body)
            except SideError as error:
                if error.verdict in (Verdict.HOLD, Verdict.FIX_CONFIG) and len(writes) > 1:
                    for write in writes:
                        self._withdraw_on(target, [write], failures)
                    return True
                failures.append(error)
        return bool(bodies)

    # opt-ins

    def _raise(self, who: Who, writes: Sequence[tuple[Raise | Adjustment, Topic]]) -> None:
        match = self._finder.find(who)
        if not match.targets:
            raise _error(NotFound, _NO_PROFILE)
        # This is the last read before an opt-in: an opt-out that arrived meanwhile wins.
        view = views.view(who.address, match.profiles, self._mapping, self._read_clock(), complete=True)
        for write, topic in writes:
            if is_outdated(write, view.topics.get(topic.id)):
                raise _error(Refused, "A withdrawal at MyPreferences is newer than this opt-in.")
        profile = self._raise_target(who, match)
        try:
            body = profile_updates.raising(profile, who.address, writes)
        except LookupError:
            raise _error(
                Refused,
                "The profile holds the address under another e-mail type than the mapping names.",
                "Fix email_type in the mapping, or the profile in MyPreferences.",
            ) from None
        self._client.update_profile_post(profile.id, body)

    def _raise_target(self, who: Who, match: ProfileMatch) -> Profile:
        """The one profile that an opt-in may be written to: the one that names the contact, else the only
        one. It holds the address that the person opted in with."""
        profiles = match.profiles
        if match.named is not None:
            return match.named
        if match.linked:
            raise _error(
                Refused,
                "The profile that is linked to this person's Dotdigital contact holds another address.",
                "Correct the address or the alternate id in MyPreferences.",
            )
        if len(profiles) == 1 and who.ids.get(Side.DOTDIGITAL) and self._finder.contact_ids(profiles[0]):
            raise _error(
                Refused,
                "The only profile with this address is linked to another Dotdigital contact.",
                "Correct the alternate id in MyPreferences.",
            )
        if len(profiles) == 1:
            return profiles[0]
        raise _error(
            Refused,
            f"{len(profiles)} profiles share this address and none is linked to the Dotdigital contact.",
            "Merge them, or set an alternate id and BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE.",
        )


def _error(kind: type[SideError], what: str, hint: str = "") -> SideError:
    return kind(what, side=Side.MYPREFERENCES, operation="updateProfilePost", hint=hint)
