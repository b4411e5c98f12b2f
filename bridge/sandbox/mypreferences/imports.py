"""Bulk import: records are staged under a token, checked one by one, and carried out together later."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences.account import MyPreferencesAccount, StagedImport, StagedRecord
from bridge.sandbox.mypreferences.bodies import ProfileBody, read, spelled_throughout
from bridge.sandbox.mypreferences.call import MyPreferencesCall
from bridge.sandbox.mypreferences.config import spelled_as
from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.profiles import create_profile, delete_profile, update_profile
from bridge.sandbox.mypreferences.records import StoredProfile
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal, invalid
from bridge.sandbox.mypreferences.requests import ProfileRequest

_DAY = timedelta(hours=24)
EXPIRED = "The AccessToken is invalid or has expired."
TOO_MANY = "The maximum number of imports for this account was reached."


class ImportBody(Struct, rename="pascal"):
    """What an import is begun with."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    data_stage_duration: Annotated[int, Meta(ge=0, le=10)] = 3
    import_action: str | None = None
    match_criteria: str | None = None
    match_value: str | None = None
    refresh_alternate_ids: bool = False
    refresh_contacts: bool = False
    refresh_custom_fields: bool = False
    refresh_groups: bool = False
    refresh_tags: bool = False
    allow_prior_consents: bool = False


class StageBody(Struct, rename="pascal"):
    """Records to be staged; each is checked by itself."""

    user_profile_preferences: list[Any]


def initiate(call: MyPreferencesCall) -> HttpReply:
    """Import: Initiate. Refused once the quota of the rolling day is used up."""
    account, body = call.account, call.body(ImportBody)
    if spelled_as(body.import_action or "Add", ("Add", "Delete")) is None:
        raise invalid("The ImportAction is not valid.")
    body.import_action = body.import_action or "Add"
    if body.match_criteria or body.match_value:
        known = spelled_as(body.match_value or "", account.config.alternate_id_types)
        if (body.match_criteria or "").lower() != "alternateidtype" or known is None:
            raise invalid("MatchCriteria and MatchValue must name an alternate id type.")
        body.match_value = known
    now, switches = account.clock.now(), account.switches
    if sum(now - job.begun < _DAY for job in account.imports.values()) >= switches.imports_per_day:
        raise MyPreferencesRefusal(switches.import_quota_status, TOO_MANY)
    token = 800_001 + len(account.imports)
    sent = {name: value for name, value in msgspec.to_builtins(body).items() if value not in (None, "")}
    expires = now + timedelta(hours=switches.import_token_hours)
    job = account.imports[token] = StagedImport(sent, call.author, now, expires, switches.import_polls)
    return _shown(token, job)


def stage(call: MyPreferencesCall) -> HttpReply:
    """Import: Stage. A record that fails keeps no other out, unless by switch."""
    token, job = _job(call)
    if len(call.request.body) > call.account.switches.import_body_max:
        raise MyPreferencesRefusal(413, "The request is too large.")
    _refuse_executed(job)
    records = call.body(StageBody).user_profile_preferences
    if call.account.switches.import_bad_records == "refuse_all":
        for record in records:  # raises for the first that is not valid
            call.account.checker.profile(read(record, ProfileBody))
    job.status = "Staging"
    for record in records:
        job.received += 1
        try:
            body = read(record, ProfileBody)
            request = call.account.checker.profile(body)
            job.staged.append(StagedRecord(job.received, record, request, body.profile_id))
        except MyPreferencesRefusal as refusal:
            job.invalid += 1
            job.exceptions.append(_exception(job.received, record, refusal))
    return _shown(token, job)


def execute(call: MyPreferencesCall) -> HttpReply:
    """Import: Execute. What passed validation is carried out."""
    token, job = _job(call)
    _refuse_executed(job)
    job.status = "Queued"
    job.due = call.account.clock.now() + timedelta(seconds=call.account.switches.import_seconds)
    run_due(call.account)
    return _shown(token, job)


def status(call: MyPreferencesCall) -> HttpReply:
    """Import: Retrieve status; asking brings what is answered forward."""
    token, job = _job(call)
    shown = _shown(token, job)
    job.polls_left -= job.status in ("Completed", "Failed")
    return shown


def exceptions(call: MyPreferencesCall) -> HttpReply:
    """Import: Retrieve exceptions, `offset` counting from 1. TotalResults is no more than the limit, as
    documented."""
    limit, offset = call.number("limit", 1000), call.number("offset", 1)
    if limit < 1 or offset < 1:
        raise invalid("limit and offset must be 1 or more.")
    found = _job(call)[1].exceptions
    rows = found[offset - 1 : offset - 1 + limit]
    return json_reply(
        {
            "Count": len(rows),
            "HasMore": offset - 1 + len(rows) < len(found),
            "Limit": limit,
            "Offset": offset,
            "TotalResults": min(len(found), limit),
            "UserProfilePreferenceExceptions": rows,
        }
    )


def run_due(account: MyPreferencesAccount) -> None:
    """Carry out the imports that are due, in the order in which they were begun."""
    now = account.clock.now()
    for job in account.imports.values():
        if job.status == "Queued" and job.due is not None and job.due <= now:
            job.status = account.switches.import_ends
            if job.status == "Completed":
                _run(account, job)


def _run(account: MyPreferencesAccount, job: StagedImport) -> None:
    for record in job.staged:
        job.processed += 1
        try:
            _apply(account, job, record)
        except MyPreferencesRefusal as refusal:
            job.exceptions.append(_exception(record.number, record.sent, refusal))


def _apply(account: MyPreferencesAccount, job: StagedImport, record: StagedRecord) -> None:
    profile = _found(account, job, record)
    if job.request["ImportAction"].lower() == "delete":
        if profile is None:
            raise invalid("The profile was not found.")
        delete_profile(ProfileEdit(account, profile, job.author))
        return
    if not job.request["AllowPriorConsents"] and _is_prior(account, record.request):
        raise invalid("A preference is tied to a prior consent version.")
    if profile is None:  # documented: an unknown ProfileId creates a profile
        create_profile(account, record.request, job.author)
        return
    account.begin_change(profile, by_api=True)
    job.not_honored += not update_profile(ProfileEdit(account, profile, job.author), record.request)


def _found(account: MyPreferencesAccount, job: StagedImport, record: StagedRecord) -> StoredProfile | None:
    if record.profile_id is not None:
        return account.profiles.get(record.profile_id)
    type_name = job.request.get("MatchValue", "")
    value = record.request.alternate_ids.get(type_name)
    return None if value is None else account.profiles.by_alternate_id(type_name, value)


def _is_prior(account: MyPreferencesAccount, request: ProfileRequest) -> bool:
    sent = [*request.consents, *(item for point in request.points for item in point.consents)]
    newest = {item.type_name: item.versions[-1].version for item in account.config.consent_types}
    return any(item.version != newest[item.consent_type] for item in sent)


def _job(call: MyPreferencesCall) -> tuple[int, StagedImport]:
    token = call.id("accessToken")
    job = call.account.imports.get(token)
    if job is None or job.expires <= call.account.clock.now():
        raise MyPreferencesRefusal(401, EXPIRED)
    return token, job


def _refuse_executed(job: StagedImport) -> None:
    if job.status not in ("Initiated", "Staging"):
        raise invalid("The import was executed already.")


def _shown(token: int, job: StagedImport) -> HttpReply:
    behind = job.status in ("Completed", "Failed") and job.polls_left > 0
    processed = 0 if behind else job.processed
    return json_reply(
        {
            **job.request,
            "TotalRecordsReceived": job.received,
            "ValidationSuccessful": len(job.staged),
            "ValidationFailed": job.invalid,
            "Processed": processed,
            "Pending": len(job.staged) - processed,
            "Exceptions": 0 if behind else len(job.exceptions) - job.invalid,
            "NotHonored": 0 if behind else job.not_honored,
            "AccessToken": token,
            "Status": "Processing" if behind else job.status,
            "Expires": write_moment(job.expires),
        }
    )


def _exception(number: int, record: Any, refusal: MyPreferencesRefusal) -> dict[str, Any]:
    sent = spelled_throughout(record) if isinstance(record, dict) else {}
    return {**sent, "SequenceNumber": number, "Exceptions": [{"Message": refusal.message}]}
