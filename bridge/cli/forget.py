"""`bridge forget`: erase a person on both services and in the state DB, after confirmation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.db import in_turn, private_copy, reading, writing
from bridge.cli.options import (
    Config,
    DatabaseUrl,
    Json,
    MappingFile,
    Note,
    ShowAddresses,
    Yes,
    author,
    confirmed,
    name_shown,
    settings_from,
)
from bridge.cli.output import (
    SIDES,
    ExitCode,
    StatusMark,
    failure,
    format_time,
    join_words,
    note,
    plural,
    print_json,
)
from bridge.core.approval import Operator
from bridge.core.errors import ConfigError
from bridge.core.model import address_key

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.core.erasure import ErasureMarker
    from bridge.engine.erase import ErasurePreview, ErasureResult
    from bridge.settings import Settings

Email = Annotated[
    str | None,
    typer.Argument(
        metavar="EMAIL",
        help="The person's address. Use - to read addresses from standard input, one per line, which "
        "keeps them out of the shell history and the process list.",
    ),
]
_REPEAT = "Run `bridge forget` again for this person to continue."


def forget(
    email: Email = None,
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    check: Annotated[
        bool, typer.Option("--check", help="Tell whether the person was erased, and when; change nothing.")
    ] = False,
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
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for a running process."),
    ] = 600,
    show_addresses: ShowAddresses = False,
    why: Note = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Erase a person on both services and in the state DB.

    Blocks and deletes at Dotdigital, opts out and deletes at MyPreferences, deletes here. A keyed hash of the
    address stays: old records cannot re-create the person; a later opt-in can. A running daemon gives way.
    """
    settings = settings_from(config, database_url, mapping)
    if drop_unreadable:
        return _drop_unreadable(settings, email, yes=yes, json=json)
    request = _Request(settings, _addresses(email), author(why), name_shown(show_addresses), wait, yes, json)
    if check:
        return _check(request)
    return _erase_here(request, dry_run=dry_run) if only_here else _erase_everywhere(request, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked for. `name` shows an address, `wait` is in seconds."""

    settings: Settings
    addresses: list[str]
    by: Operator
    name: Callable[[str], str]
    wait: float
    yes: bool
    json: bool


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


def _require_key(app: App) -> None:
    """Raises ConfigError where there is no erasure key and none can be made: erased people have markers that
    need the one that is lost, or the state DB is no file."""
    if not _may_make_key(app):
        app.erasure_settings.required()


def _may_make_key(app: App) -> bool:
    from bridge.settings.load import key_file

    known = app.erasure_settings.key is not None or key_file(app.settings) is None
    return not known and not app.store.erasures.unreadable()


def _make_key(settings: Settings) -> None:
    """Make the key where there is none. The last step before the first erasure, so that nothing else leaves
    one behind."""
    from bridge.app import App
    from bridge.settings.load import key_file, make_key

    with App(settings) as app:
        path = key_file(settings)
        if path is not None and _may_make_key(app):
            make_key(path)
            note(StatusMark.NEXT, f"Created a key for the erasure marker: {path}. Keep it safe.", stderr=True)


def _check(request: _Request) -> int:
    """Tell what is known of erasures of these people."""
    from bridge.settings.load import key_of

    with reading(request.settings, key_of(request.settings)) as store:
        markers = {address: store.erasures.marker(address) for address in request.addresses}
        lost = store.erasures.unreadable()
        known = {address: store.people.find(address) is not None for address in request.addresses}
    if request.json:
        _print_json([_marker_json(request, address, marker) for address, marker in markers.items()])
    for address, marker in markers.items():
        _print_marker(request.name(address), marker, known=known[address], stderr=request.json)
    if lost:
        words = f"{plural(lost, 'marker')} cannot be read: another BRIDGE_ERASURE_KEY made them."
        note(StatusMark.WARN, words, stderr=request.json)
        return ExitCode.INVALID
    unfinished = any(marker is not None and not marker.finished for marker in markers.values())
    return ExitCode.REVIEW if unfinished else ExitCode.DONE


def _marker_json(request: _Request, address: str, marker: ErasureMarker | None) -> dict[str, Any]:
    at = None if marker is None else marker.at.isoformat().replace("+00:00", "Z")
    finished = None if marker is None else marker.finished
    return {"person": request.name(address), "erased": bool(finished), "erased_at": at, "finished": finished}


def _print_marker(name: str, marker: ErasureMarker | None, *, known: bool, stderr: bool) -> None:
    if marker is None:
        here = " The state DB knows the person." if known else ""
        note(StatusMark.NEXT, f"{name}: not erased.{here}", stderr=stderr)
    elif marker.finished:
        again = " The person is known again." if known else ""
        note(StatusMark.GOOD, f"{name}: erased {format_time(marker.at)} UTC.{again}", stderr=stderr)
    else:
        words = f"{name}: begun {format_time(marker.at)} UTC, and not finished. {_REPEAT}"
        note(StatusMark.WARN, words, stderr=stderr)


def _erase_everywhere(request: _Request, *, dry_run: bool) -> int:
    from bridge.app import App
    from bridge.cli.output import show_progress
    from bridge.engine.erase import PersonEraser

    settings, addresses = request.settings, request.addresses
    with (
        private_copy(settings) if dry_run else nullcontext(settings) as used,
        App(used) as app,
        show_progress() as progress,
    ):
        if not dry_run:
            _require_key(app)
        eraser = PersonEraser(app.services(progress=progress), app.store, app.erasers)
        previews = {address: eraser.survey(address) for address in addresses}
        unknown = [one for one, found in previews.items() if _is_unknown(found) and not _marked(app, one)]
    for address, preview in previews.items():
        _announce(request, address, preview, stderr=request.json or not dry_run)
    if dry_run:
        return _report_plan(request, previews)
    if unknown:
        raise ConfigError(
            f"Neither service nor the state DB knows {_unknown_text(unknown)}. Nothing was erased or stored.",
            hint="Check the spelling. To ask about an earlier erasure: `bridge forget EMAIL --check`.",
        )
    if not confirmed(f"Erase {_people_text(addresses)}? This cannot be undone.", yes=request.yes):
        return 0
    _make_key(settings)
    with App(settings) as app, in_turn(app, patience=request.wait) as heartbeat, show_progress() as progress:
        services = app.services(progress=progress, heartbeat=heartbeat)
        eraser = PersonEraser(services, app.store, app.erasers, request.by)
        if len(addresses) > 1:
            eraser.block(addresses)
        result = {address: eraser.forget(address) for address in addresses}
    return _report(request, result)


def _unknown_text(unknown: list[str]) -> str:
    return "this address" if len(unknown) == 1 else f"{len(unknown)} of these addresses"


def _is_unknown(preview: ErasurePreview) -> bool:
    """Whether both services were read, and nobody knows the address."""
    return not (preview.here or preview.errors or any(preview.traces.values()))


def _marked(app: App, address: str) -> bool:
    return app.store.erasures.marker(address) is not None


def _erase_here(request: _Request, *, dry_run: bool) -> int:
    from bridge.app import App
    from bridge.engine.erase import erase_local, preview_local

    settings, addresses = request.settings, request.addresses
    with private_copy(settings) if dry_run else nullcontext(settings) as used, App(used) as app:
        if not dry_run:
            _require_key(app)
        previews = {address: preview_local(app.store, address) for address in addresses}
    for address, preview in previews.items():
        _announce(request, address, preview, stderr=request.json or not dry_run)
    if dry_run:
        return _report_plan(request, previews)
    question = f"Erase {_people_text(addresses)} from the state DB only? This cannot be undone."
    if not confirmed(question, yes=request.yes):
        return 0
    _make_key(settings)
    with App(settings) as app, in_turn(app, patience=request.wait):
        result = {address: erase_local(app.store, address, request.by) for address in addresses}
    return _report(request, result)


def _people_text(addresses: list[str]) -> str:
    return "this person" if len(addresses) == 1 else f"these {len(addresses)} people"


def _drop_unreadable(settings: Settings, email: str | None, *, yes: bool, json: bool) -> int:
    from bridge.app import App

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


def _announce(request: _Request, address: str, preview: ErasurePreview, *, stderr: bool) -> None:
    note(StatusMark.NEXT, f"To erase: {request.name(address)}", stderr=stderr)
    here = "known; will be deleted" if preview.here else "not known"
    note(StatusMark.NEXT, f"In the state DB: {here}.", indent=2, stderr=stderr)
    for side, traces in preview.traces.items():
        for trace in traces:
            words = f"{SIDES[side]}: {trace.record} ({trace.state}): {trace.plan}."
            note(StatusMark.NEXT, words, indent=2, stderr=stderr)
        if not traces:
            note(StatusMark.NEXT, f"{SIDES[side]}: no record of this address.", indent=2, stderr=stderr)
    if preview.others:
        others = join_words(map(request.name, preview.others))
        words = f"This person shares or shared records with {others}; erase those separately."
        note(StatusMark.WARN, words, indent=2, stderr=stderr)
    for side, error in preview.errors.items():
        note(StatusMark.WARN, f"{SIDES[side]}: {error}", indent=2, stderr=stderr)
    if not (preview.here or preview.errors or any(preview.traces.values())):
        words = "No record of this address exists."
        note(StatusMark.WARN, words, stderr=stderr)


def _report_plan(request: _Request, previews: dict[str, ErasurePreview]) -> int:
    if request.json:
        _print_json([_preview_json(request, address, preview) for address, preview in previews.items()])
    return ExitCode.UNREACHABLE if any(preview.errors for preview in previews.values()) else 0


def _preview_json(request: _Request, address: str, preview: ErasurePreview) -> dict[str, Any]:
    sides = {
        side.value: [{"record": one.record, "state": one.state, "plan": one.plan} for one in traces]
        for side, traces in preview.traces.items()
    }
    return {
        "person": request.name(address),
        "erased": False,
        "here": preview.here,
        "other_addresses": [request.name(one) for one in preview.others],
        "sides": sides,
        "errors": {side.value: str(error) for side, error in preview.errors.items()},
    }


def _report(request: _Request, results: dict[str, ErasureResult]) -> int:
    """Print each person's result. Returns the most severe exit code."""
    if request.json:
        _print_json([_result_json(request, address, result) for address, result in results.items()])
    codes = {
        _print_result(request.name(address), result, named=len(results) > 1, json=request.json)
        for address, result in results.items()
    }
    return max(codes)


def _print_result(name: str, result: ErasureResult, *, named: bool, json: bool) -> int:
    left = [f"{SIDES[side]}: {words}" for side, erasure in result.sides.items() for words in erasure.left]
    if named:
        note(StatusMark.NEXT, name, stderr=json)
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


def _result_json(request: _Request, address: str, result: ErasureResult) -> dict[str, Any]:
    return {
        "person": request.name(address),
        "erased": result.finished,
        "here": result.was_here,
        "sides": {
            side.value: {"done": list(erasure.done), "left": list(erasure.left)}
            for side, erasure in result.sides.items()
        },
        "errors": {side.value: str(error) for side, error in result.errors.items()},
    }
