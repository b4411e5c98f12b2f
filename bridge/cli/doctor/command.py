"""`bridge doctor`: check the setup. Changes nothing, except with --provision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import READ_TIMEOUT, Config, DatabaseUrl, Json, MappingFile, Yes, settings_from
from bridge.cli.output import (
    ExitCode,
    StatusMark,
    console,
    note,
    plural,
    print_json,
    print_problems,
    styled,
)
from bridge.core.errors import ConfigError
from bridge.core.sync_state import exit_code, in_sync, is_ready

if TYPE_CHECKING:
    from bridge.cli.doctor.findings import Finding, Findings

Provision = Annotated[
    bool,
    typer.Option("--provision", help="Instead: find or create the bridge's user at MyPreferences."),
]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="USER_ID", help="With --provision: a user that may create users."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--user-group", metavar="NAME", help="With --provision: a User Group; repeatable."),
]
Email = Annotated[
    str | None,
    typer.Option("--user-email", metavar="EMAIL", help="With --provision: the user's e-mail address."),
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
    """Check settings, state DB, mapping and both services.

    At each service: sign-in, permissions, clock, and whether what the mapping names exists."""
    from bridge.cli.doctor.findings import Findings
    from bridge.cli.doctor.provision import NewUser, create_user

    new_user = NewUser(signed_in_as, tuple(user_group or ()), user_email)
    if provision:
        return create_user(config, new_user, yes=yes, json=json)
    if new_user or yes:
        raise ConfigError(
            "--as, --user-group, --user-email and --yes require --provision.",
            hint="Add --provision to create the bridge's user, or leave them out.",
        )
    findings = Findings()
    shown: list[tuple[str, str, str]] = []
    try:
        settings = settings_from(config, database_url, mapping)
    except ConfigError as error:
        for problem in error.problems or (error.what,):
            findings.bad(
                "settings", problem, "Fix this first; other checks need readable settings.", ExitCode.INVALID
            )
    else:
        shown = settings.display_rows()
        _run_checks(settings, findings)
    if json:
        print_json(_document(findings, shown))
    else:
        _print(findings, shown)
    return findings.exit_code


def _run_checks(settings: Any, findings: Findings) -> None:
    from bridge.app import App, Options
    from bridge.cli.doctor import checks, feeds, surplus
    from bridge.cli.output import show_progress

    with show_progress() as progress, App(settings, Options(read_timeout=READ_TIMEOUT, tries=1)) as app:
        steps = (
            checks.settings,
            checks.state_db,
            checks.mapping,
            checks.mypreferences,
            checks.profile_link_type,
            feeds.subscriptions,
            checks.own_edits,
            surplus.mypreferences,
            checks.dotdigital,
            checks.profile_identifier,
            surplus.dotdigital,
            feeds.check_polling,
            checks.catalogues,
        )
        for number, step in enumerate(steps):
            progress("examining", number, len(steps))
            step(app, findings)


def _document(findings: Findings, shown: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "ok": findings.exit_code == 0,
        "exit_code": findings.exit_code,
        "checks": [
            {"section": one.section, "state": one.state.value, "what": one.what, "mend": one.hint}
            for one in findings.all
        ],
        "sync": {
            "in_sync": in_sync(findings.problems),
            "ready": is_ready(findings.problems),
            "exit_code": int(exit_code(findings.problems)),
            "conditions": [problem.shown() for problem in findings.problems],
        },
        "settings": [{"name": name, "value": value, "source": source} for name, value, source in shown],
    }


def _print(findings: Findings, shown: list[tuple[str, str, str]]) -> None:
    out = console()
    section = ""
    for one, after in zip(findings.all, [*findings.all[1:], None], strict=True):
        if one.section != section:
            section = one.section
            out.print(styled((section, "bold")))
            if section == "settings":
                _print_settings(shown)
        shared = after is not None and (after.section, after.hint) == (one.section, one.hint)
        _print_finding(one, hint="" if shared else one.hint)
    bad = sum(one.state.value == "bad" for one in findings.all)
    if findings.problems:
        out.print(styled(("sync", "bold")))
        print_problems(findings.problems, indent=2)
    out.print()
    if bad:
        note(StatusMark.BAD, f"{plural(bad, 'problem')} to fix.")
    elif findings.problems:
        note(StatusMark.WARN, "The setup is in order; the state of the sync is above (`bridge status`).")
    else:
        note(StatusMark.GOOD, "Ready: `bridge plan` shows what a run would do.")


def _print_settings(shown: list[tuple[str, str, str]]) -> None:
    """Print the settings that are not defaults."""
    out = console()
    given = [one for one in shown if one[2] != "default"]
    for name, value, source in given:
        out.print(styled(f"  {name} = {value}", (f" ({source})", "dim")), soft_wrap=True)
    rest = len(shown) - len(given)
    about = f"{rest} others have defaults" if given else f"all {rest} have defaults"
    out.print(styled((f"  {about} (--json shows all)", "dim")))


def _print_finding(one: Finding, *, hint: str) -> None:
    """Print one finding. A fix that several in a row share is printed once, after the last."""
    note(StatusMark[one.state.name], one.what, indent=2)
    if hint:
        note(StatusMark.NEXT, hint, indent=4)
