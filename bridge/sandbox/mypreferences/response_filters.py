"""Answers that show people: lag, permissions and the parameters of the query applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.sandbox.http import HttpReply, json_reply
from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.call import MyPreferencesCall
from bridge.sandbox.mypreferences.records import KINDS, StoredProfile
from bridge.sandbox.mypreferences.refusal import FORBIDDEN, MyPreferencesRefusal, not_found

MAX_MATCHES = 50


def shown(call: MyPreferencesCall, profile: StoredProfile) -> dict[str, Any]:
    """A profile as a call may see it (MyPreferences `Retrieve profile by profile id`)."""
    account = call.account
    seen, pending = account.as_read(profile)
    implied, history = call.flag("implied", True), call.flag("includeConsentHistory", True)
    document = render.profile(account.config, seen, implied=implied, history=history, pending=pending)
    if not seen.is_active and not account.switches.inactive_shows_preferences:
        for items in _preferences(document):
            items.clear()
    return dict(permitted(call, document))


def matches(call: MyPreferencesCall, profiles: Iterable[StoredProfile]) -> HttpReply:
    """The answer to a search: inactive profiles only by flag. More than 50 matches are answered as a missing
    permission is."""
    inactive_too = call.flag("includeInactive", False)
    found = [profile for profile in profiles if profile.is_active or inactive_too]
    if len(found) > MAX_MATCHES:
        raise MyPreferencesRefusal(403, FORBIDDEN)
    if not found and call.account.switches.no_match_is_404:
        raise not_found("The profile")
    return json_reply([shown(call, profile) for profile in found])


def of_filter(document: dict[str, Any], filter_id: str) -> dict[str, Any]:
    """The same profile with the preferences of one filter only."""
    named = {str(item["FilterId"]).lower() for items in _preferences(document) for item in items}
    return dict(_without(document, frozenset(named - {filter_id.lower()})))


def permitted(call: MyPreferencesCall, document: Any) -> Any:
    """Without the filters and consents that the caller's user may not see."""
    hidden = frozenset(name.lower() for name in call.account.config.hidden)
    return _without(document, hidden) if hidden else document


def _without(document: Any, hidden: frozenset[str]) -> Any:
    if isinstance(document, list):
        return [_without(item, hidden) for item in document if not _is_hidden(item, hidden)]
    if isinstance(document, dict):
        return {name: _without(value, hidden) for name, value in document.items()}
    return document


def _is_hidden(item: Any, hidden: frozenset[str]) -> bool:
    named = (item.get("FilterId"), item.get("ConsentType")) if isinstance(item, dict) else ()
    return any(str(name).lower() in hidden for name in named if name)


def _preferences(document: dict[str, Any]) -> list[list[dict[str, Any]]]:
    points = [(kind, item) for kind in KINDS for item in document[kind.collection]]
    return [document["ProfilePreferences"], *(item[kind.preferences_field] for kind, item in points)]
