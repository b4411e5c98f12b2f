"""What an answer may hold."""

from __future__ import annotations

import gzip
import random
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bridge import bounds
from bridge.core.errors import InvalidResponse, OutcomeUnknown, RunStopped, SideError
from bridge.core.model import Side
from bridge.core.stopping import StopSignal
from bridge.mypreferences.client.base import RateLimit
from bridge.store.columns import scrub
from bridge.transport import Transport


@pytest.mark.parametrize(
    "text",
    ["", "a", "@b", "a@", "a\x00@example.com", "a\ud800@example.com", "a\u200b@example.com",
     "a\n@example.com", "a" * 250 + "@example.com", "\ufeffa@example.com", None, 7],
)  # fmt: skip
def test_what_no_side_can_hold_is_no_address(text: object) -> None:
    assert not bounds.is_address(text)


def test_blanks_and_marks_around_an_address_are_not_part_of_it() -> None:
    assert bounds.address(" \ufeffada@example.com\u200b ") == "ada@example.com"


@pytest.mark.parametrize(
    "text",
    ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1969-12-31", "2100-01-01", "", "x" * 99],
)
def test_a_date_at_which_nobody_can_have_said_anything_is_none(text: str) -> None:
    assert bounds.moment(text) is None


def test_a_date_without_a_zone_is_utc() -> None:
    assert bounds.moment("2026-03-01T12:00:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("raw", ["9" * 500, "1e400", "nan", "inf", "", "x", None])
def test_a_number_that_no_header_means_is_none(raw: str | None) -> None:
    assert bounds.header_number(raw) is None


def test_no_more_of_a_bomb_is_made_than_any_answer_has() -> None:
    with pytest.raises(bounds.TooLong):
        list(bounds.inflated([gzip.compress(b"0" * 10_000_000)], "gzip", 100_000))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_damaged_or_unknown_content_is_malformed(coding: str) -> None:
    with pytest.raises(bounds.Malformed):
        list(bounds.inflated([b"\x1f\x8b no"], coding))


def test_rows_are_read_one_by_one_where_one_cannot_be() -> None:
    found = bounds.rows(b'[{"a":1},{"a":"\\ud800"},7]', dict[str, int], lambda value: {"bad": bool(value)})
    assert found == [{"a": 1}, {"bad": 1}, {"bad": 1}]


def test_a_long_text_is_scrubbed_in_time() -> None:
    began = time.process_time()
    assert "@" not in scrub("a" * 200_000 + " ada@example.com " + "a." * 100_000)
    assert time.process_time() - began < 5


# answers over a real connection


class Script(threading.Thread):
    """A server that sends what it is told to, piece by piece, to one caller after the other."""

    def __init__(self, pieces: list[bytes], pause: float) -> None:
        super().__init__(daemon=True)
        self._pieces, self._pause = pieces, pause
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked = threading.Event()

    def run(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller:
                caller.recv(65536)
                self.asked.set()
                try:
                    if not self._pieces:
                        time.sleep(self._pause)
                    for piece in self._pieces:
                        caller.sendall(piece)
                        time.sleep(self._pause)
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def opened() -> Iterator[list[Script]]:
    scripts: list[Script] = []
    yield scripts
    for one in scripts:
        one.close()


def transport_to(url: str, stop: StopSignal | None = None, **more: float) -> Transport:
    def no_error(operation: str, answer: object, is_write: bool) -> SideError | None:
        return None

    return Transport(
        side=Side.DOTDIGITAL, base_url=url, auth=None, throttle=RateLimit(None), to_error=no_error,
        jitter=random.Random(1), sleep=lambda _: None, tries=4, stop=stop, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("pieces", [[HEAD, *[b" "] * 200], [HEAD[at : at + 1] for at in range(len(HEAD))]])
def test_an_answer_that_drips_ends_by_its_deadline(pieces: list[bytes], opened: list[Script]) -> None:
    opened.append(script := Script(pieces, 0.1))
    script.start()
    client = transport_to(script.url, read_timeout=60.0, answer_timeout=0.6)
    began = time.monotonic()
    with pytest.raises(InvalidResponse):
        client.read("list", "GET", "/people")
    with pytest.raises(OutcomeUnknown):
        client.write("put", "POST", "/people")
    assert time.monotonic() - began < 15
    client.close()


def test_a_read_of_a_silent_side_is_aborted_when_the_process_is_to_stop(opened: list[Script]) -> None:
    opened.append(script := Script([], 30.0))
    script.start()
    stop = StopSignal()
    client = transport_to(script.url, stop, read_timeout=60.0)
    threading.Thread(target=lambda: (script.asked.wait(20), stop.request()), daemon=True).start()
    began = time.monotonic()
    with pytest.raises(RunStopped):
        client.read("list", "GET", "/people")
    assert time.monotonic() - began < 25
    with pytest.raises(RunStopped):
        client.write("put", "POST", "/people")
    client.close()
