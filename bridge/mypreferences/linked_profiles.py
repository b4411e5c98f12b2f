"""What a profile says that is this person's, and holds other addresses only.

A yes about another address is not this address's, and raises nobody. A no that no yes stands beside is heard:
the person wants none of it, whatever the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bridge.core.mapping import Mapping, Topic
from bridge.core.model import OTHER_ADDRESS, Block, Choice, Observation, TopicId
from bridge.core.ports import PersonView
from bridge.mypreferences import views, wire


def heard(
    shown: PersonView, profiles: Sequence[wire.Profile], mapping: Mapping, read_at: datetime
) -> PersonView:
    """The view of an address, with what such profiles add to it. They are not counted among its records, but
    where it has records of its own: then several may be meant."""
    topics: dict[TopicId, Observation] = {}
    for topic in mapping.all:
        if (seen := shown.topics.get(topic.id)) is not None:
            theirs = _said(profiles, topic, read_at)
            topics[topic.id] = _beside(seen, theirs) if shown.ids else theirs
    return replace(shown, topics=topics)


def _said(profiles: Sequence[wire.Profile], topic: Topic, read_at: datetime) -> Observation:
    said = [item for profile in profiles for item in views.said_of(profile, None, topic) or ()]
    yes = [item.changed_at for item in said if item.choice is Choice.OPTED_IN]
    no = [item.changed_at for item in said if item.choice is Choice.OPTED_OUT]
    refuses = bool(no) and not yes
    # An undated yes is not known to be newer than any withdrawal.
    dates = [at for at in (no if refuses else yes) if at is not None]
    return Observation(
        Choice.OPTED_OUT if refuses else Choice.UNSET,
        read_at,
        max(dates, default=None),
        stated=refuses,
        consistent=len({item.choice for item in said}) <= 1,
        records=len(profiles),
        block=Block.UNREACHABLE,
        reason=views.PENDING if any(profile.pending for profile in profiles) else OTHER_ADDRESS,
    )


def _beside(seen: Observation, theirs: Observation) -> Observation:
    """What the address's own records say, beside a profile of the person's that has another address."""
    records = seen.records + theirs.records
    if seen.choice is Choice.OPTED_OUT:
        told = theirs.consistent and theirs.choice is Choice.OPTED_OUT
        whole = seen.consistent and (told or _is_newer(theirs, seen))
        reason = views.PENDING if views.PENDING in (seen.reason, theirs.reason) else seen.reason
        return replace(seen, consistent=whole, records=records, reason=reason)
    if theirs.choice is Choice.OPTED_OUT:
        return replace(theirs, consistent=False, records=records)
    return replace(seen, records=records)


def _is_newer(theirs: Observation, seen: Observation) -> bool:
    """Whether a yes about the other address was said after the no about this one: then that stands."""
    yes, no = theirs.changed_at, seen.changed_at
    return theirs.choice is Choice.UNSET and yes is not None and no is not None and yes > no
