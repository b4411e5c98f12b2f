"""Creating, reading, updating, replacing and deleting whole profiles, and their preferences."""

from __future__ import annotations

import copy
from typing import Annotated

from msgspec import Meta, Struct

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences import choices, contact_points, patches
from bridge.sandbox.mypreferences.account import MyPreferencesAccount
from bridge.sandbox.mypreferences.bodies import PreferencesBody, ProfileBody, read
from bridge.sandbox.mypreferences.call import EMPTY, NO_CONTENT, MyPreferencesCall, of_filter, shown
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.records import StoredProfile, WriteAuthor
from bridge.sandbox.mypreferences.refusal import MyPreferencesRefusal, not_found
from bridge.sandbox.mypreferences.requests import ProfileRequest


class DeactivationBody(Struct, rename="pascal"):
    """Why a profile is deactivated."""

    reason: Annotated[str, Meta(max_length=256)] | None = None


def retrieve(call: MyPreferencesCall) -> HttpReply:
    """Retrieve profile by profile id: the one lookup that finds inactive profiles without a flag."""
    return json_reply(shown(call, call.profile()))


def retrieve_by_alternate_id(call: MyPreferencesCall) -> HttpReply:
    """Retrieve profile by alternate id."""
    found = call.profile()
    if not (found.is_active or call.flag("includeInactive", False)):
        raise not_found("The profile")
    document = shown(call, found)
    return json_reply([document] if call.account.switches.alternate_id_answers_list else document)


def create(call: MyPreferencesCall) -> HttpReply:
    """Create profile, with preferences and consents in one call."""
    return _create(call, call.account.checker.profile(call.body(ProfileBody)))


def update(call: MyPreferencesCall) -> HttpReply:
    """Update profile (POST)."""
    profile = call.profile()
    return _update(call, profile, call.account.checker.profile(call.body(ProfileBody)))


def upsert_by_alternate_id(call: MyPreferencesCall) -> HttpReply:
    """Update profile by alternate id (POST): creates the profile when nothing matches."""
    type_name, value = call.alternate_id()
    request = call.account.checker.profile(call.body(ProfileBody))
    found = call.account.profiles.by_alternate_id(type_name, value)
    if found is not None:
        return _update(call, found, request)
    request.alternate_ids = {type_name: value, **request.alternate_ids}
    return _create(call, request)


def replace(call: MyPreferencesCall) -> HttpReply:
    """Update profile (PUT): what is left out becomes blank."""
    profile = call.profile()
    request = call.account.checker.profile(call.body(ProfileBody))
    replace_profile(call.edit(profile), request)
    return json_reply(shown(call, profile))


def patch(call: MyPreferencesCall) -> HttpReply:
    """Update profile (PATCH)."""
    profile = call.profile()
    planned = patches.planned(call.account, profile, call.document())
    refuse_taken(call.account, planned.request, profile)
    edit = call.edit(profile)
    removed = planned.apply_removals(edit)
    update_profile(edit, planned.request, changed=removed)
    return json_reply(shown(call, profile))


def activate(call: MyPreferencesCall) -> HttpReply:
    """Activate a profile."""
    activate_profile(call.edit(call.profile()))
    return EMPTY


def deactivate(call: MyPreferencesCall) -> HttpReply:
    """Deactivate a profile; the body may give a reason."""
    profile = call.profile()
    body = read(call.document() or {}, DeactivationBody)
    deactivate_profile(call.edit(profile), body.reason or "")
    return EMPTY


def delete(call: MyPreferencesCall) -> HttpReply:
    """Delete a profile for good."""
    delete_profile(call.edit(call.profile()), call.text("reasonCode") or "")
    return NO_CONTENT


def retrieve_preferences(call: MyPreferencesCall) -> HttpReply:
    """Retrieve preferences of a profile, of one filter only where `filterId` is sent."""
    document = shown(call, call.profile())
    wanted = call.text("filterId")
    return json_reply(document if wanted is None else of_filter(document, wanted))


def update_preferences(call: MyPreferencesCall) -> HttpReply:
    """Add or update preferences, by profile id or by alternate id."""
    profile = call.profile()
    return _update(call, profile, call.account.checker.preferences(call.body(PreferencesBody)))


def _create(call: MyPreferencesCall, request: ProfileRequest) -> HttpReply:
    profile = create_profile(call.account, request, call.author)
    call.account.begin_change(profile, by_api=True)
    return json_reply(shown(call, profile), call.account.switches.created_status)


def _update(call: MyPreferencesCall, profile: StoredProfile, request: ProfileRequest) -> HttpReply:
    update_profile(call.edit(profile), request)
    return json_reply(shown(call, profile))


def create_profile(
    account: MyPreferencesAccount, request: ProfileRequest, author: WriteAuthor
) -> StoredProfile:
    """Create a profile with its preferences and consents. Raises MyPreferencesRefusal 409 for a taken
    alternate id."""
    refuse_taken(account, request, None)
    config, now = account.config, account.now()
    profile = StoredProfile(
        account.profiles.next_id(),
        now,
        now,
        author.user,
        author.user,
        config.customer_types[0],
        config.default_locale,
    )
    account.profiles.add(profile)
    edit = ProfileEdit(account, profile, author)
    _apply(edit, request)
    edit.profile_event("profile.created", whole=True)
    return profile


def update_profile(edit: ProfileEdit, request: ProfileRequest, *, changed: bool = False) -> bool:
    """Apply what was sent and leave the rest (MyPreferences update profile by POST). `changed`: there were
    changes before that belong to the same update. False when a choice was skipped, since a newer one stays.
    Raises MyPreferencesRefusal 409 for a taken alternate id."""
    refuse_taken(edit.account, request, edit.profile)
    applied, honored = _apply(edit, request)
    covers_choices = edit.account.switches.profile_updated_covers_choices
    if changed or applied or (covers_choices and any(honored)):
        edit.profile_event("profile.updated")
    return all(honored)


def replace_profile(edit: ProfileEdit, request: ProfileRequest) -> None:
    """Make a profile what was sent and blank the rest (MyPreferences update profile by PUT). Raises
    MyPreferencesRefusal 409 for a taken alternate id."""
    refuse_taken(edit.account, request, edit.profile)
    _blank(edit, request)
    _apply(edit, request)
    edit.touch()
    edit.profile_event("profile.replaced", whole=True)


def deactivate_profile(edit: ProfileEdit, reason: str = "") -> None:
    """Make a profile inactive; its preferences are archived unless they are to be preserved."""
    profile = edit.profile
    profile.is_active, profile.reason_code = False, reason
    if not profile.preserve_preferences:
        for holder, preference in profile.all_preferences():
            choices.archive(edit, holder, preference, reason)
    if not profile.preserve_consents:
        for point in profile.points:
            choices.deactivate_consents(edit, point)
    edit.touch()
    edit.profile_event("profile.deactivated")


def activate_profile(edit: ProfileEdit) -> None:
    """Make a profile active again and clear the reason; what was preserved is shown again."""
    edit.profile.is_active, edit.profile.reason_code = True, ""
    edit.touch()
    edit.profile_event("profile.reactivated")


def delete_profile(edit: ProfileEdit, reason: str = "") -> None:
    """Delete a profile for good, with its preferences."""
    edit.account.profiles.remove(edit.profile, edit.now, reason)
    edit.profile_event("profile.deleted")


def refuse_taken(
    account: MyPreferencesAccount, request: ProfileRequest, profile: StoredProfile | None
) -> None:
    """Raises MyPreferencesRefusal 409 where an alternate id belongs to another profile."""
    for type_name, value in request.alternate_ids.items():
        holder = account.profiles.by_alternate_id(type_name, value)
        taken = holder is not None and holder is not profile
        if taken and account.switches.refuse_duplicate_alternate_ids:
            raise MyPreferencesRefusal(409, f"A profile with this {type_name} already exists.")


def _apply(edit: ProfileEdit, request: ProfileRequest) -> tuple[bool, list[bool]]:
    """Returns whether the profile itself was changed, and of each choice, whether it was honored."""
    changed = _put_fields(edit, request)
    for type_name, value in request.alternate_ids.items():
        changed |= _put_alternate_id(edit, type_name, value)
    honored: list[bool] = []
    for item in request.points:
        point, touched = contact_points.put(edit, item)
        changed |= touched
        honored += [choices.put_preference(edit, point, one) for one in item.preferences]
        honored += [choices.put_consent(edit, point, one) for one in item.consents]
    honored += [choices.put_preference(edit, edit.profile, one) for one in request.preferences]
    honored += [choices.put_consent(edit, edit.profile, one) for one in request.consents]
    if changed:
        edit.touch()
    return changed, honored


def _blank(edit: ProfileEdit, request: ProfileRequest) -> None:
    """Take away what a replacement leaves out. The flags decide whether choices are kept, so they are
    blanked first."""
    profile, config = edit.profile, edit.account.config
    keep = edit.account.switches.put_keeps_preserve_flags
    profile.preserve_preferences = request.fields.get("preserve_preferences", keep)
    profile.preserve_consents = request.fields.get("preserve_consents", keep)
    profile.registration_confirmed = False
    profile.customer_type, profile.locale = config.customer_types[0], config.default_locale
    profile.name, profile.extras = {}, {}
    for type_name in [name for name in profile.alternate_ids if name not in request.alternate_ids]:
        edit.drop_alternate_id(type_name)
    contact_points.keep_only(edit, request.points)
    choices.keep_only(edit, profile, request.preferences, request.consents)


def _put_fields(edit: ProfileEdit, request: ProfileRequest) -> bool:
    profile, now, user = edit.profile, edit.now, edit.author.user
    standard, custom = profile.standard_fields, copy.deepcopy(profile.extras.get("CustomFields"))
    changed = False
    for name, value in request.fields.items():
        changed |= getattr(profile, name) != value
        setattr(profile, name, value)
    for held, sent in ((profile.name, request.name), (profile.extras, request.extras)):
        for name, value in sent.items():
            changed |= held.get(name) != value
            held[name] = value
    if not profile.standard_field_history or profile.standard_fields != standard:
        profile.standard_field_history.append((now, user, profile.standard_fields))
    if profile.extras.get("CustomFields") != custom:
        added = [item for item in profile.extras["CustomFields"] if item not in (custom or ())]
        profile.custom_field_history += [(now, user, item) for item in added]
    return changed


def _put_alternate_id(edit: ProfileEdit, type_name: str, value: str) -> bool:
    profile, profiles = edit.profile, edit.account.profiles
    former = profile.alternate_ids.get(type_name)
    if former is not None and former.lower() == value.lower():
        return False
    if former is not None:
        profiles.unindex_alternate_id(profile, type_name, former)
    profile.alternate_ids[type_name] = value
    profiles.index_alternate_id(profile, type_name, value)
    edit.alternate_id_event(type_name, value, former)
    return True
