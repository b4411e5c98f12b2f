"""`bridge db backup`, `restore` and `restored`: copies of the state DB, and what a restored one means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.db import now, opened
from bridge.cli.options import Config, DatabaseUrl, Json, Note, Yes, author, confirmed, settings_from
from bridge.cli.output import StatusMark, format_time, note, plural, print_json
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.core.erasure import ErasureSettings
    from bridge.settings import Settings
    from bridge.store import Store
    from bridge.store.snapshot import BackupContent

_SERVER = (
    "Use pg_dump, or the snapshots of the provider. After one was put back, and before the next run: "
    "`bridge db restored`. With BRIDGE_LEDGER_HEAD_FILE the next run notices it by itself."
)
_CONSEQUENCES = (
    "The next run reads everybody before it opts anybody in. Opt-ins from the time that the restored state "
    "DB knows nothing about are held where they contradict an older opt-out or need a confirmation mail."
)
_ERASED = (
    "Repeat `bridge forget` for people who were erased since: they are known again, without their markers."
)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file. It must not exist.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
) -> int:
    """Copy the state DB as it is at one moment, also while the daemon runs, and verify the copy.

    The file holds addresses; it is readable for its owner only. SQLite only.
    """
    from bridge.core.erasure import ErasureSettings
    from bridge.settings.load import key_file, key_of
    from bridge.store.engine import require_present
    from bridge.store.snapshot import copy_state, verified_copy

    settings = settings_from(config, database_url)
    _embedded(settings)
    require_present(settings.database_url)
    if file.exists():
        raise ConfigError(f"{file} already exists.", hint="Choose another file.")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"The folder of {file} does not exist.", hint="Create it, or choose another file.")
    part = file.with_name(f".{file.name}.part-{os.getpid()}")
    try:
        copy_state(settings.database_url, part)
        erasing = ErasureSettings(key_of(settings))
        with verified_copy(part, part.absolute().parent, now, erasing) as (_, content):
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    if json:
        print_json(_shown(file, content))
        return 0
    note(StatusMark.GOOD, f"Saved and verified: {file} ({_words(content)}).")
    key = key_file(settings)
    if settings.erasure_key is None and key is not None and key.exists():
        note(StatusMark.NEXT, f"Keep {key.name} too, apart from it: it recognises erased people.")
    return 0


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `bridge db backup` made.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    why: Note = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Put a backup in the place of the state DB. Stop the daemon first.

    The backup is verified before anything is changed, and the present file is kept beside the new one.
    """
    from bridge.core.erasure import ErasureSettings
    from bridge.engine.ledger_guard import note_lost_period
    from bridge.settings.load import key_of
    from bridge.store import Store
    from bridge.store.snapshot import put_in_place, url_of, verified_copy

    settings = settings_from(config, database_url)
    target, erasing = _embedded(settings), ErasureSettings(key_of(settings))
    if not file.is_file():
        raise ConfigError(f"{file} is not a file.", hint="Name a file that `bridge db backup` made.")
    with verified_copy(file, target.parent, now, erasing) as (copy, content):
        if not confirmed(f"Replace {target} by {file} ({_words(content)})?", yes=yes):
            return 0
        with Store.open(url_of(copy), now, erasing=erasing) as store:
            note_lost_period(store)
            store.ledger.accept(author(why))
        kept = put_in_place(copy, target, now)
    with Store.open(
        settings.database_url, now, erasing=erasing, head_file=settings.ledger_head_file
    ) as store:
        taken_over = _take_over_markers(kept, store, erasing)
        unpublished = store.ledger.publish()
    if json:
        print_json(_shown(target, content) | {"replaced": None if kept is None else str(kept)})
        return 0
    note(StatusMark.GOOD, f"Restored: {target} ({_words(content)}).")
    if kept is not None:
        note(StatusMark.NEXT, f"The file that was there is kept: {kept}. It holds addresses.")
    if unpublished is not None:
        note(StatusMark.WARN, f"{unpublished}.")
    note(StatusMark.NEXT, _CONSEQUENCES)
    if taken_over is None:
        note(StatusMark.WARN, _ERASED)
    return 0


def _take_over_markers(kept: Path | None, store: Store, erasing: ErasureSettings) -> int | None:
    """Let people who were erased since the backup stay erased. Returns how many; None where the file that was
    there does not tell, or its markers cannot be matched."""
    from bridge.store import Store
    from bridge.store.snapshot import url_of

    if kept is None:
        return None
    try:
        with Store.open(url_of(kept), now, erasing=erasing) as replaced:
            markers = replaced.erasures.markers()
    except ConfigError:
        return None
    taken_over = store.erasures.take_over(markers)
    return None if taken_over and store.erasures.unreadable() else taken_over


def restored(
    config: Config = None,
    database_url: DatabaseUrl = None,
    why: Note = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Accept the state DB as it is: it was restored by other means, or its ledger is broken and you know why.

    Before that nobody is opted in. What was found, who accepted it and why stay in the ledger.
    """
    from bridge.engine.ledger_guard import RESTORED, note_lost_period
    from bridge.engine.sync_facts import ledger_problems

    settings = settings_from(config, database_url)
    with opened(settings) as store:
        found = next(iter(ledger_problems(store)), None)
        if found is not None:
            note(StatusMark.WARN, found, stderr=True)
        if not confirmed("Accept the state DB as it is?", yes=yes):
            return 0
        if found is None:
            note_lost_period(store)
        found = store.ledger.accept(author(why))
        store.facts.sweep_due = RESTORED
        unpublished = store.ledger.publish()
    if unpublished is not None:
        note(StatusMark.WARN, f"{unpublished}.", stderr=True)
    if json:
        print_json({"accepted": found})
        return 0
    note(StatusMark.GOOD, "Accepted; the ledger says so.")
    note(StatusMark.NEXT, _CONSEQUENCES)
    note(StatusMark.NEXT, f"If an older state DB was put back: {_ERASED[0].lower()}{_ERASED[1:]}")
    return 0


def _embedded(settings: Settings) -> Path:
    """The file of the state DB. Raises ConfigError where it is kept by a server."""
    from bridge.store.engine import file_of

    file = file_of(settings.database_url)
    if file is None:
        raise ConfigError(
            "This command copies an SQLite file; the state DB is kept by a server.", hint=_SERVER
        )
    return file


def _words(content: BackupContent) -> str:
    entries = plural(content.ledger.entries, "ledger entry", "ledger entries")
    until = "" if content.newest is None else f", up to {format_time(content.newest.isoformat())} UTC"
    return f"{entries}{until}"


def _shown(file: Path, content: BackupContent) -> dict[str, object]:
    head = f"{content.ledger.entries}:{content.ledger.head}" if content.ledger.entries else None
    newest = None if content.newest is None else content.newest.isoformat().replace("+00:00", "Z")
    return {
        "file": str(file),
        "schema": content.schema,
        "ledger_entries": content.ledger.entries,
        "ledger_head": head,
        "newest": newest,
    }
