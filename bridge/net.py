"""Which URLs the bridge may use: https, or http to loopback."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or literal address is loopback."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def validate_base_url(text: str) -> str:
    """The URL without a trailing slash, if it consists of scheme, host and path only, and is https or http to
    loopback. Raises ValueError, whose text never contains the URL."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("https", "http") or not re.fullmatch(r"[\w.:-]+", host) or re.search(r"\s", text):
        raise ValueError("is not a URL that begins with https://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("contains credentials, a query or a fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("begins with http://, which is accepted for loopback hosts only: use https://")
    return text.rstrip("/")
