"""Connections to PostgreSQL: poolers, switchovers, silent peers, the server's defaults; and what an operator
reads where the state DB does not do what is asked of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bridge.core.errors import ConfigError, LeaseHeld, StateDbBusy, StateDbError
from bridge.store import Store
from bridge.store import connection as connecting
from bridge.store.calls import calls_of
from bridge.store.engine import UnitOfWork, make_engine
from bridge.store.migrate import upgrade
from tests.store.helpers import ANN, IN, THEIRS, Clock, begun, news
from tests.tcp import Relay
from tests.waiting import wait_until

pytestmark = pytest.mark.postgres
OpenStore = Callable[..., Store]


@pytest.fixture
def open_store(postgres_state_url: str, clock: Clock) -> Iterator[OpenStore]:
    """Opens stores, with options of the URL, and closes them."""
    opened: list[Store] = []

    def start(url: str = postgres_state_url, **query: str) -> Store:
        url_with = sa.make_url(url).update_query_dict(query).render_as_string(hide_password=False)
        opened.append(Store.open(url_with, clock))
        return opened[-1]

    yield start
    for store in opened:
        store.close()


@contextmanager
def administrator(url: str) -> Iterator[sa.Connection]:
    """A connection as an operator has one, each statement by itself."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as conn:
        yield conn


def setting(store: Store, name: str) -> str:
    with store._unit.write() as conn:
        return str(conn.scalar(sa.text(f"SHOW {name}")))


# poolers in transaction mode


def test_no_statement_is_prepared_at_the_server(open_store: OpenStore) -> None:
    """A pooler in transaction mode would look for it at another connection."""
    store = open_store()
    for _ in range(10):  # the driver would prepare a statement at its sixth use
        store.people.count()
        store.key_values.set("key", "value")
    with store._unit.read() as conn:
        assert conn.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")) == 0


def test_an_option_of_the_url_prepares_statements_again(open_store: OpenStore) -> None:
    store = open_store(prepare_threshold="1")
    with store._unit.read() as conn:
        for _ in range(3):
            conn.execute(sa.text("SELECT 1"))
        assert conn.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")) > 0
    with pytest.raises(ConfigError, match="prepare_threshold"):
        open_store(prepare_threshold="five")


def test_nothing_is_left_set_in_the_session(open_store: OpenStore) -> None:
    """A pooler gives the session to another program afterwards."""
    store = open_store()
    assert setting(store, "lock_timeout") == "30s"
    assert setting(store, "idle_in_transaction_session_timeout") == "1min"
    raw = store._unit.engine.raw_connection()
    cursor = raw.cursor()
    for name in ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout"):
        cursor.execute(f"SHOW {name}")
        assert cursor.fetchone() == ("0",)
    raw.close()


# defaults of the server


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_the_servers_default_isolation_changes_nothing(
    open_store: OpenStore, postgres_state_url: str, level: str
) -> None:
    name = sa.make_url(postgres_state_url).database
    with administrator(postgres_state_url) as conn:
        conn.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'"))
        try:
            first, second = open_store(), open_store()
            assert setting(first, "transaction_isolation") == "read committed"
            with first._unit.write() as one:  # a later commit of another one is seen, not refused
                one.scalar(sa.text("SELECT count(*) FROM meta"))
                second.key_values.set("key", "theirs")
                one.execute(sa.text("UPDATE meta SET value = 'ours' WHERE key = 'key'"))
            assert second.key_values.get("key") == "ours"
        finally:
            conn.execute(sa.text(f"ALTER DATABASE {name} RESET default_transaction_isolation"))


# a switchover


@contextmanager
def standby(url: str) -> Iterator[None]:
    """The server takes no writes in new transactions, as after a switchover; connections live on."""
    name = sa.make_url(url).database
    with administrator(url) as conn:
        conn.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        try:
            yield
        finally:
            conn.execute(sa.text("SET default_transaction_read_only = off"))
            conn.execute(sa.text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))


def demote(store: Store) -> None:
    """The server of this connection of the pool is a standby from now on."""
    with store._unit.engine.connect() as conn:
        conn.execute(sa.text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        conn.commit()


def test_a_connection_to_a_server_that_was_demoted_is_given_up(open_store: OpenStore) -> None:
    store = open_store()
    demote(store)
    with pytest.raises(StateDbError, match="read-only"):
        store.key_values.set("key", "value")
    store.key_values.set("key", "value")  # by a new connection, to the server that takes writes
    assert store.key_values.get("key") == "value"


def test_a_standby_is_not_connected_to_until_it_takes_writes(
    open_store: OpenStore, postgres_state_url: str
) -> None:
    store = open_store()
    with standby(postgres_state_url):
        demote(store)
        for _ in range(2):
            with pytest.raises(StateDbError, match="read-only"):
                store.require_writable()
        with pytest.raises(ConfigError, match=r"read-only"):
            open_store()
    store.require_writable()


def test_a_reader_may_read_from_a_standby(
    postgres_state_url: str, open_store: OpenStore, clock: Clock
) -> None:
    open_store()
    with standby(postgres_state_url):
        engine = make_engine(postgres_state_url, read_only=True)
        with UnitOfWork(engine, clock, read_only=True).read() as conn:
            assert conn.scalar(sa.text("SELECT count(*) FROM people")) == 0
        engine.dispose()


def test_connections_that_the_server_ended_are_replaced(
    open_store: OpenStore, postgres_state_url: str
) -> None:
    store = open_store()
    raw = store._unit.engine.raw_connection()
    pid = raw.driver_connection.info.backend_pid  # type: ignore[union-attr]
    raw.close()
    with administrator(postgres_state_url) as conn:
        conn.execute(sa.text(f"SELECT pg_terminate_backend({pid}, 5000)"))
    store.key_values.set("key", "value")
    assert store.key_values.get("key") == "value"


# locks, suspended processes


def test_a_suspended_owner_of_the_lease_is_named(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended within a transaction, it keeps the row of the lease locked."""
    monkeypatch.setattr(connecting, "LOCK_SECONDS", 0.2)
    first, second = open_store(), open_store()
    ttl = timedelta(minutes=2)
    with (
        first.lease(owner="host1 pid 7 [x y]", ttl=ttl),
        first._unit.write(),
        pytest.raises(LeaseHeld, match=r"host1 pid 7.*suspended"),
        second.lease(owner="host2 pid 8", ttl=ttl),
    ):
        pass


def test_a_suspended_process_loses_its_transaction_by_itself(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "IDLE_SECONDS", 0.2)
    first, second = open_store(), open_store()
    with pytest.raises(StateDbError), first._unit.write() as conn:  # noqa: PT012 - the end of the block fails
        conn.execute(sa.text("INSERT INTO meta VALUES ('key', 'first')"))
        second.key_values.set("key", "second")  # waits until the server ends the other one
        conn.execute(sa.text("SELECT 1"))
    assert second.key_values.get("key") == "second"


def test_a_lock_that_is_kept_is_named(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "LOCK_SECONDS", 0.2)
    first, second = open_store(), open_store()
    first.key_values.set("key", "value")
    with first._unit.write() as conn:
        conn.execute(sa.text("UPDATE meta SET value = 'mine'"))
        with pytest.raises(StateDbBusy, match="locked by another process") as caught:
            second.key_values.set("key", "theirs")
    assert caught.value.exit_code == 6


# a silent peer


def test_a_call_that_hangs_is_ended_for_a_process_that_has_to_stop(
    postgres_state_url: str, open_store: OpenStore
) -> None:
    with Relay.to_url(postgres_state_url) as relay:
        store = open_store(relay.url(postgres_state_url))
        begun(store)
        relay.fall_silent()
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                store.people.count()
            except StateDbError as error:
                raised.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: bool(calls_of(store._unit.engine)._begun), "the call is in progress")
        assert store.end_hanging_calls(after=3600) == 0
        assert raised == []
        assert store.end_hanging_calls(after=0) == 1
        asking.join(10)
        assert len(raised) == 1
        began = time.monotonic()
        with pytest.raises(StateDbError):  # nobody waits long for a new connection now
            store.people.count()
        assert time.monotonic() - began < 30


# what an operator reads


def test_an_at_sign_in_the_password_is_named_and_nothing_of_it_shown(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="%40") as caught:
        Store.open("postgresql://bridge:hun@ter2@db.example.com/bridge", clock)
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_address_is_refused(
    postgres_server: str, clock: Clock, encoding: str
) -> None:
    name = f"t_{encoding.lower()}"
    with administrator(postgres_server) as conn:
        conn.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
        conn.execute(sa.text(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
        try:
            url = sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
            with pytest.raises(ConfigError, match=rf"(?s){encoding}.*ENCODING 'UTF8'"):
                upgrade(url)
        finally:
            conn.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_a_role_that_may_not_write_is_named(
    open_store: OpenStore, postgres_state_url: str, clock: Clock
) -> None:
    open_store()
    with administrator(postgres_state_url) as conn:
        conn.execute(sa.text("DROP ROLE IF EXISTS t_onlooker"))
        conn.execute(sa.text("CREATE ROLE t_onlooker LOGIN PASSWORD 'w'"))
        try:
            conn.execute(sa.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO t_onlooker"))
            url = sa.make_url(postgres_state_url).set(username="t_onlooker", password="w")
            store = open_store(url.render_as_string(hide_password=False))
            with pytest.raises(StateDbError, match=r"(?s)lacks a right.*Grant"):
                store.observations.record([news(ANN, IN)], THEIRS, run=begun(store))
        finally:
            conn.execute(sa.text("DROP OWNED BY t_onlooker"))
            conn.execute(sa.text("DROP ROLE t_onlooker"))


def test_a_database_that_is_not_there_is_named(postgres_server: str, clock: Clock) -> None:
    url = sa.make_url(postgres_server).set(database="t_nowhere").render_as_string(hide_password=False)
    with pytest.raises(ConfigError, match=r"(?s)does not exist.*BRIDGE_DATABASE_URL"):
        Store.open(url, clock)
