"""The webhook receiver: stores deliveries, answers at once, and leaves the rest to the next run.

A delivery is never trusted: it only names a profile to read. Knowing the secret allows causing reads and
nothing else. What is rejected here is found by polling.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from secrets import compare_digest
from typing import NoReturn, Protocol

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bridge.core.store_values import WebhookEvent
from bridge.mypreferences.events.webhooks import Delivery, code_in, read_delivery
from bridge.store import InboxResult

PATH = "/hooks/mypreferences/"
ANSWER_SECONDS = 1.8  # the service expects an answer within two
MAX_BODY = 1 << 20  # bytes of one delivery
_MAX_STORING = 32  # deliveries stored at a time; others wait
_WRONG_RATE = 1.0  # requests with a wrong secret per second, and bursts of ten, before they get 429
_NOTES_RATE = 0.1  # such lines in the log per second
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Address = IPv4Address | IPv6Address

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Who may deliver, and how validation requests are answered. `rate` is in deliveries per second."""

    secret: str = field(repr=False)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # empty: any address
    address_header: str | None = None  # in which the operator's own proxy gives the caller's address
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # the proxies whose header counts
    signature_key: str | None = field(default=None, repr=False)
    signature_header: str = "X-Signature"
    signature_hash: str = "sha256"
    answer: str | None = None  # None: echo the code
    rate: float = 500.0


class WebhookStore(Protocol):
    """Stores webhook events."""

    def put(self, notices: Sequence[WebhookEvent]) -> InboxResult:
        """Returns once the events are on disk, or could not be stored."""
        ...


class _Refusal(Exception):
    """The response to a delivery that is not accepted."""

    def __init__(self, status: int, what: str, wait: int | None = None) -> None:
        super().__init__(what)
        self.status, self.what, self.wait = status, what, wait


class WebhookReceiver:
    """The webhook endpoint. `on_delivery` is called when there may be something to read; it must return at
    once."""

    def __init__(
        self,
        config: WebhookConfig,
        inbox: WebhookStore,
        on_delivery: Callable[[], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._inbox, self._on_delivery = config, inbox, on_delivery
        self._bucket = TokenBucket(config.rate, monotonic)
        self._wrong = TokenBucket(_WRONG_RATE, monotonic)
        self._noted = TokenBucket(_NOTES_RATE, monotonic)
        self._limiter_made: anyio.CapacityLimiter | None = None
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def counts(self) -> dict[str, int]:
        """Deliveries by result."""
        with self._lock:
            return dict(self._counts)

    async def __call__(self, request: Request) -> Response:
        """Handle `GET` and `POST` at `PATH` followed by the secret."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answer(request)
        except TimeoutError:
            return self._refuse(_Refusal(503, "Timed out, retry later.", wait=2), "slow")
        except _Refusal as refusal:
            return self._refuse(refusal, f"refused_{refusal.status}")

    async def _answer(self, request: Request) -> Response:
        self._admit(request)
        if request.method != "POST":
            return self._answer_validation(
                Delivery(code=code_in(request.query_params.multi_items())), as_text=True
            )
        body = await _body(request)
        try:
            delivery = read_delivery(body)
        except ValueError:
            raise _Refusal(400, "Not a webhook delivery in JSON.") from None
        if delivery.validates:
            asked = delivery.code or code_in(request.query_params.multi_items())
            return self._answer_validation(Delivery(code=asked))
        self._check_signature(request, body)
        return await self._accept(delivery)

    def _admit(self, request: Request) -> None:
        given = request.path_params["secret"].encode()
        # Constant time, so that the duration reveals nothing about the secret.
        if not compare_digest(given, self._config.secret.encode()):
            self._refuse_wrong_secret()
        if self._config.networks and not self._is_allowed(request):
            self._note("a webhook came from an address outside BRIDGE_WEB__HOOK_ALLOW")
            raise _Refusal(403, "Address not allowed.")
        if (wait := self._bucket.take()) > 0:
            self._on_delivery()
            raise _Refusal(429, "Too many requests, retry later.", wait=max(1, round(wait)))

    def _refuse_wrong_secret(self) -> NoReturn:
        """Guesses are counted and slowed down; they take nothing from the rate of deliveries."""
        self._count("wrong_secret")
        self._note("a request to the webhook receiver had a wrong secret")
        if (wait := self._wrong.take()) > 0:
            raise _Refusal(429, "Too many requests, retry later.", wait=max(1, round(wait)))
        raise _Refusal(404, "Not found.")

    def _note(self, what: str) -> None:
        """Log a warning, but not one for each of many requests."""
        if self._noted.take() == 0:
            _log.warning(what)

    def _is_allowed(self, request: Request) -> bool:
        address = self._address(request)
        return address is not None and _is_in(address, self._config.networks)

    def _address(self, request: Request) -> Address | None:
        """The caller's address: the connection's own or, where that is a proxy of ours, the last address in
        the header that is none. What stands before it the caller may have invented."""
        header = self._config.address_header
        peer = _read_address("" if request.client is None else request.client.host)
        if header is None or peer is None or not _is_in(peer, self._config.proxies):
            if header is not None:
                self._note("a webhook came from a proxy that is not in BRIDGE_WEB__HOOK_PROXIES")
            return peer
        for text in reversed(",".join(request.headers.getlist(header)).split(",")):
            address = _read_address(text)
            if address is None or not _is_in(address, self._config.proxies):
                return address
        return None

    def _check_signature(self, request: Request, body: bytes) -> None:
        config = self._config
        if config.signature_key is None:
            return
        digest = hmac.new(
            config.signature_key.encode(), body, getattr(hashlib, config.signature_hash)
        ).digest()
        given = request.headers.get(config.signature_header, "").strip()
        given = given.removeprefix(f"{config.signature_hash}=")
        hexadecimal = compare_digest(given.lower().encode(), digest.hex().encode())
        if not hexadecimal and not compare_digest(given.encode(), b64encode(digest)):
            raise _Refusal(401, "Invalid signature.")

    def _answer_validation(self, asked: Delivery, *, as_text: bool = False) -> Response:
        """The answer to a validation request: the agreed one, or the code from the request."""
        self._count("validated")
        if self._config.answer is not None:
            return Response(self._config.answer, 200, _HEADERS, media_type=_type_of(self._config.answer))
        if asked.code is None:
            return JSONResponse({}, 200, _HEADERS)
        name, code = asked.code
        if as_text:
            return PlainTextResponse(code, 200, _HEADERS)
        return JSONResponse({name: code, "validationResponse": code}, 200, _HEADERS)

    async def _accept(self, delivery: Delivery) -> Response:
        """Store, then answer."""
        try:
            stored = await self._store(delivery.notices)
        finally:
            # Schedule a poll whatever the result: the feed has these events too.
            if delivery.notices or delivery.unnamed:
                self._on_delivery()
        if stored is not InboxResult.KEPT:
            raise _Refusal(503, "Busy, retry later.", wait=30 if stored is InboxResult.FULL else 2)
        self._count("taken")
        return JSONResponse({"received": delivery.events}, 200, _HEADERS)

    async def _store(self, notices: Sequence[WebhookEvent]) -> InboxResult:
        if not notices:
            return InboxResult.KEPT
        store = partial(self._inbox.put, notices)
        return await anyio.to_thread.run_sync(store, abandon_on_cancel=True, limiter=self._limiter())

    def _limiter(self) -> anyio.CapacityLimiter:
        """A separate thread limit, so that many deliveries do not delay other requests."""
        if self._limiter_made is None:
            self._limiter_made = anyio.CapacityLimiter(_MAX_STORING)
        return self._limiter_made

    def _refuse(self, refusal: _Refusal, how: str) -> Response:
        self._count(how)
        headers = dict(_HEADERS)
        if refusal.wait is not None:
            headers["Retry-After"] = str(refusal.wait)
        return JSONResponse({"error": refusal.what}, refusal.status, headers)

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1


class TokenBucket:
    """Allows `rate` per second, and bursts of ten seconds' worth."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self._rate, self._most, self._monotonic = rate, rate * 10, monotonic
        self._left, self._at = self._most, monotonic()

    def take(self) -> float:
        """0 if one more may pass, else the seconds until it may."""
        now = self._monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0


async def _body(request: Request) -> bytes:
    """Read the body. Raises _Refusal as soon as it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _Refusal(413, "Payload too large.")
    return bytes(body)


def _read_address(text: str) -> Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _type_of(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return "text/plain"
    return "application/json"
