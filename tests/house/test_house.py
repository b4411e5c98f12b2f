"""House rules: what every file of the tree must look like."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, entries, files, python, shown

MOST_LINES = 450
FOLDERS = {".ci", ".github", "bridge", "config", "deploy", "docs", "mappings", "migrations", "tests"}
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-spec.lock")
ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})")
FREE_DOMAINS = re.compile(r"(.*\.)?(example\.(com|org|net)|test|example|invalid)", re.IGNORECASE)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def test_no_run_time_check_is_an_assert_and_nothing_is_printed() -> None:
    found = []
    for path in python("bridge", "migrations"):
        for node in ast.walk(ast.parse(text_of(path))):
            printed = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            )
            if printed or isinstance(node, ast.Assert):
                found.append(f"{shown(path)}:{node.lineno}")
    assert found == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    stub = re.compile(r"\bNotImplemented" + r"Error\b")
    found = [path for path in python("bridge", "migrations", "tests") if later.search(text_of(path))]
    found += [path for path in python("bridge") if stub.search(text_of(path))]
    assert [shown(path) for path in found] == []


def test_files_stay_short_enough_to_read() -> None:
    counts = {
        shown(path): len(text_of(path).splitlines()) for path in python("bridge", "migrations", "tests")
    }
    assert {name: count for name, count in counts.items() if count > MOST_LINES} == {}


def test_addresses_are_compared_by_their_key_alone() -> None:
    """Comparing them in any other way makes one person of two, or two of one."""
    own_way = re.compile(
        r"(?:address|mail)(?:\(\w*\))?(?:\.strip\(\))?\.(?:casefold|lower|upper)\(", re.IGNORECASE
    )
    allowed = {"bridge/core/model.py", "bridge/core/addresses.py"}  # the key itself, and how it is written
    found = {
        shown(path)
        for path in python("bridge")
        if "sandbox" not in path.parts and own_way.search(text_of(path))
    }
    assert found - allowed == set()


def test_the_top_level_holds_known_folders_only() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in files() if path.parent != ROOT}
    assert tops <= FOLDERS


def test_the_tree_holds_no_links() -> None:
    """A link leads out of the clone, or to where nothing is: one in the place of the virtual environment
    keeps a new clone from being set up."""
    assert [shown(path) for path in entries() if path.is_symlink()] == []


def test_every_path_that_the_documents_name_exists() -> None:
    """From the root, bridge/, tests/, or the document's own folder; a * stands for any name."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = [(path, place) for path in documents for place in places_in(text_of(path))]
    assert len(named) > 50
    bases = (ROOT, ROOT / "bridge", ROOT / "tests")
    wrong = [
        f"{shown(path)}: {place}"
        for path, place in named
        if not any(any(base.glob(place.rstrip("/"))) for base in (*bases, path.parent))
    ]
    assert wrong == []


def places_in(document: str) -> set[str]:
    """What looks like a path of this tree: it begins with one of its folders, or ends like a file."""
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^):\s]+)\)", document)}
    names = re.findall(r"(?<![\w./:<>{}$-])((?:[\w.*-]+/)+[\w.*-]*)(?![\w/{<])", document)
    inside = FOLDERS | {path.name for path in (ROOT / "bridge").iterdir() if path.is_dir()}
    suffixes = (".py", ".md", ".toml")
    found = {
        name.rstrip(".") for name in names if name.partition("/")[0] in inside or name.endswith(suffixes)
    }
    return {place for place in links | found if place}


def test_no_real_address_is_in_the_tree() -> None:
    found = [
        f"{shown(path)}: {match[0]}"
        for path in files()
        for match in ADDRESS.finditer(text_of(path))
        if not FREE_DOMAINS.fullmatch(match[1])
    ]
    assert found == []


def test_no_path_of_somebodys_machine_is_in_the_tree() -> None:
    homes = re.compile(r"(?<![\w.])/(?:work|home/[a-z]+|root|Users/[a-z]+)/")
    ours = [path for path in files() if path.name != Path(__file__).name]
    assert [shown(path) for path in ours if homes.search(text_of(path))] == []


def test_the_locks_hold_every_package_that_the_project_names() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    runtime = set(project["project"]["dependencies"])
    extras = set(project["project"]["optional-dependencies"]["dev"])
    assert names(runtime) <= locked(LOCKS[0])
    assert names(runtime | extras) <= locked(LOCKS[1])
    assert names(set(project["build-system"]["requires"])) <= locked("requirements-build.lock")
    spec = set(project["project"]["optional-dependencies"]["spec"])
    assert names(runtime | spec) <= locked(LOCKS[2])


@pytest.mark.parametrize("name", LOCKS[1:])
def test_the_other_locks_pin_the_runtime_to_the_same_versions(name: str) -> None:
    runtime, everything = (
        dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text_of(ROOT / one), re.M)) for one in (LOCKS[0], name)
    )
    assert {name: version for name, version in runtime.items() if everything.get(name) != version} == {}


def names(requirements: set[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0].lower().replace("_", "-") for one in requirements}


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", text_of(ROOT / name), re.M))
