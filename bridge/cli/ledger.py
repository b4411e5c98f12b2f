"""`bridge ledger`: the append-only decision log."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable
from typing import Any

from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import StatusMark, note, plural, print_json


def verify(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Check that no entry was edited, removed or reordered."""
    from bridge.cli.db import reading
    from bridge.store import LedgerBroken

    with reading(settings_from(config, database_url)) as store:
        try:
            found = store.ledger.verify()
        except LedgerBroken as broken:
            if not json:
                raise
            print_json({"ok": False, "broken_at": broken.seq, "why": broken.why})
            return broken.exit_code
    if json:
        print_json({"ok": True, "entries": found.entries, "head": found.head})
    else:
        note(StatusMark.GOOD, f"The ledger is intact: {plural(found.entries, 'entry', 'entries')}.")
        note(StatusMark.NEXT, f"Keep its head elsewhere to prove this state later: {found.head}")
    return 0


def export(config: Config = None, database_url: DatabaseUrl = None, json: Json = False) -> int:
    """Export all entries as JSON lines, oldest first.

    With --json as one array. The entries contain no addresses.
    """
    from bridge.cli.db import reading

    with reading(settings_from(config, database_url)) as store:
        entries = store.ledger.export()
        if json:
            _print_array(entries)
        else:
            for entry in entries:
                sys.stdout.write(jsonlib.dumps(entry) + "\n")
    return 0


def _print_array(entries: Iterable[dict[str, Any]]) -> None:
    """Print one JSON array without holding it in memory."""
    before = "[\n"
    for entry in entries:
        sys.stdout.write(before + jsonlib.dumps(entry))
        before = ",\n"
    sys.stdout.write("\n]\n" if before == ",\n" else "[]\n")
