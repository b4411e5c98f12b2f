"""HTTP to one side: throttled, counted, errors mapped, and no personal data in the log.

A read may be sent several times. A write is sent once: without a trustworthy response its result is found by
reading, never by sending again.
"""

from __future__ import annotations

import functools
import logging
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol

import httpx

from bridge import __version__, bounds
from bridge.core.clocks import Clock, ClockOffset, utc_now
from bridge.core.errors import (
    ConfigError,
    InvalidResponse,
    OutcomeUnknown,
    ServerError,
    SideError,
    Throttled,
    Unreachable,
)
from bridge.core.model import Side
from bridge.core.stopping import StopSignal
from bridge.net import validate_base_url
from bridge.proxies import by_environment
from bridge.streams import CallLimit, bounded, limited

FIRST_PAUSE = 0.5  # seconds before the second attempt; doubles from there
LONGEST_PAUSE = 60.0  # seconds; if a side asks for more, the engine does other work meanwhile
ACCEPT = "application/json, text/plain;q=0.5"  # a few calls (Dotdigital delete-preference) return text

_NAMES: Mapping[Side, str] = {Side.MYPREFERENCES: "MyPreferences", Side.DOTDIGITAL: "Dotdigital"}

Params = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. `server_time` is its Date header (None: absent or unreadable)."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)
    server_time: datetime | None

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


class Throttle(Protocol):
    """Keeps the calls to one side within its rate limits."""

    def before(self, operation: str) -> None:
        """Called before each request; may sleep."""
        ...

    def after(self, operation: str, answer: Response) -> None:
        """Called with each response, refusals included."""
        ...


SignIn = httpx.Auth  # adds credentials to each request
ErrorMapper = Callable[[str, Response, bool], SideError | None]


class Transport:
    """Sends requests to one side. Thread-safe.

    `to_error(operation, response, is_write)` maps a response that is not good to an error (None: the side
    documents none). `sleep` takes seconds. `tries` is the maximum of attempts per read. `calls_beside`
    returns the number of requests sent by the sign-in. `before_write` is called just before each write is
    sent, after any wait for the rate limits, and may raise: then nothing is sent. An answer is complete
    within `answer_timeout` seconds and `bounds.BYTES_MAX` bytes, or it is none. Once `stop` was requested no
    call is begun, and reads raise RunStopped.
    """

    def __init__(
        self,
        *,
        side: Side,
        base_url: str,
        auth: httpx.Auth | None,
        throttle: Throttle,
        to_error: ErrorMapper,
        jitter: random.Random,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        read_timeout: float = 121.0,  # Dotdigital gives up at 120 s; its own response must arrive first
        tries: int = 4,
        ticks: Callable[[], float] = time.perf_counter,
        calls_beside: Callable[[], int] = lambda: 0,
        clock: Clock = utc_now,
        before_write: Callable[[], None] = lambda: None,
        answer_timeout: float = bounds.ANSWER_SECONDS,
        stop: StopSignal | None = None,
    ) -> None:
        self._answer_timeout, self._stop = answer_timeout, stop or StopSignal()
        self.side, self._name = side, _NAMES[side]
        self._base_url = check_url(base_url)
        self._throttle, self._to_error = throttle, to_error
        self._sleep, self._jitter, self._tries = sleep, jitter, max(1, tries)
        self._ticks = ticks  # seconds, for the log only
        self._calls, self._calls_beside = 0, calls_beside
        self._clock, self._before_write = clock, before_write
        self._offset: ClockOffset | None = None
        self._lock = threading.Lock()
        self._log = logging.getLogger("bridge.transport")
        _silence_url_logs()
        self._client = httpx.Client(
            auth=auth,
            transport=bounded(transport or by_environment(self._base_url, _shared_trust())),
            timeout=httpx.Timeout(30.0, connect=8.0, read=read_timeout),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": f"consent-bridge/{__version__}", "Accept": ACCEPT},
            event_hooks={"request": [self._count], "response": [bound_body]},
            trust_env=False,  # the transport itself finds the proxy
        )

    @property
    def base_url(self) -> str:
        """The side's base URL without a trailing slash."""
        return self._base_url

    @property
    def calls(self) -> int:
        """Requests sent so far, including retries, refused ones and sign-ins."""
        with self._lock:
            return self._calls + self._calls_beside()

    @property
    def clock_offset(self) -> ClockOffset | None:
        """How far this side's clock is ahead of ours, by the Date header of its last response; None before
        the first."""
        return self._offset

    def read(
        self, operation: str, method: str, path: str, *, params: Params | None = None, json: object = None
    ) -> Response:
        """Send up to `tries` times. Raises SideError. The body of a 2xx response is not checked."""
        for attempt in range(1, self._tries + 1):
            try:
                request = self._request(operation, method, path, params, json)
                return self._once(operation, request, attempt, is_write=False)
            except (Unreachable, ServerError, Throttled) as error:
                pause = self._pause(attempt, error.retry_after)
                if attempt == self._tries or pause > LONGEST_PAUSE:
                    raise
            self._sleep(pause)
        raise RuntimeError("unreachable: the loop returns or raises")

    def write(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content_type: str | None = None,
    ) -> Response:
        """Send once. `content_type` replaces the type of JSON. Raises OutcomeUnknown if the write may have
        been applied; any other SideError means that it was not."""
        request = self._request(operation, method, path, params, json)
        if content_type is not None:
            request.headers["Content-Type"] = content_type
        return self._once(operation, request, 1, is_write=True)

    def close(self) -> None:
        self._client.close()

    def _request(
        self, operation: str, method: str, path: str, params: Params | None, json: object
    ) -> httpx.Request:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        url = f"{self._base_url}/{path.lstrip('/')}"
        try:
            return self._client.build_request(method, url, params=given or None, json=json)
        except httpx.InvalidURL:  # a value of an earlier answer, such as the marker of the next page
            raise InvalidResponse(
                f"{self._name} gave a value that no URL can hold, and {operation} needs it.",
                side=self.side, operation=operation,
                hint="A proxy may be in between; check with `bridge doctor`. The bridge will retry.",
            ) from None  # fmt: skip

    def _once(self, operation: str, request: httpx.Request, attempt: int, *, is_write: bool) -> Response:
        self._throttle.before(operation)
        self._stop.check()
        if is_write:
            self._before_write()
        asked, began = self._clock(), self._ticks()
        limit = CallLimit(time.monotonic() + self._answer_timeout, self._stop, is_write)
        try:
            with limited(limit):
                response = self._client.send(request)
        except bounds.Malformed as error:
            self._log.warning("%s: %s, attempt %d", operation, error, attempt)
            raise self._unusable(operation, error, is_write) from None
        except httpx.RequestError as error:
            seconds = self._ticks() - began
            self._log.warning("%s: %s, attempt %d, %.3f s", operation, type(error).__name__, attempt, seconds)
            raise self._no_answer(operation, error, own=_is_of(error, request), is_write=is_write) from None
        answer = _answer(response)
        seconds = self._ticks() - began
        self._log.debug("%s: %d, attempt %d, %.3f s", operation, answer.status, attempt, seconds)
        if answer.server_time is not None:
            self._offset = ClockOffset.measured(answer.server_time, asked, self._clock())
        self._throttle.after(operation, answer)
        if answer.good:
            return answer
        raise self._refusal(operation, answer, is_write)

    def _refusal(self, operation: str, answer: Response, is_write: bool) -> SideError:
        error = self._to_error(operation, answer, is_write)
        if is_write and answer.status >= 500 and not isinstance(error, Throttled | OutcomeUnknown):
            return OutcomeUnknown(
                f"{self._name} returned {answer.status} for a write. It may have been applied.",
                side=self.side, operation=operation, status=answer.status,
                code=None if error is None else error.code,
                retry_after=None if error is None else error.retry_after,
                hint="The next read of this record shows the result.",
            )  # fmt: skip
        if error is not None:
            return error
        kind = OutcomeUnknown if is_write else InvalidResponse
        return kind(
            f"{self._name} returned status {answer.status}, which its documentation does not mention.",
            side=self.side, operation=operation, status=answer.status,
            hint="Check the base URL with `bridge doctor`.",
        )  # fmt: skip

    def _unusable(self, operation: str, error: bounds.Malformed, is_write: bool) -> SideError:
        kind = OutcomeUnknown if is_write else InvalidResponse
        return kind(
            f"{self._name} gave an answer to {operation} that cannot be taken in: {error}.",
            side=self.side, operation=operation,
            hint="A proxy may be in between; check with `bridge doctor`. The bridge will retry.",
        )  # fmt: skip

    def _no_answer(
        self, operation: str, error: httpx.RequestError, *, own: bool, is_write: bool
    ) -> SideError:
        """`own` is False where the sign-in before the request failed: then the request itself was never
        sent."""
        kind = type(error).__name__
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        if is_write and own and not never_sent:
            return OutcomeUnknown(
                f"{self._name} gave no complete response to a write ({kind}). It may have been applied.",
                side=self.side, operation=operation, hint="The next read of this record shows the result.",
            )  # fmt: skip
        what = self._name if own else f"The sign-in service of {self._name}"
        untrusted = tls_error(error)
        if isinstance(untrusted, ssl.SSLCertVerificationError):
            return Unreachable(
                f"{what} has a certificate that is not trusted ({untrusted.verify_message.rstrip('.')}).",
                side=self.side, operation=operation,
                hint="Check the URL and this machine's clock with `bridge doctor`. Behind your own proxy, "
                "set SSL_CERT_FILE to the file of its certificate authority.",
            )  # fmt: skip
        said = "could not be reached" if never_sent else "gave no complete response"
        return Unreachable(
            f"{what} {said} ({_host(error)}: {_cause(error) or kind}).",
            side=self.side, operation=operation,
            hint="Check network, proxy and base URL with `bridge doctor`. The bridge will retry.",
        )  # fmt: skip

    def _pause(self, attempt: int, asked: float | None) -> float:
        backoff = FIRST_PAUSE * float(2 ** (attempt - 1)) * self._jitter.uniform(0.5, 1.0)
        return max(backoff, asked or 0.0)

    def _count(self, _request: httpx.Request) -> None:
        with self._lock:
            self._calls += 1


def check_url(url: str) -> str:
    """The base URL without a trailing slash. Raises ConfigError unless it is https (or http to loopback)."""
    try:
        return str(httpx.URL(validate_base_url(url.strip())))
    except httpx.InvalidURL:
        problem = "is not a URL"
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"A base URL {problem}.", hint="Write it as https://host/path.") from None


def trusted() -> ssl.SSLContext:
    """TLS with the usual certificate authorities, or those in SSL_CERT_FILE or SSL_CERT_DIR if set. Raises
    ConfigError if these cannot be read."""
    try:
        return httpx.create_ssl_context(trust_env=True)
    except OSError:
        raise ConfigError(
            "Cannot read the certificate authorities in SSL_CERT_FILE or SSL_CERT_DIR.",
            hint="Set it to a PEM file, or unset it to use the usual ones.",
        ) from None


def _shared_trust() -> ssl.SSLContext:
    return _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=2)
def _trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """One context for all clients that show no certificate: to read the authorities takes some 20 ms."""
    return trusted()


def _host(error: httpx.RequestError) -> str:
    """The host and port that were called, without path and query, which may hold an address."""
    try:
        url = error.request.url
    except RuntimeError:  # httpx raised it without a request
        return "unknown host"
    return url.host if url.port is None else f"{url.host}:{url.port}"


def _cause(error: BaseException) -> str:
    """What the system says, where it is the cause: a refused connection, an unknown name."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return ""


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """The TLS error that caused a request to fail, if any."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


def retry_after(answer: Response) -> float | None:
    """Seconds to wait by the Retry-After header, which holds seconds or a date (measured from the response's
    Date header). None if absent or unreadable."""
    raw = answer.headers.get("Retry-After", "").strip()
    if raw.isascii() and raw.isdigit():
        seconds = bounds.header_number(raw)
        return None if seconds is None else min(seconds, bounds.SECONDS_MAX)
    until = _http_date(raw)
    if until is None or answer.server_time is None:
        return None
    return min(max(0.0, (until - answer.server_time).total_seconds()), bounds.SECONDS_MAX)


class _BoundedBody(httpx.SyncByteStream):
    """The body of an answer, inflated, no more of it than any answer has."""

    def __init__(self, raw: httpx.SyncByteStream, coding: str) -> None:
        self._raw, self._coding = raw, coding

    def __iter__(self) -> Iterator[bytes]:
        yield from bounds.inflated(self._raw, self._coding)

    def close(self) -> None:
        self._raw.close()


def bound_body(response: httpx.Response) -> None:
    """Bound what is read of a response. For the hooks of a client, which run before its body is read; the
    sign-in's answers are bounded by it too. Reading raises `bounds.Malformed`."""
    if not response.is_stream_consumed and isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _BoundedBody(response.stream, response.headers.pop("Content-Encoding", ""))


def _answer(response: httpx.Response) -> Response:
    date = _http_date(response.headers.get("Date", ""))
    return Response(response.status_code, response.headers, response.content, date)


def _http_date(raw: str) -> datetime | None:
    try:
        return bounds.plausible(parsedate_to_datetime(raw) if len(raw) <= bounds.ID_MAX else None)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_of(error: httpx.RequestError, request: httpx.Request) -> bool:
    try:
        return error.request is request
    except RuntimeError:  # httpx raised it without a request, so it may be ours
        return True


def _silence_url_logs() -> None:
    """httpx and httpcore log whole URLs, which contain addresses here."""
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
