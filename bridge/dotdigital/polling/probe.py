"""What the v3 listing may be trusted with, learnt from the account: no document says whether a change of a
preference or a suppression moves `~modified`, or whether suppressed people are listed.

The probe writes nothing at Dotdigital. It takes contacts whose changes the v2 feeds have dated, and looks
whether the listing shows them as modified at that time. What it finds decides on speed only. `~modified`
trusted wrongly would leave a change to the turn of its preference's feed (`modified.LONGEST`): late by that
and never lost, since the feeds are read all the same, and before each opt-in the person or the feed is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.core.errors import DrainIncomplete, NotFound, SideError
from bridge.core.ports import KeyValue, Page
from bridge.dotdigital import status
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.v3_access import V3Access
from bridge.dotdigital.client.wire import ContactsPage, ContactV3
from bridge.dotdigital.polling import drains
from bridge.dotdigital.polling.capabilities import (
    ENOUGH,
    Capabilities,
    Capability,
    ChangeType,
    Vote,
    keep,
    kept,
)
from bridge.dotdigital.views import email_status

HANDFUL = 5  # contacts of each kind in one probe
MOST_PAGES = 2  # of the listing: enough for some ten thousand contacts modified since the oldest change
EVERY = timedelta(days=1)
WHILE_UNKNOWN = timedelta(hours=4)
AFTER_TROUBLE = timedelta(hours=1)
_RIPE = timedelta(minutes=10)  # what changed later may not be everywhere yet
_PATIENCE = timedelta(hours=1)
_OLDEST = timedelta(days=2)  # or the listing gets long
_SKEW = timedelta(seconds=2)
_CLOSE = timedelta(minutes=1)  # `updated` much later than the change moved for another reason
_BEFORE = timedelta(minutes=5)  # the bridge's clock and the service's may differ

Ours = Callable[[Sequence[str], datetime], Set[str]]
"""Those of these contacts that the bridge itself has written to since then."""


def nobody(ids: Sequence[str], since: datetime) -> Set[str]:  # noqa: ARG001
    """Where nothing is written."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class Sample:
    """A contact that a v2 feed showed to have changed, and when."""

    kind: ChangeType
    id: str
    at: datetime


class Samples:
    """The newest changes of each kind that feeds have brought in this process, but for those that the bridge
    made: its writes may move `updated` where a person's do not."""

    def __init__(self, ours: Ours, most: int = 100) -> None:
        self._ours, self._most = ours, most
        self._seen: dict[ChangeType, dict[str, datetime]] = {kind: {} for kind in ChangeType}

    def saw(self, kind: ChangeType, page: Page) -> None:
        """A page of a feed. Only contacts that stand alone for their address can be told apart."""
        mine = self._seen[kind]
        for view in page.views:
            dates = [seen.changed_at for seen in view.topics.values() if seen.changed_at is not None]
            if len(view.ids) == 1 and dates:
                mine[view.ids[0]] = max(dates)
        if len(mine) > 2 * self._most:
            newest = sorted(mine.items(), key=lambda one: one[1])[-self._most :]
            self._seen[kind] = dict(newest)

    def ripe(self, kind: ChangeType, now: datetime, after: datetime | None) -> list[Sample]:
        """A handful of changes that have come through everywhere and that no probe has used, the newest
        first. `now` is the service's time."""
        first = now - _OLDEST if after is None else max(after, now - _OLDEST)
        found = [Sample(kind, one, at) for one, at in self._seen[kind].items() if first < at <= now - _RIPE]
        found.sort(key=lambda one: one.at, reverse=True)
        if not found:
            return []
        ours = self._ours([one.id for one in found], found[-1].at - _BEFORE)
        return [one for one in found if one.id not in ours][:HANDFUL]


class CapabilityProbe:
    """`clock` gives the bridge's aware UTC, for how often it asks."""

    def __init__(
        self, access: V3Access, memory: KeyValue, clock: Callable[[], datetime], ours: Ours = nobody
    ) -> None:
        self._access, self._memory, self._clock = access, memory, clock
        self._witnesses = Samples(ours)
        self._troubled: datetime | None = None

    def saw(self, kind: ChangeType, page: Page) -> None:
        """A page of a v2 feed, whose dates are to be relied on."""
        self._witnesses.saw(kind, page)

    def trusts(self, what: Capability) -> bool:
        """Whether that was shown, and nothing has spoken against it since."""
        return kept(self._memory)[what].is_shown

    def run(self, now: datetime) -> Sequence[str]:
        """Ask, where that is due and there is something to ask about: some dozen calls a day at most. `now`
        is the service's time. Returns what is to be told; trouble changes nothing, and is tried again."""
        before = kept(self._memory)
        if not self._access.presumed() or not self._is_due(before):
            return ()
        witnesses = [
            one for kind in ChangeType for one in self._witnesses.ripe(kind, now, before.upto.get(kind))
        ]
        if not _worth_asking(witnesses, now):
            return ()
        try:
            v3 = self._access.client()
            evidence = () if v3 is None else tuple(_ask(v3, witnesses))
        except SideError as error:
            self._troubled = self._clock()
            return (f"what Dotdigital's v3 listing shows could not be found out; asked again later: {error}",)
        after = before.after(evidence, self._clock(), _newest(witnesses))
        keep(self._memory, after)
        return after.news_since(before)

    def _is_due(self, before: Capabilities) -> bool:
        now = self._clock()
        if self._troubled is not None and now - self._troubled < AFTER_TROUBLE:
            return False
        pause = EVERY if before.is_complete else WHILE_UNKNOWN
        return before.asked_at is None or now - before.asked_at >= pause


def _worth_asking(witnesses: Sequence[Sample], now: datetime) -> bool:
    """Whether there are enough of them, or more did not come while they were waited for."""
    if any(sum(one.kind is kind for one in witnesses) >= ENOUGH for kind in ChangeType):
        return True
    return any(now - one.at >= _PATIENCE for one in witnesses)


def _newest(witnesses: Sequence[Sample]) -> Mapping[ChangeType, datetime]:
    kinds = {one.kind for one in witnesses}
    return {kind: max(one.at for one in witnesses if one.kind is kind) for kind in kinds}


def _ask(v3: ClientV3, witnesses: Sequence[Sample]) -> Iterator[Vote]:
    since = min(one.at for one in witnesses) - _BEFORE
    listed, whole = _listed(v3, since)
    for one in witnesses:
        contact = listed.get(one.id)
        if contact is not None:
            yield from _of_listed(one, contact)
        elif whole:
            yield from _of_missing(one, _read(v3, one.id), since)


def _listed(v3: ClientV3, since: datetime) -> tuple[dict[str, ContactV3], bool]:
    """Who is listed as modified since then, by id, and whether that is all of them."""
    pages = 0

    def fetch(marker: str | None) -> ContactsPage:
        return v3.get_contacts(marker=marker, modified_since=since, include=())

    found: dict[str, ContactV3] = {}
    try:
        for contacts in drains.drain_marker(fetch):
            pages += 1
            found |= {str(one.contact_id): one for one in contacts}
            if pages == MOST_PAGES:
                return found, False
    except DrainIncomplete:
        return found, False
    return found, True


def _read(v3: ClientV3, number: str) -> ContactV3 | None:
    try:
        return v3.get_contact(identifier="contactId", value=number)
    except NotFound:
        return None


def _of_listed(one: Sample, contact: ContactV3) -> Iterator[Vote]:
    """Whoever is listed although they were suppressed shows that such people are, whatever brought them."""
    if one.kind is ChangeType.SUPPRESSION:
        yield Vote(Capability.LISTS_SUPPRESSED, speaks_for=True)
    yield from _of_time(one, contact)


def _of_missing(one: Sample, contact: ContactV3 | None, since: datetime) -> Iterator[Vote]:
    """Whoever is not listed was either not modified, by the service's lights, or is hidden."""
    if contact is None or contact.updated_at is None or status.is_gone(contact.status):
        return
    if contact.updated_at < since:
        yield from _of_time(one, contact)
    elif one.kind is ChangeType.SUPPRESSION:
        yield Vote(Capability.LISTS_SUPPRESSED, speaks_for=False)
        yield from _of_time(one, contact)
    elif status.is_subscribed(email_status(contact) or contact.status):
        yield Vote(Capability.MOVES_ON_PREFERENCES, speaks_for=False)


def _of_time(one: Sample, contact: ContactV3) -> Iterator[Vote]:
    """Whoever was made along with the change says nothing: being made moves `updated` as well."""
    made, moved = contact.created_at, contact.updated_at
    if made is None or moved is None or made > one.at - _CLOSE:
        return
    if moved <= one.at + _CLOSE:
        yield Vote(_MOVES[one.kind], speaks_for=moved >= one.at - _SKEW)


_MOVES = {
    ChangeType.PREFERENCE: Capability.MOVES_ON_PREFERENCES,
    ChangeType.SUPPRESSION: Capability.MOVES_ON_SUPPRESSIONS,
}
