"""docs/operations-dotdigital.md lists exactly the operations that the client has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from dotdigital_world import NEWS, START

from bridge.core.errors import SideError
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3, ImportChange
from bridge.dotdigital.client.wire import ConsentRecordV3
from bridge.dotdigital.polling.events import TYPES
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.dotdigital.app import ROUTES
from tests.operation_page import Row, named, never_called, rows_of
from tests.spec_check.client import ANN, CALLS

ROWS = rows_of("operations-dotdigital.md")
BESIDE: dict[str, Callable[[ClientV2, ClientV3], object]] = {
    "get-account-information": lambda v2, _: v2.get_account_information(),
    "get-server-time": lambda v2, _: v2.get_server_time(),
    "get-contact by e-mail": lambda v2, _: v2.get_contact(contact=ANN),
    "get-contact by id": lambda v2, _: v2.get_contact(contact=7),
    "delete-contact": lambda v2, _: v2.delete_contact(contact_id=7),
    "deleteContacts": lambda _, v3: v3.delete_contacts([7]),
    "getDeleteStatus": lambda _, v3: v3.get_delete_status("some-job"),
    "getContacts": lambda _, v3: v3.get_contacts(),
    "getContact": lambda _, v3: v3.get_contact(identifier="email", value=ANN),
    "getCustomIdentifiers": lambda _, v3: v3.get_custom_identifiers(),
    "importContacts": lambda _, v3: v3.import_contacts([ImportChange(7, {NEWS: True})]),
    "getImportStatus": lambda _, v3: v3.get_import_status("some-import"),
    "importContact with consent records": lambda _, v3: v3.import_contact(
        contact_id=7, records=[ConsentRecordV3(text="Yes")]
    ),
    "createSubscription": lambda _, v3: v3.create_subscription(name="one", types=TYPES),
    "listSubscriptions": lambda _, v3: v3.list_subscriptions(),
    "updateSubscription": lambda _, v3: v3.update_subscription(subscription=1, name="one", types=TYPES),
    "exportEvents": lambda _, v3: v3.export_events(subscription=1),
    "importContact": lambda _, v3: v3.import_contact(contact_id=7, preferences={NEWS: True}),
}


def test_the_table_is_whole() -> None:
    """The sixteen operations of the preferences API, and what stands beside them."""
    assert len(ROWS) == len(set(ROWS)) > 25
    assert {row.operation for row in ROWS} == CALLS.keys() | BESIDE.keys()
    called = {(row.sandbox, row.request) for row in ROWS}
    alone = never_called("operations-dotdigital.md")
    assert not called & alone
    singular = "/v2/contact/"  # an alias of two of them
    assert called | alone == {
        (one.operation_id, f"{one.method} {one.path}")
        for one in ROUTES.routes
        if not one.path.startswith(singular)
    }


def test_every_method_of_the_clients_has_a_row() -> None:
    methods = {
        f"{client.__name__}.{name}"
        for client in (ClientV2, ClientV3)
        for name in vars(client)
        if not name.startswith("_")
    }
    assert {row.client for row in ROWS} == methods


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_clients_call_arrives_as_the_operation_of_its_row(
    row: Row, v2: ClientV2, v3: ClientV3, state: DotdigitalState
) -> None:
    """What comes back is the business of the tests that the table names."""
    with suppress(SideError):
        if row.operation in CALLS:
            CALLS[row.operation](v2, START)
        else:
            BESIDE[row.operation](v2, v3)
    assert state.calls.count(row.sandbox) == 1


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_test_of_each_row_is_there(row: Row) -> None:
    assert row.has_test()


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_call_of_each_row_is_the_method_it_names(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, _, method = row.client.partition(".")
    called: list[str] = []
    client = {"ClientV2": ClientV2, "ClientV3": ClientV3}[kind]
    monkeypatch.setattr(client, method, lambda *_, **__: called.append(row.client))
    v2, v3 = object.__new__(ClientV2), object.__new__(ClientV3)
    if row.operation in CALLS:
        CALLS[row.operation](v2, START)
    else:
        BESIDE[row.operation](v2, v3)
    assert called == [row.client]
