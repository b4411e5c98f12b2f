"""The rules of being unsubscribed, suppressed, deleted and resubscribed, the same for v2, v3 and people."""

from __future__ import annotations

from datetime import datetime

from bridge.sandbox.dotdigital import wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import StoredContact

ADDED = "ContactAdded"
CHALLENGED = "ContactChallenged"
REFUSED = "ContactCannotBeUnsuppressed"


def suppress(account: Account, contact: StoredContact, status: str, when: datetime | None = None) -> None:
    """Make `contact` unmailable for the reason `status`, dated `when` (default: now).

    Without `when`, a repeated or changed reason follows the switches about dateRemoved.
    """
    removed = when or account.now()
    if when is None and contact.suppressed and contact.date_removed is not None:
        switches, same = account.switches, contact.status == status
        rule = switches.date_removed_on_repeat if same else switches.date_removed_on_reason_change
        removed = contact.date_removed if rule == "kept" else removed
    if (contact.status, contact.date_removed) != (status, removed):
        account.contacts.set_status(contact, status, removed)


def restore(account: Account, contact: StoredContact) -> None:
    """Make `contact` mailable again. Preference opt-ins are untouched."""
    account.contacts.set_status(contact, wire.SUBSCRIBED, None)
    account.open_challenges.discard(contact.id)


def resubscribe(account: Account, contact: StoredContact, challenge: bool) -> str:
    """Try to bring a contact back; returns the resubscribe status.

    Contacts suppressed by the account owner come back at once, complaints and global blocks never; all others
    are challenged where `challenge` is asked for.
    """
    if contact.status == wire.SUBSCRIBED:
        return ADDED
    if contact.status in wire.NEVER_UNSUPPRESSED:
        return REFUSED
    if contact.status == wire.PENDING:
        _challenge(account, contact)
        return CHALLENGED
    if challenge and contact.status not in (wire.SUPPRESSED, wire.DELETED):
        _challenge(account, contact)
        if account.switches.challenged_status == wire.PENDING:
            account.contacts.set_status(contact, wire.PENDING, contact.date_removed)
        return CHALLENGED
    restore(account, contact)
    return ADDED


def _challenge(account: Account, contact: StoredContact) -> None:
    """Send the confirmation e-mail, unless one is waiting: repeats are silently dropped."""
    if contact.id in account.open_challenges:
        account.dropped_challenges[contact.id] = account.dropped_challenges.get(contact.id, 0) + 1
        return
    account.open_challenges.add(contact.id)
    account.challenges[contact.id] = account.challenges.get(contact.id, 0) + 1


def await_confirmation(account: Account, contact: StoredContact) -> None:
    """Double opt-in of a new contact: mail the confirmation and wait."""
    account.contacts.set_status(contact, wire.PENDING, None)
    _challenge(account, contact)


def write_opt_in(
    account: Account, contact: StoredContact, preference_id: int, opted_in: bool, when: datetime | None = None
) -> None:
    """Set one preference. An equal value keeps its date, unless by switch or with `when`."""
    row = contact.opt_ins.get(preference_id)
    equal = row is not None and row.opted_in == opted_in
    if equal and when is None and not account.switches.equal_write_moves_date:
        return
    account.contacts.set_opt_in(contact, preference_id, opted_in, when)


def ignores_preferences(account: Account, contact: StoredContact) -> bool:
    """Whether preferences that the API writes to `contact` have no effect, as it has yet to confirm."""
    return contact.status == wire.PENDING and account.switches.pending_preferences == "ignored"


def keeps_from_deletion(account: Account, contact: StoredContact) -> bool:
    """Whether the service refuses to delete `contact`, as it is suppressed."""
    return contact.suppressed and account.switches.delete_suppressed == "refused"
