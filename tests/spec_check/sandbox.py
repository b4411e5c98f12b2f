"""Schemathesis against the sandbox, over HTTP: every answer is of a documented status, type and schema."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bridge.sandbox.server import Server
from tests.spec_check.account import USER, Account
from tests.spec_check.published import ROOT, Failed, Skipped, load, operation_ids

# The rest of schemathesis' checks ask for more than the description says: that every text is taken as an
# address, that unknown parameters are refused, that what was deleted is gone (the account is reset).
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
_SECONDS = 900


def check(path: Path, examples: int = 25, seed: int = 1) -> str:
    """What was seen, in a line. Raises Failed for a deviation, or an operation that never answered 200."""
    if importlib.util.find_spec("schemathesis") is None:
        raise Skipped("schemathesis is not installed here; `make spec-check` does that")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each request that is no HTTP
    account = Account()
    with Server(account) as server, tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", server.url),
                *("--auth", f"{USER.username}:{USER.password}", "--checks", ",".join(CHECKS)),
                *("--max-examples", str(examples), "--seed", str(seed), "--no-color", "--warnings", "off"),
                *("--continue-on-failure", "--suppress-health-check", "all"),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.spec_check.hooks"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    if run.returncode != 0:
        raise Failed(f"schemathesis found:\n{run.stdout}{run.stderr}")
    return _coverage(account, operation_ids(load(path)))


def _coverage(account: Account, published: set[str]) -> str:
    good = {name: account.answers[name, 200] for name in sorted(published)}
    silent = [name for name, count in good.items() if not count]
    if silent:
        raise Failed(f"never answered 200, so that nothing was looked at: {', '.join(silent)}")
    total = sum(account.answers.values())
    least = min(good, key=lambda name: good[name])
    return (
        f"{len(published)} operations, {total} requests, {sum(good.values())} answers of 200 by their schemas"
        f" (fewest: {good[least]}, {least}), no deviation"
    )
