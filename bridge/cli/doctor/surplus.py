"""Which rights the API users have without need. The reads are chosen from what the bridge never uses; none of
them shows people, and none changes anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.cli.doctor.findings import DOTDIGITAL, MYPREFERENCES, Findings
from bridge.cli.output import join_words
from bridge.core.errors import SideError

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.mypreferences.client import MyPreferencesClient

_PAGE = "docs/least-privilege.md lists what the bridge needs."


def mypreferences(app: App, findings: Findings) -> None:
    """May the user read what the bridge never needs? A right can be taken from it there."""
    if _is_bad(findings, MYPREFERENCES):
        return
    if found := surplus_reads(app.mypreferences.client):
        findings.warn(
            MYPREFERENCES,
            f"The API user has rights that the bridge never needs: it may read {join_words(found)}.",
            f"Leave only the User Groups that the bridge needs, or take these rights out of them. {_PAGE}",
        )
    else:
        findings.good(MYPREFERENCES, "The API user has no rights beyond need, as far as was tried.")


def surplus_reads(client: MyPreferencesClient) -> list[str]:
    """What the user may read without need. A call that fails for any reason shows nothing."""
    reads: dict[str, Callable[[], object]] = {
        "program groups": client.retrieve_program_groups,
        "types of groups": client.retrieve_group_types,
        "types of postal addresses": client.retrieve_address_types,
    }
    found: list[str] = []
    for what, call in reads.items():
        try:
            call()
        except SideError:
            continue
        found.append(what)
    return found


def dotdigital(app: App, findings: Findings) -> None:
    """The same at Dotdigital, whose rights are those of the account: nothing to fix."""
    from bridge.dotdigital import surplus

    if _is_bad(findings, DOTDIGITAL):
        return
    if found := surplus.surplus_reads(app.dotdigital.v2.transport):
        findings.note(
            DOTDIGITAL,
            f"The API user may also read {join_words(found)}: rights at Dotdigital are those of the account.",
            f"Give this API user to the bridge alone, so that it can be disabled by itself. {_PAGE}",
        )
    else:
        findings.good(DOTDIGITAL, "The API user has no rights beyond need, as far as was tried.")


def _is_bad(findings: Findings, section: str) -> bool:
    """Whether the side cannot be asked, or its sign-in or permissions have to be fixed first."""
    return any(one.section in ("settings", section) and one.code for one in findings.all)
