"""A webhook delivery: events, or a validation request (MyPreferences `Create new subscription`, `Event
payload samples`). Neither form is fully documented, so both are read leniently. Of an event only its id,
type and profile id are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.store_port import WebhookEvent
from bridge.mypreferences.events.types import EventRelevance, relevance_of

MOST = 5000  # messages in one delivery: the most that one cycle of the service may hold
_CODES = ("validationcode", "validationtoken", "challenge", "hub.challenge", "code", "token")
_WRAPPERS = ("events", "messages")
_NAME = re.compile(r"[A-Za-z0-9._:{}-]{1,100}")
_CODE = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """`events` counts all of them; `notices` are the relevant ones that name a profile by its id, `unnamed`
    counts relevant ones that do not."""

    events: int = 0
    notices: tuple[WebhookEvent, ...] = ()
    unnamed: int = 0
    code: tuple[str, str] | None = None

    @property
    def validates(self) -> bool:
        """Whether it holds no event: then it is a validation request."""
        return not self.events


def read_delivery(body: bytes) -> Delivery:
    """Read a body. Raises ValueError where it is neither JSON nor empty, or holds too many events."""
    if not body.strip():
        return Delivery()
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    events = [event for event in map(_members, _messages(document)) if event.get("eventtype")]
    if not events:
        return Delivery(code=_code(document))
    if len(events) > MOST:
        raise ValueError(f"it holds more than {MOST} events")
    relevant = [event for event in events if _is_relevant(event)]
    notices = [_notice(event) for event in relevant if _profile(event)]
    return Delivery(len(events), tuple(notices), len(relevant) - len(notices))


def code_in(query: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The name and value of a query's validation code."""
    return _code(dict(query))


def _messages(document: object) -> list[Any]:
    if isinstance(document, list):
        return document
    wrapped = next((value for name, value in _members(document).items() if name in _WRAPPERS), None)
    return wrapped if isinstance(wrapped, list) else [document]


def _members(value: object) -> dict[str, Any]:
    """An object's members by case-folded name; none for anything else."""
    return {name.casefold(): one for name, one in value.items()} if isinstance(value, Mapping) else {}


def _code(document: object) -> tuple[str, str] | None:
    """The first validation code, at the top, in a list, or one level down."""
    for part in document if isinstance(document, list) else [document]:
        given = part if isinstance(part, Mapping) else {}
        nested = [one for one in given.values() if isinstance(one, Mapping)]
        for place in (given, *nested):
            for name, value in place.items():
                if name.casefold() in _CODES and isinstance(value, str | int) and _CODE.fullmatch(str(value)):
                    return str(name), str(value)
    return None


def _is_relevant(event: Mapping[str, Any]) -> bool:
    return relevance_of(str(event["eventtype"])) is not EventRelevance.NONE


def _notice(event: Mapping[str, Any]) -> WebhookEvent:
    kind = re.sub(r"[^A-Za-z0-9_. -]", "?", str(event["eventtype"]))[:60]
    return WebhookEvent(_event_id(event), kind, _profile(event))


def _profile(event: Mapping[str, Any]) -> str:
    """The profile's id. An alternate id may be anything, also an address: it is not kept."""
    text = str(event.get("profileid", "")).strip()
    return text if text.isascii() and text.isdigit() and len(text) <= 20 else ""


def _event_id(event: Mapping[str, Any]) -> str:
    """Its id if it looks like one, else a hash of what identifies it."""
    given = event.get("eventid")
    if given is not None and _NAME.fullmatch(str(given)):
        return str(given)
    known = [str(given), str(event["eventtype"]), _profile(event), str(event.get("originaleventtime"))]
    return f"sha256:{hashlib.sha256(json.dumps(known).encode()).hexdigest()}"
