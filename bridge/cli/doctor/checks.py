"""What the doctor checks, one function per section. None changes anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.doctor.findings import DOTDIGITAL, MYPREFERENCES, Findings
from bridge.cli.output import SIDES, ExitCode, join_words, plural
from bridge.cli.status import schedule_of
from bridge.core.errors import Ambiguous, Forbidden, NotFound, SideError, SignInRefused
from bridge.core.model import Side
from bridge.engine.sync_facts import state_of_sync
from bridge.settings.exposure import exposed_files
from bridge.similarity import did_you_mean

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.cli.live_catalogue import CatalogueRead
    from bridge.core.catalogue import Catalogue
    from bridge.mypreferences.client import MyPreferencesClient
    from bridge.store import Store

_NTP = "Synchronise this machine's clock (NTP)."
_SECOND = timedelta(seconds=1)
_NOBODY = "nobody@consent-bridge.invalid"  # a search that finds nobody proves the permission as well


def settings(app: App, findings: Findings) -> None:
    """Are all required settings present?"""
    for side, require in (
        (MYPREFERENCES, app.settings.require_mypreferences),
        (DOTDIGITAL, app.settings.require_dotdigital),
    ):
        if findings.attempt("settings", lambda require=require: require() or True):  # type: ignore[misc]
            findings.good("settings", f"All settings that {side} needs are present.")
    for problem in exposed_files(app.settings):
        findings.warn("settings", problem, "Let only the bridge's user read it: `chmod 600`, folders 700.")


def state_db(app: App, findings: Findings) -> None:
    """Can the state DB be opened, is its schema current, is another process writing?"""
    from bridge.store import migrate

    section, url = "state DB", app.settings.database_url
    scheme, _, path = url.partition(":///")
    if scheme.startswith("sqlite") and path and not Path(path).exists():
        _new_file(findings, section, Path(path))
        return
    state = findings.attempt(section, lambda: migrate.check(url))
    if state is None:
        return
    if not state.up_to_date:
        has = "no schema yet" if state.current is None else f"schema {state.current}"
        what = f"The state DB has {has}; this program needs {state.head}."
        if scheme.startswith("sqlite") and not state.is_newer:
            findings.warn(section, what, "The next command that opens it upgrades it.")
        else:
            hint = "Install the newer bridge again." if state.is_newer else "Run `bridge db upgrade`."
            findings.bad(section, what, hint, ExitCode.INVALID)
        return
    where = f"{Path(path).absolute()}: " if scheme.startswith("sqlite") and path else ""
    findings.good(section, f"{where}the schema is up to date ({state.head}).")
    _contents(app, findings, section)


def _new_file(findings: Findings, section: str, path: Path) -> None:
    folder = path.absolute().parent
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        findings.bad(
            section,
            f"{path.absolute()} does not exist, and this user cannot create it: the folder is read-only.",
            "Set BRIDGE_DATABASE_URL to another place, or let this user write there.",
            ExitCode.INVALID,
        )
    elif folder.is_dir():
        findings.good(section, f"{path.absolute()} does not exist yet; the first run creates it.")
    else:
        findings.bad(
            section, f"The folder {folder} for the state DB does not exist.", "Create it.", ExitCode.INVALID
        )


def _erasures(store: Store, findings: Findings, section: str) -> None:
    if marks := store.erasures.unreadable():
        findings.bad(
            section,
            f"{plural(marks, 'erasure marker was', 'erasure markers were')} made with a different "
            "BRIDGE_ERASURE_KEY. Older opt-ins of new people are ignored until it is restored.",
            "Restore the key. If it is lost: `bridge forget --drop-unreadable`.",
            ExitCode.INVALID,
        )
    if begun := store.erasures.unfinished():
        words = plural(begun, "erasure is", "erasures are")
        findings.warn(section, f"{words} not finished.", "Run `bridge forget` again for each person.")


def _contents(app: App, findings: Findings, section: str) -> None:
    from bridge.store.lease import shown_owner

    store = app.reading_store
    people = store.people.count()
    findings.good(section, f"{plural(people, 'person', 'people')} known.")
    findings.problems = state_of_sync(store, schedule_of(app.settings, store), app.options.clock())
    _erasures(store, findings, section)
    holder = store.lease_holder()
    if holder is not None:
        who, until = holder
        findings.good(
            section,
            f"{shown_owner(who)} is writing to it; its lease ends at {until:%H:%M:%S} UTC. `bridge plan`"
            " works on a copy meanwhile.",
        )


def mapping(app: App, findings: Findings) -> None:
    """Is the mapping file valid?"""
    known = findings.attempt("mapping", lambda: app.mapping)
    if known is not None:
        topics = join_words(topic.id for topic in known.all)
        findings.good("mapping", f"{app.settings.mapping.absolute()}: {topics} (digest {known.digest}).")
        if known.draft:
            hint = "Read it, check it with `bridge plan`, then remove the line draft = true."
            findings.warn("mapping", "This is a draft: runs write nothing.", hint)


def mypreferences(app: App, findings: Findings) -> None:
    """Are sign-in, permissions and clock right at MyPreferences?"""
    client = (
        findings.attempt(MYPREFERENCES, lambda: app.mypreferences.client)
        if _is_set(app.settings.require_mypreferences)
        else None
    )
    if client is None:
        return

    def events() -> datetime | None:
        now = app.options.clock()
        return client.retrieve_events(start_at=now - timedelta(minutes=1), end_at=now).server_time

    signed = _permitted(
        findings,
        MYPREFERENCES,
        "Programs",
        client.retrieve_programs,
        signing_in=app.mypreferences.sign_in.auth_name,
    )
    if not signed:
        return
    own_settings = app.settings.mypreferences
    if own_settings.segment is None and own_settings.segment_group is None:
        findings.warn(
            MYPREFERENCES,
            "No segment is set, so a full sweep reads each known person individually.",
            "Set BRIDGE_MYPREFERENCES__SEGMENT (or __SEGMENT_GROUP) to one that contains everybody.",
        )
    _permitted(findings, MYPREFERENCES, "ConsentTypes", client.retrieve_consent_types)
    _permitted(findings, MYPREFERENCES, "Profiles", lambda: _search(client))
    asked = app.options.clock()
    times: list[datetime | None] = []
    if _permitted(findings, MYPREFERENCES, "Events", lambda: times.append(events())) and times[0] is not None:
        _skew(app, findings, MYPREFERENCES, asked, times[0])


def _search(client: MyPreferencesClient) -> None:
    """Search for nobody: what is refused then is the permission, not that too many were found."""
    try:
        client.retrieve_profiles_by_email(_NOBODY)
    except Ambiguous as error:
        raise Forbidden(
            "The MyPreferences user may not search for profiles (retrieveProfilesByEmail).",
            side=error.side, operation=error.operation, status=error.status,
            hint="Give the User Group of BRIDGE_MYPREFERENCES__USER_ID this permission.",
        ) from None  # fmt: skip


def dotdigital(app: App, findings: Findings) -> None:
    """Are region, sign-in, permissions and clock right at Dotdigital?"""
    client = (
        findings.attempt(DOTDIGITAL, lambda: app.dotdigital.v2)
        if _is_set(app.settings.require_dotdigital)
        else None
    )
    if client is None:
        return
    account = findings.attempt(DOTDIGITAL, client.get_account_information)
    if account is None:
        return
    findings.good(DOTDIGITAL, "Signed in.")
    _region(app, findings, account.value("ApiEndpoint"))
    asked = app.options.clock()
    there = findings.attempt(DOTDIGITAL, client.get_server_time)
    if there is not None:
        _skew(app, findings, DOTDIGITAL, asked, there)
    _permitted(findings, DOTDIGITAL, "Preferences", client.get_preferences)
    now = app.options.clock()
    since = now - timedelta(minutes=1)
    _permitted(
        findings, DOTDIGITAL, "Suppressions",
        lambda: client.get_suppressed_contacts_since_date(since=since, select=1),
    )  # fmt: skip
    _v3(app, findings)


def _v3(app: App, findings: Findings) -> None:
    """Can the v3 API be used? An account without it is served by v2 unless the settings require v3."""
    access = app.dotdigital.v3
    client = findings.attempt(DOTDIGITAL, access.client)
    if access.warning is not None:
        findings.warn(DOTDIGITAL, "Contacts (v3) cannot be read.", access.warning)
    elif client is not None:
        _permitted(findings, DOTDIGITAL, "Contacts (v3)", lambda: client.get_contacts(limit=1))


def _region(app: App, findings: Findings, endpoint: str | None) -> None:
    base_url = app.settings.dotdigital.base_url
    if base_url is None:
        findings.good(DOTDIGITAL, f"The account's region is {endpoint}.")
    elif endpoint is not None and endpoint.rstrip("/") != base_url:
        findings.bad(
            DOTDIGITAL,
            f"The account's region is {endpoint}, not {base_url}.",
            "Correct BRIDGE_DOTDIGITAL__BASE_URL, or unset it to discover the region.",
            ExitCode.INVALID,
        )
    else:
        findings.good(DOTDIGITAL, f"{base_url} is the account's region.")


def catalogues(app: App, findings: Findings) -> None:
    """Does everything that the mapping names exist on both sides?"""
    bad = {one.section for one in findings.all if one.code}
    if "mapping" in bad or "settings" in bad:
        return
    read = [
        looked.catalogue
        for side, name in SIDES.items()
        if name not in bad and (looked := _catalogue(app, findings, Side(side), f"mapping at {name}"))
    ]
    if "state DB" not in bad:
        _changes(app, findings, read)


def _changes(app: App, findings: Findings, read: Sequence[Catalogue]) -> None:
    """What the mapping names and was recently renamed, removed or changed."""
    from bridge.cli import live_catalogue

    section = "changes"
    recent_changes = findings.attempt(section, lambda: live_catalogue.recent_changes(app, read))
    for one in recent_changes or ():
        findings.warn(
            section, one, "Check that the mapping still means the same: `bridge mapping check --live`."
        )


def _catalogue(app: App, findings: Findings, side: Side, section: str) -> CatalogueRead | None:
    from bridge.cli import live_catalogue

    looked = findings.attempt(section, lambda: live_catalogue.read_side(app, side))
    if looked is None:
        return None
    problems = live_catalogue.mapping_problems(app, looked.catalogue)
    for problem in problems:
        findings.bad(section, problem.what, problem.problem.hint, ExitCode.INVALID)
    for one in looked.notes:
        findings.warn(section, one, "Grant the API user this permission, or set the path in a routes file.")
    if not problems:
        findings.good(section, f"Everything the mapping names exists at {SIDES[side]}.")
    return looked


def _permitted(
    findings: Findings, side: str, what: str, call: Callable[[], object], *, signing_in: str = ""
) -> bool:
    """Whether a call is permitted. `signing_in` names the sign-in method that the call proves. Other checks
    continue after a missing permission."""
    try:
        call()
    except Forbidden as error:
        findings.bad(side, error.what, error.hint, ExitCode.UNREACHABLE)
        return bool(signing_in)  # the sign-in itself worked
    except SignInRefused as error:
        way = f" Tried: {signing_in}." if signing_in else ""
        findings.bad(side, f"{error.what}{way}", error.hint, ExitCode.UNREACHABLE)
        return False
    except SideError as error:
        findings.bad(side, error.what, error.hint, ExitCode.UNREACHABLE)
        return False
    if signing_in:
        findings.good(side, f"Signed in by {signing_in}.")
    findings.good(side, f"{what} can be read.")
    return True


def _skew(app: App, findings: Findings, side: str, asked: datetime, there: datetime) -> None:
    """Compare the service's clock with ours, less the call's duration. The service's time is exact to 1 s."""
    now = app.options.clock()
    early, late = (asked - there - _SECOND) / _SECOND, (now - there) / _SECOND
    off = max(early, 0.0) or min(late, 0.0)
    if abs(off) > app.settings.skew_seconds:
        way = "ahead of" if off > 0 else "behind"
        findings.warn(side, f"This machine's clock is {abs(off):.0f} s {way} the clock of {side}.", _NTP)
    else:
        apart = max(1, ceil(max(abs(early), abs(late))))  # the most that a call of this duration can prove
        findings.good(side, f"The clocks agree to within {apart} s.")


def _is_set(require: Callable[[], None]) -> bool:
    """Whether all settings of a side are present; missing ones are reported under `settings`."""
    from bridge.core.errors import ConfigError

    try:
        require()
    except ConfigError:
        return False
    return True


_SETTING = "BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE"
_IDENTIFIER = "BRIDGE_DOTDIGITAL__PROFILE_IDENTIFIER"


def profile_link_type(app: App, findings: Findings) -> None:
    """Does the configured alternate-id type exist? With a wrong name no profile is linked, and nothing else
    would report it. Case does not matter."""
    wanted = app.settings.mypreferences.alternate_id_type
    if wanted is None or any(one.section in ("settings", MYPREFERENCES) and one.code for one in findings.all):
        return
    try:
        known = [
            one.type_name
            for one in app.mypreferences.client.retrieve_alternate_id_types()
            if one.is_active is not False
        ]
    except SideError as error:
        findings.warn(MYPREFERENCES, f"Cannot read the alternate-id types: {error.what}", error.hint)
        return
    if wanted.casefold() in {name.casefold() for name in known}:
        findings.good(MYPREFERENCES, f"Profiles are linked by the alternate id {wanted}.")
        return
    hint = f"{did_you_mean(wanted, known)} Correct or unset {_SETTING}.".lstrip()
    findings.bad(
        MYPREFERENCES,
        f"MyPreferences has no active alternate-id type {wanted}: no profile is linked.",
        hint,
        ExitCode.INVALID,
    )


def profile_identifier(app: App, findings: Findings) -> None:
    """Does the configured custom identifier exist? With a wrong name no contact is linked, and nothing else
    would report it."""
    wanted = app.settings.dotdigital.profile_identifier
    if wanted is None or any(one.section in ("settings", DOTDIGITAL) and one.code for one in findings.all):
        return
    try:
        client = app.dotdigital.v3.client()
        if client is None:
            findings.warn(
                DOTDIGITAL, "Custom identifiers cannot be read without the v3 API.", f"Unset {_IDENTIFIER}."
            )
            return
        known = client.get_custom_identifiers()
    except SideError as error:
        findings.warn(DOTDIGITAL, f"Cannot read the custom identifier {wanted}: {error.what}", error.hint)
        return
    if wanted in known:
        findings.good(DOTDIGITAL, f"Contacts are linked by the custom identifier {wanted}.")
        return
    hint = f"{did_you_mean(wanted, known)} Correct or unset {_IDENTIFIER}.".lstrip()
    findings.bad(
        DOTDIGITAL,
        f"Dotdigital has no custom identifier {wanted}: no contact is linked.",
        hint,
        ExitCode.INVALID,
    )


def own_edits(app: App, findings: Findings) -> None:
    """Does MyPreferences record the bridge as the author of its edits? Checked on the person written to last.
    For information only: another program may use the same user, so no decision depends on it."""
    from bridge.cli import live_catalogue

    bad = {one.section for one in findings.all if one.code}
    if bad & {"settings", "state DB", MYPREFERENCES} or not live_catalogue.has_state_db(app):
        return
    person = app.reading_store.attempts.last_written(Side.MYPREFERENCES)
    if person is None:
        return
    ids = app.reading_store.people.get(person).ids.get(Side.MYPREFERENCES, ())
    own_settings = app.settings.mypreferences
    try:
        authors = [author for one in ids for author in app.mypreferences.client.retrieve_authors_by_id(one)]
    except NotFound:  # deleted since
        return
    except SideError as error:
        findings.warn(MYPREFERENCES, f"Cannot read who recorded the bridge's edits: {error.what}", error.hint)
        return
    if any(author.is_of(own_settings.user_id or "", own_settings.source_group) for author in authors):
        findings.good(MYPREFERENCES, "The bridge's edits are recorded under its own user.")
    elif authors:
        findings.warn(
            MYPREFERENCES,
            "The person the bridge wrote to last has no preference recorded under the bridge's user: "
            "it was changed since, only a consent was written, or edits are not attributed.",
            "`bridge doctor --provision` creates a separate user. No decision depends on this.",
        )
