"""MyPreferences as one side of the bridge. Its quirks end here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from bridge.core.catalogue import Catalogue
from bridge.core.errors import MappingStale, NotFound, OutcomeUnknown, Refused, SideError, Verdict
from bridge.core.fit import kinds_at
from bridge.core.mapping import Mapping, Topic
from bridge.core.model import (
    Adjustment,
    Choice,
    ConsentRecord,
    Raise,
    Side,
    TopicId,
    Who,
    Withdrawal,
    Write,
    address_key,
)
from bridge.core.ports import Bookmark, Hint, Outcome, Page, Parcel, PersonView
from bridge.core.singly import write_each
from bridge.mypreferences import changes, views, wire
from bridge.mypreferences.burst import Asked, Burst
from bridge.mypreferences.catalogue import read_catalogue
from bridge.mypreferences.choosing import WORTH_AN_EXPORT, Chooser
from bridge.mypreferences.client import EventSlice, MyPreferencesClient
from bridge.mypreferences.drain import drain_events
from bridge.mypreferences.evidence import records_of
from bridge.mypreferences.importing import Importer
from bridge.mypreferences.listing import Block, Listing, Place, Roll

EVENTS = "mypreferences.events"
HISTORY = timedelta(days=15)  # MyPreferences `Retrieve events`: MaxEventHistoryDays
_HISTORY_MARGIN = timedelta(hours=1)
_PAGE = 100
_AT_ONCE = 4


class MyPreferencesReader:
    """Fills `ReadReplica`. `clock` gives the bridge's aware UTC; `roll` is what holds everybody (None: people
    are read one by one); `export_poll` is seconds between questions for an export; `under_way` tells whether
    an import is at work."""

    def __init__(
        self,
        client: MyPreferencesClient,
        mapping: Mapping,
        clock: Callable[[], datetime],
        *,
        roll: Roll | None = None,
        subscription_id: int | None = None,
        alternate_id_type: str | None = None,
        poll_window: timedelta = timedelta(hours=1),
        export_poll: float = 15.0,
        sleep: Callable[[float], None] = time.sleep,
        under_way: Callable[[], bool] = lambda: False,
    ) -> None:
        self._under_way = under_way
        self._client, self._mapping, self._clock = client, mapping, clock
        self._roll, self._subscription_id = roll, subscription_id
        self._alternate_id_type = alternate_id_type
        self._poll_window = poll_window
        self._listing = Listing(client, clock=clock, pause=export_poll, sleep=sleep)

    @property
    def side(self) -> Side:
        return Side.MYPREFERENCES

    @property
    def calls(self) -> int:
        """Requests sent so far, sign-ins included."""
        return self._client.calls

    @property
    def feeds(self) -> Sequence[str]:
        return (EVENTS,)

    def account(self) -> str:
        """The clientId and its host, as the settings name them."""
        return self._client.account

    def changes(self, feed: str, since: datetime) -> Iterator[Page]:
        """Hints at whose profiles something happened; what happened is found by reading them."""
        if feed != EVENTS:
            raise ValueError(f"MyPreferences has no feed called {feed}")
        return drain_events(self._events, since, window=self._poll_window, clock=self._clock)

    def covers(self, feed: str) -> frozenset[TopicId]:
        """The one feed tells of every topic that has a place here."""
        if feed != EVENTS:
            raise ValueError(f"MyPreferences has no feed called {feed}")
        return frozenset(topic.id for topic in self._mapping.all if topic.source is not None)

    def catalogue(self) -> Catalogue:
        """Filters where the mapping names one, and consents likewise: one call each."""
        return read_catalogue(self._client, kinds_at(Side.MYPREFERENCES, self._mapping))

    def price(self, writes: Sequence[Write]) -> int:
        """Calls for one person with one profile: a read, the POSTs and the read back of each unit."""
        sources = {type(self._topic(write).source) for write in writes if isinstance(write, Withdrawal)}
        raises = any(not isinstance(write, Withdrawal) for write in writes)
        return (2 + len(sources) if sources else 0) + (3 if raises else 0)

    def oldest_since(self) -> datetime | None:
        """The service keeps 15 days of events; the margin covers a clock that is off and a slow drain."""
        return self._clock() - HISTORY + _HISTORY_MARGIN

    def everyone(self, known: Iterable[Who], since: Bookmark | None = None) -> Iterator[Page]:
        """The whole roll, or without one each of `known`. Somebody who cannot be read is counted in the
        page's warnings and left out of its views; whatever stops the side stops the sweep."""
        if self._roll is not None:
            place = None if since is None else Place.read(since.place)
            return map(self._page, self._listing.everybody(self._roll, place))
        return self._one_by_one(known)

    def look(self, who: Who) -> PersonView:
        """Read every active profile with the address. Raises Ambiguous where they are too many."""
        read_at = self._clock()
        profiles = self._profiles(who.address, who.ids.get(Side.MYPREFERENCES, ()))
        shown = views.view(who.address, profiles, self._mapping, read_at, complete=True)
        pinned = len(profiles) > 1 and self._pinned(who, profiles) is not None
        return views.addressed(shown) if pinned else shown

    def look_many(self, people: Sequence[Who]) -> Iterator[Page]:
        """A few by a look at each. Many by exports that are narrowed to their addresses, where a roll is
        set: whoever is not wholly there is looked at."""
        if self._roll is None or len(people) < WORTH_AN_EXPORT:
            return self._one_by_one(people)
        return self._chosen(self._roll, people)

    def under_way(self) -> bool:
        """Whether an import may still be at work."""
        return self._under_way()

    def follow(self, hint: Hint) -> Sequence[PersonView]:
        """What a hint names: by id, one view for each active address of that profile (others may share it);
        by address, everybody who has it."""
        found: dict[str, PersonView] = {}
        if hint.id is not None:
            found = {address_key(item.address): item for item in self._by_id(hint.id)}
        if hint.address is not None:
            read_at = self._clock()
            profiles = self._profiles(hint.address, () if hint.id is None else (hint.id,))
            closer = views.view(hint.address, profiles, self._mapping, read_at, complete=True)
            found[address_key(hint.address)] = closer
        return list(found.values())

    def evidence(self, who: Who, topics: Sequence[TopicId]) -> Sequence[ConsentRecord]:
        """By the attributes of the preferences on the one profile that is theirs: of several profiles that
        share an address only a pinned one tells how this person consented."""
        profiles = self._profiles(who.address, who.ids.get(Side.MYPREFERENCES, ()))
        mine = profiles[0] if len(profiles) == 1 else self._pinned(who, profiles)
        wanted = [topic for topic in self._mapping.topics if topic.id in topics]
        return [] if mine is None else records_of(mine, who.address, wanted)

    def _topic(self, write: Write) -> Topic:
        topic = self._mapping.topic(write.topic)
        if topic is None or topic.source is None:
            raise _error(
                MappingStale, "A write speaks of a topic that MyPreferences has no place for.",
                "Run `bridge mapping check`.",
            )  # fmt: skip
        return topic

    def _events(self, start: datetime, end: datetime) -> EventSlice:
        if self._subscription_id is None:
            return self._client.events_by_account(start_at=start, end_at=end)
        return self._client.events_by_subscription(self._subscription_id, start_at=start, end_at=end)

    def _profiles(self, address: str, ids: Sequence[str]) -> list[wire.Profile]:
        """The active profiles that hold the address. Known ids are asked for where the search finds nobody:
        an address that changed means that this person is not there any more, under this address."""
        found = [
            profile for profile in self._client.profiles_by_email(address) if self._holds(profile, address)
        ]
        if not found:
            by_id = (self._profile(profile_id) for profile_id in ids)
            found = [profile for profile in by_id if profile is not None and self._holds(profile, address)]
        return found

    def _pinned(self, who: Who, profiles: Sequence[wire.Profile]) -> wire.Profile | None:
        """The one profile whose alternate id of the configured type names the person's Dotdigital contact."""
        names = {item.strip().casefold() for item in who.ids.get(Side.DOTDIGITAL, ())}
        pinned = [profile for profile in profiles if self._pins(profile) & names]
        return pinned[0] if len(pinned) == 1 else None

    def _pins(self, profile: wire.Profile) -> set[str]:
        kind = (self._alternate_id_type or "").casefold()
        pairs = (item.pair for item in profile.alternate_ids or ())
        return {value for name, value in pairs if kind and name == kind and value}

    def _profile(self, profile_id: str) -> wire.Profile | None:
        try:
            return self._client.profile_by_id(profile_id)
        except NotFound:
            return None

    @staticmethod
    def _holds(profile: wire.Profile, address: str) -> bool:
        return profile.active and bool(views.elements(profile, address))

    def _by_id(self, profile_id: str) -> list[PersonView]:
        read_at = self._clock()
        profile = self._profile(profile_id)
        if profile is None or not profile.active:
            return []
        return [
            views.view(address, [profile], self._mapping, read_at, complete=False)
            for address in views.addresses(profile)
        ]

    def _page(self, block: Block) -> Page:
        sharing: dict[str, list[wire.Profile]] = {}
        spelled: dict[str, str] = {}
        skipped = 0
        for row in block.rows:
            held = views.addresses(row) if row.active else []
            skipped += not held
            for address in held:
                key = address_key(address)
                spelled.setdefault(key, address)
                sharing.setdefault(key, []).append(row)
        began = block.place.began
        seen = [
            views.view(spelled[key], profiles, self._mapping, began, complete=False)
            for key, profiles in sharing.items()
        ]
        return Page(
            views=seen,
            skipped=skipped,
            bookmark=Bookmark(block.place.written(), began),
            done=block.place.rows,
            total=block.total,
        )

    def _chosen(self, roll: Roll, people: Sequence[Who]) -> Iterator[Page]:
        for seen, rest in Chooser(self._listing, roll, self._mapping).shown(people, self._clock()):
            yield Page(views=seen)
            yield from self._one_by_one(rest)

    def _one_by_one(self, known: Iterable[Who]) -> Iterator[Page]:
        people = iter(known)
        while batch := list(islice(people, _PAGE)):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                results = list(pool.map(self._look_or_say_why, batch))
            failed = Counter(type(item).__name__ for item in results if isinstance(item, SideError))
            yield Page(
                views=[item for item in results if isinstance(item, PersonView)],
                warnings=[
                    f"{count} people could not be read: {name}" for name, count in sorted(failed.items())
                ],
                unread=failed.total(),
            )

    def _look_or_say_why(self, who: Who) -> PersonView | SideError:
        """One person who cannot be read keeps nobody else from being read."""
        try:
            return self.look(who)
        except SideError as error:
            if error.verdict is not Verdict.HOLD:
                raise
            return error


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
            self._burst = Burst(
                client,
                importer,
                asked=self._asked,
                profiles=lambda who: self._profiles(who.address, who.ids.get(Side.MYPREFERENCES, ())),
                write=lambda parcel: self.write(parcel.who, parcel.unit),
            )

    def units(self, writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
        """Withdrawals first, together; then all that gives or changes consent."""
        withdrawals = [write for write in writes if isinstance(write, Withdrawal)]
        others = [write for write in writes if not isinstance(write, Withdrawal)]
        return [unit for unit in (withdrawals, others) if unit]

    def write(self, who: Who, unit: Sequence[Write]) -> Outcome:
        """Carry out one unit on a fresh read of the profiles. ACCEPTED says that the service took it, not
        that it honours it: an older date than the one it holds is taken and passed over."""
        withdrawals = [(write, self._topic(write)) for write in unit if isinstance(write, Withdrawal)]
        others = [(write, self._topic(write)) for write in unit if not isinstance(write, Withdrawal)]
        if bool(withdrawals) is bool(others):
            raise ValueError("a unit holds either withdrawals or raises")
        profiles = self._profiles(who.address, who.ids.get(Side.MYPREFERENCES, ()))
        if not profiles:
            raise _error(NotFound, "MyPreferences has no active profile with this person's address.")
        if withdrawals:
            return self._withdraw(who.address, profiles, withdrawals)
        return self._raise(who, profiles, others)

    def attest(self, who: Who, records: Sequence[ConsentRecord]) -> None:  # noqa: ARG002
        """Raises Refused: there is no place for them, and the engine sends none here."""
        raise _error(Refused, "MyPreferences keeps no consent records of elsewhere.")

    def prefers_bulk(self, parcels: Sequence[Parcel]) -> bool:
        """Whether imports carry these in fewer calls. Opt-ins always go by themselves: see `burst`."""
        writes = [write for parcel in parcels for write in parcel.unit]
        if self._burst is None or not all(isinstance(write, Withdrawal) for write in writes):
            return False
        return self._burst.prefers([self._kinds(parcel) for parcel in parcels])

    def write_many(
        self, parcels: Sequence[Parcel], *, heartbeat: Callable[[], None]
    ) -> Sequence[Outcome | SideError]:
        """Withdrawals together, as far as that takes fewer calls; opt-ins one after the other."""
        writes = [write for parcel in parcels for write in parcel.unit]
        if self._burst is None or not all(isinstance(write, Withdrawal) for write in writes):
            return write_each(self.write, parcels, heartbeat)
        return self._burst.carry(parcels, heartbeat)

    def _asked(self, parcel: Parcel) -> Asked:
        return [(write, self._topic(write)) for write in parcel.unit if isinstance(write, Withdrawal)]

    def _kinds(self, parcel: Parcel) -> frozenset[object]:
        topics = (self._mapping.topic(write.topic) for write in parcel.unit)
        return frozenset(type(topic.source) for topic in topics if topic is not None)

    def _withdraw(
        self, address: str, profiles: Sequence[wire.Profile], writes: Sequence[tuple[Withdrawal, Topic]]
    ) -> Outcome:
        """Every profile that shares the address is told, also after one of them was refused; then that is
        raised, an unknown outcome before a known one."""
        failures: list[SideError] = []
        sent = False
        for profile in profiles:
            sent = self._tell(profile, address, writes, failures) or sent
            if any(error.verdict in (Verdict.RETRY, Verdict.STOP) for error in failures):
                break  # the same would befall the rest
        if failures:
            raise next((error for error in failures if isinstance(error, OutcomeUnknown)), failures[0])
        return Outcome.ACCEPTED if sent else Outcome.ALREADY_SO

    def _tell(
        self,
        profile: wire.Profile,
        address: str,
        writes: Sequence[tuple[Withdrawal, Topic]],
        failures: list[SideError],
    ) -> bool:
        """Send one profile its withdrawals; whether anything was sent. Refused together, they go one by one:
        a filter that is gone must not keep the other opt-outs from arriving."""
        bodies = changes.withdrawing(profile, address, writes)
        for body in bodies:
            try:
                self._client.update_profile(profile.id, body)
            except SideError as error:
                if error.verdict in (Verdict.HOLD, Verdict.MEND) and len(writes) > 1:
                    for write in writes:
                        self._tell(profile, address, [write], failures)
                    return True
                failures.append(error)
        return bool(bodies)

    def _raise(
        self, who: Who, profiles: Sequence[wire.Profile], writes: Sequence[tuple[Raise | Adjustment, Topic]]
    ) -> Outcome:
        self._refuse_outdated(who.address, profiles, writes)
        target = self._target(who, profiles)
        try:
            body = changes.raising(target, who.address, writes)
        except LookupError:
            raise _error(
                Refused,
                "The profile holds the address under another e-mail type than the mapping names.",
                "Mend email_type in the mapping, or the profile in MyPreferences.",
            ) from None
        self._client.update_profile(target.id, body)
        return Outcome.ACCEPTED

    def _refuse_outdated(
        self,
        address: str,
        profiles: Sequence[wire.Profile],
        writes: Sequence[tuple[Raise | Adjustment, Topic]],
    ) -> None:
        """The last look before a raise is this one: an opt-out that came in meanwhile stands."""
        for write, topic in writes:
            for profile in profiles:
                for said in views.said_of(profile, address, topic) or ():
                    out = said.choice is Choice.OPTED_OUT and said.changed_at is not None
                    if out and said.changed_at is not None and said.changed_at >= write.evidence.changed_at:
                        raise _error(Refused, "A withdrawal at MyPreferences is newer than this opt-in.")

    def _target(self, who: Who, profiles: Sequence[wire.Profile]) -> wire.Profile:
        """The one profile that consent may be given on: the pinned one, else the only one."""
        if pinned := self._pinned(who, profiles):
            return pinned
        if len(profiles) == 1 and who.ids.get(Side.DOTDIGITAL) and self._pins(profiles[0]):
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
    return kind(what, side=Side.MYPREFERENCES, operation="update_profile", hint=hint)
