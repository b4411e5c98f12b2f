from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from dotdigital_world import Mocked

from bridge.core.errors import ConfigError
from bridge.dotdigital.client.access import DISCOVERY_URL, check_base_url, discover
from bridge.dotdigital.client.v2 import ClientV2
from bridge.sandbox.dotdigital import DotdigitalState
from bridge.sandbox.server import Server


def naming(endpoint: str | None) -> Callable[[httpx.Request], httpx.Response]:
    rows = [] if endpoint is None else [{"name": "ApiEndpoint", "type": "String", "value": endpoint}]
    return lambda _: httpx.Response(200, json={"id": 1, "properties": rows})


def test_the_region_is_the_endpoint_without_its_slash(mocked: Mocked) -> None:
    """Dotdigital account-info answers on r1 for accounts of every region."""
    assert DISCOVERY_URL == "https://r1-api.dotdigital.com"
    assert (
        discover(ClientV2(mocked(naming("https://r2-api.dotdigital.com/"))))
        == "https://r2-api.dotdigital.com"
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://r2-api.dotdigital.com/", "https://evil.example.com/", "https://dotdigital.com.example.org",
        "https://evildotdigital.com", "https://r1-api.dotmailer.com/", "https://127.0.0.1/", "nonsense", None,
    ],
)  # fmt: skip
def test_credentials_go_nowhere_but_to_dotdigital(mocked: Mocked, endpoint: str | None) -> None:
    with pytest.raises(ConfigError):
        discover(ClientV2(mocked(naming(endpoint))))


def test_a_sandbox_on_this_machine_may_name_this_machine(
    v2: ClientV2, server: Server, state: DotdigitalState
) -> None:
    assert discover(v2, asked_at=server.url) == server.url
    state.switches.api_endpoint = "https://r3-api.dotdigital.com/"
    assert discover(v2, asked_at=server.url) == "https://r3-api.dotdigital.com"


@pytest.mark.parametrize(
    "host", ["api.dotmailer.com", "r1-api.dotmailer.com", "apiconnector.com", "x.apiconnector.com"]
)
def test_retired_hosts_are_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_base_url(f"https://{host}")
    assert "Unset BRIDGE_DOTDIGITAL__BASE_URL" in str(refused.value)


def test_a_set_base_url_may_be_dotdigital_or_this_machine() -> None:
    assert check_base_url("https://r1-api.dotdigital.com/") == "https://r1-api.dotdigital.com"
    assert check_base_url("http://127.0.0.1:4010/") == "http://127.0.0.1:4010"
    with pytest.raises(ConfigError):
        check_base_url("https://example.com")
