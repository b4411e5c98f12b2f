"""Loaded by schemathesis: most generated requests are steered to what the account holds.

The description says little of its values (an address is any text), so that left alone nearly every request
would be refused and no 200 looked at. The choice hangs on the generated values alone.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import schemathesis

from tests.spec_check.account import ANN, BOUNCED, CATEGORY, DOOMED, GONE, IN_CATEGORY, LEAF

_ADDRESSES = (ANN, GONE, BOUNCED, "new@example.com")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    drawn = crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "backslashreplace"))
    declared = case.operation.definition.raw
    if drawn % 4 == 0 or case.method.upper() != case.operation.method.upper():
        return
    _steer_path(case, declared["operationId"], drawn)
    _steer_query(case, drawn)
    steer = _BODIES.get(declared["operationId"])
    if steer is not None:
        case.body = steer(case, drawn // 4)


def _steer_path(case: Any, operation: str, drawn: int) -> None:
    known = {
        "email": (ANN, GONE, BOUNCED)[drawn % 3],
        "contactIdentifier": (ANN, GONE, "1")[drawn % 3],
        "preferenceId": (IN_CATEGORY, LEAF)[drawn % 2],
        "id": str(DOOMED if operation == "delete-preference" else (CATEGORY, LEAF)[drawn // 4 % 2]),
    }
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = known[name]


def _steer_query(case: Any, drawn: int) -> None:
    known = {"select": 1 + drawn % 1000, "skip": drawn % 3, "minContactID": drawn % 5}
    for name in case.query or {}:
        if name in known:
            case.query[name] = known[name]


def _person(case: Any, drawn: int) -> Any:
    return {**_object(case.body), "email": _ADDRESSES[drawn % 4]}


def _resubscription(case: Any, drawn: int) -> Any:
    body = _object(case.body)
    return {
        **body,
        "unsubscribedContact": {**_object(body.get("unsubscribedContact")), **_person(case, drawn)},
    }


def _batch(case: Any, drawn: int) -> Any:
    return [{"id": 1 + drawn % 5}, {"email": _ADDRESSES[drawn % 4]}, {"id": 999}][: 1 + drawn % 3]


def _choices(case: Any, drawn: int) -> Any:
    inside = {"id": IN_CATEGORY, "isPreference": True, "isOptedIn": bool(drawn & 1)}
    category = {"id": CATEGORY, "isPreference": False, "preferences": [inside]}
    return [category, {"id": LEAF, "isPreference": True, "isOptedIn": bool(drawn & 2)}][: 1 + drawn % 2]


def _definition(case: Any, drawn: int) -> Any:
    body = {key: value for key, value in _object(case.body).items() if key.lower() != "categoryid"}
    names = {"publicName": _text(body, "publicName"), "privateName": _text(body, "privateName")}
    return {**body, **names, "order": ("top", "bottom", "1")[drawn % 3]}


def _redefinition(case: Any, drawn: int) -> Any:
    number = int(case.path_parameters["id"])
    return {
        **_definition(case, drawn),
        "id": number,
        "isPreference": number == LEAF,
        "isPublic": bool(drawn & 2),
    }


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) and value else "Golf"


_BODIES = {
    "unsubscribe-contact": _person,
    "resubscribe-contact": _resubscription,
    "resubscribe-contact-with-no-challenge": _resubscription,
    "bulk-suppress-contacts": _batch,
    "set-preferences-for-contact": _choices,
    "create-preference": _definition,
    "update-preference": _redefinition,
}
