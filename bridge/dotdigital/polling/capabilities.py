"""What the v3 listing may be trusted with, learned from the account: no document says whether a change of a
preference or a suppression moves `~modified`, or whether suppressed contacts are listed.

The probe writes nothing at Dotdigital. It takes contacts whose changes the v2 feeds have dated, and checks
whether the listing shows them as modified at that time. The result only decides how fast changes are found.
Trusting `~modified` wrongly would leave a change to its preference's feed (`modified_feed.LONGEST`): later by
that and never lost, since the feeds are read all the same, and before each opt-in the person or the feed is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import NamedTuple

from bridge.core.errors import DrainIncomplete, NotFound, SideError
from bridge.core.ports import KeyValue, Page
from bridge.dotdigital import views
from bridge.dotdigital.client.access import V3Access
from bridge.dotdigital.client.v3 import ClientV3
from bridge.dotdigital.client.wire import ContactsPage, ContactV3
from bridge.dotdigital.polling import drains
from bridge.dotdigital.polling.stored import ENOUGH, Capabilities, Capability, CapabilityEvidence, ChangeType
from bridge.dotdigital.views import email_status

HANDFUL = 5  # contacts of each kind in one probe
MOST_PAGES = 2  # of the listing: enough for some ten thousand contacts modified since the oldest change
EVERY = timedelta(days=1)
WHILE_UNKNOWN = timedelta(hours=4)
AFTER_FAILURE = timedelta(hours=1)
_REMEMBERED = 100  # changes of each kind
_SETTLED = timedelta(minutes=10)  # a later change may not show everywhere yet
_PATIENCE = timedelta(hours=1)
_OLDEST = timedelta(days=2)  # or the listing gets long
_SKEW = timedelta(seconds=2)
_CLOSE = timedelta(minutes=1)  # `updated` much later than the change moved for another reason
_BEFORE = timedelta(minutes=5)  # the bridge's clock and the service's may differ

OwnWrites = Callable[[Sequence[str], datetime], Set[str]]
"""Those of these contacts that the bridge itself has written to since then."""


def no_writes(ids: Sequence[str], since: datetime) -> Set[str]:  # noqa: ARG001
    """Where nothing is written."""
    return frozenset()


class FeedChange(NamedTuple):
    """A contact that a v2 feed showed to have changed, and when."""

    kind: ChangeType
    id: str
    at: datetime


class CapabilityProbe:
    """Collects the changes that feeds bring in this process, and asks the listing about some. Changes of the
    bridge's own are left out: its writes may move `updated` where a person's do not. `clock` gives the
    bridge's aware UTC, for how often it asks."""

    def __init__(
        self,
        access: V3Access,
        memory: KeyValue,
        clock: Callable[[], datetime],
        own_writes: OwnWrites = no_writes,
    ) -> None:
        self._access, self._memory, self._clock, self._own_writes = access, memory, clock, own_writes
        self._seen: dict[ChangeType, dict[str, datetime]] = {kind: {} for kind in ChangeType}
        self._failed_at: datetime | None = None

    def saw(self, kind: ChangeType, page: Page) -> None:
        """A page of a v2 feed, with reliable dates. Only a contact with an address of its own is used."""
        mine = self._seen[kind]
        for view in page.views:
            dates = [seen.changed_at for seen in view.topics.values() if seen.changed_at is not None]
            if len(view.ids) == 1 and dates:
                mine[view.ids[0]] = max(dates)
        if len(mine) > 2 * _REMEMBERED:
            newest = sorted(mine.items(), key=lambda one: one[1])[-_REMEMBERED:]
            self._seen[kind] = dict(newest)

    def trusts(self, what: Capability) -> bool:
        """Whether that was shown, and nothing since is evidence against it."""
        return Capabilities.load(self._memory)[what].is_shown

    def run(self, now: datetime) -> Sequence[str]:
        """Ask, where that is due and there are changes to ask about: some dozen calls a day at most. `now`
        is the service's time. Returns warnings; a failure changes nothing, and is tried again."""
        before = Capabilities.load(self._memory)
        if not self._access.presumed() or not self._is_due(before):
            return ()
        changes = [one for kind in ChangeType for one in self._usable(kind, now, before.upto.get(kind))]
        if not _worth_asking(changes, now):
            return ()
        try:
            v3 = self._access.client()
            evidence = () if v3 is None else tuple(_ask(v3, changes))
        except SideError as error:
            self._failed_at = self._clock()
            return (f"could not check what Dotdigital's v3 listing shows; will retry: {error}",)
        after = before.after(evidence, self._clock(), _newest(changes))
        after.save(self._memory)
        return after.lost_since(before)

    def _usable(self, kind: ChangeType, now: datetime, after: datetime | None) -> list[FeedChange]:
        """A handful of changes that are settled and that no probe has used, the newest first. `now` is the
        service's time."""
        first = now - _OLDEST if after is None else max(after, now - _OLDEST)
        found = [
            FeedChange(kind, one, at) for one, at in self._seen[kind].items() if first < at <= now - _SETTLED
        ]
        found.sort(key=lambda one: one.at, reverse=True)
        if not found:
            return []
        own = self._own_writes([one.id for one in found], found[-1].at - _BEFORE)
        return [one for one in found if one.id not in own][:HANDFUL]

    def _is_due(self, before: Capabilities) -> bool:
        now = self._clock()
        if self._failed_at is not None and now - self._failed_at < AFTER_FAILURE:
            return False
        pause = EVERY if before.is_complete else WHILE_UNKNOWN
        return before.asked_at is None or now - before.asked_at >= pause


def _worth_asking(changes: Sequence[FeedChange], now: datetime) -> bool:
    """Whether there are enough of them, or no more came while they were waited for."""
    if any(sum(one.kind is kind for one in changes) >= ENOUGH for kind in ChangeType):
        return True
    return any(now - one.at >= _PATIENCE for one in changes)


def _newest(changes: Sequence[FeedChange]) -> Mapping[ChangeType, datetime]:
    kinds = {one.kind for one in changes}
    return {kind: max(one.at for one in changes if one.kind is kind) for kind in kinds}


def _ask(v3: ClientV3, changes: Sequence[FeedChange]) -> Iterator[CapabilityEvidence]:
    since = min(one.at for one in changes) - _BEFORE
    listed, whole = _listed(v3, since)
    for one in changes:
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


def _of_listed(one: FeedChange, contact: ContactV3) -> Iterator[CapabilityEvidence]:
    """A suppressed contact in the listing shows that such contacts are listed, whatever brought it there."""
    if one.kind is ChangeType.SUPPRESSION:
        yield Capability.LISTS_SUPPRESSED, True
    yield from _of_time(one, contact)


def _of_missing(one: FeedChange, contact: ContactV3 | None, since: datetime) -> Iterator[CapabilityEvidence]:
    """A contact that is not listed was either not modified, as the service sees it, or is hidden."""
    if contact is None or contact.updated_at is None or views.is_gone(contact.status):
        return
    if contact.updated_at < since:
        yield from _of_time(one, contact)
    elif one.kind is ChangeType.SUPPRESSION:
        yield Capability.LISTS_SUPPRESSED, False
        yield from _of_time(one, contact)
    elif views.is_subscribed(email_status(contact) or contact.status):
        yield Capability.MOVES_ON_PREFERENCES, False


def _of_time(one: FeedChange, contact: ContactV3) -> Iterator[CapabilityEvidence]:
    """A contact that was created together with the change shows nothing: creation moves `updated` as well."""
    created, moved = contact.created_at, contact.updated_at
    if created is None or moved is None or created > one.at - _CLOSE:
        return
    if moved <= one.at + _CLOSE:
        yield _MOVES[one.kind], moved >= one.at - _SKEW


_MOVES = {
    ChangeType.PREFERENCE: Capability.MOVES_ON_PREFERENCES,
    ChangeType.SUPPRESSION: Capability.MOVES_ON_SUPPRESSIONS,
}
