"""Validation of setting values. Each check returns the value or raises ValueError, whose text never contains
the value."""

from __future__ import annotations

import re
from datetime import UTC, time
from ipaddress import IPv4Network, IPv6Network, ip_network

from pydantic import SecretStr

Network = IPv4Network | IPv6Network

MIN_SECRET_LENGTH = 16  # characters; shorter secrets can be found by trying
_DATABASES = ("sqlite://", "sqlite+pysqlite://", "postgresql://", "postgresql+psycopg://")


_PLAIN = r"[^@:/?#\[\]\s]*"
_POSTGRESQL_URL = re.compile(
    rf"postgresql(\+psycopg)?://({_PLAIN}(:{_PLAIN})?@)?"
    r"(\[[0-9A-Fa-f:.%]+\]|[^@:/?#\[\]\s]*)(:[0-9]+)?(/[^@/?#\s]*)?(\?[^#\s]*)?"
)


def check_database_url(text: str) -> str:
    """SQLite or PostgreSQL, with the drivers that the bridge installs. A user name or password that is not
    percent-encoded would be taken for another part of the URL, and shown."""
    if not text.startswith(_DATABASES):
        raise ValueError("begins with neither sqlite:/// nor postgresql://")
    if text.startswith("postgresql") and not _POSTGRESQL_URL.fullmatch(text):
        raise ValueError(
            "is not a URL; in user name and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23"
        )
    return text


def check_log_level(value: object) -> object:
    """In any case."""
    return value.lower() if isinstance(value, str) else value


def check_host_names(text: str) -> str:
    """Host names, separated by commas; `*.example.com` stands for all below it, `*` for any."""
    names = read_names(text)
    if not names or not all(re.fullmatch(r"\*|(\*\.)?[\w.-]+|\[?[0-9a-f:.]+\]?", name) for name in names):
        raise ValueError("is not a list of host names")
    return text


def read_names(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list, in lower case."""
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def check_time_of_day(value: object) -> time:
    """`HH:MM` in UTC, or a TOML local time of whole minutes."""
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return time(int(value[:2]), int(value[3:]), tzinfo=UTC)
    if isinstance(value, time) and value == value.replace(second=0, microsecond=0):
        return value.replace(tzinfo=UTC)
    raise ValueError("is not a time of day written HH:MM")


def check_number(value: object) -> object:
    """Neither true nor false, which Python would accept as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("is not a number")
    return value


def check_secret_length(secret: SecretStr) -> SecretStr:
    """Long enough not to be guessed."""
    if len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(f"is shorter than {MIN_SECRET_LENGTH} characters")
    return secret


def check_guid(secret: SecretStr) -> SecretStr:
    """A GUID without braces."""
    if not re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", secret.get_secret_value()):
        raise ValueError("is not a GUID written 00000000-0000-0000-0000-000000000000")
    return secret


def check_segment(secret: SecretStr) -> SecretStr:
    """Valid as one segment of a URL's path."""
    if not re.fullmatch(r"[A-Za-z0-9._~-]+", secret.get_secret_value()):
        raise ValueError("contains characters that are not allowed in one segment of a URL's path")
    return secret


def check_header_name(text: str) -> str:
    """A header name."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", text):
        raise ValueError("is not a header name")
    return text


def check_networks(text: str) -> str:
    """Addresses or networks, separated by commas."""
    try:
        found = read_networks(text)
    except ValueError:
        raise ValueError("is not a list of addresses or networks like 192.0.2.0/24") from None
    if not found:
        raise ValueError("contains no address")
    return text


def read_networks(text: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def check_header(secret: SecretStr) -> SecretStr:
    """Valid as a header value."""
    if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("contains blanks or characters that are not allowed in a header")
    return secret
