"""The configuration service of v3, as far as contacts are told apart by it: custom identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.sandbox.dotdigital import dates
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer

if TYPE_CHECKING:
    from bridge.sandbox.dotdigital.state import State


def list_identifiers(state: State, _: Call) -> Answer:
    """All of the account, unpaged."""
    made = dates.render(state.now())
    rows = [{"name": name, "created": made, "updated": made} for name in sorted(state.custom_identifiers)]
    return answer(rows)
