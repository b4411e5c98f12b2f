"""Dotdigital, emulated: preferences of v2, contacts of v3, and the account behind them."""

from bridge.sandbox.dotdigital.app import create_app
from bridge.sandbox.dotdigital.multitude import Multitude
from bridge.sandbox.dotdigital.records import Contact
from bridge.sandbox.dotdigital.state import ApiUser, State
from bridge.sandbox.dotdigital.switches import Switches

__all__ = ["ApiUser", "Contact", "Multitude", "State", "Switches", "create_app"]
