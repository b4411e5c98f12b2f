"""What every test stands on: property tests that repeat, and no settings of the operator's own."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("searching", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("BRIDGE_TEST_PROFILE", "repeatable"))

NOT_SETTINGS = ("BRIDGE_TEST_", "BRIDGE_RECORD", "BRIDGE_SPECS_DIR")


def pytest_report_header() -> str:
    name = os.environ.get("BRIDGE_TEST_PROFILE", "repeatable")
    return f"hypothesis profile: {name} (BRIDGE_TEST_PROFILE=searching tries other and more examples)"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's own BRIDGE_* variables must not decide a test."""
    for name in list(os.environ):
        if name.startswith("BRIDGE_") and not name.startswith(NOT_SETTINGS):
            monkeypatch.delenv(name)
