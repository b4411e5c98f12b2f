"""What the doctor checks, one function per section. None changes anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.doctor.findings import SETUP, Findings
from bridge.cli.output import SIDES, join_words, plural
from bridge.core.errors import Forbidden, NotFound, SideError, SignInRefused
from bridge.core.model import Side
from bridge.did_you_mean import closest

if TYPE_CHECKING:
    from bridge.app import App
    from bridge.cli.live_catalogue import CatalogueRead
    from bridge.core.catalogue import Catalogue
    from bridge.store import Store

MINE, THEIRS = "MyPreferences", "Dotdigital"
_NTP = "Set this machine's clock right (NTP)."
_SECOND = timedelta(seconds=1)


def settings(app: App, findings: Findings) -> None:
    """Is everything set that both sides need?"""
    for side, require in (
        (MINE, app.settings.require_mypreferences),
        (THEIRS, app.settings.require_dotdigital),
    ):
        if findings.attempt("settings", lambda require=require: require() or True):  # type: ignore[misc]
            findings.good("settings", f"All that {side} needs is set.")


def state_db(app: App, findings: Findings) -> None:
    """Can the state DB be opened, is its schema right, does somebody write to it?"""
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
            findings.bad(section, what, hint, SETUP)
        return
    findings.good(section, f"Its schema is up to date ({state.head}).")
    _contents(app, findings, section)


def _new_file(findings: Findings, section: str, path: Path) -> None:
    folder = path.resolve().parent
    if folder.is_dir():
        findings.good(section, f"{path} is not there yet; the first run makes it.")
    else:
        findings.bad(section, f"The folder {folder} for the state DB is not there.", "Make it.", SETUP)


def _erasures(store: Store, findings: Findings, section: str) -> None:
    if marks := store.unreadable_marks():
        findings.bad(
            section,
            f"The marks of {plural(marks, 'person', 'people')} who were erased need another "
            "BRIDGE_ERASURE_KEY than is set: of whoever is new no older opt-in is heard.",
            "Set the key that they were made with. If it is lost: `bridge forget --drop-unreadable`.",
            SETUP,
        )
    if begun := store.unfinished_erasures():
        words = plural(begun, "person is", "people are")
        findings.warn(section, f"{words} not wholly erased.", "Repeat `bridge forget` for each of them.")


def _contents(app: App, findings: Findings, section: str) -> None:
    store = app.reading_store
    counts, people = store.counts(), store.people_count()
    findings.good(section, f"{plural(people, 'person', 'people')} known.")
    if counts.held or counts.dead:
        findings.warn(
            section,
            f"{plural(counts.held + counts.dead, 'thing')} wait for a person.",
            "`bridge holds list`",
        )
    _erasures(store, findings, section)
    holder = store.lease_holder()
    if holder is not None:
        who, until = holder
        findings.good(section, f"{who} writes to it; its lease runs until {until:%H:%M:%S} UTC.")


def mapping(app: App, findings: Findings) -> None:
    """Can the mapping file be used?"""
    known = findings.attempt("mapping", lambda: app.mapping)
    if known is not None:
        topics = join_words(topic.id for topic in known.all)
        findings.good("mapping", f"{app.settings.mapping}: {topics} (digest {known.digest}).")
        if known.draft:
            hint = "Read it, see what it would do by `bridge plan`, then take out the line draft = true."
            findings.warn("mapping", "It is a draft: nothing is written by it.", hint)


def mypreferences(app: App, findings: Findings) -> None:
    """Sign-in, permissions and clock."""
    client = (
        findings.attempt(MINE, lambda: app.mypreferences)
        if _is_set(app.settings.require_mypreferences)
        else None
    )
    if client is None:
        return

    def events() -> datetime | None:
        now = app.options.clock()
        return client.retrieve_events(start_at=now - timedelta(minutes=1), end_at=now).server_time

    signed = _permitted(findings, MINE, "Programs", client.programs, signing_in=app.sign_in.way)
    if not signed:
        return
    mine = app.settings.mypreferences
    if mine.segment is None and mine.segment_group is None:
        findings.warn(
            MINE,
            "No segment is set: a full sweep reads each known person singly.",
            "Set BRIDGE_MYPREFERENCES__SEGMENT (or __SEGMENT_GROUP) to what holds everybody.",
        )
    _permitted(findings, MINE, "ConsentTypes", client.consent_types)
    asked = app.options.clock()
    times: list[datetime | None] = []
    if _permitted(findings, MINE, "Events", lambda: times.append(events())) and times[0] is not None:
        _skew(app, findings, MINE, asked, times[0])


def dotdigital(app: App, findings: Findings) -> None:
    """Region, sign-in, permissions and clock."""
    client = (
        findings.attempt(THEIRS, lambda: app.dotdigital) if _is_set(app.settings.require_dotdigital) else None
    )
    if client is None:
        return
    account = findings.attempt(THEIRS, client.account_info)
    if account is None:
        return
    findings.good(THEIRS, "Signed in.")
    _region(app, findings, account.value("ApiEndpoint"))
    asked = app.options.clock()
    there = findings.attempt(THEIRS, client.server_time)
    if there is not None:
        _skew(app, findings, THEIRS, asked, there)
    _permitted(findings, THEIRS, "Preferences", client.get_preferences)
    now = app.options.clock()
    since = now - timedelta(minutes=1)
    _permitted(
        findings, THEIRS, "Suppressions",
        lambda: client.get_suppressed_contacts_since_date(since=since, select=1),
    )  # fmt: skip
    _v3(app, findings)


def _v3(app: App, findings: Findings) -> None:
    """Where the settings leave it open, an account without v3 is served all the same."""
    access = app.dotdigital_v3
    client = findings.attempt(THEIRS, access.client)
    if access.warning is not None:
        findings.warn(THEIRS, "Contacts (v3) cannot be read.", access.warning)
    elif client is not None:
        _permitted(findings, THEIRS, "Contacts (v3)", lambda: client.contacts(limit=1))


def _region(app: App, findings: Findings, endpoint: str | None) -> None:
    base_url = app.settings.dotdigital.base_url
    if base_url is None:
        findings.good(THEIRS, f"The account's region is {endpoint}.")
    elif endpoint is not None and endpoint.rstrip("/") != base_url:
        findings.bad(
            THEIRS,
            f"The account lives at {endpoint}, not at {base_url}.",
            "Unset BRIDGE_DOTDIGITAL__BASE_URL to have the region discovered, or set it to that.",
            SETUP,
        )
    else:
        findings.good(THEIRS, f"{base_url} is the account's region.")


def catalogues(app: App, findings: Findings) -> None:
    """Does what the mapping names exist at both sides?"""
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
    """What was renamed, taken away or changed of late, of what the mapping names."""
    from bridge.cli import live_catalogue

    section = "changes"
    recent_changes = findings.attempt(section, lambda: live_catalogue.recent_changes(app, read))
    for one in recent_changes or ():
        findings.warn(
            section, one, "See that the mapping still means what it says: `bridge mapping check --live`."
        )


def _catalogue(app: App, findings: Findings, side: Side, section: str) -> CatalogueRead | None:
    from bridge.cli import live_catalogue

    looked = findings.attempt(section, lambda: live_catalogue.read_side(app, side))
    if looked is None:
        return None
    problems = live_catalogue.mapping_problems(app, looked.catalogue)
    for problem in problems:
        findings.bad(section, problem.what, problem.problem.hint, SETUP)
    for one in looked.notes:
        findings.warn(section, one, "Give the API user that permission, or name the path in a routes file.")
    if not problems:
        findings.good(section, f"All that the mapping names exists at {SIDES[side]}.")
    return looked


def _permitted(
    findings: Findings, side: str, what: str, call: Callable[[], object], *, signing_in: str = ""
) -> bool:
    """Whether a call may be made; `signing_in` names the way of the sign-in that it proves. A permission that
    is missing leaves the rest to be looked at."""
    try:
        call()
    except Forbidden as error:
        findings.bad(side, error.what, error.hint, 5)
        return bool(signing_in)  # signed in all the same
    except SignInRefused as error:
        way = f" Tried: {signing_in}." if signing_in else ""
        findings.bad(side, f"{error.what}{way}", error.hint, 5)
        return False
    except SideError as error:
        findings.bad(side, error.what, error.hint, 5)
        return False
    if signing_in:
        findings.good(side, f"Signed in by {signing_in}.")
    findings.good(side, f"{what} can be read.")
    return True


def _skew(app: App, findings: Findings, side: str, asked: datetime, there: datetime) -> None:
    """The service's clock against ours, the time of the call taken off. Its answer is exact to a second."""
    now = app.options.clock()
    early, late = (asked - there - _SECOND) / _SECOND, (now - there) / _SECOND
    off = max(early, 0.0) or min(late, 0.0)
    if abs(off) > app.settings.skew_seconds:
        way = "ahead of" if off > 0 else "behind"
        findings.warn(side, f"This machine's clock is {abs(off):.0f} s {way} the one of {side}.", _NTP)
    else:
        apart = max(1, ceil(max(abs(early), abs(late))))  # as far as an answer of that length can tell
        findings.good(side, f"Both clocks agree to within {apart} s.")


def _is_set(require: Callable[[], None]) -> bool:
    """Whether the settings of a side are whole; what is missing was told under `settings`."""
    from bridge.core.errors import ConfigError

    try:
        require()
    except ConfigError:
        return False
    return True


_SETTING = "BRIDGE_MYPREFERENCES__ALTERNATE_ID_TYPE"
_IDENTIFIER = "BRIDGE_DOTDIGITAL__PROFILE_IDENTIFIER"


def profile_link_type(app: App, findings: Findings) -> None:
    """Does the alternate-id type exist that the settings name? Under a wrong name nobody is found pinned, and
    nothing else tells of it. Names match in any case."""
    wanted = app.settings.mypreferences.alternate_id_type
    if wanted is None or any(one.section in ("settings", MINE) and one.code for one in findings.all):
        return
    try:
        known = [
            one.type_name for one in app.mypreferences.alternate_id_types() if one.is_active is not False
        ]
    except SideError as error:
        findings.warn(MINE, f"Alternate-id types cannot be looked at: {error.what}", error.hint)
        return
    if wanted.casefold() in {name.casefold() for name in known}:
        findings.good(MINE, f"Profiles are pinned by the alternate id {wanted}.")
        return
    hint = f"Did you mean {closest(wanted, known)}? Mend {_SETTING}." if known else f"Unset {_SETTING}."
    findings.bad(
        MINE, f"MyPreferences has no active alternate-id type {wanted}: nobody is pinned.", hint, SETUP
    )


def profile_identifier(app: App, findings: Findings) -> None:
    """Does the custom identifier exist that the settings name? Under a wrong name no contact names anybody,
    and nothing else tells of it."""
    wanted = app.settings.dotdigital.profile_identifier
    if wanted is None or any(one.section in ("settings", THEIRS) and one.code for one in findings.all):
        return
    try:
        client = app.dotdigital_v3.client()
        if client is None:
            findings.warn(
                THEIRS, "Without v3 no contact's custom identifier is read.", f"Unset {_IDENTIFIER}."
            )
            return
        known = client.custom_identifiers()
    except SideError as error:
        findings.warn(
            THEIRS, f"Whether there is a custom identifier {wanted} cannot be told: {error.what}", error.hint
        )
        return
    if wanted in known:
        findings.good(THEIRS, f"Contacts name their profile by the custom identifier {wanted}.")
        return
    hint = f"Did you mean {closest(wanted, known)}? Mend {_IDENTIFIER}." if known else f"Unset {_IDENTIFIER}."
    findings.bad(THEIRS, f"Dotdigital has no custom identifier {wanted}: no contact is pinned.", hint, SETUP)


MINE = "MyPreferences"


def own_edits(app: App, findings: Findings) -> None:
    """Does MyPreferences stamp the bridge's edits as its own? Looked at on the person it wrote to last. For
    people only: no decision rests on it, since somebody may use the same user."""
    from bridge.cli import live_catalogue

    bad = {one.section for one in findings.all if one.code}
    if bad & {"settings", "state DB", MINE} or not live_catalogue.has_state_db(app):
        return
    person = app.reading_store.last_written(Side.MYPREFERENCES)
    if person is None:
        return
    ids = app.reading_store.who(person).ids.get(Side.MYPREFERENCES, ())
    mine = app.settings.mypreferences
    try:
        authors = [author for one in ids for author in app.mypreferences.authors_by_id(one)]
    except NotFound:  # gone since
        return
    except SideError as error:
        findings.warn(MINE, f"Who recorded the bridge's edits cannot be looked at: {error.what}", error.hint)
        return
    if any(author.is_of(mine.user_id or "", mine.source_group) for author in authors):
        findings.good(MINE, "What the bridge wrote there is known as written by the bridge itself.")
    elif authors:
        findings.warn(
            MINE,
            "No preference of the person whom the bridge wrote to last is known there as the bridge's own: "
            "somebody changed them since, only a consent was written, or its edits are not stamped.",
            "`bridge doctor --provision` makes a user of its own. No decision rests on it.",
        )
