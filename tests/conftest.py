"""Set-up of every test: repeatable property tests, and no settings of the operator."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.prepared import prepared_schema
from tests.statements import shared_statements

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("searching", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("BRIDGE_TEST_PROFILE", "repeatable"))

MEMORY, MEMORY_NEEDED = Path("/dev") / "shm", 2**31
__all__ = ["prepared_schema", "shared_statements"]

NOT_SETTINGS = ("BRIDGE_TEST_", "BRIDGE_RECORD", "BRIDGE_SPECS_DIR")


def pytest_configure() -> None:
    """A state DB syncs each transaction to disk. In memory this takes no time, in child processes too."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    if shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: started last, one of them would keep a single worker busy while the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_report_header() -> str:
    name = os.environ.get("BRIDGE_TEST_PROFILE", "repeatable")
    return f"hypothesis profile: {name} (BRIDGE_TEST_PROFILE=searching tries other and more examples)"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's own BRIDGE_* variables must not decide a test."""
    for name in list(os.environ):
        if name.startswith("BRIDGE_") and not name.startswith(NOT_SETTINGS):
            monkeypatch.delenv(name)
