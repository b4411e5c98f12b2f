"""Operations on profiles and their preferences."""

from __future__ import annotations

from bridge.sandbox.mypreferences.archiving import to_archive
from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.drafts import ProfileDraft, as_object
from bridge.sandbox.mypreferences.records import Profile
from bridge.sandbox.mypreferences.refusal import invalid, not_found
from bridge.sandbox.mypreferences.showing import of_filter, shown

MAX_REASON = 256


def by_id(call: Call) -> Reply:
    """Retrieve profile by profile id: the one lookup that finds inactive profiles without a flag."""
    return Reply(shown(call, call.profile()))


def by_alternate_id(call: Call) -> Reply:
    """Retrieve profile by alternate id."""
    found = call.state.registry.by_alternate_id(*alternate_id(call))
    if found is None or not (found.is_active or call.flag("includeInactive", False)):
        raise not_found("The profile")
    document = shown(call, found)
    return Reply([document] if call.state.switches.alternate_id_answers_list else document)


def create(call: Call) -> Reply:
    """Create profile, with preferences and consents in one call."""
    return _created(call, call.state.reader.profile(call.body()))


def update(call: Call) -> Reply:
    """Update profile (POST)."""
    return _updated(call, call.profile(), call.state.reader.profile(call.body()))


def upsert_by_alternate_id(call: Call) -> Reply:
    """Update profile by alternate id (POST): creates the profile when nothing matches."""
    type_name, value = alternate_id(call)
    draft = call.state.reader.profile(call.body())
    found = call.state.registry.by_alternate_id(type_name, value)
    if found is not None:
        return _updated(call, found, draft)
    draft.alternate_ids = {type_name: value, **draft.alternate_ids}
    return _created(call, draft)


def replace(call: Call) -> Reply:
    """Update profile (PUT): what is left out becomes blank."""
    return _replaced(call, call.profile())


def replace_by_alternate_id(call: Call) -> Reply:
    """Update profile by alternate id (PUT)."""
    return _replaced(call, profile_by_alternate_id(call))


def patch(call: Call) -> Reply:
    """Update profile (PATCH)."""
    return _patched(call, call.profile())


def patch_by_alternate_id(call: Call) -> Reply:
    """Update profile by alternate id (PATCH)."""
    return _patched(call, profile_by_alternate_id(call))


def activate(call: Call) -> Reply:
    """Activate a profile."""
    profile = call.profile()
    call.state.begin_write(profile)
    call.state.profiles.activate(profile, call.actor)
    return Reply()


def deactivate(call: Call) -> Reply:
    """Deactivate a profile; the body may give a reason."""
    profile = call.profile()
    body = call.body()
    reason = str((as_object(body) if body is not None else {}).get("Reason") or "")
    if len(reason) > MAX_REASON:
        raise invalid(f"The field Reason must be a string with a maximum length of {MAX_REASON}.")
    call.state.begin_write(profile)
    call.state.profiles.deactivate(profile, call.actor, reason)
    return Reply()


def delete(call: Call) -> Reply:
    """Delete a profile for good."""
    call.state.profiles.delete(call.profile(), call.actor, call.text("reasonCode") or "")
    return Reply(status=204)


def preferences(call: Call) -> Reply:
    """Retrieve preferences of a profile, of one filter only where `filterId` is sent."""
    document = shown(call, call.profile())
    wanted = call.text("filterId")
    return Reply(document if wanted is None else of_filter(document, wanted))


def put_preferences(call: Call) -> Reply:
    """Add or update preferences."""
    return _updated(call, call.profile(), call.state.reader.submission(call.body()))


def put_preferences_by_alternate_id(call: Call) -> Reply:
    """Add or update preferences by alternate id."""
    return _updated(call, profile_by_alternate_id(call), call.state.reader.submission(call.body()))


def archive(call: Call) -> Reply:
    """Archive preferences."""
    profile = call.profile()
    chosen = to_archive(call.state.config, profile, call.body())
    call.state.begin_write(profile)
    for email, preference, reason in chosen:
        call.state.choices.archive(profile, email, preference, call.actor, reason)
    return Reply(status=204)


def alternate_id(call: Call) -> tuple[str, str]:
    """From the path, or from the query in the other spelling of the route."""
    type_name = call.params.get("alternateIdType") or call.needed("alternateIdType")
    value = call.params.get("alternateId") or call.needed("alternateId")
    return call.state.reader.alternate_id(type_name, value)


def profile_by_alternate_id(call: Call) -> Profile:
    found = call.state.registry.by_alternate_id(*alternate_id(call))
    if found is None:
        raise not_found("The profile")
    return found


def _replaced(call: Call, profile: Profile) -> Reply:
    draft = call.state.reader.profile(call.body())
    call.state.begin_write(profile)
    call.state.profiles.replace(profile, draft, call.actor)
    return Reply(shown(call, profile))


def _patched(call: Call, profile: Profile) -> Reply:
    patcher = call.state.patcher
    apply = patcher.read(profile, patcher.operations(call.body()))
    call.state.begin_write(profile)
    apply(call.actor)
    return Reply(shown(call, profile))


def _created(call: Call, draft: ProfileDraft) -> Reply:
    profile = call.state.profiles.create(draft, call.actor)
    call.state.begin_write(profile)
    return Reply(shown(call, profile), call.state.switches.created_status)


def _updated(call: Call, profile: Profile, draft: ProfileDraft) -> Reply:
    call.state.begin_write(profile)
    call.state.profiles.update(profile, draft, call.actor)
    return Reply(shown(call, profile))
