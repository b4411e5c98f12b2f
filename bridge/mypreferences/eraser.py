"""Erasing a person at MyPreferences: opted-in topics are withdrawn first, then the profiles are deleted.

A profile that also holds other addresses is not deleted: their choices would be lost. It is reported for an
operator to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bridge.core.erasure import RecordFound, SideErasure
from bridge.core.errors import Forbidden, InvalidResponse, NotFound, OutcomeUnknown, Refused, SideError
from bridge.core.mapping import Mapping
from bridge.core.model import Side, TopicId, Who, address_key
from bridge.core.ports import PersonView, Replica, WriteRequest, read_person
from bridge.core.writes import Withdrawal
from bridge.mypreferences import views
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.profile_lookup import ProfileFinder
from bridge.mypreferences.wire.profiles import Profile

READ_BACK_DELAYS = (0.0, 2.0, 5.0)  # seconds before each read back: changes may show with a delay
_BY_HAND = "delete it in MyPreferences by hand"


class MyPreferencesEraser:
    """Fills `bridge.core.erasure.Eraser`. `replica` is the same side."""

    def __init__(
        self,
        client: MyPreferencesClient,
        finder: ProfileFinder,
        replica: Replica,
        mapping: Mapping,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._client, self._finder, self._replica = client, finder, replica
        self._mapping, self._clock, self._sleep = mapping, clock, sleep

    def traces(self, who: Who) -> Sequence[RecordFound]:
        return [
            RecordFound(
                f"profile {profile.id}",
                "active" if profile.active else "inactive",
                "opted out; kept, since it holds other addresses too"
                if _others(profile, who)
                else "opted out, then deleted",
            )
            for profile in self._profiles(who)
        ]

    def block(self, people: Sequence[Who]) -> None:
        """Nothing to do: this side sends no mail."""

    def erase(self, who: Who) -> SideErasure:
        profiles = self._profiles(who)
        if not profiles:
            return SideErasure()
        done: list[str] = []
        left: list[str] = []
        remaining = self._withdraw(who, done) if any(profile.active for profile in profiles) else ""
        for profile in profiles:
            if _others(profile, who):
                left.append(
                    f"profile {profile.id} holds other addresses too: remove this one from it, or {_BY_HAND}"
                )
            else:
                self._delete(profile.id, done, left)
        if left and remaining:
            left.append(remaining)
        return SideErasure(done, left)

    def _profiles(self, who: Who) -> list[Profile]:
        """The active profiles with the address, and known ones that hold it but are inactive."""
        found = {profile.id: profile for profile in self._finder.by_address(who.address, ())}
        for number in who.ids.get(Side.MYPREFERENCES, ()):
            known = None if number in found else self._finder.by_id(number)
            if known is not None and _holds(known, who):
                found[number] = known
        return list(found.values())

    # withdrawing

    def _withdraw(self, who: Who, done: list[str]) -> str:
        """Withdraw what is opted in. Returns what could not be withdrawn: its profile is deleted anyway, and
        where that fails too an operator has to know."""
        view = read_person(self._replica, who)
        opted_in = self._opted_in(view)
        refusals: list[SideError] = []
        for writes in self._replica.split([self._withdrawal(topic, view) for topic in opted_in]):
            [answer] = self._replica.send([WriteRequest(who, writes)], heartbeat=lambda: None)
            if isinstance(answer, NotFound | Refused):
                refusals.append(answer)
            elif isinstance(answer, SideError):
                raise answer
        remaining = self._still_opted_in(who) if opted_in else []
        if opted_in and not remaining:
            done.append(f"opted out of {', '.join(opted_in)}")
        reasons = " ".join(error.what for error in refusals)
        return f"still opted in: {', '.join(remaining)}. {reasons}".strip() if remaining else ""

    def _withdrawal(self, topic: TopicId, view: PersonView) -> Withdrawal:
        """Dated later than what the profile holds."""
        now, held = self._clock(), view.topics[topic].changed_at
        at = now if held is None else max(now, held + timedelta(seconds=1))
        return Withdrawal(Side.MYPREFERENCES, topic, now, at)

    def _still_opted_in(self, who: Who) -> list[TopicId]:
        remaining: list[TopicId] = []
        for delay in READ_BACK_DELAYS:
            if delay:
                self._sleep(delay)
            remaining = self._opted_in(read_person(self._replica, who))
            if not remaining:
                break
        return remaining

    def _opted_in(self, view: PersonView) -> list[TopicId]:
        mapped = [topic.id for topic in self._mapping.all if topic.source is not None]
        return [topic for topic in mapped if topic in view.topics and view.topics[topic].opted_in]

    # deleting

    def _delete(self, profile_id: str, done: list[str], left: list[str]) -> None:
        """Delete for good. A refusal is left to an operator; an unknown outcome is read back."""
        refused: SideError | None = None
        try:
            self._client.delete_profile(profile_id)
        except (NotFound, OutcomeUnknown):
            pass  # the read back tells
        except (Forbidden, Refused) as error:
            refused = error
        if not self._exists(profile_id, once=refused is not None):
            done.append(f"profile {profile_id} is deleted")
        elif refused is not None:
            left.append(f"profile {profile_id} could not be deleted ({refused.what}): {_BY_HAND}")
        else:
            raise InvalidResponse(
                "MyPreferences still shows a profile that it accepted to delete.",
                side=Side.MYPREFERENCES, operation="deleteProfile",
                hint="Run `bridge forget` again: it resumes where it stopped.",
            )  # fmt: skip

    def _exists(self, profile_id: str, *, once: bool) -> bool:
        for delay in READ_BACK_DELAYS[:1] if once else READ_BACK_DELAYS:
            if delay:
                self._sleep(delay)
            if self._finder.by_id(profile_id) is None:
                return False
        return True


def _holds(profile: Profile, who: Who) -> bool:
    """Whether the address is, or was, one of the profile's."""
    return address_key(who.address) in {
        address_key(email.email_address or "") for email in profile.emails or ()
    }


def _others(profile: Profile, who: Who) -> bool:
    """Whether it has other active addresses."""
    return bool({address_key(one) for one in views.addresses(profile)} - {address_key(who.address)})
