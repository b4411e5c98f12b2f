"""Logs: one JSON line per event on stderr (columns on a terminal), without addresses and secrets.

Redaction comes last, so it covers messages, values, tracebacks and the records of other libraries. If in
doubt it removes too much.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from queue import Full, Queue
from typing import Any, TextIO

import structlog

from bridge.core.errors import ConfigError
from bridge.printable import printable

ADDRESS = "[address]"
SECRET = "[secret]"  # noqa: S105 - replaces a secret

QUEUED = 10_000  # log lines that wait for their reader
_LAST_SECONDS = 1.0  # for what is queued when the process ends
_LEVELS = ("debug", "info", "warning", "error")
# Bounded, so that searching a long line without blanks does not take quadratic time.
_ADDRESSES = re.compile(
    r"""(?:"[^"\n]{1,128}"|[^\s@<>"(),;:\[\]]{1,256}?)(?:@|%40)[^\s@<>"'(),;\[\]]{1,256}""", re.IGNORECASE
)
_SECRETS = (
    re.compile(r"(?P<kept>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(?P<kept>\bPNAUTHINFO3)[^\n]*", re.IGNORECASE),
    re.compile(r"(?P<kept>)\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*"),  # a JSON Web Token
    re.compile(
        r"""(?P<kept>\b(?:client_secret|access_token|refresh_token|private_key|password|authorization)"""
        r"""["']?\s*[=:]\s*["']?)[^\s"'&,;}]+""",
        re.IGNORECASE,
    ),
)
_SECRET_KEYS = re.compile(
    r"password|passwd|secret|token|authorization|credential|private_key|cookie", re.IGNORECASE
)


class _Handler(logging.StreamHandler[TextIO]):
    """The bridge's own log handler: configuring again replaces this one only."""


class _BufferedHandler(_Handler):
    """Writes in a thread of its own, so that nothing waits for the reader of the log. What does not fit into
    the queue is dropped and counted."""

    def __init__(self, stream: TextIO, size: int = QUEUED) -> None:
        super().__init__(stream)
        self._lines: Queue[str | None] = Queue(size)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except Full:
            self._dropped += 1

    def flush(self) -> None:
        """Nothing to do: the thread flushes after each line."""

    def close(self) -> None:
        """Write what is queued, as far as it is read within a moment."""
        atexit.unregister(self.close)
        with suppress(Full):
            self._lines.put(None, timeout=_LAST_SECONDS)
        self._thread.join(_LAST_SECONDS)
        super().close()

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            if self._dropped and self._lines.empty():
                dropped, self._dropped = self._dropped, 0
                self._write(self.format(_record_of_dropped(dropped)))

    def _write(self, line: str) -> None:
        # A pipe without a reader, a full disk: the log is lost, the work goes on.
        with suppress(OSError, ValueError):
            self.stream.write(line + self.terminator)
            self.stream.flush()


def _record_of_dropped(number: int) -> logging.LogRecord:
    text = "log lines were dropped: nobody read them in time"
    record = logging.LogRecord("bridge.logs", logging.WARNING, "", 0, text, None, None)
    record.__dict__["dropped"] = number
    return record


def configure(
    level: str = "info",
    json: bool | None = None,
    stream: TextIO | None = None,
    *,
    buffered: bool = False,
) -> None:
    """Send every log record, structlog's and the standard library's, to `stream` (stderr where None).

    `json` None means JSON unless the stream is a terminal. `buffered`: never wait for the stream. Raises
    ConfigError for an unknown level.
    """
    if level.lower() not in _LEVELS:
        raise ConfigError(f"Unknown log level {level!r}.", hint=f"Use one of {', '.join(_LEVELS)}.")
    target = sys.stderr if stream is None else stream
    handler = _BufferedHandler(target) if buffered else _Handler(target)
    handler.setFormatter(_formatter(json=not target.isatty() if json is None else json))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for library in ("httpx", "httpcore"):  # they log URLs, which may contain an address
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def finish() -> None:
    """Write what is still queued, at the end of the process."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _BufferedHandler)]:
        root.removeHandler(handler)
        handler.close()


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the event without anything that must not be logged."""
    for key in list(event):
        event[key] = _clean(event[key], key)
    return event


def redact_text(text: str) -> str:
    """The text without e-mail addresses, bearer tokens, basic credentials and named secrets."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<kept>{SECRET}", text)
    return _ADDRESSES.sub(ADDRESS, text)


def _clean(value: Any, key: str = "") -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if _SECRET_KEYS.search(key):
        return SECRET
    if isinstance(value, Mapping):
        return {redact_text(str(name)): _clean(one, str(name)) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(one) for one in value]
    return printable(redact_text(value if isinstance(value, str) else str(value)))


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _formatter(*, json: bool) -> structlog.stdlib.ProcessorFormatter:
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=True)
        if json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, render],
    )
