"""The feeds of v2: who became unmailable, whose opt-in changed, who is opted in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from bridge.sandbox.dotdigital import render, wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import StoredContact, StoredOptIn
from bridge.sandbox.dotdigital.refusals import preference_not_found
from bridge.sandbox.dotdigital.v2_contacts import path_date, path_id, query_number
from bridge.sandbox.http import HttpReply, HttpRequest, json_reply

_PAGE = 1000
_SMS_REASONS = {"as_suppressed": wire.SUPPRESSED, "as_unsubscribed": wire.UNSUBSCRIBED}


def get_suppressed_contacts_since_date(account: Account, request: HttpRequest) -> HttpReply:
    """Everybody unmailable since the date, with the reason; a feed of present account, not a log."""
    return _suppressions(account, request, only_unsubscribed=False)


def get_unsubscribed_contacts_since_date(account: Account, request: HttpRequest) -> HttpReply:
    """The same feed, only reason Unsubscribed."""
    return _suppressions(account, request, only_unsubscribed=True)


def get_contacts_with_modified_preference_opt_in_since_date(
    account: Account, request: HttpRequest
) -> HttpReply:
    """The first 1,000 contacts, by id, whose choice on the preference changed since the date (inclusive)."""
    preference_id = _preference(account, request)
    since = path_date(request)
    switches = account.switches

    def changed(row: StoredOptIn) -> bool:
        if not row.opted_in and not switches.opt_out_rows:
            return False
        return _at(account, row.modified) >= since and _visible(account, row.recorded)

    rows = []
    for contact in _of_preference(account, request, preference_id, changed):
        own = contact.opt_ins[preference_id]
        shown = list(contact.opt_ins.values()) if switches.foreign_preference_rows else [own]
        opt_ins = render.opt_in_rows(contact, shown, switches.rows_per_address_book)
        rows.append({"contact": render.v2_contact(contact), "marketingPreferenceOptIns": opt_ins})
    return json_reply(rows)


def get_contacts_opted_into_a_preference(account: Account, request: HttpRequest) -> HttpReply:
    """The first 1,000 contacts, by id, that are opted in now."""
    preference_id = _preference(account, request)
    found = _of_preference(account, request, preference_id, lambda row: row.opted_in)
    rows = [{"id": contact.id, "email": contact.email} for contact in found]
    if account.switches.rows_per_address_book:
        rows = [row for row in rows for _ in range(2)][:_PAGE]
    return json_reply(rows)


def _suppressions(account: Account, request: HttpRequest, only_unsubscribed: bool) -> HttpReply:
    select = query_number(request, "select", _PAGE, 1, _PAGE)
    skip = query_number(request, "skip", 0, 0)
    rows = _sorted_suppressions(account, path_date(request), only_unsubscribed)
    reason = _SMS_REASONS.get(account.switches.sms_suppressions)
    return json_reply([render.suppression(contact, reason) for contact in rows[skip : skip + select]])


def _sorted_suppressions(account: Account, since: datetime, only_unsubscribed: bool) -> list[StoredContact]:
    """All rows in feed order. Kept between pages while nothing changes, unless the feed lags."""
    switches = account.switches

    def build() -> list[StoredContact]:
        rows = [row for row in _candidates(account, only_unsubscribed) if _since(account, row, since)]
        if switches.feed_order == "sorted":
            rows.sort(key=lambda row: (row.date_removed or row.created, row.id))
        else:
            rows.sort(key=lambda row: (row.shuffle, row.id))
        return rows

    if switches.feed_lag_seconds:
        return build()
    read_as = (switches.feed_order, switches.since_date, switches.row_resolution)
    listed = (switches.pending_in_suppressed_feed, switches.sms_suppressions)
    return account.cached((since, only_unsubscribed, *listed, *read_as), build)


def _candidates(account: Account, only_unsubscribed: bool) -> Iterable[StoredContact]:
    if only_unsubscribed:
        found: Iterable[StoredContact] = (
            row for row in account.contacts.suppressed.values() if row.status == wire.UNSUBSCRIBED
        )
    elif account.switches.pending_in_suppressed_feed:
        found = (row for row in account.contacts.living() if row.status != wire.SUBSCRIBED)
    else:
        found = account.contacts.suppressed.values()
    by_sms = _SMS_REASONS.get(account.switches.sms_suppressions)
    if by_sms is not None and not (only_unsubscribed and by_sms != wire.UNSUBSCRIBED):
        living = account.contacts.living()
        mailed = (row for row in living if row.sms_removed is not None and row.status == wire.SUBSCRIBED)
        found = (*found, *mailed)
    return (row for row in found if row.email is not None)


def _since(account: Account, contact: StoredContact, since: datetime) -> bool:
    if not _visible(account, contact.suppression_changed):
        return False
    moment = _at(account, contact.date_removed or contact.sms_removed or contact.created)
    return moment > since if account.switches.since_date == "exclusive" else moment >= since


def _at(account: Account, moment: datetime) -> datetime:
    return moment.replace(microsecond=0) if account.switches.row_resolution == "second" else moment


def _visible(account: Account, recorded: datetime) -> bool:
    lag = account.switches.feed_lag_seconds
    return not lag or recorded + timedelta(seconds=lag) <= account.now()


def _preference(account: Account, request: HttpRequest) -> int:
    preference_id = path_id(request, "preferenceId")
    if account.preferences.leaf(preference_id) is None:
        raise preference_not_found(404)
    return preference_id


def _of_preference(
    account: Account, request: HttpRequest, preference_id: int, wanted: Callable[[StoredOptIn], bool]
) -> list[StoredContact]:
    least = query_number(request, "mincontactid", 0, 0)
    if account.switches.min_contact_id == "exclusive" and "mincontactid" in request.query_values:
        least += 1
    lists_suppressed = account.switches.preference_feeds_list_suppressed
    index: dict[int, Any] = account.contacts.by_preference.get(preference_id, {})
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
