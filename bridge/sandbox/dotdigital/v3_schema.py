"""The strict types of contact writes in v3. Unlike v2, names are case-sensitive and nothing is coerced."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any

PUBLISHED, CLOSED, LENIENT = "published", "closed", "lenient"
PARTS = frozenset(
    {"identifiers", "dataFields", "channelProperties", "lists", "preferences", "consentRecords"}
)
WRITE_STATUSES = ("subscribed", "unsubscribed", "suppressed")
_CHANNEL_STATUSES = ("noSubscription", *WRITE_STATUSES)
_OPT_IN_TYPES = ("unknown", "single", "double", "verifiedDouble")
_EMAIL_TYPES = ("plainText", "html")
_OF_EMAIL = ("emailType", "optInType", "status", "resubscribeOptions")
_CONSENT_KEYS = ("text", "dateTimeConsented", "url", "ipAddress", "userAgent")
_LISTS_MOST, _CONSENTS_MOST = 100, 5


@dataclass
class Draft:
    """A contact write that passed. None means "not sent"."""

    identifiers: dict[str, Any] = field(default_factory=dict)
    data_fields: dict[str, Any] = field(default_factory=dict)
    status: str | None = None
    email_type: str | None = None
    opt_in_type: str | None = None
    no_challenge: bool | None = None
    lists: list[int] = field(default_factory=list)
    preferences: dict[int, bool] = field(default_factory=dict)
    consents: list[dict[str, Any]] = field(default_factory=list)
    bad_consents: bool = False


def parse(
    body: dict[str, Any],
    problems: list[tuple[str, str]],
    schema: str = PUBLISHED,
    known: Collection[str] = PARTS,
) -> Draft:
    """Read a contact write; what is wrong with it is added to `problems` as (item, description).

    Properties that no document names are refused everywhere (closed), nowhere (lenient), or where the
    specification says so (published): in channels and consent records. `known` are those of the whole.
    """
    draft = Draft()

    def wrong(item: str, description: str = "has the wrong type") -> None:
        problems.append((item, f"'{item}' {description}"))

    if schema == CLOSED:
        _refuse_others(body, known, "", wrong)
    draft.identifiers = _object(body, "identifiers", wrong)
    draft.data_fields = _object(body, "dataFields", wrong)
    _channels(_object(body, "channelProperties", wrong), draft, wrong, schema)
    draft.lists = _list(body, "lists", wrong, _LISTS_MOST)
    if any(type(one) is not int for one in draft.lists):
        wrong("lists")
    for row in _list(body, "preferences", wrong):
        if not isinstance(row, dict) or type(row.get("id")) is not int or not _is_bool(row.get("isOptedIn")):
            wrong("preferences")
            break
        draft.preferences[row["id"]] = row["isOptedIn"]
        if schema == CLOSED:
            _refuse_others(row, ("id", "isOptedIn"), "preferences.", wrong)
    _consents(_list(body, "consentRecords", wrong, _CONSENTS_MOST), draft, wrong, schema)
    return draft


_Wrong = Callable[..., None]


def _object(body: dict[str, Any], key: str, wrong: _Wrong) -> dict[str, Any]:
    value = body.get(key, {})
    if not isinstance(value, dict):
        wrong(key)
        return {}
    return value


def _list(body: dict[str, Any], key: str, wrong: _Wrong, most: int | None = None) -> list[Any]:
    """An array of at least one element; an absent key is an empty list, an empty array is an error."""
    if key not in body:
        return []
    value = body[key]
    if not isinstance(value, list):
        wrong(key)
        return []
    if not value or (most is not None and len(value) > most):
        wrong(key, "has too few or too many elements")
    return value


def _refuse_others(body: dict[str, Any], known: Collection[str], path: str, wrong: _Wrong) -> None:
    for name in body:
        if name not in known:
            wrong(f"{path}{name}", "is not known")


def _channels(channels: dict[str, Any], draft: Draft, wrong: _Wrong, schema: str) -> None:
    if schema != LENIENT:
        _refuse_others(channels, ("email", "sms", "whatsApp"), "channelProperties.", wrong)
    for name in ("sms", "whatsApp"):
        inner = _object(channels, name, wrong)
        _choice(inner, "status", _CHANNEL_STATUSES, f"channelProperties.{name}.status", wrong)
    email = _object(channels, "email", wrong)
    if schema != LENIENT:
        _refuse_others(email, _OF_EMAIL, "channelProperties.email.", wrong)
    draft.email_type = _choice(email, "emailType", _EMAIL_TYPES, "emailType", wrong)
    draft.opt_in_type = _choice(email, "optInType", _OPT_IN_TYPES, "optInType", wrong)
    draft.status = _choice(email, "status", WRITE_STATUSES, "status", wrong)
    options = _object(email, "resubscribeOptions", wrong)
    no_challenge = options.get("resubscribeWithNoChallenge")
    if no_challenge is not None and not _is_bool(no_challenge):
        wrong("resubscribeWithNoChallenge")
    elif no_challenge is not None:
        draft.no_challenge = no_challenge


def _choice(body: dict[str, Any], key: str, choices: tuple[str, ...], item: str, wrong: _Wrong) -> str | None:
    if key not in body:
        return None
    value = body[key]
    if not isinstance(value, str) or value not in choices:
        wrong(item, "is not one of the allowed values")
        return None
    return value


def _consents(rows: list[Any], draft: Draft, wrong: _Wrong, schema: str) -> None:
    """Records with a missing, empty or malformed part do not fail the contact, they are only not applied."""
    for row in rows:
        if not isinstance(row, dict):
            wrong("consentRecords")
        elif _is_consent(row) and (schema == LENIENT or row.keys() <= set(_CONSENT_KEYS)):
            draft.consents.append({key: row[key] for key in _CONSENT_KEYS})
        else:
            draft.bad_consents = True


def _is_consent(row: dict[str, Any]) -> bool:
    if not all(isinstance(row.get(key), str) and row[key] for key in _CONSENT_KEYS):
        return False
    try:
        datetime.fromisoformat(row["dateTimeConsented"])
        return not ip_address(row["ipAddress"]).is_loopback  # `::1` was seen to be refused
    except ValueError:
        return False


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)
