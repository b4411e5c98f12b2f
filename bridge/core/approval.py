"""What a person lets the bridge do: who, why, for what, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

VALID_FOR = timedelta(days=7)
"""An approval that no run used by then has lapsed: what it was given for may long be something else."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, by the name of their account, and their reason in their own words."""

    by: str | None = None
    note: str | None = None


NOBODY = Operator()
"""An act of the bridge itself."""


class ApprovalKind(StrEnum):
    """What is approved. The subject of each is in the comment."""

    RAISES = "raises"  # opt-ins from before the bridge or their mapping; the digest of the mapping
    MAPPING = "mapping"  # what a changed mapping writes; its digest
    VANISHED = "vanished"  # that many people or definitions are gone from a side; the mapping's digest
    PLAN = "plan"  # one saved plan; its hash


class ApprovalUsed(LookupError):
    """An approval was used before."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval, good for one use until it lapses."""

    id: int
    kind: ApprovalKind
    subject: str
    author: Operator
    given_at: datetime
    used_at: datetime | None = None

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it is too old to be used."""
        return now - self.given_at > VALID_FOR
