"""Contacts in v2: unsubscribe, suppress, resubscribe, look up; and the account's own two calls."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.dotdigital import consent, render, vocabulary
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer, text
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.refusal import (
    V2Refusal,
    contact_not_found,
    contact_suppressed,
    malformed,
    parameter_invalid,
)
from bridge.sandbox.dotdigital.state import State


def account_info(state: State, call: Call) -> Answer:
    """Every value is a string, whatever its type says; ApiEndpoint ends in a slash."""
    endpoint = state.switches.api_endpoint or call.base_url + "/"
    properties = [
        ("Name", "String", "Sandbox"),
        ("MainEmail", "String", "owner@example.com"),
        ("APILocale", "String", "en-GB"),
        *_usage(state),
        ("ApiEndpoint", "String", endpoint),
        ("TimeZoneIana", "String", "Europe/London"),
    ]
    rows = [{"name": name, "type": kind, "value": value} for name, kind, value in properties]
    return answer({"id": state.account_id, "properties": rows})


def _usage(state: State) -> list[tuple[str, str, str]]:
    """Calls of the last hour; none are told of where none are counted."""
    if state.switches.rate_limits == "none":
        return []
    used = state.limits.last_hour(state.clock.now())
    left = max(state.switches.limit_flat - used, 0)
    return [("ApiCallsInLastHour", "Int", str(used)), ("ApiCallsRemaining", "Int", str(left))]


def server_time(state: State, _: Call) -> Answer:
    """Plain text: a space between date and time, six fraction digits, `+00:00`."""
    return text(state.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f+00:00"))


def named_contact(state: State, identifier: str) -> Contact:
    """The contact of a URL, by id or e-mail. Raises V2Refusal 404; binned contacts are not found."""
    found = None
    if "@" in identifier:
        found = state.contacts.by_email(identifier, state.now())
    elif identifier.isascii() and identifier.isdigit():
        found = state.contacts.by_contact_id(int(identifier), state.now())
    if found is None or found.binned:
        raise contact_not_found(404)
    return found


def get_contact(state: State, call: Call) -> Answer:
    """By e-mail with any status; by id, suppressed contacts are not retrieved."""
    identifier = call.path["contactIdentifier"]
    contact = named_contact(state, identifier)
    if contact.suppressed and "@" not in identifier:
        raise contact_not_found(404)
    return answer(render.v2_contact(contact))


def unsubscribe(state: State, call: Call) -> Answer:
    """A whole contact may be sent; only its e-mail counts."""
    email = _email(call.document())
    contact = state.contacts.by_email(email, state.now())
    if contact is None or contact.binned:
        if state.switches.unsubscribe_unknown == "not_found":
            raise contact_not_found(400)
        contact = _created(state, email, contact)
    elif _has_other_reason(contact) and state.switches.unsubscribe_other_reason == "refused":
        raise contact_suppressed()
    consent.suppress(state, contact, vocabulary.UNSUBSCRIBED)
    return answer(render.suppression(contact))


def bulk_suppress(state: State, call: Call) -> Answer:
    """Each entry echoes the key it was sent with; the other one is filled with 0 or null, or left out."""
    entries = call.document()
    if not isinstance(entries, list):
        raise malformed("The body is a list of contacts.")
    if not entries:
        raise V2Refusal(400, "ERROR_CONTACTS_ARE_NOT_SPECIFIED", "No contacts were given.")
    keys = [_suppress_key(entry) for entry in entries]
    outcome: dict[str, list[dict[str, Any]]] = {"suppressed": [], "notFound": []}
    for contact_id, email in keys:
        found = (
            state.contacts.by_email(email, state.now())
            if email is not None
            else state.contacts.by_contact_id(contact_id, state.now())
        )
        known = found is not None and not found.binned
        if found is not None and known:
            _block(state, found)
        row: dict[str, Any] = {"id": contact_id, "email": email}
        if not known and email is None and state.switches.suppress_echo_of_unknown == "without_email":
            del row["email"]
        outcome["suppressed" if known else "notFound"].append(row)
    return answer(outcome)


def resubscribe(state: State, call: Call) -> Answer:
    """Asks the person by e-mail where they left of their own will."""
    return _resubscribe(state, call, challenge=True)


def resubscribe_with_no_challenge(state: State, call: Call) -> Answer:
    """Brings the person back at once, where that is possible at all."""
    return _resubscribe(state, call, challenge=False)


def _resubscribe(state: State, call: Call, challenge: bool) -> Answer:
    body = call.document()
    wanted = body.get("unsubscribedcontact") if isinstance(body, dict) else None
    if not isinstance(wanted, dict) or not isinstance(wanted.get("email"), str):
        raise V2Refusal(400, "ERROR_CONTACT_RESUBSCRIPTION_INVALID", "The resubscription is not valid.")
    email = _email(wanted)
    contact = state.contacts.by_email(email, state.now())
    fresh = contact is None or contact.binned
    if contact is None or contact.binned:
        contact = _created(state, email, contact)
    before = contact.status
    if fresh and before == vocabulary.SUBSCRIBED and state.switches.enforce_double_opt_in:
        consent.await_confirmation(state, contact)
        status = consent.CHALLENGED
    else:
        status = consent.resubscribe(state, contact, challenge)
    _take_data_fields(contact, wanted.get("datafields"))
    form = state.switches.resubscribe_answer
    if form == "message_only":
        return answer({"message": "The contact was handled."})
    if form == "not_available":
        status = vocabulary.NOT_AVAILABLE
    # The echoed contact shows the status from before the call, even next to ContactAdded.
    return answer({"contact": render.v2_contact(contact, before), "status": status})


def _has_other_reason(contact: Contact) -> bool:
    return contact.suppressed and contact.status != vocabulary.UNSUBSCRIBED


def _created(state: State, email: str, binned: Contact | None) -> Contact:
    if binned is None:
        return state.contacts.create(state.now(), email)
    state.contacts.revive(binned, state.now())
    return binned


def _take_data_fields(contact: Contact, rows: Any) -> None:
    if not isinstance(rows, list):
        return
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("key"), str):
            contact.data_fields[row["key"].upper()] = row.get("value")


def _block(state: State, contact: Contact) -> None:
    kept = contact.suppressed and state.switches.suppress_unsubscribed == "kept"
    if not kept:
        consent.suppress(state, contact, vocabulary.SUPPRESSED)


def _suppress_key(entry: Any) -> tuple[int, str | None]:
    if isinstance(entry, dict) and isinstance(entry.get("email"), str):
        return 0, entry["email"]
    if isinstance(entry, dict) and type(entry.get("id")) is int:
        return entry["id"], None
    raise malformed("Each contact is named by id or email.")


def _email(body: Any) -> str:
    email = body.get("email") if isinstance(body, dict) else None
    if not isinstance(email, str):
        raise malformed("An e-mail address is needed.")
    if not vocabulary.is_email(email):
        raise parameter_invalid("Email is not a valid email address.")
    return email
