"""`bridge ledger`: the append-only decision log."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, settings_from
from bridge.cli.output import StatusMark, note, plural, print_json
from bridge.core.errors import BridgeError, ConfigError
from bridge.core.ledger import WAY_OUT

if TYPE_CHECKING:
    from bridge.store import LedgerHead

_NO_KEY = (
    "No BRIDGE_ERASURE_KEY is set: a process that can write to the state DB can also make a ledger that fits."
    " Set it, or keep heads elsewhere."
)


def verify(
    config: Config = None,
    database_url: DatabaseUrl = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="SEQ:HASH",
            help="A head that was kept elsewhere, as `bridge status` shows it.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Check that no entry was edited, removed or reordered, and that the agreements are those of the ledger.

    Only a head that was kept elsewhere shows that the whole ledger was not replaced, or cut and continued.
    """
    kept = None if head is None else _head_in(head)
    from bridge.cli.db import reading
    from bridge.store import LedgerBroken

    with reading(settings_from(config, database_url)) as store:
        if (trouble := store.ledger.trouble()) is not None:
            if not json:
                raise BridgeError(trouble.text, hint=WAY_OUT)
            print_json({"ok": False, "broken_at": None, "why": trouble.text})
            return BridgeError.exit_code
        try:
            found, newest = store.ledger.verify(kept), store.ledger.head()
            keyed = store.ledger.signature() is not None
        except LedgerBroken as broken:
            if not json:
                raise
            print_json({"ok": False, "broken_at": broken.seq, "why": broken.why})
            return broken.exit_code
    if json:
        shown = None if newest is None else str(newest)
        print_json(
            {
                "ok": True,
                "entries": found.entries,
                "head": found.head,
                "ledger_head": shown,
                "agreements": found.agreements,
                "accepted": found.accepted or None,
                "keyed": keyed,
            }
        )
    else:
        agreements = plural(found.agreements, "agreement")
        entries = plural(found.entries, "entry", "entries")
        note(StatusMark.GOOD, f"The ledger is intact: {entries}, {agreements}.")
        if found.accepted:
            note(StatusMark.WARN, f"What is before entry {found.accepted} was not intact, and was accepted.")
        if not keyed:
            note(StatusMark.WARN, _NO_KEY)
        if kept is not None:
            note(StatusMark.GOOD, f"Entry {kept.seq} is the one that was kept.")
        note(StatusMark.NEXT, f"Keep its head elsewhere to prove this state later: {newest or 'none yet'}")
    return 0


def _head_in(text: str) -> LedgerHead:
    """Raises ConfigError for what is no head."""
    from bridge.store import LedgerHead

    number, digest, *_ = (*text.strip().split(":"), "")  # a signature may follow, as in the log
    if not (number.isascii() and number.isdecimal() and len(number) < 19 and len(digest) == 64):
        raise ConfigError(
            "--head is not SEQ:HASH, a number and 64 hexadecimal digits.",
            hint="`bridge status` shows the present head.",
        )
    return LedgerHead(int(number), digest.lower())


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
