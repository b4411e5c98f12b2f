"""Bulk import: records are staged under a token, checked one by one, and carried out together later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.clock import SandboxClock
from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.drafts import ProfileDraft, Reader, as_object
from bridge.sandbox.mypreferences.people import People
from bridge.sandbox.mypreferences.profiles import Profiles
from bridge.sandbox.mypreferences.records import Actor, Profile
from bridge.sandbox.mypreferences.refusal import Refused, invalid
from bridge.sandbox.mypreferences.switches import Switches

_REFRESH = tuple(f"Refresh{name}" for name in ("AlternateIds", "Contacts", "CustomFields", "Groups", "Tags"))
_DAY = timedelta(hours=24)
EXPIRED = "The AccessToken is invalid or has expired."
TOO_MANY = "The maximum number of imports for this account was reached."


@dataclass
class _Record:
    """A staged record that passed validation."""

    number: int
    sent: dict[str, Any]
    draft: ProfileDraft


@dataclass
class _Job:
    request: dict[str, Any]
    actor: Actor
    begun: datetime
    expires: datetime
    polls_left: int
    status: str = "Initiated"
    due: datetime | None = None
    received: int = 0
    staged: list[_Record] = field(default_factory=list)
    invalid: int = 0
    processed: int = 0
    not_honored: int = 0
    exceptions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def deletes(self) -> bool:
        return str(self.request["ImportAction"]).lower() == "delete"


class Imports:
    """The account's imports. Guarded by the state's lock; `begin_write` is told of each profile before it is
    changed."""

    def __init__(
        self,
        config: Config,
        clock: SandboxClock,
        switches: Switches,
        people: People,
        profiles: Profiles,
        reader: Reader,
        begin_write: Callable[[Profile], None],
    ) -> None:
        self._config, self._clock, self._switches = config, clock, switches
        self._people, self._profiles, self._reader = people, profiles, reader
        self._begin_write = begin_write
        self._jobs: dict[int, _Job] = {}

    def initiate(self, body: Any, actor: Actor) -> dict[str, Any]:
        """Begin an import (MyPreferences import, Initiate). Raises Refused for a bad request, and once the
        rolling day's quota is used up."""
        request = self._request(as_object(body))
        now = self._clock.now()
        if sum(now - job.begun < _DAY for job in self._jobs.values()) >= self._switches.imports_per_day:
            raise Refused(self._switches.import_quota_status, TOO_MANY)
        token = 800_001 + len(self._jobs)
        expires = now + timedelta(hours=self._switches.import_token_hours)
        self._jobs[token] = _Job(request, actor, now, expires, self._switches.import_polls)
        return self._shown(token, self._jobs[token])

    def stage(self, token: int, body: Any, size: int) -> dict[str, Any]:
        """Add records (Stage). Each is checked by itself; one that fails keeps no other out. Raises Refused
        413 for a body that is too large, 400 once it was executed."""
        job = self._job(token)
        if size > self._switches.import_body_max:
            raise Refused(413, "The request is too large.")
        if job.status not in ("Initiated", "Staging"):
            raise invalid("The import was executed already.")
        records = as_object(body).get("UserProfilePreferences")
        if not isinstance(records, list):
            raise invalid("UserProfilePreferences is required.")
        job.status = "Staging"
        for record in records:
            job.received += 1
            try:
                draft = self._reader.profile(record)
                self._check(record)
                job.staged.append(_Record(job.received, record, draft))
            except Refused as refusal:
                job.invalid += 1
                job.exceptions.append(_exception(job.received, record, refusal))
        return self._shown(token, job)

    def execute(self, token: int) -> dict[str, Any]:
        """Carry out what passed validation (Execute). Raises Refused 400 when it was executed already."""
        job = self._job(token)
        if job.status not in ("Initiated", "Staging"):
            raise invalid("The import was executed already.")
        job.status = "Queued"
        job.due = self._clock.now() + timedelta(seconds=self._switches.import_seconds)
        self.run_due()
        return self._shown(token, job)

    def status(self, token: int) -> dict[str, Any]:
        """Where it stands (Retrieve status); asking brings what is answered forward."""
        job = self._job(token)
        shown = self._shown(token, job)
        job.polls_left -= job.status in ("Completed", "Failed")
        return shown

    def exceptions(self, token: int, limit: int, offset: int) -> dict[str, Any]:
        """Records that failed (Retrieve exceptions), `offset` counting from 1. TotalResults is no more than
        the limit, as documented."""
        if limit < 1 or offset < 1:
            raise invalid("limit and offset must be 1 or more.")
        found = self._job(token).exceptions
        rows = found[offset - 1 : offset - 1 + limit]
        return {
            "Count": len(rows),
            "HasMore": offset - 1 + len(rows) < len(found),
            "Limit": limit,
            "Offset": offset,
            "TotalResults": min(len(found), limit),
            "UserProfilePreferenceExceptions": rows,
        }

    def run_due(self) -> None:
        """Carry out what is due, in the order in which it was begun."""
        now = self._clock.now()
        for job in self._jobs.values():
            if job.status == "Queued" and job.due is not None and job.due <= now:
                job.status = self._switches.import_ends
                if job.status == "Completed":
                    self._run(job)

    def _run(self, job: _Job) -> None:
        for record in job.staged:
            job.processed += 1
            try:
                self._delete(job, record) if job.deletes else self._apply(job, record)
            except Refused as refusal:
                job.exceptions.append(_exception(record.number, record.sent, refusal))

    def _apply(self, job: _Job, record: _Record) -> None:
        if not job.request["AllowPriorConsents"] and self._is_prior(record.draft):
            raise invalid("A preference is tied to a prior consent version.")
        profile = self._found(job, record)
        if profile is None:  # documented: nobody with that ProfileId is a reason to create somebody
            self._profiles.create(record.draft, job.actor)
            return
        self._begin_write(profile)
        job.not_honored += not self._profiles.update(profile, record.draft, job.actor)

    def _delete(self, job: _Job, record: _Record) -> None:
        profile = self._found(job, record)
        if profile is None:
            raise invalid("The profile was not found.")
        self._profiles.delete(profile, job.actor)

    def _found(self, job: _Job, record: _Record) -> Profile | None:
        profile_id = record.sent.get("ProfileId")
        if profile_id is not None:
            return self._people.get(profile_id)
        type_name = job.request.get("MatchValue")
        value = record.draft.alternate_ids.get(str(type_name))
        return None if value is None else self._people.by_alternate_id(str(type_name), value)

    def _is_prior(self, draft: ProfileDraft) -> bool:
        sent = [*draft.consents, *(item for element in draft.elements for item in element.consents)]
        newest = {item.type_name: item.versions[-1].version for item in self._config.consent_types}
        return any(item.version != newest[item.consent_type] for item in sent)

    def _check(self, record: Any) -> None:
        if not isinstance(record.get("ProfileId"), int | None) or isinstance(record.get("ProfileId"), bool):
            raise invalid("The value for ProfileId is not valid.")

    def _request(self, body: dict[str, Any]) -> dict[str, Any]:
        name, days = body.get("Name"), body.get("DataStageDuration", 3)
        if not isinstance(name, str) or not 1 <= len(name) <= 100:
            raise invalid("The field Name must be a string of 1 to 100 characters.")
        if not isinstance(days, int) or not 0 <= days <= 10:
            raise invalid("The field DataStageDuration must be between 0 and 10.")
        action = str(body.get("ImportAction") or "Add")
        if action.lower() not in ("add", "delete"):
            raise invalid("The ImportAction is not valid.")
        matched = {key: body[key] for key in ("MatchCriteria", "MatchValue") if body.get(key)}
        if matched:
            matched["MatchValue"] = self._match_value(matched)
        flags = {key: bool(body.get(key, False)) for key in (*_REFRESH, "AllowPriorConsents")}
        return {"Name": name, "DataStageDuration": days, "ImportAction": action, **matched, **flags}

    def _match_value(self, matched: dict[str, Any]) -> str:
        spelled = self._config.alternate_id_type(str(matched.get("MatchValue") or ""))
        if str(matched.get("MatchCriteria")).lower() != "alternateidtype" or spelled is None:
            raise invalid("MatchCriteria and MatchValue must name an alternate id type.")
        return spelled

    def _job(self, token: int) -> _Job:
        job = self._jobs.get(token)
        if job is None or job.expires <= self._clock.now():
            raise Refused(401, EXPIRED)
        return job

    def _shown(self, token: int, job: _Job) -> dict[str, Any]:
        behind = job.status in ("Completed", "Failed") and job.polls_left > 0
        done = 0 if behind else job.processed
        failed = len(job.exceptions) - job.invalid
        return {
            **job.request,
            "TotalRecordsReceived": job.received,
            "ValidationSuccessful": len(job.staged),
            "ValidationFailed": job.invalid,
            "Processed": done,
            "Pending": len(job.staged) - done,
            "Exceptions": 0 if behind else failed,
            "NotHonored": 0 if behind else job.not_honored,
            "AccessToken": token,
            "Status": "Processing" if behind else job.status,
            "Expires": write_moment(job.expires),
        }


def _exception(number: int, record: Any, refusal: Refused) -> dict[str, Any]:
    sent = record if isinstance(record, dict) else {}
    return {**sent, "SequenceNumber": number, "Exceptions": [{"Message": refusal.message}]}
