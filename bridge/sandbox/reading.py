"""Everybody of both services, read in bulk through the vendors' public calls."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

IN, OUT, UNSET = "opted_in", "opted_out", "unset"
_BEGINNING = "2000-01-01T00:00:00Z"
_BLOCK = 1000
_POLLS = 200
_TIMEOUT = 60.0
_GRANTED, _DENIED, _REVOKED = 1, 2, 3


class CannotRead(RuntimeError):
    """A service did not answer as documented."""


@dataclass(frozen=True, slots=True)
class FilterOf:
    """A MyPreferences filter, on e-mail elements of one type, or of any."""

    filter: str
    email_type: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentOf:
    """A MyPreferences consent of one version and locale."""

    consent: str
    version: str
    locale: str


Source = FilterOf | ConsentOf


@dataclass(frozen=True, slots=True)
class TopicPair:
    """A topic as both sides know it. `preferences` are Dotdigital ids by frequency; the empty frequency
    stands for a topic without frequencies."""

    id: str
    source: Source
    preferences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MyPreferencesAccess:
    """Where MyPreferences is, who asks, and the segment that holds everybody."""

    base_url: str
    account: str
    user_id: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    segment: str = "EVERYBODY"

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> MyPreferencesAccess:
        """From `BRIDGE_MYPREFERENCES__…` settings. Raises KeyError for one that is missing."""
        names = ("BASE_URL", "ACCOUNT", "USER_ID", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET", "SEGMENT")
        return cls(*(settings[f"BRIDGE_MYPREFERENCES__{name}"] for name in names))


@dataclass(frozen=True, slots=True)
class DotdigitalAccess:
    """Where Dotdigital is, and who asks."""

    base_url: str
    username: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> DotdigitalAccess:
        """From `BRIDGE_DOTDIGITAL__…` settings. Raises KeyError for one that is missing."""
        return cls(*(settings[f"BRIDGE_DOTDIGITAL__{name}"] for name in ("BASE_URL", "USERNAME", "PASSWORD")))


@dataclass(frozen=True, slots=True)
class Said:
    """What one record says of one topic."""

    choice: str
    frequency: str = ""


class Profile:
    """One profile of a segment's export."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    @property
    def addresses(self) -> set[str]:
        """The active addresses, in lower case."""
        return {_key(email["EmailAddress"]) for email in self._emails()}

    def said(self, address: str, source: Source) -> list[Said]:
        """What it says of a topic, once for each record that may speak of it."""
        emails = [email for email in self._emails() if _key(email["EmailAddress"]) == address]
        if isinstance(source, ConsentOf):
            return [_of_consents(self._row.get("Consents") or (), source)]
        fitting = [email for email in emails if source.email_type in (None, email.get("EmailAddressType"))]
        found = [
            _of_preference(item)
            for email in fitting
            for item in email.get("EmailPreferences") or ()
            if item["FilterId"] == source.filter and item.get("MatchType") != "Implied"
        ]
        return found or [Said(UNSET)]

    def _emails(self) -> list[Mapping[str, Any]]:
        return [email for email in self._row.get("Emails") or () if email.get("IsActive") is not False]


@dataclass(slots=True)
class Contact:
    """One contact: the e-mail status in lower case, and the recorded word per preference."""

    status: str = "subscribed"
    preferences: dict[int, bool] = field(default_factory=dict)


def read_mypreferences(access: MyPreferencesAccess) -> dict[str, list[Profile]]:
    """All active profiles by address in lower case (MyPreferences segment export). Raises CannotRead."""
    base = f"{urlsplit(access.base_url).path.rstrip('/')}/{quote(access.account)}"
    token = _token(access)
    people: dict[str, list[Profile]] = {}
    with _Http(access.base_url, f"Bearer {token}") as call:
        job = call.json("POST", f"{base}/export/Segment/{quote(access.segment)}", {})
        export = _member(job, "AccessToken") if isinstance(job, dict) else job
        for row in _exported(call, base, str(export)):
            profile = Profile(row)
            for address in profile.addresses:
                people.setdefault(address, []).append(profile)
    return people


def read_dotdigital(access: DotdigitalAccess, preferences: Sequence[int]) -> dict[str, Contact]:
    """All contacts by address in lower case: the v3 listing for who is there, v2 opt-ins-since for each
    recorded word, v2 suppressed-since for those the listing may leave out. Raises CannotRead."""
    secret = base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
    people: dict[str, Contact] = {}
    with _Http(access.base_url, f"Basic {secret}") as call:
        for row in _listed(call):
            address = row["identifiers"].get("email")
            status = row.get("channelProperties", {}).get("email", {}).get("status", "")
            if address and status.lower() not in ("binned", "deleted"):
                people[_key(address)] = Contact(status.lower())
        for row in _suppressed(call):
            contact = people.setdefault(_key(row["suppressedContact"]["email"]), Contact())
            contact.status = row["reason"].lower()
        for number in preferences:
            for address, opted_in in _words_on(call, number).items():
                if address in people:
                    people[address].preferences[number] = opted_in
    return people


def _token(access: MyPreferencesAccess) -> str:
    form = {"grant_type": "client_credentials", "scope": f"{access.account}/{access.user_id}"}
    pair = f"{quote(access.client_id, safe='')}:{quote(access.client_secret, safe='')}"
    secret = base64.b64encode(pair.encode()).decode()
    with _Http(access.token_url, f"Basic {secret}") as call:
        answer = call.json("POST", urlsplit(access.token_url).path, urlencode(form))
    return str(_member(answer, "access_token"))


def _exported(call: _Http, base: str, export: str) -> Iterator[Mapping[str, Any]]:
    for _ in range(_POLLS):
        if _member(call.json("GET", f"{base}/status/Token/{export}"), "Status") == "Complete":
            break
        time.sleep(0.02)
    else:
        raise CannotRead(
            "MyPreferences did not finish its export; is the sandbox's `export_polls` very high?"
        )
    offset, more = 1, True
    while more:
        query = urlencode({"limit": _BLOCK, "offset": offset, "keepAlive": "false"})
        block = call.json("GET", f"{base}/export/Data/{export}?{query}")
        rows = _member(block, "UserProfilePreferences")
        yield from rows
        offset += len(rows)
        more = bool(_member(block, "HasMore")) and bool(rows)


def _listed(call: _Http) -> Iterator[Mapping[str, Any]]:
    marker: str | None = None
    while True:
        query = {"limit": "5000", "include": "channelProperties"} | ({"marker": marker} if marker else {})
        page = call.json("GET", f"/contacts/v3?{urlencode(query)}")
        yield from _member(page, "_items")
        following = _member(page, "_links").get("next")
        if following is None:
            return
        marker = following["marker"]


def _suppressed(call: _Http) -> Iterator[Mapping[str, Any]]:
    skip = 0
    while True:
        rows = call.json("GET", f"/v2/contacts/suppressed-since/{_BEGINNING}?select={_BLOCK}&skip={skip}")
        yield from rows
        skip += len(rows)
        if len(rows) < _BLOCK:
            return


def _words_on(call: _Http, preference: int) -> dict[str, bool]:
    """Everybody's newest word on a preference; of two of one moment, the no counts."""
    newest: dict[str, tuple[datetime, bool, bool]] = {}
    least = 0
    while True:
        path = f"/v2/contacts/with-preference/{preference}/opt-ins-since/{_BEGINNING}?minContactId={least}"
        rows = call.json("GET", path)
        for row in rows:
            for word in row["marketingPreferenceOptIns"]:
                if word["marketingPreferenceId"] == preference:
                    at = datetime.fromisoformat(word["dateModifed"]).astimezone(UTC)
                    rank = (at, not word["isOptedIn"], word["isOptedIn"])
                    address = _key(row["contact"]["email"])
                    newest[address] = max(rank, newest.get(address, rank))
        last = max((row["contact"]["id"] for row in rows), default=0)
        if len(rows) < _BLOCK or last <= least:
            return {address: rank[2] for address, rank in newest.items()}
        least = last


def _of_preference(item: Mapping[str, Any]) -> Said:
    if str(item.get("PreferenceStatus", "Active")).lower() != "active":
        return Said(UNSET)
    if item["PreferenceType"] == 1:
        return Said(IN, item.get("FrequencyId") or "")
    return Said(OUT)


def _of_consents(items: Iterable[Mapping[str, Any]], source: ConsentOf) -> Said:
    """The newest of that type: a withdrawal in any version or locale counts, a grant only in the mapped."""
    newest, choice = "", UNSET
    for item in items:
        if item["ConsentType"].lower() != source.consent.lower():
            continue
        mapped = (item["ConsentVersion"], item["Locale"]) == (source.version, source.locale)
        status = item["ConsentStatus"]
        out = status in (_DENIED, _REVOKED)
        if (out or (status == _GRANTED and mapped)) and item["ConsentDate"] >= newest:
            newest, choice = item["ConsentDate"], OUT if out else IN
    return Said(choice)


class _Http:
    """One kept connection to a service."""

    def __init__(self, url: str, authorization: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        self._headers = {"Authorization": authorization, "Accept": "application/json"}

    def __enter__(self) -> _Http:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's document; `body` text is a form, anything else JSON. Raises CannotRead."""
        headers, data = dict(self._headers), None
        if body is not None:
            data = body if isinstance(body, str) else json.dumps(body)
            kind = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
            headers["Content-Type"] = kind
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CannotRead(
                f"a service does not answer ({type(error).__name__}); does it still run?"
            ) from error
        if answer.status >= 300:
            raise CannotRead(f"a service answered {answer.status} to {method} {path.split('?')[0]}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise CannotRead(f"a service did not answer {method} {path.split('?')[0]} with JSON") from error


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, dict) or name not in document:
        raise CannotRead(f"an answer lacks {name}")
    return document[name]


def _key(address: str) -> str:
    return address.strip().lower()
