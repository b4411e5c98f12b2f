"""`bridge mapping preferences`: the preferences defined at Dotdigital. Runs never change them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import READ_TIMEOUT, Config, Json, MappingFile, Yes, confirmed, settings_from
from bridge.cli.output import StatusMark, console, join_words, note, plural, print_json, table
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.core.catalogue import NewPreference
    from bridge.dotdigital.preference_tree import PreferenceAdmin, PreferenceDefinition

Number = Annotated[int, typer.Argument(metavar="ID", help="An id from `preferences list`.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name shown to contacts.")]
PrivateName = Annotated[
    str | None, typer.Option("--private-name", metavar="NAME", help="The name shown in the account only.")
]
Category = Annotated[
    int | None, typer.Option("--category", metavar="ID", min=0, help="The category it belongs to; 0: none.")
]
Order = Annotated[
    str | None, typer.Option("--order", metavar="PLACE", help="Position: a number from 0, top or bottom.")
]


def list_(
    config: Config = None,
    changed_since: Annotated[
        datetime | None,
        typer.Option("--changed-since", help="Only those created or changed since this time (UTC)."),
    ] = None,
    json: Json = False,
) -> int:
    """List preferences and categories.

    Deleted ones are not listed; `bridge doctor` reports them.
    """
    with _admin(config) as (_, admin):
        if changed_since is None:
            nodes = admin.tree()
        else:
            nodes = admin.changed_since(changed_since.replace(tzinfo=UTC))
    if json:
        print_json({"preferences": [_to_json(node) for node in nodes]})
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
    as_category: Annotated[bool, typer.Option("--as-category", help="Create a category.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Do not show it to contacts.")] = False,
    for_: Annotated[
        list[str] | None,
        typer.Option(
            "--for", metavar="ID", help="Create the counterpart of this MyPreferences filter or consent."
        ),
    ] = None,
    unmatched: Annotated[
        bool,
        typer.Option(
            "--unmatched", help="Create a counterpart of everything `mapping scaffold` could not match."
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Create preferences: one by name, or counterparts of filters.

    Asks first.
    """
    from bridge.core.catalogue import NewPreference

    if sum((name is not None, bool(for_), unmatched)) != 1:
        raise ConfigError("No preference was named.", hint="Give --name NAME, --for ID or --unmatched.")
    with _admin(config, mapping) as (app, admin):
        if name is not None:
            drafts = [
                NewPreference(name, private_name or name, not as_category, not private, order, category)
            ]
        else:
            drafts = [replace(draft, is_public=not private) for draft in _drafts(app, for_ or ())]
        _require_new(drafts, admin.tree())
        asked = _confirmed(
            [_draft_line("create", draft) for draft in drafts], dry_run=dry_run, yes=yes, json=json
        )
        made = _create(admin, drafts) if asked else []
    return _print_result(
        {"wanted": [_draft_json(draft) for draft in drafts], "created": made}, asked, "defined", json=json
    )


def update(
    number: Number,
    config: Config = None,
    name: Name = None,
    private_name: PrivateName = None,
    category: Category = None,
    order: Order = None,
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Whether contacts see it.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Change a preference or a category.

    Asks first. What you do not name stays unchanged.
    """
    from bridge.core.catalogue import NewPreference

    with _admin(config) as (_, admin):
        node = _find(admin.tree(), number)
        draft = NewPreference(
            node.public_name if name is None else name,
            node.private_name if private_name is None else private_name,
            node.is_leaf,
            node.is_public if public is None else public,
            node.order if order is None else order,
            _current_category(node) if category is None else category,
        )
        asked = _confirmed([_draft_line(f"make {number}", draft)], dry_run=dry_run, yes=yes, json=json)
        now = [_to_json(admin.update(node, draft))] if asked else []
    return _print_result({"wanted": [_draft_json(draft)], "updated": now}, asked, "redefined", json=json)


def delete(
    number: Number,
    config: Config = None,
    mapping: MappingFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Delete a preference that is not mapped.

    Asks first. Every contact's opt-in to it is lost.
    """
    with _admin(config, mapping) as (app, admin):
        tree = admin.tree()
        node = _find(tree, number)
        deleted = [node, *(one for one in tree if one.category == node.id)]
        _require_unmapped(app, deleted)
        lines = [f"delete {one.id}, '{one.public_name}', with every opt-in to it" for one in deleted]
        asked = _confirmed(lines, dry_run=dry_run, yes=yes, json=json)
        if asked:
            admin.delete(node)
    gone = [_to_json(one) for one in deleted]
    return _print_result({"wanted": gone, "deleted": gone if asked else []}, asked, "deleted", json=json)


@contextmanager
def _admin(config: Any, mapping: Any = None) -> Iterator[tuple[App, PreferenceAdmin]]:
    from bridge.app import App, Options
    from bridge.dotdigital.preference_tree import PreferenceAdmin

    with App(settings_from(config, mapping=mapping), Options(read_timeout=READ_TIMEOUT, tries=2)) as app:
        yield app, PreferenceAdmin(app.dotdigital.v2)


def _drafts(app: App, chosen: Sequence[str]) -> list[NewPreference]:
    """What to create for filters and consents without a counterpart."""
    from bridge.cli.mapping import match_live
    from bridge.mapping_file.draft import missing_preferences

    return missing_preferences(match_live(app), _mapped_sources(app), chosen)


def _mapped_sources(app: App) -> set[str]:
    from bridge.core.mapping import FilterRef

    sources = (topic.source for topic in app.mapping.all if topic.source is not None)
    return {one.filter if isinstance(one, FilterRef) else one.consent for one in sources}


def _create(admin: PreferenceAdmin, drafts: Sequence[NewPreference]) -> list[dict[str, Any]]:
    """Create one after the other: a preference in a new category needs the id of that category."""
    made: dict[str, int] = {}
    shown = []
    for draft in drafts:
        ready = draft if draft.within is None else replace(draft, category=made[draft.within.private_name])
        node = admin.create(ready)
        made[draft.private_name] = node.id
        shown.append(_to_json(node))
    return shown


def _require_new(drafts: Sequence[NewPreference], tree: Sequence[PreferenceDefinition]) -> None:
    """Imports identify preferences by name, so two in one category must not share a name."""
    known = {(node.category, node.public_name.casefold()) for node in tree}
    double = [
        draft.public_name
        for draft in drafts
        if draft.within is None and (draft.category or 0, draft.public_name.casefold()) in known
    ]
    if double:
        raise ConfigError(
            f"Preference already exists: {join_words(double)}; nothing was sent.",
            hint="Choose another --name, or map the existing preference.",
        )


def _require_unmapped(app: App, deleted: Sequence[PreferenceDefinition]) -> None:
    mapped = set(app.mapping.preference_ids)
    if named := [str(node.id) for node in deleted if node.is_leaf and node.id in mapped]:
        raise ConfigError(
            f"The mapping uses {join_words(named)}; nothing was deleted.",
            hint=f"Remove it from {app.settings.mapping} first. Every opt-in to it would be lost.",
        )


def _find(tree: Sequence[PreferenceDefinition], number: int) -> PreferenceDefinition:
    for node in tree:
        if node.id == number:
            return node
    raise ConfigError(
        f"Dotdigital has no preference {number}.", hint="See `bridge mapping preferences list`."
    )


def _current_category(node: PreferenceDefinition) -> int | None:
    return node.category if node.is_leaf else None


def _confirmed(lines: Sequence[str], *, dry_run: bool, yes: bool, json: bool) -> bool:
    """Show what would be sent, then ask. False where there is nothing to do, or the operator declined."""
    for line in lines:
        note(StatusMark.NEXT, line, stderr=True)
    if not lines:
        note(StatusMark.GOOD, "Everything is already mapped; nothing to create.", stderr=json)
    if dry_run or not lines:
        return False
    return confirmed(f"Send {plural(len(lines), 'change')} to Dotdigital?", yes=yes)


def _draft_line(verb: str, draft: NewPreference) -> str:
    kind = "preference" if draft.is_leaf else "category"
    place = f", in the category '{draft.within.public_name}'" if draft.within is not None else ""
    place = f", in the category {draft.category}" if draft.category else place
    shown = "shown to people" if draft.is_public else "not shown to people"
    return f"{verb}: {kind} '{draft.public_name}' (private name '{draft.private_name}'){place}, {shown}"


def _draft_json(draft: NewPreference) -> dict[str, Any]:
    return {
        "name": draft.public_name,
        "private_name": draft.private_name,
        "kind": "preference" if draft.is_leaf else "category",
        "public": draft.is_public,
        "category": draft.category,
        "within": None if draft.within is None else draft.within.public_name,
    }


def _to_json(node: PreferenceDefinition) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.public_name,
        "private_name": node.private_name,
        "kind": "preference" if node.is_leaf else "category",
        "public": node.is_public,
        "category": node.category or None,
    }


def _print_result(document: dict[str, Any], asked: bool, done: str, *, json: bool) -> int:
    if json:
        print_json(document)
    elif asked:
        rows = next(rows for name, rows in document.items() if name != "wanted")
        for row in rows:
            note(StatusMark.GOOD, f"{row['kind']} {row['id']}, '{row['name']}', is {done}.")
        note(StatusMark.NEXT, "Compare the mapping with it: `bridge mapping check --live`.")
    return 0


def _print(nodes: Sequence[PreferenceDefinition]) -> None:
    shown = table("id", "kind", "name", "private name", "category", "public", right=(0,), fixed=(0,))
    for node in nodes:
        kind, public = "preference" if node.is_leaf else "category", "yes" if node.is_public else "no"
        category = str(node.category or "")
        shown.add_row(str(node.id), kind, node.public_name, node.private_name, category, public)
    console().print(shown)
