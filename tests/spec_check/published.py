"""The published description of the sixteen preferences operations: where it is, and what it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILE = "dotdigital-preferences-v2.corrected.openapi.json"


class Skipped(Exception):
    """Something the check needs is not on this machine."""


class Failed(Exception):
    """The check found something, or could not be made."""


def description() -> Path:
    """The file, from BRIDGE_SPECS_DIR or beside the repository. Raises Skipped."""
    folder = Path(os.environ.get("BRIDGE_SPECS_DIR") or ROOT.parent / "shared" / "apis" / "specs")
    path = folder / FILE
    if not path.is_file():
        raise Skipped(f"{FILE} is not here; point BRIDGE_SPECS_DIR at the folder of the specifications")
    return path.resolve()


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def operation_ids(document: Any) -> set[str]:
    return {
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    }


def with_times(document: Any) -> Any:
    """A copy whose `date` parameters take a time as well: the schema says `format: date`, the words beside it
    and the vendor's other descriptions of the same calls say date and time, and that is what the bridge
    sends, so that no change of the day is read again and again."""
    document = json.loads(json.dumps(document))
    for item in document["paths"].values():
        for method, operation in item.items():
            for parameter in [] if method == "parameters" else operation.get("parameters", []):
                if parameter["schema"].get("format") == "date":
                    parameter["schema"]["format"] = "date-time"
    return document
