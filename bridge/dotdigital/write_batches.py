"""People's writes, split into the calls that send them, and how many calls those take. Pure.

An import of n people's withdrawals takes 2 min(n, p) + ceil(n / 5000) + 3 calls, where the listing has p
pages: who is still there is read first (a write would restore a deleted contact), and the result is read
back. One call at a time takes 3 n calls for topics, 2 n for the channel and 4 n for both, since a person is
read back once. So imports take fewer from five people on for topics, and for the channel once n is larger
than p. Opt-ins go one at a time, each on a fresh read. Without v3 a change of topics takes one call more: it
writes the whole tree, and is looked at for what else that changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from bridge.core.model import CHANNEL, address_key
from bridge.core.ports import WriteRequest
from bridge.core.writes import Withdrawal, Write
from bridge.dotdigital.client.v3 import LARGEST_BUNDLE

FEWEST = 5  # contacts worth an import: all of them wait for it to end
POLLS = 3  # questions for a job's state that an import is estimated with
UNKNOWN_PAGES = 200  # pages of a listing that was never read: a million contacts
_CHANNEL_CALLS = 1
_TOPICS_CALLS = 2  # the contact, and the call that changes it
_TREE_CALLS = 3  # without v3: the tree, the call that changes it, and what else it changed
_READ_BACK_CALLS = 1  # of a person, after all their calls
_RECORD_CALLS = 2  # the contact, and the call that adds to it


def split(writes: Sequence[Write]) -> list[list[Write]]:
    """The channel by itself, the topics together; withdrawals before everything else."""
    groups: dict[tuple[bool, bool], list[Write]] = {}
    for write in writes:
        groups.setdefault((not withdraws(write), not of_channel(write)), []).append(write)
    return [groups[key] for key in sorted(groups)]


def withdraws(write: Write) -> bool:
    return isinstance(write, Withdrawal)


def of_channel(write: Write) -> bool:
    return write.topic == CHANNEL


def prefers_import(requests: Sequence[WriteRequest], pages: int | None) -> bool:
    """Whether these are withdrawals for which an import takes fewer calls. `pages`: of the listing, where
    they are known."""
    if not all(withdraws(write) for request in requests for write in request.writes):
        return False
    people = {address_key(request.who.address) for request in requests}
    single_calls = sum(_calls_of(one.writes, v3=True) for one in requests) + _READ_BACK_CALLS * len(people)
    return _import_pays(len(people), single_calls, pages)


def calls_to_read(people: int, pages: int | None) -> int:
    """Calls to read this many people: one at a time, or the listing's pages where those are fewer."""
    return min(people, UNKNOWN_PAGES if pages is None else max(pages, 1))


def estimate(people: Sequence[Sequence[Write]], *, recorded: int, pages: int | None, v3: bool) -> int:
    """Calls for these people, all withdrawals or none: the re-read before an opt-in and the reads back
    included. `recorded` of them have a consent record to be written as well; `pages` of the listing, where
    they are known; `v3` says whether that API may be used."""
    written = [writes for writes in people if writes]
    raised = sum(not withdraws(writes[0]) for writes in written)
    calls = sum(_calls_of(unit, v3=v3) for writes in written for unit in split(writes))
    calls += _READ_BACK_CALLS * len(written)
    if raised or not v3 or not _import_pays(len(written), calls, pages):
        return calls + raised + _RECORD_CALLS * recorded
    return _import_calls(len(written), pages)


def _calls_of(unit: Sequence[Write], *, v3: bool) -> int:
    """API calls that send one unit of a person who is not suppressed, by itself."""
    if of_channel(unit[0]):
        return _CHANNEL_CALLS
    return _TOPICS_CALLS if v3 else _TREE_CALLS


def _import_pays(people: int, single_calls: int, pages: int | None) -> bool:
    return people >= FEWEST and _import_calls(people, pages) < single_calls


def _import_calls(people: int, pages: int | None) -> int:
    return 2 * calls_to_read(people, pages) + ceil(people / LARGEST_BUNDLE) + POLLS
