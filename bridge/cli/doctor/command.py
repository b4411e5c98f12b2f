"""`bridge doctor`: is everything set up, reachable and allowed? It changes nothing, unless by --provision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import Config, DatabaseUrl, Json, MappingFile, Yes, settings_from
from bridge.cli.output import StatusMark, console, note, plural, print_json, say
from bridge.core.errors import ConfigError

if TYPE_CHECKING:
    from bridge.cli.doctor.findings import Finding, Findings

READ_TIMEOUT = 30.0  # seconds: the doctor does not wait as long as a run would


Provision = Annotated[
    bool,
    typer.Option(
        "--provision", help="Instead: find the bridge's user at MyPreferences, or create it after asking."
    ),
]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="USER_ID", help="With --provision: the user that may create users."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--user-group", metavar="NAME", help="With --provision: a User Group for it; repeatable."),
]
Email = Annotated[
    str | None,
    typer.Option("--user-email", metavar="EMAIL", help="With --provision: its address, if one is asked for."),
]


def doctor(
    config: Config = None,
    database_url: DatabaseUrl = None,
    mapping: MappingFile = None,
    provision: Provision = False,
    signed_in_as: As = None,
    user_group: Groups = None,
    user_email: Email = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Check settings, state DB, mapping, and both services: sign-in, permissions, clocks, catalogues."""
    from bridge.cli.doctor.findings import Findings
    from bridge.cli.doctor.provision import NewUser, create_user

    wish = NewUser(signed_in_as, tuple(user_group or ()), user_email)
    if provision:
        return create_user(config, wish, yes=yes, json=json)
    if wish or yes:
        raise ConfigError(
            "--as, --user-group, --user-email and --yes go with --provision.",
            hint="Add --provision to have the bridge's user created, or leave them out.",
        )
    found = Findings()
    shown: list[tuple[str, str, str]] = []
    try:
        settings = settings_from(config, database_url, mapping)
    except ConfigError as error:
        for problem in error.problems or (error.what,):
            found.bad("settings", problem, "Mend it; the rest is checked once the settings can be read.", 2)
    else:
        shown = settings.shown()
        _examine(settings, found)
    if json:
        print_json(_document(found, shown))
    else:
        _print(found, shown)
    return found.exit_code


def _examine(settings: Any, found: Findings) -> None:
    from bridge.app import App, Options
    from bridge.cli.doctor import checks, polling, webhooks
    from bridge.cli.progress import watched

    with watched() as progress, App(settings, Options(read_timeout=READ_TIMEOUT, tries=1)) as app:
        steps = (
            checks.settings,
            checks.state_db,
            checks.mapping,
            checks.mypreferences,
            checks.profile_link_type,
            webhooks.subscriptions,
            checks.own_edits,
            checks.dotdigital,
            checks.profile_identifier,
            polling.examine,
            checks.catalogues,
        )
        for number, step in enumerate(steps):
            progress("examining", number, len(steps))
            step(app, found)


def _document(found: Findings, shown: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "ok": found.exit_code == 0,
        "exit_code": found.exit_code,
        "checks": [
            {"section": one.section, "state": one.state.value, "what": one.what, "mend": one.mend}
            for one in found.all
        ],
        "settings": [{"name": name, "value": value, "source": source} for name, value, source in shown],
    }


def _print(found: Findings, shown: list[tuple[str, str, str]]) -> None:
    out = console()
    section = ""
    for one, after in zip(found.all, [*found.all[1:], None], strict=True):
        if one.section != section:
            section = one.section
            out.print(say((section, "bold")))
            if section == "settings":
                _print_settings(shown)
        shared = after is not None and (after.section, after.mend) == (one.section, one.mend)
        _print_finding(one, mend="" if shared else one.mend)
    bad = sum(one.state.value == "bad" for one in found.all)
    out.print()
    if bad:
        note(StatusMark.BAD, f"{plural(bad, 'thing')} to mend.")
    else:
        note(StatusMark.GOOD, "Ready: `bridge plan` shows what a run would do.")


def _print_settings(shown: list[tuple[str, str, str]]) -> None:
    """Those that somebody set."""
    out = console()
    given = [one for one in shown if one[2] != "default"]
    for name, value, source in given:
        out.print(say(f"  {name} = {value}", (f" ({source})", "dim")), soft_wrap=True)
    rest = len(shown) - len(given)
    about = f"{rest} others have their defaults" if given else f"all {rest} have their defaults"
    out.print(say((f"  {about} (--json shows all)", "dim")))


def _print_finding(one: Finding, *, mend: str) -> None:
    """One line; what mends several in a row is said once, below the last."""
    note(StatusMark[one.state.name], one.what, indent=2)
    if mend:
        note(StatusMark.NEXT, mend, indent=4)
