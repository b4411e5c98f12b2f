"""People's writes, split into the calls that send them, and how many calls those take. Pure.

An import of n people takes 2 min(n, p) + ceil(n / 5000) + 3 calls, where the listing has p pages: who is
still there is read first (a write would restore a deleted contact), and the result is read back. One call at
a time takes 3 n calls for topics, 2 n for the channel and 4 n for both, since a person is read back once. So
imports take fewer from five people on for
topics, and for the channel once n is larger than p.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from bridge.core.model import CHANNEL, Withdrawal, Write, address_key
from bridge.core.ports import WriteRequest
from bridge.dotdigital.client.v3 import LARGEST_BUNDLE

FEWEST = 5  # contacts worth an import: all of them wait for it to end
POLLS = 3  # questions for a job's state that an import is estimated with
UNKNOWN_PAGES = 200  # pages of a listing that was never read: a million contacts
_CHANNEL_CALLS = 1
_TOPICS_CALLS = 2  # the tree, and the call that changes it
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


def fits_import(unit: Sequence[Write]) -> bool:
    """Whether an import can send it. An opt-in of the channel cannot go: only the single call's answer says
    whether the person was resubscribed or sent a confirmation mail."""
    return not of_channel(unit[0]) or withdraws(unit[0])


def prefers_import(requests: Sequence[WriteRequest], pages: int | None) -> bool:
    """Whether an import takes fewer calls for these. `pages`: of the listing, where they are known."""
    fit = [request for request in requests if fits_import(request.writes)]
    people = {address_key(request.who.address) for request in fit}
    single_calls = sum(_calls_of(request.writes) for request in fit) + _READ_BACK_CALLS * len(people)
    return import_pays(len(people), single_calls, pages)


def calls_to_read(people: int, pages: int | None) -> int:
    """Calls to read this many people: one at a time, or the listing's pages where those are fewer."""
    return min(people, UNKNOWN_PAGES if pages is None else max(pages, 1))


def estimate(
    people: Sequence[Sequence[Write]], *, recorded: int, pages: int | None, feeds: int, by_import: bool
) -> int:
    """Calls for these people, all withdrawals or none: the re-read before an opt-in and the reads back
    included. `recorded` of them have a consent record to be written as well; `pages` of the listing, where
    they are known; `feeds` are read again where the re-read is by the listing, which has no dates;
    `by_import` says whether imports may be used."""
    raised = sum(not withdraws(write) for writes in people for write in writes[:1])
    fitting = fitting_calls = other_calls = only_others = 0
    for units in map(split, people):
        fit = [unit for unit in units if fits_import(unit)]
        fitting += bool(fit)
        only_others += bool(units and not fit)
        fitting_calls += sum(map(_calls_of, fit))
        other_calls += sum(_calls_of(unit) for unit in units if not fits_import(unit))
    single_calls = fitting_calls + _READ_BACK_CALLS * fitting
    other_calls += _READ_BACK_CALLS * only_others
    if not by_import or not import_pays(fitting, single_calls, pages):
        return single_calls + other_calls + raised + _RECORD_CALLS * recorded
    reread = calls_to_read(raised, pages)
    read_again = feeds if reread < raised else 0
    return _import_calls(fitting, pages) + other_calls + reread + read_again


def _calls_of(unit: Sequence[Write]) -> int:
    """API calls that send one unit of a person who is not suppressed, by itself."""
    return _CHANNEL_CALLS if of_channel(unit[0]) else _TOPICS_CALLS


def import_pays(people: int, single_calls: int, pages: int | None) -> bool:
    return people >= FEWEST and _import_calls(people, pages) < single_calls


def _import_calls(people: int, pages: int | None) -> int:
    return 2 * calls_to_read(people, pages) + ceil(people / LARGEST_BUNDLE) + POLLS
