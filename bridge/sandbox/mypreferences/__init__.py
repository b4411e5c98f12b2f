"""The MyPreferences 3.0 Version 4 service, emulated from its documentation."""

from bridge.sandbox.mypreferences.app import create_app
from bridge.sandbox.mypreferences.config import (
    Config,
    ConsentType,
    ConsentVersion,
    Coupling,
    Filter,
    Program,
    ProgramGroup,
    sample_config,
)
from bridge.sandbox.mypreferences.records import User
from bridge.sandbox.mypreferences.segments import EVERYBODY, Segment, SegmentGroup
from bridge.sandbox.mypreferences.state import State
from bridge.sandbox.mypreferences.switches import Switches

__all__ = [
    "EVERYBODY",
    "Config",
    "ConsentType",
    "ConsentVersion",
    "Coupling",
    "Filter",
    "Program",
    "ProgramGroup",
    "Segment",
    "SegmentGroup",
    "State",
    "Switches",
    "User",
    "create_app",
    "sample_config",
]
