"""The MyPreferences API: one method for each endpoint, one file for each kind of resource."""

from __future__ import annotations

from bridge.mypreferences.client.bulk import Exports, Imports
from bridge.mypreferences.client.configuration import Configuration
from bridge.mypreferences.client.events import Events, Webhooks
from bridge.mypreferences.client.patches import Patches
from bridge.mypreferences.client.preferences import Consents, History, Preferences
from bridge.mypreferences.client.profiles import Profiles


class MyPreferencesClient(
    Patches, Configuration, Profiles, Preferences, Consents, History, Events, Webhooks, Exports, Imports
):
    """The whole API, as one account. Every method raises SideError. Thread-safe if its transport is."""
