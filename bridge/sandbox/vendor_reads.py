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
    """A topic as both sides know it. `preferences` are Dotdigital ids by frequency; a topic
    without frequencies has the empty one."""

    id: str
    source: Source
    preferences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MyPreferencesAccess:
    """Where MyPreferences is, who reads, and the segment of everybody."""

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
    """Where Dotdigital is, and who reads."""

    base_url: str
    username: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> DotdigitalAccess:
        """From `BRIDGE_DOTDIGITAL__…` settings. Raises KeyError for one that is missing."""
        return cls(*(settings[f"BRIDGE_DOTDIGITAL__{name}"] for name in ("BASE_URL", "USERNAME", "PASSWORD")))


@dataclass(frozen=True, slots=True)
class TopicChoice:
    """What one record holds of one topic."""

    choice: str
    frequency: str = ""


@dataclass(frozen=True, slots=True)
class ExportedProfile:
    """One profile of a segment's export: its active e-mail elements, and its consents."""

    emails: Sequence[Mapping[str, Any]]
    consents: Sequence[Mapping[str, Any]]

    @property
    def addresses(self) -> set[str]:
        """The active addresses, in lower case."""
        return {_key(email["EmailAddress"]) for email in self.emails}

    def choices(self, address: str, source: Source) -> list[TopicChoice]:
        """What it records of a topic: a choice for each preference of the filter, else one that is unset."""
        if isinstance(source, ConsentOf):
            return [_of_consents(self.consents, source)]
        found = [
            _of_preference(item)
            for email in self.emails
            if _key(email["EmailAddress"]) == address
            and source.email_type in (None, email.get("EmailAddressType"))
            for item in email.get("EmailPreferences") or ()
            if item["FilterId"] == source.filter and item.get("MatchType") != "Implied"
        ]
        return found or [TopicChoice(UNSET)]


@dataclass(slots=True)
class ListedContact:
    """One contact: the e-mail status in lower case, and whether each recorded preference is opted in."""

    status: str = "subscribed"
    preferences: dict[int, bool] = field(default_factory=dict)


def read_mypreferences(access: MyPreferencesAccess) -> dict[str, list[ExportedProfile]]:
    """All active profiles by address in lower case (MyPreferences segment export). Raises CannotRead."""
    account = f"{access.base_url.rstrip('/')}/{quote(access.account)}"
    service = _Service(f"Bearer {_token(access)}")
    job = service.call(f"{account}/export/Segment/{quote(access.segment)}", {})
    export = _member(job, "AccessToken") if isinstance(job, dict) else job
    people: dict[str, list[ExportedProfile]] = {}
    for row in _exported(service, account, str(export)):
        emails = [email for email in row.get("Emails") or () if email.get("IsActive") is not False]
        profile = ExportedProfile(emails, row.get("Consents") or ())
        for address in profile.addresses:
            people.setdefault(address, []).append(profile)
    return people


def read_dotdigital(access: DotdigitalAccess, preferences: Sequence[int]) -> dict[str, ListedContact]:
    """All contacts by address in lower case: the v3 listing for who is there, v2 opt-ins-since for each
    recorded choice, v2 suppressed-since for those the listing may leave out. Raises CannotRead."""
    base = access.base_url.rstrip("/")
    service = _Service(f"Basic {_basic(access.username, access.password)}")
    people: dict[str, ListedContact] = {}
    for row in _listed(service, base):
        address = row["identifiers"].get("email")
        status = row.get("channelProperties", {}).get("email", {}).get("status", "").lower()
        if address and status not in ("binned", "deleted"):
            people[_key(address)] = ListedContact(status)
    for row in _suppressed(service, base):
        contact = people.setdefault(_key(row["suppressedContact"]["email"]), ListedContact())
        contact.status = row["reason"].lower()
    for number in preferences:
        for address, opted_in in _opt_ins(service, base, number).items():
            if address in people:
                people[address].preferences[number] = opted_in
    return people


def _token(access: MyPreferencesAccess) -> str:
    secret = _basic(quote(access.client_id, safe=""), quote(access.client_secret, safe=""))
    form = {"grant_type": "client_credentials", "scope": f"{access.account}/{access.user_id}"}
    answer = _Service(f"Basic {secret}").call(access.token_url, urlencode(form))
    return str(_member(answer, "access_token"))


def _exported(service: _Service, account: str, export: str) -> Iterator[Mapping[str, Any]]:
    for _ in range(_POLLS):
        if _member(service.call(f"{account}/status/Token/{export}"), "Status") == "Complete":
            break
        time.sleep(0.02)
    else:
        raise CannotRead(
            "MyPreferences did not finish its export; is the sandbox's `export_polls` very high?"
        )
    offset, more = 1, True
    while more:
        query = urlencode({"limit": _BLOCK, "offset": offset, "keepAlive": "false"})
        block = service.call(f"{account}/export/Data/{export}?{query}")
        rows = _member(block, "UserProfilePreferences")
        yield from rows
        offset += len(rows)
        more = bool(_member(block, "HasMore")) and bool(rows)


def _listed(service: _Service, base: str) -> Iterator[Mapping[str, Any]]:
    query = {"limit": "5000", "include": "channelProperties"}
    while True:
        page = service.call(f"{base}/contacts/v3?{urlencode(query)}")
        yield from _member(page, "_items")
        following = _member(page, "_links").get("next")
        if following is None:
            return
        query["marker"] = following["marker"]


def _suppressed(service: _Service, base: str) -> Iterator[Mapping[str, Any]]:
    skip = 0
    while True:
        path = f"/v2/contacts/suppressed-since/{_BEGINNING}?select={_BLOCK}&skip={skip}"
        rows = service.call(f"{base}{path}")
        yield from rows
        skip += len(rows)
        if len(rows) < _BLOCK:
            return


def _opt_ins(service: _Service, base: str, preference: int) -> dict[str, bool]:
    """Everybody's newest choice on a preference; of two at the same time, the opt-out counts."""
    newest: dict[str, tuple[datetime, bool]] = {}
    least = 0
    while True:
        path = f"/v2/contacts/with-preference/{preference}/opt-ins-since/{_BEGINNING}?minContactId={least}"
        rows = service.call(f"{base}{path}")
        for row in rows:
            for item in row["marketingPreferenceOptIns"]:
                if item["marketingPreferenceId"] == preference:
                    at = datetime.fromisoformat(item["dateModifed"]).astimezone(UTC)
                    rank = (at, not item["isOptedIn"])
                    address = _key(row["contact"]["email"])
                    newest[address] = max(rank, newest.get(address, rank))
        last = max((row["contact"]["id"] for row in rows), default=0)
        if len(rows) < _BLOCK or last <= least:
            return {address: not opted_out for address, (_, opted_out) in newest.items()}
        least = last


def _of_preference(item: Mapping[str, Any]) -> TopicChoice:
    if str(item.get("PreferenceStatus", "Active")).lower() != "active":
        return TopicChoice(UNSET)
    if item["PreferenceType"] == 1:
        return TopicChoice(IN, item.get("FrequencyId") or "")
    return TopicChoice(OUT)


def _of_consents(items: Iterable[Mapping[str, Any]], source: ConsentOf) -> TopicChoice:
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
    return TopicChoice(choice)


class _Service:
    """A service as one signed-in caller reads it."""

    def __init__(self, authorization: str) -> None:
        self._headers = {"Authorization": authorization, "Accept": "application/json"}

    def call(self, url: str, body: Any = None) -> Any:
        """The document at a URL, by GET, or by POST with a body: text is a form, anything else JSON. Raises
        CannotRead."""
        method, headers, data = "GET", dict(self._headers), None
        if body is not None:
            method, data = "POST", body if isinstance(body, str) else json.dumps(body)
            form = isinstance(body, str)
            headers["Content-Type"] = f"application/{'x-www-form-urlencoded' if form else 'json'}"
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        try:
            connection.request(method, url.partition(parts.netloc)[2], data, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CannotRead(
                f"a service does not answer ({type(error).__name__}); does it still run?"
            ) from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise CannotRead(f"a service answered {answer.status} to {method} {parts.path}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise CannotRead(f"a service did not answer {method} {parts.path} with JSON") from error


def _basic(name: str, secret: str) -> str:
    return base64.b64encode(f"{name}:{secret}".encode()).decode()


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, dict) or name not in document:
        raise CannotRead(f"an answer lacks {name}")
    return document[name]


def _key(address: str) -> str:
    return address.strip().lower()
