"""What makes the ledger tamper-evident: its key, the total of all agreements, and what is found. Pure.

The key is derived from the secret of the erasure markers, under labels of its own. Without that secret the
same sums are made with a key that everybody knows: they find mistakes, but nobody who knows this file.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from bridge.core.erasure import ErasureKey

SETTLED = "settled"  # the kind of the entries that hold the total of all agreements
WAY_OUT = (
    "Opt-ins are suspended until this is settled. Keep a copy of the state DB. Then restore a backup "
    "(`bridge db restore FILE`) or, if you know the cause, accept it as it is (`bridge db restored --note "
    "TEXT`)."
)
_MODULUS = 1 << 256
_PUBLIC = b"consent bridge: no secret is set"


class LedgerKey:
    """What signs heads and makes the digests of agreements. `id` names the secret; None: there is none."""

    def __init__(self, secret: ErasureKey | None) -> None:
        self.id = None if secret is None else secret.id
        self._heads = _PUBLIC if secret is None else secret.derived(b"ledger head")
        self._agreements = _PUBLIC if secret is None else secret.derived(b"ledger agreements")

    def sign(self, text: str) -> str | None:
        """The signature of a text; None without a secret."""
        if self.id is None:
            return None
        return hmac.new(self._heads, text.encode(), hashlib.sha256).hexdigest()

    def is_signed(self, text: str, signature: str | None) -> bool:
        """Whether the signature of a text is that of this key."""
        mine = self.sign(text)
        return (
            mine == signature if mine is None or signature is None else hmac.compare_digest(mine, signature)
        )

    def digest(self, text: str) -> int:
        """The digest of one agreement."""
        return int.from_bytes(hmac.digest(self._agreements, text.encode(), "sha256"), "big")


@dataclass(frozen=True, slots=True)
class AgreementTotal:
    """How many agreements there are, and the sum of their digests: the same in whatever order they came."""

    count: int = 0
    digest: int = 0

    def plus(self, other: AgreementTotal) -> AgreementTotal:
        """Both together."""
        return AgreementTotal(self.count + other.count, (self.digest + other.digest) % _MODULUS)

    def minus(self, other: AgreementTotal) -> AgreementTotal:
        """The difference."""
        return AgreementTotal(self.count - other.count, (self.digest - other.digest) % _MODULUS)


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The number and the hash of an entry. Kept elsewhere, it proves later that everything up to it is still
    as it was: who can write to the state DB can make another whole chain, but none that holds it."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


class LedgerFault(StrEnum):
    """What may be wrong with the ledger."""

    BROKEN = "broken"  # entries or agreements are not what was written
    ROLLED_BACK = "rolled_back"  # they are, but newer ones that existed are not there
    OTHER_KEY = "other_key"  # it was signed with another key: nobody can tell while that is not set
    UNREADABLE = "unreadable"  # the head file cannot be read: nobody knows


@dataclass(frozen=True, slots=True)
class LedgerTrouble:
    """What is wrong with the ledger, in words for an operator."""

    fault: LedgerFault
    text: str
