"""Logs: one JSON line per event on stderr (columns on a terminal), without addresses and secrets.

Redaction comes last, so it covers messages, values, tracebacks and the records of other libraries. If in
doubt it removes too much.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from bridge.core.errors import ConfigError
from bridge.printable import printable

ADDRESS = "[address]"
SECRET = "[secret]"  # noqa: S105 - replaces a secret

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


def configure(level: str = "info", json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send every log record, structlog's and the standard library's, to `stream` (stderr where None).

    `json` None means JSON unless the stream is a terminal. Raises ConfigError for an unknown level.
    """
    if level.lower() not in _LEVELS:
        raise ConfigError(f"Unknown log level {level!r}.", hint=f"Use one of {', '.join(_LEVELS)}.")
    target = sys.stderr if stream is None else stream
    handler = _Handler(target)
    handler.setFormatter(_formatter(json=not target.isatty() if json is None else json))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
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
