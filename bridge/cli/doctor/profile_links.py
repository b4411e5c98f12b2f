"""What the doctor looks at about pinned profiles. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.cli.doctor.checks import MINE, THEIRS
from bridge.cli.doctor.findings import SETUP, Findings
from bridge.core.errors import SideError
from bridge.did_you_mean import nearest

if TYPE_CHECKING:
    from bridge.app import App

_SETTING = "BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE"
_IDENTIFIER = "BRIDGE_DOTDIGITAL__PROFILE_IDENTIFIER"


def pinning(app: App, found: Findings) -> None:
    """Does the alternate-id type exist that the settings name? Under a wrong name nobody is found pinned, and
    nothing else tells of it. Names match in any case."""
    wanted = app.settings.mypreferences.alternate_id_type
    if wanted is None or any(one.section in ("settings", MINE) and one.code for one in found.all):
        return
    try:
        known = [
            one.type_name
            for one in app.mypreferences.retrieve_alternate_id_types()
            if one.is_active is not False
        ]
    except SideError as error:
        found.warn(MINE, f"Alternate-id types cannot be looked at: {error.what}", error.hint)
        return
    if wanted.casefold() in {name.casefold() for name in known}:
        found.good(MINE, f"Profiles are pinned by the alternate id {wanted}.")
        return
    mend = f"Did you mean {nearest(wanted, known)}? Mend {_SETTING}." if known else f"Unset {_SETTING}."
    found.bad(MINE, f"MyPreferences has no active alternate-id type {wanted}: nobody is pinned.", mend, SETUP)


def identifier(app: App, found: Findings) -> None:
    """Does the custom identifier exist that the settings name? Under a wrong name no contact names anybody,
    and nothing else tells of it."""
    wanted = app.settings.dotdigital.profile_identifier
    if wanted is None or any(one.section in ("settings", THEIRS) and one.code for one in found.all):
        return
    try:
        client = app.dotdigital_v3.client()
        if client is None:
            found.warn(THEIRS, "Without v3 no contact's custom identifier is read.", f"Unset {_IDENTIFIER}.")
            return
        known = client.get_custom_identifiers()
    except SideError as error:
        found.warn(
            THEIRS, f"Whether there is a custom identifier {wanted} cannot be told: {error.what}", error.hint
        )
        return
    if wanted in known:
        found.good(THEIRS, f"Contacts name their profile by the custom identifier {wanted}.")
        return
    mend = f"Did you mean {nearest(wanted, known)}? Mend {_IDENTIFIER}." if known else f"Unset {_IDENTIFIER}."
    found.bad(THEIRS, f"Dotdigital has no custom identifier {wanted}: no contact is pinned.", mend, SETUP)
