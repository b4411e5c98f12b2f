"""What builds, tests and ships the bridge is pinned: packages by hash, CI actions by commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.house.tree import ROOT

INSTALLS = [
    line.strip()
    for line in (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    if re.search(r"pip install|\$\(PIP\)|uv build", line) and not line.startswith("PIP :=")
]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_every_way_to_install_is_found() -> None:
    assert len(INSTALLS) >= 7
    assert [lock.name for lock in LOCKS] == [
        f"requirements{part}.lock" for part in ("-build", "-dev", "-release", "-spec", "")
    ]


@pytest.mark.parametrize("line", INSTALLS)
def test_nothing_is_installed_without_its_hash(line: str) -> None:
    """Or without any index: the wheel just built, the checkout itself with the locked build backend."""
    local = "--no-deps" in line and ("--no-index" in line or "--no-build-isolation" in line)
    assert "--require-hashes" in line or local or "uv build --quiet --wheel --no-build-isolation" in line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|@ ", text)
    packages = re.split(r"\n(?=\S)", text.strip())
    assert packages
    for package in packages:
        assert re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+", package), package[:80]
        assert "--hash=sha256:" in package, package[:80]


def test_the_build_backend_and_uv_are_locked() -> None:
    locked = (ROOT / "requirements-build.lock").read_text()
    assert "\nhatchling==" in f"\n{locked}"
    assert "\nuv==" in f"\n{locked}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_ci_runs_actions_by_commit_with_least_rights(workflow: Path) -> None:
    document = yaml.safe_load(workflow.read_text())
    assert document["permissions"] == {"contents": "read"}
    steps = [step for job in document["jobs"].values() for step in job["steps"] if "uses" in step]
    assert steps
    for step in steps:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
