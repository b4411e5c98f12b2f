"""The bridge's settings. Strongest source first: flag, environment, secret file, config file, default."""

from bridge.settings.load import load
from bridge.settings.model import (
    V3,
    AuthScheme,
    BrakeSettings,
    Dotdigital,
    LogLevel,
    MyPreferences,
    Settings,
    Web,
)

__all__ = [
    "V3",
    "AuthScheme",
    "BrakeSettings",
    "Dotdigital",
    "LogLevel",
    "MyPreferences",
    "Settings",
    "Web",
    "load",
]
