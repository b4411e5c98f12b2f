"""Answers that show people: lag, permissions and the query's own wishes applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.records import KINDS, Profile
from bridge.sandbox.mypreferences.refusal import FORBIDDEN, Refused, not_found

MAX_MATCHES = 50


def shown(call: Call, profile: Profile) -> dict[str, Any]:
    """A profile as a call may see it (MyPreferences `Retrieve profile by profile id`)."""
    seen, pending = call.state.as_read(profile)
    implied, history = call.flag("implied", True), call.flag("includeConsentHistory", True)
    document = call.state.documents.profile(seen, implied, history, pending)
    if not seen.is_active and not call.state.switches.inactive_shows_preferences:
        _silence(document)
    return dict(permitted(call, document))


def found(call: Call, profiles: Iterable[Profile]) -> Reply:
    """The answer to a search: what is inactive only by flag, and more than 50 matches as if it were a missing
    permission."""
    inactive_too = call.flag("includeInactive", False)
    matches = [profile for profile in profiles if profile.is_active or inactive_too]
    if len(matches) > MAX_MATCHES:
        raise Refused(403, FORBIDDEN)
    if not matches and call.state.switches.no_match_is_404:
        raise not_found("The profile")
    return Reply([shown(call, profile) for profile in matches])


def of_filter(document: dict[str, Any], filter_id: str) -> dict[str, Any]:
    """The same with the preferences of one filter only."""
    others = {
        str(item["FilterId"]).lower()
        for items in _preferences(document)
        for item in items
        if str(item["FilterId"]).lower() != filter_id.lower()
    }
    return dict(_without(document, frozenset(others)))


def permitted(call: Call, document: Any) -> Any:
    """Without the filters and consents that the caller's user may not see."""
    hidden = frozenset(name.lower() for name in call.state.config.hidden)
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


def _silence(document: dict[str, Any]) -> None:
    for items in _preferences(document):
        items.clear()


def _preferences(document: dict[str, Any]) -> list[list[dict[str, Any]]]:
    elements = [(kind, item) for kind in KINDS for item in document[kind.collection]]
    return [document["ProfilePreferences"], *(item[kind.preferences_field] for kind, item in elements)]
