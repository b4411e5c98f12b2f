"""A real pooler in transaction mode between the bridge and PostgreSQL, where pgbouncer is installed.

That no statement is prepared and nothing is left set in a session is tested without it as well.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.store import Store
from tests.store.helpers import ANN, BOB, IN, THEIRS, Clock, begun, news
from tests.tcp import Relay
from tests.waiting import wait_until

pytestmark = pytest.mark.postgres
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture
def pooled_url(postgres_state_url: str, tmp_path: Path) -> Iterator[str]:
    """The state DB by way of a pooler that has two connections for everybody."""
    if PROGRAM is None:
        pytest.skip("NO PGBOUNCER: it is not installed")
    there = sa.make_url(postgres_state_url)
    relay = Relay.to_url(postgres_state_url)  # the pooler runs as a user who may not see the server's socket
    with socket.create_server(("127.0.0.1", 0)) as probe:
        own = probe.getsockname()[1]
    (tmp_path / "users").write_text(f'"{there.username}" "{there.password or ""}"\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n{there.database} = host=127.0.0.1 port={relay.port} pool_size=2\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\nunix_socket_dir =\n"
        f"pool_mode = transaction\nauth_type = trust\nauth_file = {tmp_path / 'users'}\nlogfile =\n"
    )
    tmp_path.chmod(0o755)
    command = [PROGRAM, *(["-u", "nobody"] if os.geteuid() == 0 else []), str(tmp_path / "pgbouncer.ini")]
    with relay, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: _answers(own), "the pooler answers")
        pooled = there.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=own)
        yield pooled.render_as_string(hide_password=False)
        process.send_signal(signal.SIGINT)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_many_transactions_share_few_connections(pooled_url: str, clock: Clock) -> None:
    with Store.open(pooled_url, clock, server_clock=True) as store:
        with store.lease(owner="host pid 1", ttl=timedelta(minutes=2)) as lease:
            run = begun(store)
            with ThreadPoolExecutor(6) as pool:
                pages = [[news(f"p{number}@example.com", IN)] for number in range(60)]
                list(pool.map(lambda page: store.observations.record(page, THEIRS, run=run), pages))
            store.observations.record([news(ANN, IN), news(BOB, IN)], THEIRS, run=run, watermark=clock.now)
            lease.renew()
            store.runs.end(run, "done", {})
        assert store.people.count() == 62
        assert store.ledger.verify().entries >= 0
        with store._unit.read() as conn:
            assert conn.scalar(sa.text("SHOW transaction_isolation")) == "repeatable read"
        with store._unit.write() as conn:
            assert conn.scalar(sa.text("SHOW lock_timeout")) == "30s"
