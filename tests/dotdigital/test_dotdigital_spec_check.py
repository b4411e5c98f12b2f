"""`make spec-check` where something it needs is missing, or where it finds something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.spec_check import client, prism
from tests.spec_check.__main__ import main
from tests.spec_check.published import FILE, Skipped, operation_ids, with_times


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A description that names the sixteen operations and says nothing of them."""
    paths = {f"/{name}": {"get": {"operationId": name}, "parameters": []} for name in client.CALLS}
    (tmp_path / FILE).write_text(json.dumps({"paths": paths}), encoding="utf-8")
    monkeypatch.setenv("BRIDGE_SPECS_DIR", str(tmp_path))
    return tmp_path / FILE


def test_without_the_folder_it_is_skipped_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRIDGE_SPECS_DIR", str(tmp_path / "nowhere"))
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" skipped:")[0] for line in lines] == ["spec-check sandbox:", "spec-check client:"]
    assert all("BRIDGE_SPECS_DIR" in line for line in lines)


def test_without_npm_the_clients_half_is_skipped_with_a_word(
    described: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prism.shutil, "which", lambda _: None)
    assert main(["client"]) == 0
    assert "skipped: npm is not here" in capsys.readouterr().out
    with pytest.raises(Skipped):
        client.check(described)


def test_an_operation_that_is_described_and_never_called_fails_it(
    described: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(described.read_text(encoding="utf-8"))
    document["paths"]["/new"] = {"get": {"operationId": "get-something-new"}}
    described.write_text(json.dumps(document), encoding="utf-8")
    assert main(["client"]) == 1
    assert "FAILED: described and called differ: get-something-new" in capsys.readouterr().out


def test_an_unknown_check_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbax"]) == 2
    assert "sandbax" in capsys.readouterr().out


def test_only_the_dates_of_the_description_are_widened() -> None:
    parameters = [{"schema": {"format": "date"}}, {"schema": {"format": "int32"}}]
    document = {"paths": {"/a": {"get": {"operationId": "a", "parameters": parameters}, "parameters": []}}}
    widened = with_times(document)["paths"]["/a"]["get"]["parameters"]
    assert [one["schema"]["format"] for one in widened] == ["date-time", "int32"]
    assert [one["schema"]["format"] for one in parameters] == ["date", "int32"]
    assert operation_ids(document) == {"a"}
