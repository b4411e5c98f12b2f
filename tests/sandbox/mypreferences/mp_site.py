"""The MyPreferences sandbox as its callers see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from bridge.sandbox.mypreferences import MyPreferencesState
from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
ADDRESS = "ann@example.test"


class Site:
    """The sandbox as its callers see it."""

    def __init__(self, state: MyPreferencesState, http: httpx.Client) -> None:
        self.state = state
        self.http = http

    def sign_in(self) -> None:
        """Fetch a token and use it from now on."""
        form = {"grant_type": "client_credentials", "scope": f"{self.state.config.account}/bridge"}
        answer = self.http.post("/oauth2/v1/token", data=form, auth=(CLIENT_ID, CLIENT_SECRET))
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Call an operation of the account."""
        address = f"/Profiles/v4/{self.state.config.account}/{path}"
        return self.http.request(method, address, json=body, params=query or None)

    def get(self, path: str, **query: Any) -> Any:
        """Read something that must be there."""
        answer = self.call("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def choose(self, profile_id: int, filter_id: str, kind: int, date: str | None = None, **more: Any) -> Any:
        """Submit one preference for the test's address; returns the stored preference."""
        entry = {
            "FilterId": filter_id,
            "PreferenceType": kind,
            **({"CustomerDate": date} if date else {}),
            **more,
        }
        email = {"EmailAddressType": "Primary", "EmailAddress": ADDRESS, "EmailPreferences": [entry]}
        answer = self.call("POST", f"Profile/Preferences/{profile_id}", {"Emails": [email]})
        assert answer.status_code == 200, answer.text
        return self.preference(profile_id, filter_id)

    def preference(self, profile_id: int, filter_id: str) -> Any:
        """The stated preference for a filter as a profile read shows it, or None."""
        profile = self.get(f"Profile/{profile_id}", implied="false", includeConsentHistory="false")
        found = [item for email in profile["Emails"] for item in email["EmailPreferences"]]
        return next((item for item in found if item["FilterId"] == filter_id), None)

    def consent(self, profile_id: int, consent_type: str, status: int, **more: Any) -> httpx.Response:
        """Submit one consent."""
        entry = {
            "ConsentType": consent_type,
            "ConsentVersion": "1.0",
            "Locale": "en_US",
            "ConsentStatus": status,
        }
        return self.call("POST", f"Consents/{profile_id}", {"Consents": [{**entry, **more}]})

    def subscribe(self, **more: Any) -> Any:
        """Subscribe to everything the sandbox raises."""
        listed = {
            "Filters": ["AllFilters"],
            "ConsentTypes": ["AllConsents"],
            "ContactTypes": ["AllContactTypes"],
        }
        wanted = [
            *[("ProfileActions", f"profile.{kind}") for kind in PROFILE_KINDS],
            *[("Preferences", f"preference.{kind}") for kind in ("added", "updated", "archived")],
            *[("Consents", f"consent.{kind}") for kind in CONSENT_KINDS],
            *[("Contacts", f"contacts.email.{kind}") for kind in ("added", "updated", "deleted")],
        ]
        entries = [{"Entity": entity, "EventType": kind, **listed} for entity, kind in wanted]
        body = {"Name": "sync", "Url": "https://bridge.example.test/hook", "Subscriptions": entries, **more}
        answer = self.call("POST", "Events/Subscriptions", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def event_types(self) -> list[str]:
        """Types of all events of the account, sorted."""
        return sorted(row["EventType"] for row in self.get("Events"))


PROFILE_KINDS = ("created", "updated", "replaced", "deactivated", "reactivated", "deleted")
CONSENT_KINDS = ("added", "updated", "deactivated", "filterassociation.created", "filterassociation.updated")


def days_ago(days: float) -> datetime:
    """A time before the sandbox's present."""
    return NOON - timedelta(days=days)


def pref(filter_id: str, kind: int) -> dict[str, Any]:
    """A preference as it is submitted."""
    return {"FilterId": filter_id, "PreferenceType": kind}


def element(address: str, *preferences: dict[str, Any]) -> dict[str, Any]:
    """An e-mail element as it is submitted."""
    return {"EmailAddress": address, "EmailPreferences": list(preferences)}
