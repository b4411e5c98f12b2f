"""Which preferences an archive request names (MyPreferences "Archive preferences")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bridge.sandbox.mypreferences.config import Config
from bridge.sandbox.mypreferences.drafts import as_object
from bridge.sandbox.mypreferences.records import Email, Preference, Profile
from bridge.sandbox.mypreferences.refusal import invalid, not_found


@dataclass(frozen=True)
class _Selection:
    on_profile: bool
    email_type: str | None
    address: str | None
    filter_id: str | None
    reason: str

    def names(self, email: Email | None, preference: Preference) -> bool:
        """Whether a preference is meant: what is not given does not restrict."""
        if self.filter_id and preference.filter_id.lower() != self.filter_id.lower():
            return False
        if email is None or self.on_profile:
            return email is None and self.on_profile
        if self.email_type and email.email_type.lower() != self.email_type.lower():
            return False
        return not self.address or email.address.lower() == self.address.strip().lower()


Found = tuple[Email | None, Preference, str]
"""The address a preference hangs on (None: the profile), the preference, and the reason to store."""


def to_archive(config: Config, profile: Profile, body: Any) -> list[Found]:
    """The live preferences the request names. Raises Refused before anything is changed."""
    body = as_object(body)
    general = str(body.get("Reason_Code") or "")
    if body.get("GlobalDeactivate") is True:
        return [(email, item, general) for email, item in profile.all_preferences() if not item.archived]
    selections = list(_selections(config, body, general))
    if not selections:
        raise invalid("Nothing to archive: name preferences or set GlobalDeactivate.")
    found: list[Found] = []
    for email, item in profile.all_preferences():
        chosen = next((entry for entry in selections if entry.names(email, item)), None)
        if chosen is not None and not item.archived:
            found.append((email, item, chosen.reason))
    return found


def _selections(config: Config, body: dict[str, Any], general: str) -> Iterator[_Selection]:
    for item in body.get("Emails") or []:
        entry = as_object(item)
        email_type, address = entry.get("EmailAddressType"), entry.get("EmailAddress")
        if not email_type and not address:
            raise invalid("EmailAddressType or EmailAddress is required.")
        if email_type and config.email_type(str(email_type)) is None:
            raise not_found(f"The EmailAddressType '{email_type}'")
        yield _Selection(False, email_type, address, _filter(config, entry), _reason(entry, general))
    for item in body.get("ProfilePreferences") or []:
        entry = as_object(item)
        filter_id = _filter(config, entry)
        if filter_id is None:
            raise invalid("The FilterId field is required.")
        yield _Selection(True, None, None, filter_id, _reason(entry, general))


def _filter(config: Config, entry: dict[str, Any]) -> str | None:
    sent = entry.get("FilterId")
    if not sent:
        return None
    if config.filter(str(sent)) is None:
        raise invalid(f"The FilterId '{sent}' is not valid.")
    return str(sent)


def _reason(entry: dict[str, Any], general: str) -> str:
    return str(entry.get("Reason_Code") or general)
