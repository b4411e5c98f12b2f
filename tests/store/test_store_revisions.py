"""Revisions that have landed stay as they are, and a state DB whose schema differs is found out."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa

from bridge.store import migrate
from bridge.store.engine import make_engine
from bridge.store.schema_check import differences
from tests.prepared import real_migrations

__all__ = ["real_migrations"]

# State DBs exist that were made by these: what is to change goes into a new revision, which is added here.
LANDED = {
    "0001_state": "ef0ac560f0cad8e5622790b5bb74aaf39ccb18fc213792e2cedbcc574ba94c96",
    "0002_hook_hints": "69a80d091fa53afab85215ef71d0156c62a4e20cc98e5c36f1f189a30642fc75",
    "0003_moves": "765fe5d50009b99b4b29eb9a578cf180b0a40780a19dbdcdbc851952e000270a",
    "0004_catalogue": "1eab092a50f0085087f3cab33e63662a74e9b5ac4f31318f77ed8848a9bdf31e",
    "0005_erased": "08bb05733745752d378dec30828b8232e5140326e7fb2bfac52e207356b2ba82",
    "0006_challenges": "933ab46444425d67c7e714ed0621b0439e5dcb890b21a82e3733183eaa0f6093",
    "0007_pins": "d3b2bd30766b298f1a067b31d42ad90334808ceeb562184bfab0424d222480be",
    "0008_safety": "70867b05279db9b97044dadb3fb1eb529f22733730517b59ea4c8bc9ff11d1b9",
    "0009_safety2": "d65c6accc8848d0abfdba25fb2681741f6c99eb1742182eaf3f4cb0599436bf3",
    "0010_truth": "d2fdd3e204b6498f2e1521d411806bc2a1099b050a8fcf1af985bd6660cb6bee",
    "0011_approvals": "3c11cadc2934eef7ce78c2ded31b356303560a011cd4a6f6bd9dbc0f287f3e94",
    "0012_ledger_seal": "864d70b8f32fc776888f3d5d9087a1fce7bd05ba633b3c8d6eb282afdfb926ef",
}


def test_a_revision_that_has_landed_is_never_edited() -> None:
    files = {path.stem: path for path in (migrate.scripts() / "versions").glob("*.py")}
    assert {name: hashlib.sha256(files[name].read_bytes()).hexdigest() for name in LANDED} == LANDED


@pytest.mark.usefixtures("real_migrations")
def test_what_differs_from_the_schema_is_named(url: str) -> None:
    migrate.upgrade(url)
    assert differences(url) == []
    engine = make_engine(url)
    with engine.begin() as conn:
        conn.execute(sa.text("DROP TABLE followed"))
        conn.execute(sa.text("DROP INDEX ix_holds_person_id"))
        conn.execute(sa.text("ALTER TABLE holds DROP COLUMN why"))
        conn.execute(sa.text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))
    engine.dispose()
    assert migrate.check(url).up_to_date
    assert differences(url) == [
        "column holds.why is missing",
        "index holds.ix_holds_person_id is missing",
        "table followed is missing",
        "table notes is not known to this program",
    ]
