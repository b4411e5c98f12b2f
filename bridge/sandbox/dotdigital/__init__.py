"""Dotdigital, emulated: preferences of v2, contacts of v3, and the account behind them."""

from bridge.sandbox.dotdigital.account import ApiUser
from bridge.sandbox.dotdigital.app import create_app
from bridge.sandbox.dotdigital.records import GeneratedContacts, StoredContact
from bridge.sandbox.dotdigital.state import DotdigitalState
from bridge.sandbox.dotdigital.switches import DotdigitalSwitches

__all__ = [
    "ApiUser",
    "DotdigitalState",
    "DotdigitalSwitches",
    "GeneratedContacts",
    "StoredContact",
    "create_app",
]
