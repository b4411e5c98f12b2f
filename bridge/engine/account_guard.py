"""Whose state DB this is: what was agreed for one account means nothing for another."""

from __future__ import annotations

from bridge.core.errors import ConfigError, SideError
from bridge.core.model import Side
from bridge.engine.context import RunHealth, Services

ACCOUNT = "account."  # the facts that name the account at each side


def require_same_account(services: Services, health: RunHealth) -> None:
    """Bind a new state DB to both accounts; raise ConfigError where it is bound to others.

    A side that cannot tell which account it serves is not used in this run.
    """
    for side in Side:
        try:
            account = services.readers[side].account()
        except SideError as error:
            health.lost(side, error)
            continue
        known = services.state.facts.account(side)
        if known is None:
            services.state.facts.set_account(side, account)
        elif known != account:
            raise ConfigError(
                f"This state DB belongs to another account of {side} ({known}) "
                f"than the settings lead to ({account}).",
                hint="Name another one by BRIDGE_DATABASE_URL. If it is the same account under a new "
                "address, say so with `bridge db adopt`.",
            )
