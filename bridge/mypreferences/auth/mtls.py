"""The client certificate that can replace the OAuth secret, used for token requests only (MyPreferences
"Authorization"; RFC 8705, mutual TLS)."""

from __future__ import annotations

import ssl
import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from bridge.core.errors import ConfigError, SignInRefused
from bridge.core.model import Side
from bridge.net import is_loopback
from bridge.transport import check_url, tls_error, trusted

CERTIFICATE = "BRIDGE_MYPREFERENCES__CERTIFICATE_FILE"
KEY = "BRIDGE_MYPREFERENCES__CERTIFICATE_KEY_FILE"
_NO_PEM = "Name a PEM file; `openssl pkcs12 -in FILE -out client.pem -noenc` converts a .p12 or .pfx file."
_ALERTS = (
    "CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "HANDSHAKE_FAILURE",
)  # alerts of a refusal


class MtlsTokenClient:
    """Sends token requests over TLS with the client certificate. Thread-safe.

    Raises ConfigError for files that cannot be used, and for a token URL that is not https.
    """

    def __init__(self, token_url: str, certificate: Path, key: Path | None = None) -> None:
        url = httpx.URL(check_url(token_url))
        if url.scheme != "https":
            raise ConfigError(
                "BRIDGE_MYPREFERENCES__TOKEN_URL starts with http://, but a client certificate needs TLS.",
                hint="Use https://, or another value of BRIDGE_MYPREFERENCES__AUTH.",
            )
        self._calls = 0
        self._lock = threading.Lock()
        self._client = httpx.Client(
            verify=client_context(certificate, key),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"request": [self._count]},
            trust_env=not is_loopback(url.host),
        )

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        with self._lock:
            return self._calls

    def send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer. Raises SignInRefused where the certificate is refused, httpx.TransportError where
        there is no answer for another reason."""
        try:
            return self._client.send(request)
        except httpx.TransportError as error:
            why = _refusal(error)
            if why is None:
                raise
            raise SignInRefused(
                f"The sign-in service of MyPreferences refused the client certificate ({why}).",
                side=Side.MYPREFERENCES, operation="token",
                hint=f"Ask PossibleNOW whether the certificate of {CERTIFICATE} is registered, and check "
                "that it has not expired: `openssl x509 -in FILE -noout -dates`.",
            ) from None  # fmt: skip

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _count(self, _request: httpx.Request) -> None:
        with self._lock:
            self._calls += 1


def client_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS that trusts the same authorities as the bridge and presents this certificate. Without `key`, the
    certificate's file also holds the key. Raises ConfigError, which never quotes the files."""
    _check_certificate(certificate)
    _check_key(certificate, key)
    context = trusted()
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Protected:
        raise ConfigError(
            f"The private key in {key or certificate} is protected by a passphrase, which the bridge cannot "
            "ask for.",
            hint="Remove it by `openssl pkey -in FILE -out bare.key`, let only the bridge's user "
            f"read that file, and name it in {KEY}.",
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"The private key in {key or certificate} does not match the certificate in {certificate}.",
                hint=f"Name a matching pair in {CERTIFICATE} and {KEY}; "
                "in a file with a chain, the bridge's own certificate comes first.",
            ) from None
        raise ConfigError(
            f"The certificate in {certificate} and its key cannot be used ({error.reason}).",
            hint=f"Check {CERTIFICATE} and {KEY}: `openssl x509 -in FILE -noout -text` and "
            "`openssl pkey -in FILE -noout` must read them.",
        ) from None
    return context


def _check_certificate(certificate: Path) -> None:
    if "-----BEGIN CERTIFICATE-----" not in _text(CERTIFICATE, certificate):
        raise ConfigError(f"{CERTIFICATE}: {certificate} holds no certificate in PEM form.", hint=_NO_PEM)


def _check_key(certificate: Path, key: Path | None) -> None:
    name, path = (CERTIFICATE, certificate) if key is None else (KEY, key)
    if "PRIVATE KEY-----" not in _text(name, path):
        hint = f"Set {KEY} to the PEM file with its key." if key is None else _NO_PEM
        raise ConfigError(f"{name}: {path} holds no private key in PEM form.", hint=hint)


def _text(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{name}: {path} cannot be read ({error.strerror}).",
            hint="Check the path, and that the bridge's own user may read the file.",
        ) from None


class _Protected(Exception):
    """The key needs a passphrase."""


def _no_passphrase() -> str:
    raise _Protected


def _refusal(error: BaseException) -> str | None:
    """The TLS alert that refused the certificate; None where there was none."""
    found = tls_error(error)
    reason = "" if found is None else found.reason or ""
    if "ALERT" not in reason or not any(word in reason for word in _ALERTS):
        return None
    return reason.partition("ALERT_")[2].replace("_", " ").lower()
