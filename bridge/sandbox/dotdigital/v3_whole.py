"""Whole contacts of v3: created by POST, replaced by PUT. A bridge of consents has use for neither: the one
subscribes, the other loses what it does not name."""

from __future__ import annotations

from bridge.sandbox.dotdigital import render, v3_schema, v3_write
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.state import State
from bridge.sandbox.dotdigital.v3_schema import Draft

_WITHOUT_CONSENTS = v3_schema.PARTS - {"consentRecords"}


def create(state: State, call: Call) -> Answer:
    """201; 409 where an identifier is in use. The contact is subscribed unless the body says otherwise."""
    draft = _named(v3_write.drafted(state, call))
    owner = _owner(state, draft)
    if owner is not None and (not owner.binned or v3_write.stays_binned(state, owner)):
        raise v3_write.id_in_use()
    if v3_write.taken(state, owner, draft.identifiers):
        raise v3_write.id_in_use()
    written, _ = v3_write.upsert(state, owner, draft.identifiers, draft, "overwrite")
    return answer(render.v3_contact(state, written), 201)


def replace(state: State, call: Call) -> Answer:
    """200; 404 where nobody is there. What the body does not name is lost."""
    identifier, value = v3_write.named(call)
    draft = _named(v3_write.drafted(state, call, _WITHOUT_CONSENTS))
    draft.consents = []  # not accepted here
    contact = v3_write.find(state, identifier, value)
    if contact is None:
        raise v3_write.not_found(identifier, value)
    if v3_write.taken(state, contact, draft.identifiers) or v3_write.stays_binned(state, contact):
        raise v3_write.id_in_use()
    _empty(state, contact, draft)
    written, _ = v3_write.upsert(state, contact, draft.identifiers, draft, "overwrite")
    return answer(render.v3_contact(state, written))


def _named(draft: Draft) -> Draft:
    """With an identifier that can be chosen: the service gives out contact ids by itself."""
    if not draft.identifiers or v3_write.CONTACT_ID in draft.identifiers:
        raise v3_write.bad_request("identifiers", "are missing, or name a contactId")
    return draft


def _owner(state: State, draft: Draft) -> Contact | None:
    """Somebody who has one of the identifiers. Raises V3Refusal for an impossible one."""
    for name, value in draft.identifiers.items():
        found = v3_write.find(state, name, str(value))
        if found is not None:
            return found
    return None


def _empty(state: State, contact: Contact, draft: Draft) -> None:
    contact.data_fields.clear()
    contact.lists.clear()
    state.contacts.drop_opt_ins(contact, set(contact.opt_ins) - draft.preferences.keys(), state.now())
    state.contacts.keep_identifiers(contact, draft.identifiers.keys(), state.now())
