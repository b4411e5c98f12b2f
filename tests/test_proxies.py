"""Which proxy a request takes, and how a proxy setting that cannot be used is reported."""

from __future__ import annotations

import http.server
import random
import threading
from collections.abc import Mapping

import httpx
import pytest

from bridge.core.errors import ConfigError, Unreachable
from bridge.core.model import Side
from bridge.proxies import EnvironmentProxies
from bridge.transport import Response, Transport

PROXY = {"HTTPS_PROXY": "http://proxy.example.com:3128"}


def route(environ: Mapping[str, str], url: str = "https://api.example.com/v2") -> str | None:
    """The proxy that a request takes; None: it goes directly."""
    found = EnvironmentProxies(environ).of(httpx.URL(url))
    return None if found is None else str(found.url)


class _NoLimits:
    def before(self, operation: str) -> None:
        """Nothing waits."""

    def after(self, operation: str, answer: Response) -> None:
        """Nothing is counted."""


def transport(base_url: str) -> Transport:
    """A transport that reads the environment of this process."""
    return Transport(
        side=Side.DOTDIGITAL, base_url=base_url, auth=None, throttle=_NoLimits(), jitter=random.Random(1),
        to_error=lambda *_: None, tries=1,
    )  # fmt: skip


def test_a_request_takes_the_proxy_of_its_scheme_and_else_that_for_all() -> None:
    assert route({}) is None
    assert route(PROXY) == "http://proxy.example.com:3128"
    assert route(PROXY, "http://api.example.com/") is None
    assert route({"ALL_PROXY": "proxy.example.com:8080"}) == "http://proxy.example.com:8080"
    assert route({**PROXY, "ALL_PROXY": "http://other.example.com"}) == "http://proxy.example.com:3128"
    assert route({**PROXY, "https_proxy": "http://lower.example.com"}) == "http://lower.example.com"


def test_user_and_password_of_a_proxy_are_used_and_not_shown() -> None:
    found = EnvironmentProxies({"HTTPS_PROXY": "http://user:w%40rd@proxy.example.com"}).of(
        httpx.URL("https://api.example.com")
    )
    assert found is not None
    assert found.raw_auth == (b"user", b"w@rd")
    assert "w@rd" not in repr(found)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_is_reached_directly_whatever_the_environment_says(host: str) -> None:
    assert route({"ALL_PROXY": "socks5://nowhere"}, f"http://{host}:8080/") is None


@pytest.mark.parametrize(
    ("exempt", "url", "direct"),
    [
        ("*", "https://api.example.com", True),
        ("example.com", "https://api.example.com", True),
        (".example.com", "https://api.example.com", True),
        ("EXAMPLE.COM", "https://api.example.com", True),
        ("ample.com", "https://api.example.com", False),
        ("api.example.com:443", "https://api.example.com", True),
        ("api.example.com:8443", "https://api.example.com", False),
        ("[::1]", "https://api.example.com", False),
        ("[2001:db8::1]", "https://[2001:db8::1]/", True),
        ("2001:db8::1", "https://[2001:db8::1]/", True),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", True),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]/", False),
        ("2001:db8::/32", "https://[2001:db8::7]/", True),
        ("[2001:db8::]/32", "https://[2001:db8::7]/", True),
        ("192.0.2.0/24", "https://192.0.2.9/", True),
        ("192.0.2.9", "https://192.0.2.9/", True),
        ("192.0.2.0/24", "https://198.51.100.1/", False),
        ("localhost, , 10.0.0.0/8,api.example.com", "https://api.example.com", True),
    ],
)
def test_no_proxy_takes_names_addresses_networks_and_ports(exempt: str, url: str, direct: bool) -> None:
    assert (route({**PROXY, "NO_PROXY": exempt}, url) is None) == direct


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"HTTPS_PROXY": "http://user:s3cret@proxy.example.com\n"}, "HTTPS_PROXY"),
        ({"https_proxy": "http://proxy.example.com:port-s3cret"}, "https_proxy"),
        ({"ALL_PROXY": "socks5://user:s3cret@proxy.example.com"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://:s3cret@"}, "HTTPS_PROXY"),
        ({**PROXY, "NO_PROXY": "2001:db8::/129,s3cret"}, "NO_PROXY"),
    ],
)
def test_a_proxy_setting_that_cannot_be_used_is_named_without_its_value(
    environ: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=named) as caught:
        transport("https://api.example.com/v2")
    assert caught.value.exit_code == 2
    assert "s3cret" not in str(caught.value)


def test_a_proxy_setting_that_is_not_used_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://nowhere\n")
    monkeypatch.setenv("NO_PROXY", "2001:db8::/129")
    transport("https://api.example.com/v2").close()


def test_a_request_reaches_its_side_by_way_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy here is a server that answers nothing but CONNECT requests, and those with a refusal."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        asked: list[str] = []

        def do_CONNECT(self) -> None:
            self.asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            """Not on the terminal."""

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        side = transport("https://api.example.com/v2")
        with pytest.raises(Unreachable):
            side.read("get", "GET", "/x")
        side.close()
        proxy.shutdown()
    assert Refusing.asked == ["api.example.com:443"]
