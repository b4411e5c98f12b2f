from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.core.model import Block, Choice
from bridge.dotdigital.views import STATUSES, contact_status, from_status, is_gone

AT = datetime(2026, 3, 1, tzinfo=UTC)
V2 = [
    "Subscribed",
    "Unsubscribed",
    "SoftBounced",
    "HardBounced",
    "IspComplained",
    "MailBlocked",
    "DirectComplaint",
    "Suppressed",
    "NotAllowed",
    "DomainSuppression",
    "NoMxRecord",
    "PendingOptIn",
    "Deleted",
    "SharedSuppression",
]
V3 = [
    "noSubscription",
    "subscribed",
    "unsubscribed",
    "softBounced",
    "hardBounced",
    "ispComplained",
    "pendingOptIn",
    "directComplaint",
    "spamTrap",
    "deleted",
    "blockedlocalpart",
    "sharedsuppression",
    "sharedDomainSuppression",
    "suppressed",
    "purchased",
    "knownComplainer",
    "knownLitigator",
    "binned",
    "domainSuppressed",
]


@pytest.mark.parametrize("word", [*V2, *V3])
def test_every_documented_status_is_known_in_any_case(word: str) -> None:
    """Dotdigital contact statuses of v2 and e-mail channel statuses of v3."""
    assert word.casefold() in STATUSES
    assert contact_status(word) == contact_status(word.upper()) == contact_status(f" {word} ")


def test_only_the_persons_own_acts_are_statements() -> None:
    stated = {word for word, found in STATUSES.items() if found.stated}
    assert stated == {"unsubscribed", "ispcomplained", "directcomplaint"}
    assert all(STATUSES[word].choice is Choice.OPTED_OUT for word in stated)


def test_being_mailable_is_nobodys_opt_in() -> None:
    ins = [found for found in STATUSES.values() if found.choice is Choice.OPTED_IN]
    assert ins == [contact_status("Subscribed")]
    assert not ins[0].stated


@pytest.mark.parametrize(
    ("word", "block"),
    [
        ("IspComplained", Block.COMPLAINT), ("DirectComplaint", Block.COMPLAINT),
        ("Suppressed", Block.CONTROLLER), ("HardBounced", Block.UNREACHABLE),
        ("SharedSuppression", Block.UNREACHABLE), ("PendingOptIn", Block.PENDING),
        ("NotAvailableInThisVersion", Block.UNKNOWN), ("somethingNew", Block.UNKNOWN), ("", Block.UNKNOWN),
        (None, Block.UNKNOWN), ("Unsubscribed", None), ("Subscribed", None),
    ],
)  # fmt: skip
def test_reasons_for_not_mailing_are_distinguished(word: str | None, block: Block | None) -> None:
    assert contact_status(word).block is block


def test_waiting_for_a_confirmation_is_neither_in_nor_out() -> None:
    assert contact_status("PendingOptIn").choice is Choice.UNSET


def test_deleted_people_are_not_there_and_said_nothing() -> None:
    for word in ("Deleted", "binned"):
        assert is_gone(word)
        seen = from_status(word, read_at=AT)
        assert (seen.present, seen.choice, seen.stated) == (False, Choice.UNSET, False)


def test_the_vendors_own_status_name_is_kept() -> None:
    seen = from_status("IspComplained", read_at=AT, changed_at=AT)
    assert (seen.reason, seen.changed_at, seen.block) == ("IspComplained", AT, Block.COMPLAINT)
