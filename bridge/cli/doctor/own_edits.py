"""What the doctor looks at about the bridge's own user. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.cli.doctor.findings import Findings
from bridge.core.errors import NotFound, SideError
from bridge.core.model import Side

if TYPE_CHECKING:
    from bridge.app import App

MINE = "MyPreferences"


def own_edits(app: App, found: Findings) -> None:
    """Does MyPreferences stamp the bridge's edits as its own? Looked at on the person it wrote to last. For
    people only: no decision rests on it, since somebody may use the same user."""
    from bridge.cli import live_catalogue

    bad = {one.section for one in found.all if one.code}
    if bad & {"settings", "state DB", MINE} or not live_catalogue.has_state(app):
        return
    person = app.reading_store.last_written(Side.MYPREFERENCES)
    if person is None:
        return
    ids = app.reading_store.who(person).ids.get(Side.MYPREFERENCES, ())
    mine = app.settings.mypreferences
    try:
        authors = [author for one in ids for author in app.mypreferences.retrieve_authors_by_id(one)]
    except NotFound:  # gone since
        return
    except SideError as error:
        found.warn(MINE, f"Who recorded the bridge's edits cannot be looked at: {error.what}", error.hint)
        return
    if any(author.is_of(mine.user_id or "", mine.source_group) for author in authors):
        found.good(MINE, "What the bridge wrote there is known as written by the bridge itself.")
    elif authors:
        found.warn(
            MINE,
            "No preference of the person whom the bridge wrote to last is known there as the bridge's own: "
            "somebody changed them since, only a consent was written, or its edits are not stamped.",
            "`bridge doctor --provision` makes a user of its own. No decision rests on it.",
        )
