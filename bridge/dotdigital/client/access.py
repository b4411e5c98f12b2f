"""How an account is reached: credentials, the host of its region, and whether its v3 API may be used."""

from __future__ import annotations

import logging
from collections.abc import Generator
from threading import Lock

import httpx

from bridge.core.errors import ConfigError, SideError
from bridge.dotdigital.client.v2 import ClientV2
from bridge.dotdigital.client.v3 import ClientV3
from bridge.net import is_loopback
from bridge.transport import check_url

DISCOVERY_URL = "https://r1-api.dotdigital.com"  # answers account-info for accounts of every region
NO_V3 = (
    "This API user has no access to Dotdigital's v3 API: using v2, which takes more calls. Have v3 enabled, "
    "or set BRIDGE_DOTDIGITAL__V3=never."
)
_DOMAIN = ".dotdigital.com"
_TRACKING_HEADER = "x-ddg-integration-token"
_RETIRED = ("dotmailer.com", "apiconnector.com")
_UNSET = "Unset BRIDGE_DOTDIGITAL__BASE_URL to have the region discovered."
_NO_ACCESS = (403, 404)  # the feature or the permission is missing, or the whole service


class ApiUserAuth(httpx.BasicAuth):
    """HTTP Basic credentials of an API user, trimmed: v2 forgives surrounding whitespace, v3 refuses it. With
    them goes the tracking token of a verified integration, where there is one: a header that every operation
    of v2 and v3 takes (Dotdigital 12, N13). Redirects are never followed, so both stay at one host."""

    def __init__(self, username: str, password: str, integration_token: str | None = None) -> None:
        super().__init__(username.strip(), password.strip())
        self._integration_token = integration_token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add both to a request."""
        if self._integration_token is not None:
            request.headers[_TRACKING_HEADER] = self._integration_token
        yield from super().auth_flow(request)


def discover(v2: ClientV2, *, asked_at: str = DISCOVERY_URL) -> str:
    """The base URL of the account's region. `v2` must use `asked_at`.

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
    if any(host == name or host.endswith(f".{name}") for name in _RETIRED):
        raise ConfigError(f"{host} is a retired host of Dotdigital's API.", hint=_UNSET)
    if host.endswith(_DOMAIN) or (loopback and is_loopback(host)):
        return checked
    raise ConfigError(f"{host} is not a host of Dotdigital's API (https://…{_DOMAIN}).", hint=_UNSET)


class V3Access:
    """Whether v3 may be used. `client` None: never. `required`: a refusal by v3 is an error. Otherwise the
    first use asks once, and a refusal for lack of access settles it for this process."""

    def __init__(self, client: ClientV3 | None, *, required: bool = True) -> None:
        self._client = client
        self._known = required or client is None
        self._lock = Lock()
        self.warning: str | None = None

    def presumed(self) -> bool:
        """Whether v3 can be used as far as is known. Costs no call."""
        return self._client is not None

    def client(self) -> ClientV3 | None:
        """The client, where it may be used. Raises SideError where that could not be found out."""
        if not self._known:
            with self._lock:
                self._ask()
        return self._client

    def _ask(self) -> None:
        if self._known or self._client is None:
            return
        try:
            self._client.get_contacts(limit=1, include=())
        except SideError as error:
            if error.status not in _NO_ACCESS:
                raise
            self._client, self.warning = None, NO_V3
            logging.getLogger("bridge.dotdigital").warning(NO_V3)
        self._known = True
