"""Bulk imports and deletions of v3: accepted at once, carried out later, and full of failures to read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from bridge.sandbox.dotdigital import consent, v3_write, wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import (
    CONTACT_ID,
    EMAIL,
    FINISHED,
    NOT_FINISHED,
    NOT_STARTED,
    BulkDeletion,
    BulkImport,
    StoredContact,
)
from bridge.sandbox.dotdigital.refusals import V3Refusal, failure_code
from bridge.sandbox.dotdigital.v3_write import ImportedContact, consent_records, read_contact
from bridge.sandbox.http import BodyError, HttpReply, HttpRequest, json_reply, read_document, text_reply

_IMPORTS = uuid.UUID("6f0d7a52-4f0b-4b6e-9d53-7c1f5a1f2c11")
_COUNTED = {"GloballySuppressed": "globallySuppressed", "DuplicateIdentifier": "duplicateIdentifiers"}
_CONSENTS_FAILED = "ConsentRecordsNotApplied"

_Failure = tuple[str, str]  # (code, description)
MOST = 5000  # contacts of one job
_DELETIONS = uuid.UUID("0a4c6e0e-1f38-4d0b-9a5e-3d1f3b0a9c55")
_NOT_FOUND = "contactNotFound"


class _ImportRequest(msgspec.Struct, rename="camel"):
    """The contacts are checked one by one, most of them only when the job runs."""

    contacts: list[Any]
    merge_option: Literal["overwrite", "overwriteIfNotEmpty", "overwriteIfEmpty"] = "overwrite"


def import_contacts(account: Account, request: HttpRequest) -> HttpReply:
    """202: accepted, not done. Only the outer object is checked here, unless by switch."""
    if len(request.body) > account.switches.import_bytes:
        return text_reply("Request Entity Too Large", 413)
    try:
        wanted = read_document(v3_write.json_body(request), _ImportRequest)
    except BodyError as error:
        raise v3_write.bad_json() from error
    if not wanted.contacts:
        raise v3_write.bad_json()
    if account.switches.import_type_errors == "at_once":
        problems = [one for entry in wanted.contacts for one in _read(account, entry)[1]]
        if problems:
            raise v3_write.bad_request(*problems[:10])
    if account.switches.import_bad_entries == "refuse_all" and not all(
        _is_applicable(account, entry) for entry in wanted.contacts
    ):
        raise v3_write.bad_request(("contacts", "An entry is not valid"))
    return json_reply({"importId": submit(account, wanted.contacts, wanted.merge_option).id}, 202)


def get_import_status(account: Account, request: HttpRequest) -> HttpReply:
    """The state of a job, and once it is finished what became of each contact. While it runs there is no
    summary, or a null."""
    job = account.imports.get(request.parameters["importId"])
    if job is None:
        raise V3Refusal(404, "contacts:importNotFound", "The import request could not be found")
    job.polls += 1
    settle_due(account)
    shown: dict[str, Any] = {"importId": job.id, "status": job.outcome or NOT_FINISHED}
    if not job.active:
        shown["summary"] = _import_summary(job)
    elif account.switches.import_summary == "null":
        shown["summary"] = None
    return json_reply({**shown, "created": job.created, "updated": job.updated, "failures": job.failures})


def submit(account: Account, contacts: list[Any], merge: str) -> BulkImport:
    """Take a job in. Raises V3Refusal 429 when too many are running."""
    settle_due(account)
    if sum(job.active for job in account.imports.values()) >= account.switches.max_active_imports:
        raise V3Refusal(429, "contacts:tooManyActiveImports", "Too many imports are being processed")
    job_id = str(uuid.uuid5(_IMPORTS, str(len(account.imports))))
    job = BulkImport(job_id, account.now(), contacts, merge=merge)
    account.imports[job_id] = job
    settle_due(account)
    return job


def settle_due(account: Account) -> None:
    """End every job whose polls or whose time are used up, oldest first. Only those that are Finished have an
    effect."""
    switches, now = account.switches, account.now()
    for job in account.imports.values():
        if job.is_due(now, switches.import_polls, switches.import_seconds):
            job.outcome = switches.import_outcome
            seen: set[tuple[str, str]] = set()
            for entry in job.contacts if job.outcome == FINISHED else ():
                _apply(account, job, entry, seen)
    for deletion in account.deletions.values():
        if deletion.is_due(now, switches.delete_polls, switches.delete_seconds):
            deletion.outcome = switches.delete_outcome
            for entry in deletion.contacts if deletion.outcome == FINISHED else ():
                _delete(account, deletion, entry)


def _read(account: Account, entry: Any) -> tuple[ImportedContact, list[tuple[str, str]]]:
    if not isinstance(entry, dict):
        return ImportedContact(), [("contacts", "The contact is not an object")]
    return read_contact(entry, ImportedContact, account.switches.v3_schema)


def _is_applicable(account: Account, entry: Any) -> bool:
    """Whether an entry could be applied by itself."""
    write, problems = _read(account, entry)
    match = write.match_identifier if isinstance(write.match_identifier, str) else None
    value = None if match is None else write.identifiers.get(match)
    return (
        not problems
        and match is not None
        and value is not None
        and not _target(account, write, match, value)[1]
    )


def _apply(account: Account, job: BulkImport, entry: Any, seen: set[tuple[str, str]]) -> None:
    write, problems = _read(account, entry)
    match = write.match_identifier if isinstance(write.match_identifier, str) else None
    value = None if match is None else write.identifiers.get(match)
    contact, failure = None, next((("ApiSchemaViolation", text) for _, text in problems), None)
    if failure is None and (match is None or value is None):
        failure = "InvalidMatchIdentifier", "The match identifier is missing or unknown"
    elif failure is None:
        contact, failure = _target(account, write, str(match), value)
    keys = {(str(match), str(value).lower())} | ({("", str(contact.id))} if contact is not None else set())
    if failure is None and keys & seen:
        failure = "DuplicateIdentifier", "The contact is in this import already"
    if failure is not None:
        _fail(account, job, entry, contact, failure)
        return
    done, created = v3_write.upsert(account, contact, write, job.merge)
    seen |= keys | {("", str(done.id))}
    reference = {"contactId": done.id, "identifiers": done.identifiers.copy()}
    (job.created if created else job.updated).append(reference)
    if consent_records(write, account.switches.v3_schema)[1]:
        _fail(account, job, entry, done, (_CONSENTS_FAILED, "Consent records were not applied"))


def _target(
    account: Account, write: ImportedContact, match: str, value: Any
) -> tuple[StoredContact | None, _Failure | None]:
    """The contact to update (None: create one), and what stands against it."""
    if match == CONTACT_ID and type(value) is not int:
        return None, ("ApiSchemaViolation", "'contactId' has the wrong type")
    for item, description in v3_write.check(account, write):
        return None, ("InvalidEmail" if item == EMAIL else "InvalidContact", description)
    found = v3_write.find(account, match, str(value))
    failure = None
    if found is None and match == CONTACT_ID:
        failure = "InvalidContactId", "The contact does not exist"
    elif found is not None and found.status in wire.GLOBAL_BLOCKS:
        failure = "GloballySuppressed", "The contact is suppressed beyond this account"
    elif v3_write.conflicts(account, found, write.identifiers):
        failure = "DuplicateIdentifier", "An identifier belongs to another contact"
    elif v3_write.forbids_subscribing(account, found, write):
        failure = "InvalidContactStatus", v3_write.NO_RESUBSCRIBE
    return found, failure


def _fail(
    account: Account, job: BulkImport, entry: Any, contact: StoredContact | None, failure: _Failure
) -> None:
    code, description = failure
    job.codes.append(code)
    sent = entry if isinstance(entry, dict) else {}
    match = sent.get("matchIdentifier")
    row: dict[str, Any] = {} if contact is None else {"contactId": contact.id}
    row["matchIdentifier"] = match if isinstance(match, str) else "email"
    row["identifiers"] = dict(_without_contact_id(sent.get("identifiers")))
    row["failures"] = [{"failureCode": failure_code(code, account.switches), "description": description}]
    job.failures.append(row)


def _without_contact_id(identifiers: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(identifiers, dict):
        yield from ((name, value) for name, value in identifiers.items() if name != CONTACT_ID)


def _import_summary(job: BulkImport) -> dict[str, int]:
    summary = {
        "newContacts": len(job.created),
        "updatedContacts": len(job.updated),
        "globallySuppressed": 0,
        "invalidEntries": 0,
        "duplicateIdentifiers": 0,
    }
    for code in job.codes:
        if code != _CONSENTS_FAILED:
            summary[_COUNTED.get(code, "invalidEntries")] += 1
    return summary


def delete_contacts(account: Account, request: HttpRequest) -> HttpReply:
    """202: accepted, not done. What is wrong with a single value only shows in the report."""
    contacts = _references(request)
    settle_due(account)
    if sum(job.active for job in account.deletions.values()) >= account.switches.max_active_deletes:
        raise V3Refusal(
            429, "contacts:tooManyBulkDeleteJobs", "Too many bulk delete jobs are being processed"
        )
    job_id = str(uuid.uuid5(_DELETIONS, str(len(account.deletions))))
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
        shown["summary"] = _deletion_summary(job)
    shown["deleted"] = job.deleted
    shown["failures"] = [_failure(account, *row) for row in job.failures]
    return json_reply(shown)


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


def _deletion_summary(job: BulkDeletion) -> dict[str, int]:
    unknown = sum(code == _NOT_FOUND for _, code, _ in job.failures)
    return {
        "requestedContacts": len(job.contacts),
        "deletedContacts": len(job.deleted),
        "unknownContacts": unknown,
        "invalidEntries": len(job.failures) - unknown,
    }
