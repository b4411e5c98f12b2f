"""`bridge mapping pin`: link Dotdigital contacts to their profiles by a custom identifier."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, Yes, confirmed, settings_from
from bridge.cli.output import ExitCode, StatusMark, note, plural, print_json
from bridge.core.errors import ConfigError
from bridge.core.model import Side

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.dotdigital.profile_links import LinkPlan, LinkResult, ProfileLinker

_SETTING = "BRIDGE_DOTDIGITAL__PROFILE_IDENTIFIER"


def pin(
    config: Config = None,
    database_url: DatabaseUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the contacts, and send nothing.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Store each contact's ProfileId in a custom identifier.

    Asks first. Nothing else of a contact changes, and no contact is created.
    """
    from bridge.app import App
    from bridge.cli.db import private_copy, writing
    from bridge.cli.output import show_progress
    from bridge.dotdigital.profile_links import certain

    settings = settings_from(config, database_url)
    with private_copy(settings) if dry_run else nullcontext(settings) as used, App(used) as app:
        name = _identifier_name(app)
        with writing(app.lease()) as heartbeat, show_progress() as progress:
            linker = _linker(app, name)
            progress("reading contacts", 0, None)
            known = certain(who for page in app.store.people.known(Side.DOTDIGITAL) for who in page)
            plan = linker.compare(known, heartbeat)
        _print_plan(plan, name)
        if dry_run or not plan.wanted or not confirmed(_question(plan, name), yes=yes):
            return _report(plan, None, json=json)
        return _report(plan, _set_links(app, linker, plan), json=json)


def _set_links(app: App, linker: ProfileLinker, plan: LinkPlan) -> LinkResult:
    from bridge.cli.db import writing
    from bridge.cli.output import show_progress

    with writing(app.lease()) as heartbeat, show_progress() as progress:
        progress("importing", 0, len(plan.wanted))
        return linker.carry_out(plan.wanted, heartbeat)


def _identifier_name(app: App) -> str:
    """The identifier's name. Raises ConfigError where none is set, or the account does not have it."""
    name = app.settings.dotdigital.profile_identifier
    if name is None:
        raise ConfigError(
            f"{_SETTING} is not set.",
            hint="Create a custom identifier at Dotdigital, and set its name.",
        )
    client = app.dotdigital.v3.client()
    if client is None:
        raise ConfigError(
            "Custom identifiers need Dotdigital's v3 API, which this account or API user does not have.",
            hint="`bridge doctor` shows why.",
        )
    if name not in client.get_custom_identifiers():
        raise ConfigError(
            f"Dotdigital has no custom identifier {name}.", hint=f"Create it there, or correct {_SETTING}."
        )
    return name


def _linker(app: App, name: str) -> ProfileLinker:
    from bridge.dotdigital.build import profile_linker

    clock, sleep = app.options.clock, app.options.sleep
    return profile_linker(name, v2=app.dotdigital.v2, memory=app.store.key_values, clock=clock, sleep=sleep)


def _print_plan(plan: LinkPlan, name: str) -> None:
    note(StatusMark.NEXT, f"{plural(len(plan.wanted), 'contact')} to link by {name}.", stderr=True)
    if plan.named:
        note(StatusMark.GOOD, f"{plural(plan.named, 'contact')} already linked.", stderr=True)
    if plan.others + plan.taken:
        left = plural(plan.others + plan.taken, "contact")
        note(
            StatusMark.WARN,
            f"{left} skipped: already linked to another profile or contact.",
            stderr=True,
        )


def _question(plan: LinkPlan, name: str) -> str:
    return f"Set {name} of {plural(len(plan.wanted), 'contact')} at Dotdigital?"


def _report(plan: LinkPlan, done: LinkResult | None, *, json: bool) -> int:
    missed = 0 if done is None else len(plan.wanted) - done.proven
    document: dict[str, Any] = {
        "wanted": len(plan.wanted),
        "named_before": plan.named,
        "names_another": plan.others,
        "taken": plan.taken,
        "set": 0 if done is None else done.proven,
        "refused": {} if done is None else dict(done.refused),
    }
    if json:
        print_json(document)
    elif done is not None:
        note(StatusMark.GOOD, f"{plural(done.proven, 'contact')} linked.")
        for reason, number in done.refused.items():
            note(StatusMark.WARN, f"{plural(number, 'contact')} not linked: {reason}.")
        note(StatusMark.NEXT, "The next full sweep applies the new links.")
    return ExitCode.REVIEW if missed or plan.others or plan.taken else 0
