"""`bridge mapping preferences`: what is defined at Dotdigital. Runs never change it; a person does, here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, Json, MappingFile, Yes, confirmed, settings_from
from bridge.cli.output import StatusMark, console, listed, note, plural, print_json, table
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.core.catalogue import NewPreference
    from bridge.dotdigital.preference_admin import PreferenceAdmin, PreferenceDraft

READ_TIMEOUT = 30.0  # seconds: somebody waits at the desk

Number = Annotated[int, typer.Argument(metavar="ID", help="A number of `preferences list`.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What people read.")]
PrivateName = Annotated[
    str | None, typer.Option("--private-name", metavar="NAME", help="What the account calls it.")
]
Category = Annotated[
    int | None, typer.Option("--category", metavar="ID", min=0, help="The category it is in; 0: none.")
]
Order = Annotated[
    str | None, typer.Option("--order", metavar="PLACE", help="A number from 0, or top, or bottom.")
]


def list_(
    config: Config = None,
    changed_since: Annotated[
        datetime | None,
        typer.Option("--changed-since", help="Only what was defined or redefined since; UTC."),
    ] = None,
    json: Json = False,
) -> int:
    """List the preferences and categories. What was deleted shows nowhere: `bridge doctor` tells of it."""
    with _desk(config) as (_, definitions):
        if changed_since is None:
            nodes = definitions.tree()
        else:
            nodes = definitions.changed_since(changed_since.replace(tzinfo=UTC))
    if json:
        print_json({"preferences": [_shown(node) for node in nodes]})
    elif not nodes:
        note(
            StatusMark.GOOD, "No preference is defined." if changed_since is None else "Nothing has changed."
        )
    else:
        _print(nodes)
    return 0


def create(
    config: Config = None,
    mapping: MappingFile = None,
    name: Name = None,
    private_name: PrivateName = None,
    category: Category = None,
    order: Order = None,
    as_category: Annotated[bool, typer.Option("--as-category", help="Define a category.")] = False,
    private: Annotated[bool, typer.Option("--private", help="People are not shown it.")] = False,
    for_: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="ID", help="Draft it for this filter or consent of MyPreferences."),
    ] = None,
    unmatched: Annotated[
        bool, typer.Option("--unmatched", help="Draft one for each that `mapping scaffold` leaves over.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Define preferences, after asking: one by its name, or those that MyPreferences' filters lack."""
    from bridge.core.catalogue import NewPreference

    if sum((name is not None, bool(for_), unmatched)) != 1:
        raise ConfigError("Which preferences?", hint="Give --name NAME, or --for ID, or --unmatched.")
    with _desk(config, mapping) as (app, definitions):
        if name is not None:
            wishes = [
                NewPreference(name, private_name or name, not as_category, not private, order, category)
            ]
        else:
            wishes = [replace(wish, is_public=not private) for wish in _drafted(app, for_ or ())]
        _require_new(wishes, definitions.tree())
        asked = _agreed([_line("create", wish) for wish in wishes], dry_run=dry_run, yes=yes, json=json)
        made = _create(definitions, wishes) if asked else []
    return _tell({"wanted": [_wish(wish) for wish in wishes], "created": made}, asked, "defined", json=json)


def update(
    number: Number,
    config: Config = None,
    name: Name = None,
    private_name: PrivateName = None,
    category: Category = None,
    order: Order = None,
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Whether people are shown it.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Redefine a preference or a category, after asking. What is not named stays as it is."""
    from bridge.core.catalogue import NewPreference

    with _desk(config) as (_, definitions):
        node = _found(definitions.tree(), number)
        wish = NewPreference(
            node.public_name if name is None else name,
            node.private_name if private_name is None else private_name,
            node.is_leaf,
            node.is_public if public is None else public,
            node.order if order is None else order,
            _kept_category(node) if category is None else category,
        )
        asked = _agreed([_line(f"make {number}", wish)], dry_run=dry_run, yes=yes, json=json)
        now = [_shown(definitions.update(node, wish))] if asked else []
    return _tell({"wanted": [_wish(wish)], "updated": now}, asked, "redefined", json=json)


def delete(
    number: Number,
    config: Config = None,
    mapping: MappingFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Delete a definition, after asking: every contact's opt-in to it is lost. Refused while it is mapped."""
    with _desk(config, mapping) as (app, definitions):
        tree = definitions.tree()
        node = _found(tree, number)
        doomed = [node, *(one for one in tree if one.category == node.id)]
        _require_unmapped(app, doomed)
        lines = [f"delete {one.id}, '{one.public_name}', with every opt-in to it" for one in doomed]
        asked = _agreed(lines, dry_run=dry_run, yes=yes, json=json)
        if asked:
            definitions.delete(node)
    gone = [_shown(one) for one in doomed]
    return _tell({"wanted": gone, "deleted": gone if asked else []}, asked, "deleted", json=json)


@contextmanager
def _desk(config: Any, mapping: Any = None) -> Iterator[tuple[App, PreferenceAdmin]]:
    from bridge.app import App, Options
    from bridge.dotdigital.preference_admin import PreferenceAdmin

    with App(settings_from(config, mapping=mapping), Options(read_timeout=READ_TIMEOUT, tries=2)) as app:
        yield app, PreferenceAdmin(app.dotdigital)


def _drafted(app: App, chosen: Sequence[str]) -> list[NewPreference]:
    """What to define for filters and consents without a counterpart."""
    from bridge.cli.scaffold import sketched
    from bridge.mapping_file.scaffold.missing import missing_preferences

    return missing_preferences(sketched(app), _mapped_sources(app), chosen)


def _mapped_sources(app: App) -> set[str]:
    from bridge.core.mapping import FilterRef

    sources = (topic.source for topic in app.mapping.all if topic.source is not None)
    return {one.filter if isinstance(one, FilterRef) else one.consent for one in sources}


def _create(definitions: PreferenceAdmin, wishes: Sequence[NewPreference]) -> list[dict[str, Any]]:
    """One after the other: what belongs into a category that is new itself needs its number."""
    made: dict[str, int] = {}
    shown = []
    for wish in wishes:
        ready = wish if wish.within is None else replace(wish, category=made[wish.within.private_name])
        node = definitions.create(ready)
        made[wish.private_name] = node.id
        shown.append(_shown(node))
    return shown


def _require_new(wishes: Sequence[NewPreference], tree: Sequence[PreferenceDraft]) -> None:
    """Names are what imports and people tell preferences by: two alike in one place help nobody."""
    known = {(node.category, node.public_name.casefold()) for node in tree}
    double = [
        wish.public_name
        for wish in wishes
        if wish.within is None and (wish.category or 0, wish.public_name.casefold()) in known
    ]
    if double:
        raise ConfigError(
            f"There is such a preference already: {listed(double)}; nothing was sent.",
            hint="Give another --name, or map the one that is there.",
        )


def _require_unmapped(app: App, doomed: Sequence[PreferenceDraft]) -> None:
    mapped = set(app.mapping.preference_ids)
    if named := [str(node.id) for node in doomed if node.is_leaf and node.id in mapped]:
        raise ConfigError(
            f"The mapping names {listed(named)}: nothing was deleted.",
            hint=f"Take it out of {app.settings.mapping} first. Every opt-in to it would be lost.",
        )


def _found(tree: Sequence[PreferenceDraft], number: int) -> PreferenceDraft:
    for node in tree:
        if node.id == number:
            return node
    raise ConfigError(
        f"There is no preference {number} at Dotdigital.", hint="See `bridge mapping preferences list`."
    )


def _kept_category(node: PreferenceDraft) -> int | None:
    return node.category if node.is_leaf else None


def _agreed(lines: Sequence[str], *, dry_run: bool, yes: bool, json: bool) -> bool:
    """Show what is to be sent, then ask. False where nothing is to be done, or nobody wants it."""
    for line in lines:
        note(StatusMark.NEXT, line, stderr=True)
    if not lines:
        note(StatusMark.GOOD, "Nothing lacks a counterpart: nothing is to be defined.", stderr=json)
    if dry_run or not lines:
        return False
    return confirmed(f"Send {plural(len(lines), 'change')} to Dotdigital?", yes=yes)


def _line(verb: str, wish: NewPreference) -> str:
    kind = "preference" if wish.is_leaf else "category"
    place = f", in the category '{wish.within.public_name}'" if wish.within is not None else ""
    place = f", in the category {wish.category}" if wish.category else place
    shown = "shown to people" if wish.is_public else "not shown to people"
    return f"{verb}: {kind} '{wish.public_name}' (private name '{wish.private_name}'){place}, {shown}"


def _wish(wish: NewPreference) -> dict[str, Any]:
    return {
        "name": wish.public_name,
        "private_name": wish.private_name,
        "kind": "preference" if wish.is_leaf else "category",
        "public": wish.is_public,
        "category": wish.category,
        "within": None if wish.within is None else wish.within.public_name,
    }


def _shown(node: PreferenceDraft) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.public_name,
        "private_name": node.private_name,
        "kind": "preference" if node.is_leaf else "category",
        "public": node.is_public,
        "category": node.category or None,
    }


def _tell(document: dict[str, Any], asked: bool, done: str, *, json: bool) -> int:
    if json:
        print_json(document)
    elif asked:
        rows = next(rows for name, rows in document.items() if name != "wanted")
        for row in rows:
            note(StatusMark.GOOD, f"{row['kind']} {row['id']}, '{row['name']}', is {done}.")
        note(StatusMark.NEXT, "Hold the mapping against it: `bridge mapping check --live`.")
    return 0


def _print(nodes: Sequence[PreferenceDraft]) -> None:
    shown = table("id", "kind", "name", "private name", "category", "public", right=(0,), fixed=(0,))
    for node in nodes:
        kind, public = "preference" if node.is_leaf else "category", "yes" if node.is_public else "no"
        category = str(node.category or "")
        shown.add_row(str(node.id), kind, node.public_name, node.private_name, category, public)
    console().print(shown)
