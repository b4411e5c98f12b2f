"""The operation on API users."""

from __future__ import annotations

from typing import Any

from bridge.sandbox.mypreferences.call import Call, Reply
from bridge.sandbox.mypreferences.dates import write_moment
from bridge.sandbox.mypreferences.records import User
from bridge.sandbox.mypreferences.refusal import invalid

_LANDING_PAGES = ("Dashboard", "ProfileSearch", "DataExport")


def create(call: Call) -> Reply:
    """Create user: a new one, or an inactive one of that name made active again."""
    body = call.body()
    given = {name.lower(): value for name, value in body.items()} if isinstance(body, dict) else {}
    name = _text(given, "UserName")
    if name is None:
        raise invalid("UserName is required.")
    if _text(given, "Email") is None and call.state.switches.user_needs_email:
        raise invalid("Email is required.")
    for other in ("FirstName", "LastName", "Phone", "Description"):
        _text(given, other)
    groups = given.get("usergroups")
    if groups is not None and not isinstance(groups, list):
        raise invalid("The value is not valid for UserGroups.")
    page = _text(given, "DefaultLandingPage")
    if page is not None and page not in _LANDING_PAGES:
        raise invalid("The value is not valid for DefaultLandingPage.")
    number = call.state.auth.create_user(User(name, _text(given, "SourceGroupID") or ""))
    return Reply({"UserId": number, "SubmittedTime": write_moment(call.state.now())}, 201)


def _text(given: dict[str, Any], name: str) -> str | None:
    """A property that is a text; None when absent or blank. Raises Refused 400."""
    value = given.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise invalid(f"The value is not valid for {name}.")
    return value.strip() or None if value is not None else None
