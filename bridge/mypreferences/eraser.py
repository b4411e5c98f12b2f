"""Erasing somebody at MyPreferences: what is on is withdrawn first, then the profiles are deleted for good.

A profile that holds other addresses as well is not deleted: it would take along what was said under those. It
is named, for a person to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bridge.core.conflict import is_in
from bridge.core.erasers import RecordFound, SideErasure
from bridge.core.errors import Forbidden, InvalidResponse, NotFound, OutcomeUnknown, Refused, SideError
from bridge.core.mapping import Mapping
from bridge.core.model import Side, TopicId, Who, Withdrawal, address_key
from bridge.core.ports import PersonView, Replica, WriteRequest, read_person
from bridge.mypreferences import views, wire
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.profile_lookup import ProfileFinder

SHOWN_WITHIN = (0.0, 2.0, 5.0)  # seconds between reads: what was done may show a little later
_BY_HAND = "delete it in MyPreferences by hand"


class MyPreferencesEraser:
    """Fills `bridge.core.erasers.Eraser`. `replica` is the same side, to be read and written."""

    def __init__(
        self,
        client: MyPreferencesClient,
        binder: ProfileFinder,
        replica: Replica,
        mapping: Mapping,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._client, self._binder, self._replica = client, binder, replica
        self._mapping, self._clock, self._sleep = mapping, clock, sleep

    def traces(self, who: Who) -> Sequence[RecordFound]:
        return [
            RecordFound(
                f"profile {profile.id}",
                "active" if profile.active else "inactive",
                "withdrawn from what is on; it holds other addresses too and stays"
                if _others(profile, who)
                else "withdrawn from what is on, then deleted",
            )
            for profile in self._profiles(who)
        ]

    def block(self, people: Sequence[Who]) -> None:
        """Nothing: no mail is sent from here."""

    def erase(self, who: Who) -> SideErasure:
        profiles = self._profiles(who)
        if not profiles:
            return SideErasure()
        done: list[str] = []
        left: list[str] = []
        still = self._withdraw(who, done) if any(profile.active for profile in profiles) else ""
        for profile in profiles:
            if _others(profile, who):
                left.append(
                    f"profile {profile.id} holds other addresses too: take this one off it, or {_BY_HAND}"
                )
            else:
                self._delete(profile.id, done, left)
        if left and still:
            left.append(still)
        return SideErasure(done, left)

    def _profiles(self, who: Who) -> list[wire.Profile]:
        """The active profiles with the address, and those that were known as theirs and still hold it."""
        found = {profile.id: profile for profile in self._binder.here(who.address, ())}
        for number in who.ids.get(Side.MYPREFERENCES, ()):
            known = None if number in found else self._binder.profile(number)
            if known is not None and _holds(known, who):
                found[number] = known
        return list(found.values())

    # withdrawing

    def _withdraw(self, who: Who, done: list[str]) -> str:
        """Take back what is opted in. Returns what did not go: its profile is deleted all the same, and where
        that does not go either a person has to know."""
        view = read_person(self._replica, who)
        on = self._on(view)
        refusals: list[SideError] = []
        for unit in self._replica.split([self._withdrawal(topic, view) for topic in on]):
            [answer] = self._replica.send([WriteRequest(who, unit)], heartbeat=lambda: None)
            if isinstance(answer, NotFound | Refused):
                refusals.append(answer)
            elif isinstance(answer, SideError):
                raise answer
        still = self._still_on(who) if on else []
        if on and not still:
            done.append(f"opted out of {', '.join(on)}")
        words = " ".join(error.what for error in refusals)
        return f"opted in there still: {', '.join(still)}. {words}".strip() if still else ""

    def _withdrawal(self, topic: TopicId, view: PersonView) -> Withdrawal:
        """Dated late enough that what the profile holds does not outlive it."""
        now, held = self._clock(), view.topics[topic].changed_at
        at = now if held is None else max(now, held + timedelta(seconds=1))
        return Withdrawal(Side.MYPREFERENCES, topic, now, at)

    def _still_on(self, who: Who) -> list[TopicId]:
        still: list[TopicId] = []
        for pause in SHOWN_WITHIN:
            if pause:
                self._sleep(pause)
            still = self._on(read_person(self._replica, who))
            if not still:
                break
        return still

    def _on(self, view: PersonView) -> list[TopicId]:
        mapped = [topic.id for topic in self._mapping.all if topic.source is not None]
        return [topic for topic in mapped if topic in view.topics and is_in(view.topics[topic])]

    # deleting

    def _delete(self, profile_id: str, done: list[str], left: list[str]) -> None:
        """For good. What may not be deleted is left to a person; what is not known is read back."""
        refused: SideError | None = None
        try:
            self._client.delete_profile(profile_id)
        except (NotFound, OutcomeUnknown):
            pass  # the read that follows tells
        except (Forbidden, Refused) as error:
            refused = error
        if not self._is_there(profile_id, once=refused is not None):
            done.append(f"profile {profile_id} is deleted")
        elif refused is not None:
            left.append(f"profile {profile_id} could not be deleted ({refused.what}): {_BY_HAND}")
        else:
            raise InvalidResponse(
                "MyPreferences still shows a profile that it took for deleted.",
                side=Side.MYPREFERENCES, operation="deleteProfile",
                hint="Repeat `bridge forget`: it goes on from there.",
            )  # fmt: skip

    def _is_there(self, profile_id: str, *, once: bool) -> bool:
        for pause in SHOWN_WITHIN[:1] if once else SHOWN_WITHIN:
            if pause:
                self._sleep(pause)
            if self._binder.profile(profile_id) is None:
                return False
        return True


def _holds(profile: wire.Profile, who: Who) -> bool:
    """Whether the address is, or was, one of the profile's."""
    return address_key(who.address) in {address_key(email.email_address) for email in profile.emails or ()}


def _others(profile: wire.Profile, who: Who) -> bool:
    """Whether it has other addresses that are in use."""
    return bool({address_key(one) for one in views.addresses(profile)} - {address_key(who.address)})
