"""One call of an operation, as its handler sees it; and the answers that show people: lag, permissions and
the parameters of the query applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from bridge.sandbox.http import BodyError, HttpReply, HttpRequest, json_reply, parse_json
from bridge.sandbox.mypreferences import render
from bridge.sandbox.mypreferences.account import MyPreferencesAccount
from bridge.sandbox.mypreferences.bodies import read
from bridge.sandbox.mypreferences.edits import ProfileEdit
from bridge.sandbox.mypreferences.records import KINDS, StoredProfile, WriteAuthor
from bridge.sandbox.mypreferences.refusal import FORBIDDEN, MyPreferencesRefusal, invalid, not_found

BodyT = TypeVar("BodyT")
EMPTY = HttpReply()
NO_CONTENT = HttpReply(204)
MAX_MATCHES = 50


@dataclass(frozen=True)
class MyPreferencesCall:
    """A call by a signed-in user. Query names and JSON property names are bound without regard to case.

    The readers of query, path and body raise MyPreferencesRefusal 400 for what is missing or of another type.
    """

    account: MyPreferencesAccount
    author: WriteAuthor
    request: HttpRequest

    def document(self) -> Any:
        """The JSON body; None when there is none."""
        if not self.request.body.strip():
            return None
        try:
            return parse_json(self.request.body)
        except BodyError:
            raise invalid("The request is invalid.") from None

    def body(self, kind: type[BodyT]) -> BodyT:
        """The JSON body as one of the request types."""
        return read(self.document(), kind)

    def text(self, name: str) -> str | None:
        """A query parameter; None when absent or empty."""
        return next((value for key, value in self.request.query if key == name.lower() and value), None)

    def required(self, name: str) -> str:
        """A parameter of the path, or of the query."""
        value = self.request.parameters.get(name) or self.text(name)
        if value is None:
            raise invalid(f"{name} is required.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A boolean query parameter."""
        value = (self.text(name) or str(default)).lower()
        if value not in ("true", "false"):
            raise _invalid_value(name, value)
        return value == "true"

    def number(self, name: str, default: int) -> int:
        """An integer query parameter."""
        value = self.text(name) or str(default)
        if not value.lstrip("-").isdecimal():
            raise _invalid_value(name, value)
        return int(value)

    def values(self, name: str) -> tuple[str, ...]:
        """An indexed array such as `name[0]=A&name[1]=B`, or the bare name repeated."""
        wanted = name.lower()
        query = self.request.query
        return tuple(value for key, value in query if key == wanted or key.startswith(f"{wanted}["))

    def parameter(self, name: str) -> str:
        """A parameter of the path."""
        return self.request.parameters[name]

    def id(self, name: str) -> int:
        """A numeric parameter of the path."""
        value = self.parameter(name)
        if not value.isdecimal():
            raise _invalid_value(name, value)
        return int(value)

    def alternate_id(self) -> tuple[str, str]:
        """An alternate id, from the path or from the query in the other spelling of the route."""
        type_name, value = self.required("alternateIdType"), self.required("alternateId")
        return self.account.checker.alternate_id(type_name, value)

    def profile(self) -> StoredProfile:
        """The profile named by its id in the path, else by alternate id. Raises MyPreferencesRefusal 404."""
        profiles = self.account.profiles
        by_id = "profileId" in self.request.parameters
        found = (
            profiles.get(self.id("profileId")) if by_id else profiles.by_alternate_id(*self.alternate_id())
        )
        if found is None:
            raise not_found("The profile")
        return found

    def edit(self, profile: StoredProfile) -> ProfileEdit:
        """Begin to change a profile."""
        self.account.begin_change(profile, by_api=True)
        return ProfileEdit(self.account, profile, self.author)


Handler = Callable[[MyPreferencesCall], HttpReply]


def _invalid_value(name: str, value: str) -> Exception:
    return invalid(f"The value '{value}' is not valid for {name}.")


def shown(call: MyPreferencesCall, profile: StoredProfile) -> dict[str, Any]:
    """A profile as a call may see it (MyPreferences `Retrieve profile by profile id`)."""
    account = call.account
    seen, pending = account.as_read(profile)
    implied, history = call.flag("implied", True), call.flag("includeConsentHistory", True)
    document = render.profile(account.config, seen, implied=implied, history=history, pending=pending)
    if not seen.is_active and not account.switches.inactive_shows_preferences:
        for items in _preferences(document):
            items.clear()
    return dict(permitted(call, document))


def matches(call: MyPreferencesCall, profiles: Iterable[StoredProfile]) -> HttpReply:
    """The answer to a search: inactive profiles only by flag. More than 50 matches are answered as a missing
    permission is."""
    inactive_too = call.flag("includeInactive", False)
    found = [profile for profile in profiles if profile.is_active or inactive_too]
    if len(found) > MAX_MATCHES:
        raise MyPreferencesRefusal(403, FORBIDDEN)
    if not found and call.account.switches.no_match_is_404:
        raise not_found("The profile")
    return json_reply([shown(call, profile) for profile in found])


def of_filter(document: dict[str, Any], filter_id: str) -> dict[str, Any]:
    """The same profile with the preferences of one filter only."""
    named = {str(item["FilterId"]).lower() for items in _preferences(document) for item in items}
    return dict(_without(document, frozenset(named - {filter_id.lower()})))


def permitted(call: MyPreferencesCall, document: Any) -> Any:
    """Without the filters and consents that the caller's user may not see."""
    hidden = frozenset(name.lower() for name in call.account.config.hidden)
    return _without(document, hidden) if hidden else document


def _without(document: Any, hidden: frozenset[str]) -> Any:
    if isinstance(document, list):
        return [_without(item, hidden) for item in document if not _is_hidden(item, hidden)]
    if isinstance(document, dict):
        return {name: _without(value, hidden) for name, value in document.items()}
    return document


def _is_hidden(item: Any, hidden: frozenset[str]) -> bool:
    named = (item.get("FilterId"), item.get("ConsentType")) if isinstance(item, dict) else ()
    return any(str(name).lower() in hidden for name in named if name)


def _preferences(document: dict[str, Any]) -> list[list[dict[str, Any]]]:
    points = [(kind, item) for kind in KINDS for item in document[kind.collection]]
    return [document["ProfilePreferences"], *(item[kind.preferences_field] for kind, item in points)]
