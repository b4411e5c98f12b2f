"""Logs: every record on one stream, without personal data or secrets."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge import logs
from bridge.core.errors import ConfigError
from tests.waiting import wait_until


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logs.configure("debug", json=True, stream=stream)
    yield stream
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_structlog_and_standard_records_come_out_alike(out: io.StringIO) -> None:
    structlog.get_logger("bridge.one").info("run finished", writes=3)
    logging.getLogger("bridge.two").warning("feed %s is late", "events", extra={"seconds": 4})
    one, two = lines(out)
    assert (one["event"], one["writes"], one["level"], one["logger"]) == (
        "run finished",
        3,
        "info",
        "bridge.one",
    )
    assert (two["event"], two["seconds"], two["level"]) == ("feed events is late", 4, "warning")
    assert str(one["timestamp"]).endswith("Z")


@pytest.mark.parametrize(
    "text",
    [
        "ann.o'hara+x@example.com",
        "<ann@example.com>",
        '"ann o hara"@example.com',
        "https://api.example.com/v2/contacts/ann%40example.com/x",
        "ann@localhost",
        "žofie@пример.test",
    ],
)
def test_no_address_reaches_a_line(out: io.StringIO, text: str) -> None:
    log = structlog.get_logger("bridge")
    log.info(f"wrote {text} now", who=text, nested={"list": [text, (text,)], text: 1}, obj=ValueError(text))
    logging.getLogger("bridge").info("wrote %s", text)
    assert all(word not in out.getvalue().casefold() for word in ("ann", "hara", "žofie"))
    assert logs.ADDRESS in out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.DEF-hidden1234",
        "Basic aGlkZGVuMTIzNDpoaWRkZW4xMjM0hidden1234",
        "PNAUTHINFO3-HMAC-SHA256 Credential=x, Signature=hidden1234",
        "grant_type=client_credentials&client_secret=hidden1234&scope=a",
        '{"access_token": "hidden1234"}',
        "eyJhbGciOiJIUzI1NiJ9.hidden1234.hidden1234",
    ],
)
def test_no_secret_reaches_a_line(out: io.StringIO, text: str) -> None:
    structlog.get_logger("bridge").error(
        text, headers=[text], password="hidden1234", nested={"token": "hidden1234"}
    )
    assert "hidden1234" not in out.getvalue()
    assert logs.SECRET in out.getvalue()


def test_tracebacks_and_warnings_are_redacted_too(out: io.StringIO) -> None:
    try:
        raise RuntimeError("no such contact: ann@example.com")
    except RuntimeError:
        logging.getLogger("bridge").exception("failed")
        structlog.get_logger("bridge").exception("failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("about ann@example.com", stacklevel=1)
    assert "ann@" not in out.getvalue()
    assert out.getvalue().count("RuntimeError") >= 2
    assert "py.warnings" in out.getvalue()


def test_ordinary_words_stay_readable() -> None:
    text = "drained suppressed-since: 120 rows in 3 pages, watermark 2026-01-02T03:04:05Z"
    assert logs.redact_text(text) == text


def test_configuring_again_replaces_only_our_own_handler(out: io.StringIO) -> None:
    again = io.StringIO()
    others = [one for one in logging.getLogger().handlers if type(one).__module__ != "bridge.logs"]
    logs.configure("warning", json=False, stream=again)
    logging.getLogger("bridge").warning("to the new one")
    assert out.getvalue() == ""
    assert "to the new one" in again.getvalue()
    assert not again.getvalue().startswith("{")
    assert [one for one in logging.getLogger().handlers if type(one).__module__ != "bridge.logs"] == others


def test_an_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="debug, info, warning, error"):
        logs.configure("loud")


@given(
    st.text(
        st.characters(exclude_characters="@\"'<>(),;:[]%", exclude_categories=["Z", "C"]),
        min_size=1,
        max_size=64,
    ),
    st.text(),
)
def test_whatever_stands_around_an_address_it_goes(local: str, around: str) -> None:
    assert f"{local}@example.com" not in logs.redact_text(f"{around} {local}@example.com {around}")


class Stuck(io.StringIO):
    """A log that nobody reads: a write waits until `gate` opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def write(self, text: str) -> int:
        self.gate.wait()
        return super().write(text)


class Broken(io.StringIO):
    """A pipe without a reader."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_nothing_waits_for_a_log_that_is_not_read_and_lost_lines_are_counted(
    out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = Stuck()
    logs.configure("info", json=True, stream=stuck, buffered=True)
    for number in range(logs.QUEUED + 10_000):
        logging.getLogger("bridge").info("line %d", number)
    stuck.gate.set()
    wait_until(lambda: "dropped" in stuck.getvalue(), "the lost lines are reported")
    logs.finish()
    (last,) = [one for one in map(json.loads, stuck.getvalue().splitlines()) if "dropped" in one]
    assert last["level"] == "warning"
    assert 0 < last["dropped"] < logs.QUEUED + 10_000


def test_a_log_whose_reader_is_gone_is_lost_without_an_error(out: io.StringIO) -> None:
    logs.configure("info", json=True, stream=Broken(), buffered=True)
    logging.getLogger("bridge").info("lost")
    logs.finish()


def test_what_is_queued_is_written_at_the_end(out: io.StringIO) -> None:
    read = io.StringIO()
    logs.configure("info", json=True, stream=read, buffered=True)
    for number in range(100):
        logging.getLogger("bridge").info("line %d", number)
    logs.finish()
    assert len(read.getvalue().splitlines()) == 100


def test_no_control_character_reaches_a_line(out: io.StringIO) -> None:
    logging.getLogger("bridge").info("a\x1b[31m\x9b1m\u202eb", extra={"name_of_filter": "x\x9dy"})
    assert not {"\x1b", "\x9b", "\x9d", "\u202e"} & set(out.getvalue())
