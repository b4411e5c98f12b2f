"""Which host an account lives on. r1 answers the account-info call for accounts of every region."""

from __future__ import annotations

import httpx

from bridge.core.errors import ConfigError
from bridge.dotdigital.client.v2 import ClientV2
from bridge.net import is_loopback
from bridge.transport import check_url

DISCOVERY_URL = "https://r1-api.dotdigital.com"
_DOMAIN = ".dotdigital.com"
_LEGACY = ("dotmailer.com", "apiconnector.com")
_UNSET = "Unset BRIDGE_DOTDIGITAL__BASE_URL to have the region discovered."


def discover(v2: ClientV2, *, asked_at: str = DISCOVERY_URL) -> str:
    """The base URL of the account's region. `v2` must speak to `asked_at`.

    Raises ConfigError where the answer names no host to trust with credentials, and SideError.
    """
    endpoint = v2.get_account_information().value("ApiEndpoint")
    if endpoint is None:
        raise ConfigError(
            "Dotdigital's account information does not name the account's region.",
            hint="Set BRIDGE_DOTDIGITAL__BASE_URL, e.g. to https://r1-api.dotdigital.com.",
        )
    return check_base_url(endpoint, loopback=is_loopback(httpx.URL(asked_at).host))


def check_base_url(url: str, *, loopback: bool = True) -> str:
    """A Dotdigital base URL without a trailing slash. Raises ConfigError unless it is https below
    dotdigital.com, or where `loopback` allows it on this machine."""
    checked = check_url(url)
    host = httpx.URL(checked).host.casefold()
    if any(host == name or host.endswith(f".{name}") for name in _LEGACY):
        raise ConfigError(f"{host} is a retired host of Dotdigital's API.", hint=_UNSET)
    if host.endswith(_DOMAIN) or (loopback and is_loopback(host)):
        return checked
    raise ConfigError(f"{host} is not a host of Dotdigital's API (https://…{_DOMAIN}).", hint=_UNSET)
