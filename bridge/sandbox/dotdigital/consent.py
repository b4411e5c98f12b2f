"""The rules of being unsubscribed, suppressed and coming back, shared by v2, v3 and the people themselves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bridge.sandbox.dotdigital import vocabulary
from bridge.sandbox.dotdigital.records import Contact

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State

ADDED = "ContactAdded"
CHALLENGED = "ContactChallenged"
REFUSED = "ContactCannotBeUnsuppressed"


def suppress(state: State, contact: Contact, status: str, when: datetime | None = None) -> None:
    """Make `contact` unmailable for the reason `status`, dated `when` (default: now).

    Without `when`, a repeated or changed reason follows the switches about dateRemoved.
    """
    now = state.now()
    removed = when or now
    if when is None and contact.suppressed and contact.date_removed is not None:
        same = contact.status == status
        rule = state.switches.date_removed_on_repeat if same else state.switches.date_removed_on_reason_change
        if rule == "kept":
            removed = contact.date_removed
    if (contact.status, contact.date_removed) != (status, removed):
        state.contacts.set_status(contact, status, removed, now)


def restore(state: State, contact: Contact) -> None:
    """Make `contact` mailable again. Preference opt-ins are untouched."""
    state.contacts.set_status(contact, vocabulary.SUBSCRIBED, None, state.now())
    state.open_challenges.discard(contact.id)


def resubscribe(state: State, contact: Contact, challenge: bool) -> str:
    """Try to bring a contact back; returns the resubscribe status.

    Contacts suppressed by the account owner come back at once, complaints and global blocks never; all others
    are challenged where `challenge` is asked for.
    """
    if contact.status == vocabulary.SUBSCRIBED:
        return ADDED
    if contact.status in vocabulary.NEVER_UNSUPPRESSED:
        return REFUSED
    if contact.status == vocabulary.PENDING:
        _challenge(state, contact)
        return CHALLENGED
    if challenge and contact.status not in (vocabulary.SUPPRESSED, vocabulary.DELETED):
        _challenge(state, contact)
        if state.switches.challenged_status == vocabulary.PENDING:
            state.contacts.set_status(contact, vocabulary.PENDING, contact.date_removed, state.now())
        return CHALLENGED
    restore(state, contact)
    return ADDED


def _challenge(state: State, contact: Contact) -> None:
    """Send the confirmation e-mail, unless one is waiting: repeats are dropped without a word."""
    if contact.id in state.open_challenges:
        state.dropped_challenges[contact.id] = state.dropped_challenges.get(contact.id, 0) + 1
        return
    state.open_challenges.add(contact.id)
    state.challenges[contact.id] = state.challenges.get(contact.id, 0) + 1


def await_confirmation(state: State, contact: Contact) -> None:
    """Double opt-in of a new contact: mail the confirmation and wait."""
    state.contacts.set_status(contact, vocabulary.PENDING, None, state.now())
    _challenge(state, contact)


def write_opt_in(
    state: State, contact: Contact, preference_id: int, opted_in: bool, when: datetime | None = None
) -> None:
    """Set one preference. An equal value keeps its date, unless by switch or with `when`."""
    row = contact.opt_ins.get(preference_id)
    equal = row is not None and row.opted_in == opted_in
    if equal and when is None and not state.switches.equal_write_moves_date:
        return
    now = state.now()
    state.contacts.set_opt_in(contact, preference_id, opted_in, when or now, now)
