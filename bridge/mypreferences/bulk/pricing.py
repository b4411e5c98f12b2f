"""What many people's writes cost in calls, by whichever way takes fewest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from math import ceil

LEAST = 100  # records that are worth one of the day's few imports
WORTH_AN_EXPORT = 25  # people to be read: an export takes some seconds
EXPORTED = 2000  # people whom one export is asked for
_IMPORT = 10  # calls
_EXPORT = 5  # calls


def price_of(
    kinds: Sequence[Set[object]], *, raised: int, exports: bool, may_begin: Callable[[int], bool]
) -> int:
    """Calls for these people, each with one profile: a read and a read back, one more before an opt-in, and
    the POSTs between them. `kinds` are the places (filters, consents) that each one's withdrawals speak of:
    each takes a body of its own; `raised` people are opted in by one POST each instead; `exports` says
    whether many can be read by export, `may_begin` whether so many imports may be begun."""
    posts, imports = sum(map(len, kinds)), len(frozenset[object]().union(*kinds))
    if worth_importing(posts, imports) and may_begin(imports):
        return len(kinds) + _IMPORT * imports + reading(len(kinds), exports=exports)
    return 2 * len(kinds) + posts + 2 * raised


def reading(people: int, *, exports: bool) -> int:
    """Calls to read so many people afresh."""
    return ceil(people / EXPORTED) * _EXPORT if exports and people >= WORTH_AN_EXPORT else people


def worth_importing(records: int, imports: int) -> bool:
    """Whether imports take fewer calls than a POST for each record.

    The reads before and after are the same. An import takes Initiate, one Stage for each 20 MB (some 60,000
    records), Execute, some six questions for its status and a page of exceptions: ten calls. Consents and
    preferences go in one import each. But the account allows few a day, and each has people wait: it takes
    100 records or more.
    """
    return records >= LEAST * imports and records > _IMPORT * imports
