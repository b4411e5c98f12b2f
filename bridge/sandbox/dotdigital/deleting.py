"""Deleting contacts: one by v2 or v3, and many by a job of v3. All of it leads to the recycle bin."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.sandbox.dotdigital import v3_write
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.refusal import V3Refusal, contact_not_found, contact_suppressed

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State

MOST = 5000  # contacts of one job
NOT_STARTED, NOT_FINISHED = "NotStarted", "NotFinished"
_NAMESPACE = uuid.UUID("0a4c6e0e-1f38-4d0b-9a5e-3d1f3b0a9c55")
_NOT_FOUND = "contactNotFound"


@dataclass
class Deletion:
    """One job. It deletes nothing before it ends."""

    id: str
    submitted: datetime
    contacts: list[dict[str, Any]]
    polls: int = 0
    outcome: str = ""
    deleted: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[dict[str, Any], str, str]] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.outcome or (NOT_STARTED if self.polls <= 1 else NOT_FINISHED)


def delete_by_v2(state: State, call: Call) -> Answer:
    """By id only. 204, without a body."""
    contact = state.contacts.by_contact_id(call.id("contactIdentifier"), state.now())
    if contact is None or contact.binned:
        raise contact_not_found(404)
    if _is_refused(state, contact):
        raise contact_suppressed()
    state.contacts.bin(contact, state.now())
    return Answer(status=204)


def delete_by_v3(state: State, call: Call) -> Answer:
    """By any identifier; answers the contact's id."""
    identifier, value = v3_write.named(call)
    contact = v3_write.find(state, identifier, value)
    if contact is None or contact.binned:
        raise v3_write.not_found(identifier, value)
    if _is_refused(state, contact):
        raise v3_write.bad_request(value, "is suppressed and cannot be deleted")
    state.contacts.bin(contact, state.now())
    return answer({"contactId": contact.id})


def start(state: State, call: Call) -> Answer:
    """202: accepted, not done. What is wrong with a single value only shows in the report."""
    contacts = _entries(call)
    settle_due(state)
    if sum(not job.outcome for job in state.deletions.values()) >= state.switches.max_active_deletes:
        raise V3Refusal(
            429, "contacts:tooManyBulkDeleteJobs", "Too many bulk delete jobs are being processed"
        )
    job_id = str(uuid.uuid5(_NAMESPACE, str(len(state.deletions))))
    state.deletions[job_id] = Deletion(job_id, state.now(), contacts)
    settle_due(state)
    return answer({"deleteId": job_id}, 202)


def status(state: State, call: Call) -> Answer:
    """How far a job is, and once it has ended what became of each contact."""
    job_id = call.path["deleteId"]
    job = state.deletions.get(job_id)
    if job is None and not _is_uuid(job_id):
        text = f"The id value '{job_id}' is not a recognized deletion job identifier"
        raise V3Refusal(400, "contacts:invalidDeleteId", text)
    if job is None:
        raise V3Refusal(404, "contacts:importNotFound", "The delete request could not be found")
    job.polls += 1
    settle_due(state)
    shown: dict[str, Any] = {"deleteId": job.id, "status": job.status}
    if job.outcome:
        shown["summary"] = _summary(job)
    shown["deleted"] = job.deleted
    shown["failures"] = [_failure(state, *row) for row in job.failures]
    return answer(shown)


def settle_due(state: State) -> None:
    """End every job whose polls or whose time are used up, oldest first."""
    patience = timedelta(seconds=state.switches.delete_seconds)
    for job in state.deletions.values():
        polls = state.switches.delete_polls
        due = not polls or job.polls > polls or state.now() - job.submitted >= patience
        if not job.outcome and due:
            job.outcome = state.switches.delete_outcome
            if job.outcome == "Finished":
                for entry in job.contacts:
                    _delete(state, job, entry)


def _delete(state: State, job: Deletion, entry: dict[str, Any]) -> None:
    ((identifier, value),) = entry.items()
    try:
        contact = v3_write.find(state, identifier, str(value))
    except V3Refusal as refusal:
        job.failures.append((entry, "invalid" + identifier[:1].upper() + identifier[1:], refusal.description))
        return
    if contact is None or contact.binned:
        job.failures.append((entry, _NOT_FOUND, "The contact could not be found"))
    elif _is_refused(state, contact):
        job.failures.append((entry, "contactSuppressed", "The contact is suppressed"))
    else:
        state.contacts.bin(contact, state.now())
        job.deleted.append(entry)


def _is_refused(state: State, contact: Contact) -> bool:
    return contact.suppressed and state.switches.delete_suppressed == "refused"


def _entries(call: Call) -> list[dict[str, Any]]:
    try:
        entries = json.loads(call.body)
    except ValueError as error:
        raise v3_write.bad_json() from error
    if not isinstance(entries, list):
        raise v3_write.bad_json()
    if not entries:
        raise V3Refusal(
            400, "contacts:noContactsSpecified", "You must specify 1 or more contacts to be deleted"
        )
    if len(entries) > MOST or not all(_is_reference(one) for one in entries):
        raise V3Refusal(
            400, "contacts:invalidContacts", f"Send at most {MOST} contacts, by one identifier each"
        )
    return entries


def _is_reference(entry: Any) -> bool:
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((identifier, value),) = entry.items()
    return type(value) is (int if identifier == v3_write.CONTACT_ID else str)


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def _failure(state: State, entry: dict[str, Any], code: str, description: str) -> dict[str, Any]:
    spelled = code[0].upper() + code[1:] if state.switches.failure_spelling == "pascal" else code
    return {"identifier": entry, "failures": [{"failureCode": spelled, "description": description}]}


def _summary(job: Deletion) -> dict[str, int]:
    unknown = sum(code == _NOT_FOUND for _, code, _ in job.failures)
    return {
        "requestedContacts": len(job.contacts),
        "deletedContacts": len(job.deleted),
        "unknownContacts": unknown,
        "invalidEntries": len(job.failures) - unknown,
    }
