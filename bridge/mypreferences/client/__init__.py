"""The MyPreferences API, one method an endpoint, a file a subject. Every method raises SideError."""

from __future__ import annotations

from bridge.mypreferences.client.configuration import Configuration
from bridge.mypreferences.client.consents import Consents
from bridge.mypreferences.client.events import Events, EventSlice
from bridge.mypreferences.client.exports import Exports
from bridge.mypreferences.client.history import History
from bridge.mypreferences.client.imports import Imports
from bridge.mypreferences.client.patches import Patches
from bridge.mypreferences.client.preferences import Preferences
from bridge.mypreferences.client.profiles import Profiles
from bridge.mypreferences.client.searches import Searches
from bridge.mypreferences.client.users import Users
from bridge.mypreferences.client.webhooks import Webhooks

__all__ = ["EventSlice", "MyPreferencesClient"]


class MyPreferencesClient(
    Patches,
    Configuration,
    Profiles,
    Searches,
    Preferences,
    Consents,
    History,
    Events,
    Webhooks,
    Exports,
    Imports,
    Users,
):
    """All of it, as one account. Thread-safe as far as its transport is."""
