"""`bridge forget`: erase a person on both services and in the state DB, after confirmation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, MappingFile, Yes, confirmed, settings_from
from bridge.cli.output import SIDES, ExitCode, StatusMark, failure, join_words, note, plural, print_json
from bridge.core.errors import ConfigError
from bridge.core.model import address_key, mask

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.engine.erase import ErasurePreview, ErasureResult
    from bridge.settings import Settings

_REPEAT = "Run `bridge forget` again for this person to continue."


def forget(
    email: Annotated[
        str | None,
        typer.Argument(
            metavar="EMAIL",
            help="The person's address. Use - to read addresses from standard input, one per line, which "
            "keeps them out of the shell history and the process list.",
        ),
    ] = None,
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be erased, and erase nothing.")
    ] = False,
    only_here: Annotated[
        bool, typer.Option("--only-here", help="Erase from the state DB only; call neither service.")
    ] = False,
    drop_unreadable: Annotated[
        bool,
        typer.Option(
            "--drop-unreadable",
            help="Delete erasure markers whose key is lost. Those people can then be re-created by old "
            "records.",
        ),
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Erase a person on both services and in the state DB.

    Blocks and deletes at Dotdigital, opts out and deletes at MyPreferences, deletes here. A keyed hash of the
    address stays: old records cannot re-create the person; a later opt-in can.
    """
    settings = settings_from(config, database_url, mapping)
    if drop_unreadable:
        return _drop_unreadable(settings, email, yes=yes, json=json)
    addresses = _addresses(email)
    if not dry_run:
        _require_key(settings)
    if only_here:
        return _erase_here(settings, addresses, dry_run=dry_run, yes=yes, json=json)
    return _erase_everywhere(settings, addresses, dry_run=dry_run, yes=yes, json=json)


def _addresses(given: str | None) -> list[str]:
    """The addresses to erase, from the argument or standard input. Raises ConfigError for an invalid address,
    without repeating it."""
    lines = sys.stdin.read().splitlines() if given == "-" else [given or ""]
    found: dict[str, str] = {}
    for line in lines:
        if address := line.strip():
            found.setdefault(address_key(address), address)
    for address in found.values():
        local, at, domain = address.partition("@")
        if not (local and at and domain) or "@" in domain or len(address.split()) != 1:
            found = {}
            break
    if not found:
        raise ConfigError(
            "No valid e-mail address was given.",
            hint="`bridge forget ada@example.com`, or - to read addresses, one per line.",
        )
    return list(found.values())


def _require_key(settings: Settings) -> None:
    """Make sure there is an erasure key; make one where none exists and no marker needs another key."""
    from bridge.app import App
    from bridge.settings.load import key_file, make_key

    with App(settings) as app:
        path = key_file(settings)
        if app.erasure_settings.key is None and path is not None and not app.store.erasures.unreadable():
            make_key(path)
            note(StatusMark.NEXT, f"Created a key for the erasure marker: {path}. Keep it safe.", stderr=True)
        else:
            app.erasure_settings.required()


def _erase_everywhere(
    settings: Settings, addresses: list[str], *, dry_run: bool, yes: bool, json: bool
) -> int:
    from bridge.app import App
    from bridge.cli.db import writing
    from bridge.cli.output import show_progress
    from bridge.engine.erase import PersonEraser

    with App(settings) as app, writing(app.lease()) as heartbeat, show_progress() as progress:
        services = app.services(progress=progress, heartbeat=heartbeat)
        eraser = PersonEraser(services, app.store, app.erasers)
        previews = {address: eraser.survey(address) for address in addresses}
        for address, preview in previews.items():
            _announce(address, preview, stderr=json or not dry_run)
        if dry_run:
            return _report_plan(previews, json=json)
        if not confirmed(f"Erase {_people_text(addresses)}? This cannot be undone.", yes=yes):
            return 0
        if len(addresses) > 1:
            eraser.block(addresses)
        result = {address: eraser.forget(address) for address in addresses}
    return _report(result, json=json)


def _erase_here(settings: Settings, addresses: list[str], *, dry_run: bool, yes: bool, json: bool) -> int:
    from bridge.app import App
    from bridge.cli.db import writing
    from bridge.engine.erase import erase_local, preview_local

    with App(settings) as app, writing(app.lease()):
        previews = {address: preview_local(app.store, address) for address in addresses}
        for address, preview in previews.items():
            _announce(address, preview, stderr=json or not dry_run)
        if dry_run:
            return _report_plan(previews, json=json)
        if not confirmed(
            f"Erase {_people_text(addresses)} from the state DB only? This cannot be undone.", yes=yes
        ):
            return 0
        result = {address: erase_local(app.store, address) for address in addresses}
    return _report(result, json=json)


def _people_text(addresses: list[str]) -> str:
    return "this person" if len(addresses) == 1 else f"these {len(addresses)} people"


def _drop_unreadable(settings: Settings, email: str | None, *, yes: bool, json: bool) -> int:
    from bridge.app import App
    from bridge.cli.db import writing

    if email is not None:
        raise ConfigError("--drop-unreadable applies to all markers.", hint="Do not give an address with it.")
    with App(settings) as app, writing(app.lease()):
        marks = _count_unreadable(app)
        if marks and not confirmed(f"Delete {plural(marks, 'marker')}? This cannot be undone.", yes=yes):
            return 0
        dropped = app.store.erasures.drop_unreadable()
    if json:
        print_json({"dropped": dropped})
    else:
        note(
            StatusMark.GOOD,
            f"{plural(dropped, 'marker')} deleted." if dropped else "Every marker can be read.",
        )
    return 0


def _count_unreadable(app: App) -> int:
    """Raises ConfigError where no key is set: forgetting to set it must not delete every marker."""
    app.erasure_settings.required()
    return app.store.erasures.unreadable()


# Output


def _announce(address: str, preview: ErasurePreview, *, stderr: bool) -> None:
    note(StatusMark.NEXT, f"To erase: {mask(address)}", stderr=stderr)
    here = "known; will be deleted" if preview.here else "not known"
    note(StatusMark.NEXT, f"In the state DB: {here}.", indent=2, stderr=stderr)
    for side, traces in preview.traces.items():
        for trace in traces:
            words = f"{SIDES[side]}: {trace.record} ({trace.state}): {trace.plan}."
            note(StatusMark.NEXT, words, indent=2, stderr=stderr)
        if not traces:
            note(StatusMark.NEXT, f"{SIDES[side]}: no record of this address.", indent=2, stderr=stderr)
    if preview.others:
        words = (
            f"This person shares or shared records with {join_words(preview.others)}; erase those separately."
        )
        note(StatusMark.WARN, words, indent=2, stderr=stderr)
    for side, error in preview.errors.items():
        note(StatusMark.WARN, f"{SIDES[side]}: {error}", indent=2, stderr=stderr)
    if not (preview.here or preview.errors or any(preview.traces.values())):
        words = "No record of this address exists; only an erasure marker would be stored."
        note(StatusMark.WARN, words, stderr=stderr)


def _report_plan(previews: dict[str, ErasurePreview], *, json: bool) -> int:
    if json:
        _print_json([_preview_json(address, preview) for address, preview in previews.items()])
    return ExitCode.UNREACHABLE if any(preview.errors for preview in previews.values()) else 0


def _preview_json(address: str, preview: ErasurePreview) -> dict[str, Any]:
    sides = {
        side.value: [{"record": one.record, "state": one.state, "plan": one.plan} for one in traces]
        for side, traces in preview.traces.items()
    }
    return {
        "person": mask(address),
        "erased": False,
        "here": preview.here,
        "other_addresses": list(preview.others),
        "sides": sides,
        "errors": {side.value: str(error) for side, error in preview.errors.items()},
    }


def _report(results: dict[str, ErasureResult], *, json: bool) -> int:
    """Print each person's result. Returns the most severe exit code."""
    if json:
        _print_json([_result_json(address, result) for address, result in results.items()])
    codes = {
        _print_result(address, result, named=len(results) > 1, json=json)
        for address, result in results.items()
    }
    return max(codes)


def _print_result(address: str, result: ErasureResult, *, named: bool, json: bool) -> int:
    left = [f"{SIDES[side]}: {words}" for side, erasure in result.sides.items() for words in erasure.left]
    if named:
        note(StatusMark.NEXT, mask(address), stderr=json)
    if not json:
        for side, erasure in result.sides.items():
            for words in erasure.done:
                note(StatusMark.GOOD, f"{SIDES[side]}: {words}.")
        if result.finished:
            note(StatusMark.GOOD, "Erased from the state DB; only the erasure marker remains.")
    for words in left:
        note(StatusMark.WARN, f"{words}.", stderr=json)
    for side, error in result.errors.items():
        failure(f"{SIDES[side]}: {error.what}", error.hint)
    if not result.finished:
        note(
            StatusMark.NEXT,
            f"The erasure marker is stored: older opt-ins are ignored. {_REPEAT}",
            stderr=True,
        )
        return ExitCode.UNREACHABLE
    return ExitCode.REVIEW if left else 0


def _print_json(documents: list[dict[str, Any]]) -> None:
    """One person's document alone, several under `people`."""
    print_json(documents[0] if len(documents) == 1 else {"people": documents})


def _result_json(address: str, result: ErasureResult) -> dict[str, Any]:
    return {
        "person": mask(address),
        "erased": result.finished,
        "here": result.was_here,
        "sides": {
            side.value: {"done": list(erasure.done), "left": list(erasure.left)}
            for side, erasure in result.sides.items()
        },
        "errors": {side.value: str(error) for side, error in result.errors.items()},
    }
