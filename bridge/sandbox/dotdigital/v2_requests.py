"""What v2 reads from a request, each part with its own refusal."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from bridge.sandbox.dotdigital import wire
from bridge.sandbox.dotdigital.account import Account
from bridge.sandbox.dotdigital.records import EMAIL, StoredContact
from bridge.sandbox.dotdigital.refusals import contact_not_found, malformed, parameter_invalid
from bridge.sandbox.http import BodyError, HttpRequest, read_body

_INT32 = 2**31 - 1
BodyT = TypeVar("BodyT")


def typed_body(request: HttpRequest, kind: type[BodyT]) -> BodyT:
    """The body as `kind`; v2 binds property names without regard to case. Raises V2Refusal."""
    try:
        return read_body(request.body, kind, any_case=True)
    except BodyError as error:
        raise malformed(f"{error.field or 'The body'} is not valid.") from error


def query_number(request: HttpRequest, name: str, default: int, least: int, most: int = _INT32) -> int:
    """A whole number of the query. Raises V2Refusal when it is none or out of range."""
    text = request.query_values.get(name)
    return default if text is None else _whole(text, name, least, most)


def path_id(request: HttpRequest, name: str) -> int:
    """A 32-bit id of the path. Raises V2Refusal."""
    return _whole(request.parameters[name], name, 0, _INT32)


def path_date(request: HttpRequest) -> datetime:
    """The date of the path. Raises V2Refusal."""
    try:
        return wire.parse_path_date(request.parameters["date"])
    except ValueError as error:
        raise parameter_invalid("The date is not valid.") from error


def path_contact(account: Account, identifier: str) -> StoredContact:
    """The contact of a URL, by id or e-mail. Raises V2Refusal 404; binned contacts are not found."""
    found = None
    if "@" in identifier:
        found = account.contacts.find(EMAIL, identifier)
    elif identifier.isascii() and identifier.isdigit():
        found = account.contacts.find_id(int(identifier))
    if found is None or found.binned:
        raise contact_not_found(404)
    return found


def _whole(text: str, name: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise parameter_invalid(f"{name} is not a whole number.") from error
    if not least <= number <= most:
        raise parameter_invalid(f"{name} is out of range.")
    return number
