"""What the doctor looks at about pinned profiles. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.cli.examining import MINE
from bridge.cli.findings import SETUP, Findings
from bridge.core.errors import SideError
from bridge.nearest import nearest

if TYPE_CHECKING:
    from bridge.app import App

_SETTING = "BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE"


def pinning(app: App, found: Findings) -> None:
    """Does the alternate-id type exist that the settings name? Under a wrong name nobody is found pinned, and
    nothing else tells of it. Names match in any case."""
    wanted = app.settings.mypreferences.alternate_id_type
    if wanted is None or any(one.section in ("settings", MINE) and one.code for one in found.all):
        return
    try:
        known = [
            one.type_name for one in app.mypreferences.alternate_id_types() if one.is_active is not False
        ]
    except SideError as error:
        found.warn(MINE, f"Alternate-id types cannot be looked at: {error.what}", error.hint)
        return
    if wanted.casefold() in {name.casefold() for name in known}:
        found.good(MINE, f"Profiles are pinned by the alternate id {wanted}.")
        return
    mend = f"Did you mean {nearest(wanted, known)}? Mend {_SETTING}." if known else f"Unset {_SETTING}."
    found.bad(MINE, f"MyPreferences has no active alternate-id type {wanted}: nobody is pinned.", mend, SETUP)
