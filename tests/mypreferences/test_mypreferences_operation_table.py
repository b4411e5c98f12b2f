"""docs/operations-mypreferences.md lists exactly the operations that the client has."""

from __future__ import annotations

from contextlib import suppress

import pytest
from client_calls import CALLS, Known, prepared

from bridge.core.errors import SideError
from bridge.mypreferences.client import MyPreferencesClient
from bridge.sandbox.mypreferences import MyPreferencesState
from bridge.sandbox.mypreferences.app import BASE, ROUTES
from tests.mypreferences.mp_world import World
from tests.operation_page import Row, named, rows_of

OF_EVERY_CALL = {"calls", "account", "close"}

ROWS = rows_of("operations-mypreferences.md")


@pytest.fixture
def state() -> MyPreferencesState:
    return prepared()


def test_the_table_is_whole() -> None:
    assert len({row.operation for row in ROWS}) == len(ROWS) > 70
    assert {row.sandbox for row in ROWS} == ROUTES.operation_ids


def test_every_method_of_the_client_has_a_row_and_a_call() -> None:
    methods = {
        name
        for kind in MyPreferencesClient.__mro__
        if kind.__module__.startswith("bridge.mypreferences.client")
        for name in vars(kind)
        if not name.startswith("_")
    } - OF_EVERY_CALL
    assert {row.client for row in ROWS} == methods == CALLS.keys()


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_clients_call_arrives_as_the_operation_of_its_row(row: Row, world: World) -> None:
    """What comes back is the business of the tests that the table names."""
    with suppress(SideError):
        CALLS[row.client](world.client, Known())
    assert world.calls(row.sandbox) >= 1


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_path_of_a_row_is_one_that_the_sandbox_serves(row: Row) -> None:
    method, path = row.request.split(" ", 1)
    rows = [one for one in ROUTES.routes if one.operation_id == row.sandbox]
    served = {(one.method, *shape(one.path.removeprefix(f"{BASE}/"))) for one in rows}
    assert (method, *shape(path.removeprefix("/{account}/"))) in served


def shape(path: str) -> tuple[int, str]:
    """How many parts a path has, and how it begins: the names of parameters differ."""
    return path.count("/"), path.split("{")[0]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_test_of_each_row_is_there(row: Row) -> None:
    assert row.has_test()


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_call_of_each_row_is_the_method_it_names(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    class Answered(Exception):
        pass

    def note(*_: object, **__: object) -> None:
        called.append(row.client)
        raise Answered

    monkeypatch.setattr(MyPreferencesClient, row.client, note)
    client = object.__new__(MyPreferencesClient)
    with suppress(Answered):
        CALLS[row.client](client, Known())
    assert called == [row.client]
