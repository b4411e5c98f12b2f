"""`bridge holds`: review held changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import (
    Config,
    Csv,
    DatabaseUrl,
    Json,
    Note,
    ShowAddresses,
    Yes,
    author,
    confirmed,
    ids_text,
    name_shown,
    require_one_format,
    settings_from,
)
from bridge.cli.output import (
    SIDES,
    StatusMark,
    console,
    format_time,
    join_words,
    note,
    plural,
    print_csv,
    print_json,
    print_wrapped,
    styled,
    table,
)
from bridge.core.approval import Operator
from bridge.core.decision import HOLD_RULES, can_be_released
from bridge.core.errors import ConfigError
from bridge.core.model import HoldState, ids_out
from bridge.core.writes import Resubscribe
from bridge.similarity import closest

if TYPE_CHECKING:
    from bridge.core.store_values import HoldRow
    from bridge.settings import Settings
    from bridge.store import Store

PAGE = 1000
_VERBS = {HoldState.RELEASED: "Release", HoldState.DISMISSED: "Dismiss"}
_NOT_RELEASED = (
    "Change the choice at one of the services, or leave it: `bridge holds dismiss`. See `bridge explain ID`."
)
CSV_COLUMNS = (
    "id", "opened_at", "person", "mypreferences", "dotdigital", "topic", "proposed", "reason", "why", "state",
    "closed_at", "by", "note",
)  # fmt: skip


class StateFilter(StrEnum):
    """Which holds to list, by state."""

    OPEN = "open"
    RELEASED = "released"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    ALL = "all"


Reason = Annotated[
    str | None, typer.Option("--reason", metavar="REASON", help="Only holds with this reason.")
]
Topic = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only holds of this topic.")]
Person = Annotated[str | None, typer.Option("--person", metavar="EMAIL", help="Only holds of this person.")]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="ID", help="Ids from `holds list`.")]
Everything = Annotated[bool, typer.Option("--all", help="Every open hold.")]


def list_(
    config: Config = None,
    database_url: DatabaseUrl = None,
    reason: Reason = None,
    person: Person = None,
    topic: Topic = None,
    state: Annotated[StateFilter, typer.Option("--state", help="Filter by state.")] = StateFilter.OPEN,
    limit: Annotated[int, typer.Option("--limit", min=1, max=PAGE, help="How many to list.")] = 50,
    after: Annotated[int, typer.Option("--after", metavar="ID", min=0, help="Start after this hold id.")] = 0,
    show_addresses: ShowAddresses = False,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """List held changes, oldest first."""
    from bridge.cli.db import reading

    require_one_format(json=json, csv=csv)
    with reading(settings_from(config, database_url)) as store:
        chosen = _select(store, state, reason, person, after, topic)
        rows = [row for _, row in zip(range(limit + 1), chosen, strict=False)]
        shown = _to_json(store, rows[:limit], name_shown(show_addresses))
        held = store.cells.counts().held
    more = rows[limit - 1].id if len(rows) > limit else None
    if json:
        print_json({"holds": shown, "open": held, "next_after": more})
    elif csv:
        print_csv(CSV_COLUMNS, map(_csv_row, shown))
    else:
        _print(shown, held, more)
    return 0


def release(
    numbers: Numbers = None,
    config: Config = None,
    database_url: DatabaseUrl = None,
    reason: Reason = None,
    everything: Everything = False,
    why: Note = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Let held changes proceed in the next run.

    An opt-in is sent if it is dated and still current. A hold that proposes no write cannot be released.
    """
    selected = _Selection(tuple(numbers or ()), reason, everything)
    settings = settings_from(config, database_url)
    return _answer(settings, HoldState.RELEASED, selected, author(why), yes=yes, json=json)


def dismiss(
    numbers: Numbers = None,
    config: Config = None,
    database_url: DatabaseUrl = None,
    reason: Reason = None,
    everything: Everything = False,
    why: Note = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Leave both sides unchanged until either one changes."""
    selected = _Selection(tuple(numbers or ()), reason, everything)
    settings = settings_from(config, database_url)
    return _answer(settings, HoldState.DISMISSED, selected, author(why), yes=yes, json=json)


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which holds an answer is about: one of the three."""

    numbers: tuple[int, ...]
    reason: str | None
    everything: bool

    def __post_init__(self) -> None:
        if sum((bool(self.numbers), self.reason is not None, self.everything)) != 1:
            raise ConfigError(
                "No holds were selected.",
                hint="Give ids, --reason REASON or --all. See `bridge holds list`.",
            )


def _select(
    store: Store,
    state: StateFilter,
    reason: str | None,
    email: str | None,
    after: int = 0,
    topic: str | None = None,
) -> Iterator[HoldRow]:
    """The holds that match, read page by page. Raises ConfigError for an unknown reason or person."""
    only = None
    _require_reason(reason)
    if email is not None:
        who = store.people.find(email)
        if who is None:
            raise ConfigError("The bridge knows no person with this address.", hint="Check the spelling.")
        only = who.person
    while page := _page(store, state, reason, after):
        yield from (
            row
            for row in page
            if (only is None or row.person == only)
            and (topic is None or row.topic == topic)
            and (state is not StateFilter.RESOLVED or row.closed_at is not None)
        )
        after = page[-1].id


def _page(store: Store, state: StateFilter, reason: str | None, after: int) -> list[HoldRow]:
    if state in (StateFilter.ALL, StateFilter.RESOLVED):
        return store.holds.page_of_all(reason=reason, limit=PAGE, after=after)
    return store.holds.page(HoldState(state.value), reason=reason, limit=PAGE, after=after)


def _require_reason(reason: str | None) -> None:
    known = [rule.value for rule in HOLD_RULES]
    if reason is not None and reason not in known:
        raise ConfigError(
            f"No hold has the reason {reason!r}; the nearest is {closest(reason, known)!r}.",
            hint="`bridge holds list` shows the reason of each hold.",
        )


def _to_json(store: Store, rows: list[HoldRow], name: Callable[[str], str]) -> list[dict[str, Any]]:
    people = {who.person: who for who in store.people.get_many([row.person for row in rows])}
    return [
        {
            "id": row.id,
            "person": name(people[row.person].address),
            "ids": ids_out(people[row.person]),
            "topic": row.topic,
            "reason": row.reason,
            "why": row.why,
            "state": row.state.value,
            "opened_at": row.opened_at.isoformat().replace("+00:00", "Z"),
            "closed_at": None if row.closed_at is None else row.closed_at.isoformat().replace("+00:00", "Z"),
            "proposed": list(row.proposed),
            "by": row.answered.by,
            "note": row.answered.note,
        }
        for row in rows
    ]


def _csv_row(row: dict[str, Any]) -> dict[str, str]:
    """A hold as a line of CSV, with the record ids of each side in a column."""
    ids = {side: " ".join(found) for side, found in row["ids"].items()}
    return {**row, **ids, "proposed": join_words(map(_write_text, row["proposed"]))}


def _state_text(row: dict[str, Any]) -> str:
    if row["closed_at"] is not None:
        return " (resolved)" if row["state"] == "open" else f" ({row['state']}, resolved)"
    by = f" by {row['by']}" if row["by"] else ""
    return "" if row["state"] == "open" else f" ({row['state']}{by})"


def _print(rows: list[dict[str, Any]], held: int, more: int | None) -> None:
    out = console()
    if not rows:
        note(StatusMark.GOOD, "Nothing is held." if not held else "No open hold matches.")
        return
    shown = table("id", "since (UTC)", "person, ids", "topic", "would send", "reason", right=(0,), fixed=(0,))
    reasons: dict[str, list[str]] = {}
    for row in rows:
        since, would = (
            format_time(row["opened_at"])[:16],
            join_words(map(_write_text, row["proposed"])) or "-",
        )
        reason = row["reason"] + _state_text(row)
        who = f"{row['person']}\n{ids_text(row['ids'])}"
        shown.add_row(str(row["id"]), since, who, row["topic"], would, reason)
        if row["why"] not in reasons.setdefault(row["reason"], []):
            reasons[row["reason"]].append(row["why"])
    out.print(shown)
    out.print("ids: ProfileId / contactId")
    out.print()
    for reason, words in reasons.items():
        print_wrapped(out, styled((f"{reason}: ", "bold")), styled("; ".join(words)))
    out.print(f"{plural(held, 'hold is', 'holds are')} open.")
    if more is not None:
        note(StatusMark.NEXT, f"More: `bridge holds list --after {more}`")
    for line in _next_steps(rows):
        note(StatusMark.NEXT, line)


def _write_text(write: dict[str, Any]) -> str:
    """What a release would send."""
    if write.get("how") == Resubscribe.CHALLENGE:
        return f"ask by mail at {SIDES[write['side']]}"
    does = {"withdrawal": "out", "raise": "in"}.get(write["kind"], write.get("frequency", "other"))
    return f"{does} at {SIDES[write['side']]}"


def _next_steps(rows: list[dict[str, Any]]) -> Iterator[str]:
    first = next((row["id"] for row in rows if row["state"] == "open" and row["closed_at"] is None), None)
    yield f"See what both sides say: `bridge explain {rows[0]['id'] if first is None else first}`."
    if first is not None:
        yield f"Approve: `bridge holds release {first}`. Decline: `bridge holds dismiss {first}`."


def _answer(
    settings: Settings, state: HoldState, selected: _Selection, by: Operator, *, yes: bool, json: bool
) -> int:
    """Answer the selected holds, page by page. This needs no lease, so it works beside a running daemon: a
    run that decided before the answer leaves the choice to the next run."""
    from bridge.cli.db import opened

    with opened(settings) as store:
        _check_known(store, selected.numbers)
        found = _selected(store, selected)
        due = [row for row in found if state is HoldState.DISMISSED or _can_be_released(row)]
        refused = [row for row in found if row not in due]
        if refused and selected.numbers:
            raise ConfigError(_cannot(refused), hint=_NOT_RELEASED)
        mails = sum(_asks_by_mail(row) for row in due) if state is HoldState.RELEASED else 0
        question = f"{_VERBS[state]} {plural(len(due), 'hold')}{_mails_text(mails)}?"
        if due and (mails or not selected.numbers) and not confirmed(question, yes=yes):
            return 0
        answer = store.holds.release if state is HoldState.RELEASED else store.holds.dismiss
        ids = [row.id for row in due]
        done = sum(answer(ids[at : at + PAGE], by) for at in range(0, len(ids), PAGE))
    _print_answer(done, state, mails, refused, json=json)
    return 0


def _selected(store: Store, selected: _Selection) -> list[HoldRow]:
    if not selected.numbers:
        return list(_select(store, StateFilter.OPEN, selected.reason, None))
    rows = (store.holds.page(None, after=number - 1, limit=1)[0] for number in selected.numbers)
    return [row for row in rows if row.state is not HoldState.RELEASED]


def _can_be_released(row: HoldRow) -> bool:
    return can_be_released(row.reason, row.proposed)


def _cannot(refused: list[HoldRow]) -> str:
    """Why holds were not released, by reason."""
    texts = dict.fromkeys(f"{row.reason}: {row.why}" for row in refused)
    return f"{plural(len(refused), 'hold')} cannot be released ({'; '.join(texts)})."


def _asks_by_mail(row: HoldRow) -> bool:
    """Whether a release has Dotdigital ask the person by mail to confirm."""
    return any(write.get("how") == Resubscribe.CHALLENGE for write in row.proposed)


def _mails_text(mails: int) -> str:
    if not mails:
        return ""
    return f" ({plural(mails, 'confirmation mail')} may be sent to people who unsubscribed)"


def _check_known(store: Store, numbers: Sequence[int]) -> None:
    unknown = [
        number
        for number in numbers
        if [row.id for row in store.holds.page(None, after=number - 1, limit=1)] != [number]
    ]
    if unknown:
        words = ", ".join(map(str, unknown))
        raise ConfigError(f"There is no hold {words}; nothing was changed.", hint="See `bridge holds list`.")


def _print_answer(done: int, state: HoldState, mails: int, refused: list[HoldRow], *, json: bool) -> None:
    if json:
        shown: dict[str, Any] = {state.value: done}
        if state is HoldState.RELEASED:
            shown |= {"refused": len(refused), "confirmation_mails": mails}
        print_json(shown)
        return
    if refused:
        note(StatusMark.WARN, _cannot(refused))
        note(StatusMark.NEXT, _NOT_RELEASED)
    if not done:
        note(StatusMark.WARN, f"None of these holds is open: nothing was {state.value}.")
        note(StatusMark.NEXT, "See `bridge holds list --state all`.")
        return
    note(StatusMark.GOOD, f"{plural(done, 'hold')} {state.value}.")
    if mails:
        note(
            StatusMark.WARN,
            f"{plural(mails, 'person', 'people')} unsubscribed at Dotdigital: where they still are, "
            "Dotdigital asks them by mail, and they are opted in only if they confirm.",
        )
    if state is HoldState.RELEASED:
        note(StatusMark.NEXT, "The next run (`bridge reconcile` or the daemon) sends what is still current.")
    else:
        note(StatusMark.NEXT, "Both sides stay unchanged until either one changes.")
