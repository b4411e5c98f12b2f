"""Which preferences an archive request names (MyPreferences "Archive preferences")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import as_object
from bridge.sandbox.mypreferences.records import KINDS, Element, Kind, Preference, Profile, element_key
from bridge.sandbox.mypreferences.refusal import invalid, not_found


@dataclass(frozen=True)
class _Selection:
    kind: Kind | None
    type_name: str | None
    key: str
    filter_id: str | None
    reason: str

    def names(self, element: Element | None, preference: Preference) -> bool:
        """Whether a preference is meant: what is not given does not restrict."""
        if self.filter_id and preference.filter_id.lower() != self.filter_id.lower():
            return False
        if element is None or self.kind is None:
            return element is None and self.kind is None
        if element.kind is not self.kind:
            return False
        if self.type_name and element.type_name.lower() != self.type_name.lower():
            return False
        return not self.key or element.key == self.key


Found = tuple[Element | None, Preference, str]
"""The element a preference hangs on (None: the profile), the preference, and the reason to store."""


def to_archive(config: Config, profile: Profile, body: Any) -> list[Found]:
    """The live preferences the request names. Raises Refused before anything is changed."""
    body = as_object(body)
    general = str(body.get("Reason_Code") or "")
    if body.get("GlobalDeactivate") is True:
        return [(element, item, general) for element, item in profile.all_preferences() if not item.archived]
    selections = list(_selections(config, body, general))
    if not selections:
        raise invalid("Nothing to archive: name preferences or set GlobalDeactivate.")
    found: list[Found] = []
    for element, item in profile.all_preferences():
        chosen = next((entry for entry in selections if entry.names(element, item)), None)
        if chosen is not None and not item.archived:
            found.append((element, item, chosen.reason))
    return found


def _selections(config: Config, body: dict[str, Any], general: str) -> Iterator[_Selection]:
    for kind in KINDS:
        for item in body.get(kind.collection) or []:
            yield _of_element(config, kind, as_object(item), general)
    for item in body.get("ProfilePreferences") or []:
        entry = as_object(item)
        filter_id = _filter(config, entry)
        if filter_id is None:
            raise invalid("The FilterId field is required.")
        yield _Selection(None, None, "", filter_id, _reason(entry, general))


def _of_element(config: Config, kind: Kind, entry: dict[str, Any], general: str) -> _Selection:
    """Type, value and filter each narrow it down; one of type and value must be there."""
    type_name, value = entry.get(kind.type_field), str(entry.get(kind.value_field) or "")
    if not type_name and not value:
        raise invalid(f"{kind.type_field} or {kind.value_field} is required.")
    if type_name and config.element_type(kind, str(type_name)) is None:
        raise not_found(f"The {kind.type_field} '{type_name}'")
    key = element_key(kind, value, entry) if value else ""
    return _Selection(kind, type_name, key, _filter(config, entry), _reason(entry, general))


def _filter(config: Config, entry: dict[str, Any]) -> str | None:
    sent = entry.get("FilterId")
    if not sent:
        return None
    if config.filter(str(sent)) is None:
        raise invalid(f"The FilterId '{sent}' is not valid.")
    return str(sent)


def _reason(entry: dict[str, Any], general: str) -> str:
    return str(entry.get("Reason_Code") or general)
