"""Bulk imports of v3: accepted at once, applied later, and full of failures to read."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.sandbox.dotdigital import render, v3_schema, v3_write, vocabulary
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.refusal import V3Refusal

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State

NOT_FINISHED = "NotFinished"
PARTS = v3_schema.PARTS | {"matchIdentifier"}
_NAMESPACE = uuid.UUID("6f0d7a52-4f0b-4b6e-9d53-7c1f5a1f2c11")
_COUNTED = {"GloballySuppressed": "globallySuppressed", "DuplicateIdentifier": "duplicateIdentifiers"}


@dataclass
class Import:
    """One job. Its effect is visible only once it is finished."""

    id: str
    submitted: datetime
    contacts: list[Any]
    merge: str
    polls: int = 0
    status: str = NOT_FINISHED
    created: list[dict[str, Any]] = field(default_factory=list)
    updated: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Still running."""
        return self.status == NOT_FINISHED


def submit(state: State, contacts: list[Any], merge: str) -> Import:
    """Take a job in. Raises V3Refusal 429 when too many are running."""
    settle_due(state)
    if sum(job.active for job in state.imports.values()) >= state.switches.max_active_imports:
        raise V3Refusal(429, "contacts:tooManyActiveImports", "Too many imports are being processed")
    job_id = str(uuid.uuid5(_NAMESPACE, str(len(state.imports))))
    job = Import(job_id, state.now(), contacts, merge)
    state.imports[job_id] = job
    settle_due(state)
    return job


def poll(state: State, job: Import) -> dict[str, Any]:
    """One status call. While the job runs there is no summary, or a null."""
    job.polls += 1
    settle_due(state)
    shown: dict[str, Any] = {"importId": job.id, "status": job.status}
    if not job.active:
        shown["summary"] = _summary(job)
    elif state.switches.import_summary == "null":
        shown["summary"] = None
    return {**shown, "created": job.created, "updated": job.updated, "failures": job.failures}


def settle_due(state: State) -> None:
    """End every job whose polls or whose time are used up, oldest first."""
    if not state.imports:
        return
    patience = timedelta(seconds=state.switches.import_seconds)
    for job in state.imports.values():
        polls = state.switches.import_polls
        due = not polls or job.polls > polls or state.now() - job.submitted >= patience
        if job.active and due:
            job.status = state.switches.import_outcome
            if job.status == "Finished":
                _apply(state, job)


def _apply(state: State, job: Import) -> None:
    seen: set[tuple[str, str]] = set()
    for entry in job.contacts:
        _apply_entry(state, job, entry, seen)
    job.contacts = []


def _apply_entry(state: State, job: Import, entry: Any, seen: set[tuple[str, str]]) -> None:
    if not isinstance(entry, dict):
        _fail(state, job, {}, None, "ApiSchemaViolation", "The contact is not an object")
        return
    problems: list[tuple[str, str]] = []
    draft = v3_schema.parse(entry, problems, state.switches.v3_schema, PARTS)
    if problems:
        _fail(state, job, entry, None, "ApiSchemaViolation", problems[0][1])
        return
    match = entry.get("matchIdentifier")
    value = draft.identifiers.get(match) if isinstance(match, str) else None
    if not isinstance(match, str) or value is None:
        _fail(state, job, entry, None, "InvalidMatchIdentifier", "The match identifier is missing or unknown")
        return
    contact, failure = _target(state, draft, match, value)
    if failure is not None:
        _fail(state, job, entry, contact, *failure)
        return
    key = (match, str(value).lower())
    if key in seen or (contact is not None and ("", str(contact.id)) in seen):
        _fail(state, job, entry, contact, "DuplicateIdentifier", "The contact is in this import already")
        return
    done, created = v3_write.upsert(state, contact, draft.identifiers, draft, job.merge)
    seen |= {key, ("", str(done.id))}
    reference = {"contactId": done.id, "identifiers": render.identifiers(done)}
    (job.created if created else job.updated).append(reference)
    if draft.bad_consents:
        _fail(state, job, entry, done, "ConsentRecordsNotApplied", "Consent records were not applied")


def _target(
    state: State, draft: v3_schema.Draft, match: str, value: Any
) -> tuple[Contact | None, tuple[str, str] | None]:
    """The contact to update (None: create one), and what stands against it as (code, description)."""
    if match == v3_write.CONTACT_ID and type(value) is not int:
        return None, ("ApiSchemaViolation", "'contactId' has the wrong type")
    problems = v3_write.check(state, draft)
    if problems:
        item, description = problems[0]
        return None, ("InvalidEmail" if item == v3_write.EMAIL else "InvalidContact", description)
    found = v3_write.find(state, match, str(value))
    return found, _objection(state, found, draft, match)


def _objection(
    state: State, found: Contact | None, draft: v3_schema.Draft, match: str
) -> tuple[str, str] | None:
    if found is None and match == v3_write.CONTACT_ID:
        return "InvalidContactId", "The contact does not exist"
    if found is not None and found.status in vocabulary.GLOBAL_BLOCKS:
        return "GloballySuppressed", "The contact is suppressed beyond this account"
    if v3_write.taken(state, found, draft.identifiers) or v3_write.stays_binned(state, found):
        return "DuplicateIdentifier", "An identifier belongs to another contact"
    return None


def _fail(
    state: State, job: Import, entry: dict[str, Any], contact: Contact | None, code: str, description: str
) -> None:
    job.codes.append(code)
    spelled = code if state.switches.failure_spelling == "pascal" else code[0].lower() + code[1:]
    match, named = entry.get("matchIdentifier"), entry.get("identifiers")
    row: dict[str, Any] = {} if contact is None else {"contactId": contact.id}
    row["matchIdentifier"] = match if isinstance(match, str) else "email"
    row["identifiers"] = {
        name: value
        for name, value in (named.items() if isinstance(named, dict) else ())
        if name != "contactId"
    }
    row["failures"] = [{"failureCode": spelled, "description": description}]
    job.failures.append(row)


def _summary(job: Import) -> dict[str, int]:
    summary = {
        "newContacts": len(job.created),
        "updatedContacts": len(job.updated),
        "globallySuppressed": 0,
        "invalidEntries": 0,
        "duplicateIdentifiers": 0,
    }
    for code in job.codes:
        if code != "ConsentRecordsNotApplied":
            summary[_COUNTED.get(code, "invalidEntries")] += 1
    return summary
