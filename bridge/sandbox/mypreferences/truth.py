"""What the sandbox really holds about a person, plainly, for checks."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.records import CONSENT_STATUS, Consent, Preference, Profile


def person(profile: Profile) -> dict[str, Any]:
    """One profile: choices by filter for each address, profile-level choices, consents by type."""
    return {
        "profile_id": profile.profile_id,
        "is_active": profile.is_active,
        "alternate_ids": dict(profile.alternate_ids),
        "emails": [
            {
                "type": email.type_name,
                "address": email.value,
                "is_active": email.is_active,
                "is_default": email.is_default,
                "preferences": {name: _preference(item) for name, item in email.preferences.items()},
            }
            for email in profile.emails
        ],
        "preferences": {name: _preference(item) for name, item in profile.preferences.items()},
        "consents": [_consent(item) for item in profile.consents if item.active],
    }


def _preference(item: Preference) -> dict[str, Any]:
    return {
        "choice": "unset" if item.archived else "opted_in" if item.opted_in else "opted_out",
        "archived": item.archived,
        "frequency": item.frequency,
        "customer_date": write_moment(item.customer_date),
        "modified": write_moment(item.modified),
        "user_id": item.user.user_id,
    }


def _consent(item: Consent) -> dict[str, Any]:
    return {
        "type": item.consent_type,
        "version": item.version,
        "locale": item.locale,
        "status": CONSENT_STATUS[item.status],
        "date": write_moment(item.date),
        "user_id": item.user.user_id,
    }
