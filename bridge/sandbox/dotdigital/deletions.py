"""Bulk deletions of v3: jobs that put contacts into the recycle bin."""

from __future__ import annotations

import uuid
from typing import Any

from bridge.sandbox.dotdigital import consent, v3_write
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import CONTACT_ID, FINISHED, NOT_FINISHED, NOT_STARTED, BulkDeletion
from bridge.sandbox.dotdigital.refusals import V3Refusal, failure_code
from bridge.sandbox.http import HttpReply, HttpRequest, json_reply

MOST = 5000  # contacts of one job
_NAMESPACE = uuid.UUID("0a4c6e0e-1f38-4d0b-9a5e-3d1f3b0a9c55")
_NOT_FOUND = "contactNotFound"


def delete_contacts(account: Account, request: HttpRequest) -> HttpReply:
    """202: accepted, not done. What is wrong with a single value only shows in the report."""
    contacts = _references(request)
    settle_due(account)
    if sum(job.active for job in account.deletions.values()) >= account.switches.max_active_deletes:
        raise V3Refusal(
            429, "contacts:tooManyBulkDeleteJobs", "Too many bulk delete jobs are being processed"
        )
    job_id = str(uuid.uuid5(_NAMESPACE, str(len(account.deletions))))
    account.deletions[job_id] = BulkDeletion(job_id, account.now(), contacts)
    settle_due(account)
    return json_reply({"deleteId": job_id}, 202)


def get_delete_status(account: Account, request: HttpRequest) -> HttpReply:
    """How far a job is, and once it has ended what became of each contact."""
    job_id = request.parameters["deleteId"]
    job = account.deletions.get(job_id)
    if job is None and not _is_uuid(job_id):
        text = f"The id value '{job_id}' is not a recognized deletion job identifier"
        raise V3Refusal(400, "contacts:invalidDeleteId", text)
    if job is None:
        raise V3Refusal(404, "contacts:importNotFound", "The delete request could not be found")
    job.polls += 1
    settle_due(account)
    running = NOT_STARTED if job.polls <= 1 else NOT_FINISHED
    shown: dict[str, Any] = {"deleteId": job.id, "status": job.outcome or running}
    if not job.active:
        shown["summary"] = _summary(job)
    shown["deleted"] = job.deleted
    shown["failures"] = [_failure(account, *row) for row in job.failures]
    return json_reply(shown)


def settle_due(account: Account) -> None:
    """End every job whose polls or whose time are used up, oldest first."""
    switches = account.switches
    for job in account.deletions.values():
        if job.is_due(account.now(), switches.delete_polls, switches.delete_seconds):
            job.outcome = switches.delete_outcome
            if job.outcome == FINISHED:
                for entry in job.contacts:
                    _delete(account, job, entry)


def _delete(account: Account, job: BulkDeletion, entry: dict[str, Any]) -> None:
    ((identifier, value),) = entry.items()
    try:
        contact = v3_write.find(account, identifier, str(value))
    except V3Refusal as refusal:
        job.failures.append((entry, "invalid" + identifier[:1].upper() + identifier[1:], refusal.description))
        return
    if contact is None or contact.binned:
        job.failures.append((entry, _NOT_FOUND, "The contact could not be found"))
    elif consent.keeps_from_deletion(account, contact):
        job.failures.append((entry, "contactSuppressed", "The contact is suppressed"))
    else:
        account.contacts.bin(contact)
        job.deleted.append(entry)


def _references(request: HttpRequest) -> list[dict[str, Any]]:
    entries = v3_write.json_body(request)
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
    return type(value) is (int if identifier == CONTACT_ID else str)


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def _failure(account: Account, entry: dict[str, Any], code: str, description: str) -> dict[str, Any]:
    failure = {"failureCode": failure_code(code, account.switches), "description": description}
    return {"identifier": entry, "failures": [failure]}


def _summary(job: BulkDeletion) -> dict[str, int]:
    unknown = sum(code == _NOT_FOUND for _, code, _ in job.failures)
    return {
        "requestedContacts": len(job.contacts),
        "deletedContacts": len(job.deleted),
        "unknownContacts": unknown,
        "invalidEntries": len(job.failures) - unknown,
    }
