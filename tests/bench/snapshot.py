"""What a snapshot of all people costs, in calls and in memory: read in its own process.

`python -m tests.bench.snapshot URL PREFERENCES RECORDED` is that process; it prints its results as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bridge.core.model import Side
from bridge.core.store_values import RunKind
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import LARGEST_LIMIT, ClientV3
from bridge.dotdigital.reader import DotdigitalReader
from bridge.sandbox.dotdigital import GeneratedContacts
from bridge.store import Store
from tests.bench.account import account, ids, mapping_of
from tests.bench.measure import Measured
from tests.dotdigital.dotdigital_world import transport_to

MOST_MEMORY = 300  # MB
ROOT = Path(__file__).parents[2]


def snapshot(people: int, preferences: int, *, recorded: int) -> tuple[Measured, float]:
    """Everybody, with the suppressed, and the process's greatest memory in MB. The first `recorded` people
    are stored in a state DB too, as a sweep does."""
    with account(preferences) as there:
        there.state.generated = GeneratedContacts(people, ids(preferences))
        words = [sys.executable, "-m", "tests.bench.snapshot", there.url, str(preferences), str(recorded)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["people"] != people:
        raise AssertionError(f"{found['people']} of {people} were read")
    fewest = people // LARGEST_LIMIT + 1 + 1
    job = f"snapshot of {people:,} people x {preferences} preferences"
    memory = float(found["memory"])
    note = f"{memory:.0f} MB, {recorded:,} people recorded"
    return Measured(job, found["calls"], fewest, "floor(M/5000) + 1, and 1 for the suppressed", note), memory


def _read(url: str, preferences: int, recorded: int) -> dict[str, float]:
    transport = transport_to(url, lambda _: None, clock=_now, read_timeout=120.0)
    mapping = mapping_of(preferences)
    reader = DotdigitalReader(ClientV2(transport), ClientV3(transport), mapping, _now)
    people = 0
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'bridge.db'}", clock=_now)
        run = store.runs.begin(RunKind.FULL)
        for page in reader.list_people(()):
            if people < recorded:
                store.observations.record(
                    page.views, Side.DOTDIGITAL, run=run, unsubscribe_withdraws_topics=False
                )
            people += len(page.views)
        store.close()
    transport.close()
    return {"people": people, "calls": reader.calls, "memory": _peak()}


def _peak() -> float:
    """The greatest memory this process ever held, in MB. What `getrusage` tells on Linux counts the process
    that started this one as well, so the kernel is asked for this one alone."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    print(json.dumps(_read(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
