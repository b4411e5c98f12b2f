"""The MyPreferences 3.0 Version 4 service, emulated from its documentation."""

from bridge.sandbox.mypreferences.account import EVERYBODY, Segment, SegmentGroup
from bridge.sandbox.mypreferences.app import create_app
from bridge.sandbox.mypreferences.config import (
    AccountConfig,
    ConsentTypeConfig,
    ConsentVersionConfig,
    Coupling,
    FilterConfig,
    ProgramConfig,
    ProgramGroupConfig,
    sample_config,
)
from bridge.sandbox.mypreferences.records import AccountUser
from bridge.sandbox.mypreferences.state import MyPreferencesState
from bridge.sandbox.mypreferences.switches import MyPreferencesSwitches

__all__ = [
    "EVERYBODY",
    "AccountConfig",
    "AccountUser",
    "ConsentTypeConfig",
    "ConsentVersionConfig",
    "Coupling",
    "FilterConfig",
    "MyPreferencesState",
    "MyPreferencesSwitches",
    "ProgramConfig",
    "ProgramGroupConfig",
    "Segment",
    "SegmentGroup",
    "create_app",
    "sample_config",
]
