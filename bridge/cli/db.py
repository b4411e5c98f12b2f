"""`bridge db`: the state DB's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import ExitCode, StatusMark, note, print_json

if TYPE_CHECKING:
    from bridge.store.migrate import SchemaState


def upgrade(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Bring the schema up to date. Safe to repeat."""
    from bridge.store.migrate import upgrade as upgrade_schema

    state = upgrade_schema(settings_from(config, database_url).database_url)
    _print(state, json=json)
    return 0


def check(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Check whether the schema is up to date; exit code 2 if not."""
    from bridge.store.migrate import check as check_schema

    state = check_schema(settings_from(config, database_url).database_url)
    _print(state, json=json)
    return 0 if state.up_to_date else ExitCode.INVALID


def adopt(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Let the next run link this DB to the accounts in the settings.

    For the same accounts under new settings, for example another URL.
    """
    from bridge.cli.store_access import opened
    from bridge.core.model import Side

    with opened(settings_from(config, database_url)) as store:
        before = {side.value: store.facts.account(side) for side in Side}
        for side in Side:
            store.facts.set_account(side, None)
    if json:
        print_json({"was": before})
        return 0
    for name, known in before.items():
        note(StatusMark.GOOD, f"{name}: no longer linked to {known or 'any account'}.")
    note(
        StatusMark.NEXT,
        "The next run links this database to the accounts in your settings. Check that they are the same.",
    )
    return 0


def _print(state: SchemaState, *, json: bool) -> None:
    if json:
        print_json({"current": state.current, "head": state.head, "up_to_date": state.up_to_date})
        return
    if state.up_to_date:
        note(StatusMark.GOOD, f"The schema is up to date ({state.head}).")
        return
    has = "no schema yet" if state.current is None else f"schema {state.current}"
    note(StatusMark.WARN, f"The state DB has {has}; this program needs {state.head}.")
    if state.is_newer:
        note(StatusMark.NEXT, "A newer version of the bridge made it. Install that version again.")
    else:
        note(StatusMark.NEXT, "Run `bridge db upgrade`.")
