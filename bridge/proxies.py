"""Which proxy a request takes, by the usual environment variables: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and
NO_PROXY, in either case, the lower one first. Loopback hosts are reached directly."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import httpx

from bridge.core.errors import ConfigError
from bridge.net import is_loopback
from bridge.streams import bounded

# Idle connections are dropped early: if the server closes one during a write, the result of that write is
# unknown.
LIMITS = httpx.Limits(max_connections=16, keepalive_expiry=3.0)
_SCHEMES = ("http", "https")
_HINT = "Write it as http://HOST:PORT, with special characters of user and password as %XX, or unset it."


class EnvironmentProxies:
    """The proxies that an environment names. Only what applies to a request is read and checked."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def of(self, url: httpx.URL) -> httpx.Proxy | None:
        """The proxy for a URL; None: it is reached directly. Raises ConfigError naming the variable that
        cannot be used."""
        if is_loopback(url.host):
            return None
        name, value = self._first(f"{url.scheme}_proxy", "all_proxy")
        if not value or self._is_exempt(url):
            return None
        return _proxy(name, value)

    def _first(self, *names: str) -> tuple[str, str]:
        for name in names:
            for spelled in (name, name.upper()):
                if value := self._environ.get(spelled, ""):
                    return spelled, value
        return names[0], ""

    def _is_exempt(self, url: httpx.URL) -> bool:
        name, value = self._first("no_proxy")
        return any(_covers(name, entry.strip(), url) for entry in value.split(",") if entry.strip())


def _proxy(name: str, value: str) -> httpx.Proxy:
    try:
        url = httpx.URL(value if "://" in value else f"http://{value}")
    except httpx.InvalidURL:
        raise ConfigError(f"{name} is not the URL of a proxy.", hint=_HINT) from None
    if url.scheme not in _SCHEMES:
        raise ConfigError(
            f"{name} names a proxy that speaks {url.scheme}; the bridge uses http and https proxies only.",
            hint=_HINT,
        )
    if not url.host:
        raise ConfigError(f"{name} names no host.", hint=_HINT)
    return httpx.Proxy(url)


def _covers(name: str, entry: str, url: httpx.URL) -> bool:
    """Whether an entry of NO_PROXY exempts a URL. An entry is *, a host name with the names below it, an
    address or a network; with a port, it is about that port only."""
    if entry == "*":
        return True
    host, port = _host_and_port(entry)
    if port is not None and port != (url.port or {"http": 80, "https": 443}[url.scheme]):
        return False
    if "/" in host or ":" in host:
        return _contains(name, host, url.host)
    bare = host.lstrip("*.").lower()
    return url.host == bare or url.host.endswith(f".{bare}")


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """The host of an entry without scheme and brackets, and its port if it has one."""
    entry = entry.rpartition("://")[2]
    if entry.startswith("["):
        inner, _, rest = entry[1:].partition("]")
        if rest.startswith("/"):
            return inner + rest, None
        return inner, int(rest[1:]) if rest[1:].isdecimal() else None
    host, _, port = entry.rpartition(":")
    if host and ":" not in host and port.isdecimal():
        return host, int(port)
    return entry, None


def _contains(name: str, network: str, host: str) -> bool:
    try:
        known = ip_network(network, strict=False)
    except ValueError:
        raise ConfigError(
            f"{name} contains an entry that is no host name, address or network.",
            hint="Separate entries by commas: example.com, 192.0.2.0/24, 2001:db8::/32, [2001:db8::1]:8443.",
        ) from None
    try:
        return ip_address(host) in known
    except ValueError:
        return False


class ProxyTransport(httpx.BaseTransport):
    """Sends each request directly or through its proxy. Raises ConfigError for a proxy setting that cannot be
    used. Thread-safe."""

    def __init__(self, environ: Mapping[str, str], verify: ssl.SSLContext) -> None:
        self._proxies, self._verify = EnvironmentProxies(environ), verify
        self._lock = threading.Lock()
        self._routes: dict[httpx.URL | None, httpx.BaseTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._route(self._proxies.of(request.url)).handle_request(request)

    def close(self) -> None:
        with self._lock:
            for route in self._routes.values():
                route.close()

    def _route(self, proxy: httpx.Proxy | None) -> httpx.BaseTransport:
        key = None if proxy is None else proxy.url
        with self._lock:
            if key not in self._routes:
                route = httpx.HTTPTransport(verify=self._verify, limits=LIMITS, proxy=proxy)
                self._routes[key] = bounded(route)
            return self._routes[key]


def by_environment(base_url: str, verify: ssl.SSLContext) -> ProxyTransport:
    """A transport for requests to `base_url`, and to others. Raises ConfigError where the proxy that this
    process's environment names for it cannot be used."""
    EnvironmentProxies(os.environ).of(httpx.URL(base_url))
    return ProxyTransport(os.environ, verify)
