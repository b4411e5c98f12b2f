"""One sweep by export in its own process: `sweep_process.py DATABASE_URL SERVICE_URL`. Prints JSON."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bridge.core.mapping import ConsentRef, FilterRef, Mapping, OnUnsubscribe, Topic
from bridge.core.model import CHANNEL, Side, TopicId
from bridge.core.store_values import RunKind
from bridge.engine.context import RunContext, Services, Tuning
from bridge.engine.sweep import sweep
from bridge.mypreferences.auth.oauth import ClientCredentials
from bridge.mypreferences.bulk.segment_export import SegmentRef
from bridge.mypreferences.client import MyPreferencesClient
from bridge.mypreferences.client.base import RateLimit
from bridge.mypreferences.client.errors import error_mapper
from bridge.mypreferences.client.routes import load_routes
from bridge.mypreferences.reader import MyPreferencesReader
from bridge.sandbox.mypreferences.account import CLIENT_ID, CLIENT_SECRET
from bridge.store import Store
from bridge.transport import Transport
from tests.fakes import FakeSide

ACCOUNT = "ACME_Corp"
NEWS = Topic(TopicId("newsletter"), FilterRef("NEWS_EMAIL"), {"": 1002})
EMAIL = Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {})
MAPPING = Mapping((NEWS,), EMAIL, OnUnsubscribe.CHANNEL, "test")


def clock() -> datetime:
    return datetime.now(UTC)


def reader(url: str) -> MyPreferencesReader:
    auth = ClientCredentials(
        token_url=f"{url}/oauth2/v1/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        scope=f"{ACCOUNT}/bridge",
        clock=clock,
    )
    transport = Transport(
        side=Side.MYPREFERENCES,
        base_url=f"{url}/Profiles/v4",
        auth=auth,
        throttle=RateLimit(None),
        to_error=error_mapper(auth, clock),
        jitter=random.Random(1),
        sleep=time.sleep,
    )
    client = MyPreferencesClient(transport, account=ACCOUNT, routes=load_routes(None))
    return MyPreferencesReader(client, MAPPING, clock, segment=SegmentRef("EVERYBODY"), poll_interval=0.05)


def peak_memory() -> int:
    """Peak memory of this process, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) if found else 0


def main(database: str, url: str) -> None:
    dotdigital = FakeSide(Side.DOTDIGITAL, MAPPING, clock)
    progress: list[tuple[int, int | None]] = []
    with Store.open(database, clock=clock) as store:
        readers = {Side.MYPREFERENCES: reader(url), Side.DOTDIGITAL: dotdigital}

        def on_progress(_step: str, done: int, total: int | None = None) -> None:
            progress.append((done, total))

        services = Services(store, readers, MAPPING, Tuning(), clock, on_progress)
        swept = sweep(RunContext(services, RunKind.FULL))
        result = {
            "swept": swept,
            "people": store.people.count(),
            "progress": progress[-1],
            "peak": peak_memory(),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
