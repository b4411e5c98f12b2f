"""One person's writes, split into the calls that carry them, and what those cost. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.core.mapping import CHANNEL
from bridge.core.model import Withdrawal, Write

_CHANNEL_CALLS = 2  # the call and the read back
_TOPICS_CALLS = 3  # the tree, the call and the read back


def split(writes: Sequence[Write]) -> list[list[Write]]:
    """The channel by itself, the topics together; withdrawals before everything else."""
    groups = (
        [write for write in writes if of_channel(write) is channel and withdraws(write) is out]
        for out in (True, False)
        for channel in (True, False)
    )
    return [group for group in groups if group]


def price(writes: Sequence[Write]) -> int:
    """API calls for one person who is not suppressed, reads back included."""
    return sum(_CHANNEL_CALLS if of_channel(unit[0]) else _TOPICS_CALLS for unit in split(writes))


def fits_import(unit: Sequence[Write]) -> bool:
    """Whether an import can carry it. An opt-in of the channel cannot: only the single call says whether the
    person was made mailable or sent a confirmation mail."""
    return not of_channel(unit[0]) or withdraws(unit[0])


def withdraws(write: Write) -> bool:
    return isinstance(write, Withdrawal)


def of_channel(write: Write) -> bool:
    return write.topic == CHANNEL
