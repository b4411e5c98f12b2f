"""The feeds of v2: who became unmailable, whose opt-in changed, who is opted in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.dotdigital import dates, render, vocabulary
from bridge.sandbox.dotdigital.exchange import Answer, Call, answer
from bridge.sandbox.dotdigital.records import Contact, OptIn
from bridge.sandbox.dotdigital.refusal import parameter_invalid, preference_not_found
from bridge.sandbox.dotdigital.state import State

_PAGE = 1000


def suppressed_since(state: State, call: Call) -> Answer:
    """Everybody unmailable since the date, with the reason; a feed of present state, not a log."""
    return _suppressions(state, call, only_unsubscribed=False)


def unsubscribed_since(state: State, call: Call) -> Answer:
    """The same feed, only reason Unsubscribed."""
    return _suppressions(state, call, only_unsubscribed=True)


def opt_ins_since(state: State, call: Call) -> Answer:
    """The first 1,000 contacts, by id, whose word on the preference changed since the date (inclusive)."""
    preference_id = _preference(state, call)
    since = path_date(call)
    switches = state.switches

    def changed(row: OptIn) -> bool:
        if not row.opted_in and not switches.opt_out_rows:
            return False
        return _at(state, row.modified) >= since and _visible(state, row.recorded)

    rows = []
    for contact in _of_preference(state, call, preference_id, changed):
        own = contact.opt_ins[preference_id]
        shown = list(contact.opt_ins.values()) if switches.foreign_preference_rows else [own]
        opt_ins = render.opt_in_rows(contact, shown, switches.rows_per_address_book)
        rows.append({"contact": render.v2_contact(contact), "marketingPreferenceOptIns": opt_ins})
    return answer(rows)


def with_preference(state: State, call: Call) -> Answer:
    """The first 1,000 contacts, by id, that are opted in now."""
    preference_id = _preference(state, call)
    found = _of_preference(state, call, preference_id, lambda row: row.opted_in)
    rows = [{"id": contact.id, "email": contact.email} for contact in found]
    if state.switches.rows_per_address_book:
        rows = [row for row in rows for _ in range(2)][:_PAGE]
    return answer(rows)


def path_date(call: Call) -> datetime:
    """The date of the path. Raises V2Refusal."""
    try:
        return dates.parse_path_date(call.path["date"])
    except ValueError as error:
        raise parameter_invalid("The date is not valid.") from error


def _suppressions(state: State, call: Call, only_unsubscribed: bool) -> Answer:
    select = call.number("select", _PAGE, 1, _PAGE)
    skip = call.number("skip", 0, 0)
    rows = _sorted_suppressions(state, path_date(call), only_unsubscribed)
    return answer([render.suppression(contact) for contact in rows[skip : skip + select]])


def _sorted_suppressions(state: State, since: datetime, only_unsubscribed: bool) -> list[Contact]:
    """All rows in feed order. Kept between pages while nothing changes, unless the feed lags."""
    switches = state.switches

    def build() -> list[Contact]:
        rows = [row for row in _candidates(state, only_unsubscribed) if _since(state, row, since)]
        if switches.feed_order == "sorted":
            rows.sort(key=lambda row: (row.date_removed or row.created, row.id))
        else:
            rows.sort(key=lambda row: (row.shuffle, row.id))
        return rows

    if switches.feed_lag_seconds:
        return build()
    read_as = (switches.feed_order, switches.since_date, switches.row_resolution)
    pending = switches.pending_in_suppressed_feed
    return state.cached((since, only_unsubscribed, pending, *read_as), build)


def _candidates(state: State, only_unsubscribed: bool) -> Iterable[Contact]:
    if only_unsubscribed:
        found: Iterable[Contact] = (
            row for row in state.contacts.suppressed.values() if row.status == vocabulary.UNSUBSCRIBED
        )
    elif state.switches.pending_in_suppressed_feed:
        found = (row for row in state.contacts.living() if row.status != vocabulary.SUBSCRIBED)
    else:
        found = state.contacts.suppressed.values()
    return (row for row in found if row.email is not None)


def _since(state: State, contact: Contact, since: datetime) -> bool:
    if not _visible(state, contact.suppression_changed):
        return False
    moment = _at(state, contact.date_removed or contact.created)
    return moment > since if state.switches.since_date == "exclusive" else moment >= since


def _at(state: State, moment: datetime) -> datetime:
    return moment.replace(microsecond=0) if state.switches.row_resolution == "second" else moment


def _visible(state: State, recorded: datetime) -> bool:
    lag = state.switches.feed_lag_seconds
    return not lag or recorded + timedelta(seconds=lag) <= state.now()


def _preference(state: State, call: Call) -> int:
    preference_id = call.id("preferenceId")
    if state.catalogue.leaf(preference_id) is None:
        raise preference_not_found(404)
    return preference_id


def _of_preference(
    state: State, call: Call, preference_id: int, wanted: Callable[[OptIn], bool]
) -> list[Contact]:
    least = call.number("mincontactid", 0, 0)
    if state.switches.min_contact_id == "exclusive" and "mincontactid" in call.query:
        least += 1
    lists_suppressed = state.switches.preference_feeds_list_suppressed
    index: dict[int, Any] = state.contacts.by_preference.get(preference_id, {})
    found = [
        contact
        for contact in index.values()
        if contact.id >= least
        and contact.email is not None
        and (lists_suppressed or not contact.suppressed)
        and wanted(contact.opt_ins[preference_id])
    ]
    found.sort(key=lambda contact: contact.id)
    return found[:_PAGE]
