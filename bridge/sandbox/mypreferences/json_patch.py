"""JSON Patch as the service takes it: add, replace, remove and test, in turn; no move, no copy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from bridge.sandbox.mypreferences.refusal import Refused, invalid


def patched(
    document: Any, operations: Iterable[Any], spelled: Callable[[str], str], failed_test_status: int
) -> Any:
    """A changed copy. Each operation sees what those before it left, so indexes move as members go.

    Raises Refused 400 for what cannot be carried out, and `failed_test_status` for a test that fails.
    """
    document = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict):
            raise invalid("The JSON patch document was malformed.")
        path = operation.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise invalid("The JSON patch document was malformed.")
        names = [spelled(part.replace("~1", "/").replace("~0", "~")) for part in path[1:].split("/")]
        parent = document
        for name in names[:-1]:
            parent = _member(parent, name)
        _apply(parent, names[-1], operation, failed_test_status)
    return document


def _apply(parent: Any, name: str, operation: dict[str, Any], failed_test_status: int) -> None:
    kind, value = str(operation.get("op")).lower(), copy.deepcopy(operation.get("Value"))
    if kind == "test":
        if _member(parent, name) != value:
            raise Refused(failed_test_status, "The current value is not equal to the test value.")
    elif kind == "add":
        _add(parent, name, value)
    elif kind == "replace":
        _member(parent, name)
        parent[_key(parent, name)] = value
    elif kind == "remove":
        _member(parent, name)
        del parent[_key(parent, name)]
    else:
        raise invalid(f"The operation '{kind}' is not supported.")


def _add(parent: Any, name: str, value: Any) -> None:
    if isinstance(parent, list):
        position = len(parent) if name == "-" else _index(name)
        if position > len(parent):
            raise _nowhere()
        parent.insert(position, value)
    elif isinstance(parent, dict):
        parent[name] = value
    else:
        raise _nowhere()


def _member(parent: Any, name: str) -> Any:
    try:
        return parent[_key(parent, name)]
    except (KeyError, IndexError, TypeError):
        raise _nowhere() from None


def _key(parent: Any, name: str) -> Any:
    return _index(name) if isinstance(parent, list) else name


def _index(name: str) -> int:
    if not name.isdecimal():
        raise _nowhere()
    return int(name)


def _nowhere() -> Refused:
    return invalid("The target location specified by the path was not found.")
