"""Contact writes of v3, for one contact (PATCH) and for imports alike."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from bridge.sandbox.dotdigital import consent, dates, v3_schema, vocabulary
from bridge.sandbox.dotdigital.exchange import Call
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.refusal import V3Refusal
from bridge.sandbox.dotdigital.v3_schema import Draft

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State

CONTACT_ID, EMAIL, MOBILE = "contactId", "email", "mobileNumber"
_IDENTIFIER = re.compile(r"[-A-Za-z0-9_]{1,50}", re.ASCII)
_STATUS = {"unsubscribed": vocabulary.UNSUBSCRIBED, "suppressed": vocabulary.SUPPRESSED}


def named(call: Call) -> tuple[str, str]:
    """The identifier and the value of a URL. Raises V3Refusal for what can be neither."""
    identifier, value = call.path["identifier"], call.path["value"]
    if not _IDENTIFIER.fullmatch(identifier) or not 1 <= len(value) <= 256:
        raise invalid_id(identifier, value)
    return identifier, value


def find(state: State, identifier: str, value: str) -> Contact | None:
    """The contact an identifier points at, binned ones included. Raises V3Refusal for an impossible value."""
    now = state.now()
    if identifier == CONTACT_ID:
        if not (value.isascii() and value.isdigit()):
            raise invalid_id(identifier, value)
        return state.contacts.by_contact_id(int(value), now)
    if identifier == EMAIL:
        if not vocabulary.is_email(value):
            raise invalid_id(identifier, value)
        return state.contacts.by_email(value, now)
    if identifier == MOBILE:
        return state.contacts.by_mobile(value.removeprefix("+"), now)
    if identifier not in state.custom_identifiers:
        raise invalid_id(identifier, value)
    return state.contacts.by_custom(identifier, value, now)


def invalid_id(identifier: str, value: str) -> V3Refusal:
    """The value cannot be one of that identifier's."""
    return V3Refusal(
        400, "contacts:invalidId", f"The value '{value}' is invalid for the identifier '{identifier}'"
    )


def not_found(identifier: str, value: str) -> V3Refusal:
    """Nobody has that identifier."""
    details = [(value, f"Not found using the identifier '{identifier}'")]
    return V3Refusal(404, "contacts:contactNotFound", "The following contacts could not be found", details)


def id_in_use() -> V3Refusal:
    """An identifier belongs to another contact."""
    text = "An id value already exists. All identifiers must be unique"
    return V3Refusal(409, "contacts:idAlreadyExists", text)


def bad_json() -> V3Refusal:
    """The body is not JSON, or not of the kind that the operation takes."""
    return V3Refusal(400, "contacts:badJson", "The request JSON is badly formed")


def bad_request(item: str, description: str) -> V3Refusal:
    """One part of the request is not valid."""
    return V3Refusal(400, "contacts:badRequest", "The request is invalid", [(item, description)])


def drafted(state: State, call: Call, known: Collection[str] = v3_schema.PARTS) -> Draft:
    """The write of a single contact that a body asks for. Raises V3Refusal 400 for what is wrong with it."""
    try:
        body = json.loads(call.body)
    except ValueError as error:
        raise bad_json() from error
    if not isinstance(body, dict):
        raise bad_json()
    problems: list[tuple[str, str]] = []
    draft = v3_schema.parse(body, problems, state.switches.v3_schema, known)
    problems += [] if problems else check(state, draft)
    if draft.bad_consents:
        problems.append(("consentRecords", "A part of a record is missing"))
    if problems:
        raise V3Refusal(400, "contacts:badRequest", "The request is invalid", problems)
    return draft


def check(state: State, draft: Draft) -> list[tuple[str, str]]:
    """What the account's own data finds wrong with a write, as (item, description)."""
    problems = []
    for preference_id in draft.preferences:
        if state.catalogue.leaf(preference_id) is None:
            problems.append((str(preference_id), "is not a preference of this account"))
    for name, value in draft.identifiers.items():
        if name == CONTACT_ID:
            continue
        if name not in (EMAIL, MOBILE) and name not in state.custom_identifiers:
            problems.append((name, "is not an identifier of this account"))
        elif not isinstance(value, str) or (name == EMAIL and not vocabulary.is_email(value)):
            problems.append((name, f"Invalid value for '{name}'"))
    return problems


def upsert(
    state: State, contact: Contact | None, identifiers: dict[str, Any], draft: Draft, merge: str
) -> tuple[Contact, bool]:
    """Apply a checked write; returns the contact and whether it was created.

    A created contact is subscribed unless the write says otherwise. A binned one comes back to life.
    The caller has seen that no identifier is `taken`.
    """
    now = state.now()
    created = contact is None
    if contact is None:
        contact = state.contacts.create(now, identifiers.get(EMAIL), identifiers.get(MOBILE))
    elif contact.binned:
        state.contacts.revive(contact, now)
    _identify(state, contact, identifiers)
    _merge_fields(contact, draft.data_fields, merge)
    contact.email_type = _capital(draft.email_type) or contact.email_type
    contact.opt_in_type = _capital(draft.opt_in_type) or contact.opt_in_type
    contact.lists.update(draft.lists)
    written = dates.render(now)
    contact.consent_records += [{**record, "dateTimeCreated": written} for record in draft.consents]
    for preference_id, opted_in in draft.preferences.items():
        consent.write_opt_in(state, contact, preference_id, opted_in)
    _set_status(state, contact, draft, created)
    if draft.data_fields or draft.email_type or draft.opt_in_type or draft.lists or draft.consents:
        contact.data_changed = now
    return contact, created


def taken(state: State, contact: Contact | None, identifiers: dict[str, Any]) -> bool:
    """Whether an identifier of the write belongs to somebody else."""
    for name, value in identifiers.items():
        owner = None if name == CONTACT_ID else find(state, name, str(value))
        if owner is not None and owner is not contact:
            return True
    return False


def stays_binned(state: State, contact: Contact | None) -> bool:
    """Whether a write is refused since its contact is in the recycle bin."""
    return contact is not None and contact.binned and state.switches.binned_write == "refused"


def _identify(state: State, contact: Contact, identifiers: dict[str, Any]) -> None:
    now = state.now()
    email, mobile = identifiers.get(EMAIL), identifiers.get(MOBILE)
    if email is not None and email != contact.email:
        state.contacts.rename(contact, email, now, state.switches.suppression_follows == "address")
    if mobile is not None and mobile != contact.mobile:
        state.contacts.set_mobile(contact, mobile, now)
    for name, value in identifiers.items():
        if name not in (CONTACT_ID, EMAIL, MOBILE) and contact.identifiers.get(name) != value:
            state.contacts.set_custom(contact, name, value, now)


def _set_status(state: State, contact: Contact, draft: Draft, created: bool) -> None:
    if draft.status in _STATUS:
        _opt_out(state, contact, _STATUS[draft.status])
    elif created and not contact.suppressed:
        confirm = draft.opt_in_type == "verifiedDouble" or state.switches.enforce_double_opt_in
        if contact.status == vocabulary.SUBSCRIBED and contact.email is not None and confirm:
            consent.await_confirmation(state, contact)
    elif draft.status == "subscribed":
        silent = draft.no_challenge
        if silent is None:
            silent = state.switches.v3_resubscribe_default == "silent"
        consent.resubscribe(state, contact, challenge=not silent)


def _opt_out(state: State, contact: Contact, status: str) -> None:
    """v3 never refuses; a contact suppressed for another reason keeps it, as the v2 switches say."""
    if contact.suppressed and contact.status != status:
        if status == vocabulary.UNSUBSCRIBED and state.switches.unsubscribe_other_reason == "refused":
            return
        if status == vocabulary.SUPPRESSED and state.switches.suppress_unsubscribed == "kept":
            return
    consent.suppress(state, contact, status)


def _merge_fields(contact: Contact, fields: dict[str, Any], merge: str) -> None:
    for name, value in fields.items():
        key = name.upper()
        if merge == "overwriteIfNotEmpty" and value in (None, ""):
            continue
        if merge == "overwriteIfEmpty" and contact.data_fields.get(key) not in (None, ""):
            continue
        if value is None:
            contact.data_fields.pop(key, None)
        else:
            contact.data_fields[key] = value


def _capital(word: str | None) -> str | None:
    """Writes take `html` and `verifiedDouble`, reads give `Html` and `VerifiedDouble`."""
    return None if word is None else word[0].upper() + word[1:]
