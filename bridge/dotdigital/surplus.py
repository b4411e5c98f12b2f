"""What an API user may read although the bridge never needs it: asked by `bridge doctor` alone.

Sources: Dotdigital v2, `Get all campaigns` and `Get all address books`, one row each. Nothing is kept of the
answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.core.errors import SideError
from bridge.transport import Transport

READS: Mapping[str, tuple[str, str]] = {
    "campaigns": ("get-campaigns", "/v2/campaigns"),
    "lists of contacts": ("get-address-books", "/v2/address-books"),
}
"""Operation and path of each, by what it shows."""


def surplus_reads(transport: Transport) -> list[str]:
    """What of it the user may read. A call that fails for any reason shows nothing."""
    found: list[str] = []
    for what, (operation, path) in READS.items():
        try:
            transport.read(operation, "GET", path, params={"select": 1})
        except SideError:
            continue
        found.append(what)
    return found
