"""Which package may import which. The rules are in .importlinter; the core's is also checked by name."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from tests.house.tree import ROOT, python, shown

LINT = """
import sys
sys.path.insert(0, sys.argv[1])
from importlinter.cli import lint_imports_command
lint_imports_command(["--no-cache", "--config", sys.argv[1] + "/.importlinter"])
"""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LINT, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_point_towards_the_core() -> None:
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/model.py", "import httpx"),
        ("core/model.py", "import bridge.store"),
        ("engine/__init__.py", "import bridge.transport"),
        ("mypreferences/__init__.py", "import bridge.dotdigital"),
        ("dotdigital/__init__.py", "import bridge.store"),
        ("sandbox/__init__.py", "import bridge.core"),
        ("net.py", "import sqlalchemy"),
        ("net.py", "import apscheduler"),
        ("net.py", "import pydantic"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(ROOT / "bridge", tmp_path / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    path = tmp_path / "bridge" / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    run = lint(tmp_path)
    assert run.returncode == 1
    assert line.split()[-1] in run.stdout.partition("Broken contracts")[2]


def test_the_core_imports_the_standard_library_only() -> None:
    wrong = [
        f"{shown(path)}: {name}"
        for path in python("bridge")
        if path.parent.name == "core"
        for name in _imported(path)
        if name.partition(".")[0] not in sys.stdlib_module_names and not f"{name}.".startswith("bridge.core.")
    ]
    assert wrong == []


def circles() -> list[list[str]]:
    """Modules of bridge/ that reach each other by their imports, the largest circle first. Imports inside
    functions and under TYPE_CHECKING count too."""
    graph = grimp.build_graph("bridge", cache_dir=None)
    reached = {module: graph.find_upstream_modules(module) for module in graph.modules}
    found = {frozenset({a, *(b for b in reached[a] if a in reached[b])}) for a in reached}
    return sorted((sorted(circle) for circle in found if len(circle) > 1), key=len, reverse=True)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
