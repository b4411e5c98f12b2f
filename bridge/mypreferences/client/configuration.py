"""What the account is configured with: programs, filters, consents, types."""

from __future__ import annotations

from bridge.mypreferences import wire
from bridge.mypreferences.client.calling import Caller, items


class Configuration(Caller):
    """One method an endpoint. Every method raises SideError."""

    def programs(self) -> list[wire.Program]:
        """All programs with their filters (MyPreferences `Retrieve programs`)."""
        answer = self._read("programs")
        return items("programs", answer, "Programs", wire.Program)

    def consent_types(self) -> list[wire.ConsentType]:
        """All consents people may give (MyPreferences `Retrieve consents`)."""
        answer = self._read("consent_types")
        return items("consent_types", answer, "ConsentTypes", wire.ConsentType)
