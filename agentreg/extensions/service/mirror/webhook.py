"""A mirror that posts the news to a URL."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx
import msgspec

from agentreg.extensions.service.mirror.news import News, Undelivered

__all__ = ["WebhookMirror", "signature"]

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

FIRST_PAUSE = 0.5  # seconds; it doubles
LONGEST_PAUSE = 60.0
LONGEST_WISH = 3600.0  # of a hub, by Retry-After
_AGAIN = frozenset((408, 429))


class WebhookMirror:
    """Posts news to a hub, as JSON lists of ``{type, revision, time, agent}``, in order.

    Each request has the headers ``Idempotency-Key`` (this mirror's instance
    and the revision of the last of the news in it; a repetition has the same
    key), ``Agentreg-Instance``, and, with a secret, ``X-Hub-Signature-256``:
    ``sha256=`` and the HMAC-SHA256 of the body in hexadecimal.

    A hub that can't be reached, takes too long or answers 408, 429 or 5xx is
    asked again, after pauses that double, with jitter, and never before its
    ``Retry-After``. After *attempts* it is brought up to date from a listing:
    first a ``resync`` (what it has from this mirror counts no more), then
    everyone who is there, as ``joined``. The same comes at the beginning.
    Any other refusal is logged, and what was refused is dropped.

    Give it to `Mirroring` or to ``create_app``, which hand it its news.

    Args:
        url: Where to post to, ``http://`` or ``https://``. No redirect is followed.
        secret: What the hub knows, too.
        timeout: Seconds for one request.
        attempts: How often one request is tried.
        headers: Further headers, an ``Authorization`` for one.
        instance: Names this mirror in keys; made up if left out.
        sleep: Waits for seconds. Tests replace it, as the two that follow.
        jitter: Gives a number from 0 to 1.
        clock: Gives seconds since 1970.

    Raises:
        ValueError: The URL, the secret or a number is no good; the text says why.

    >>> WebhookMirror("https://hub.example/agents", secret="s3cret")
    WebhookMirror('https://hub.example/agents')
    """

    def __init__(
        self,
        url: str,
        secret: str | bytes | None = None,
        *,
        timeout: float = 10.0,
        attempts: int = 12,
        headers: Mapping[str, str] | None = None,
        instance: str | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = _checked(url)
        if secret is not None and not secret:
            raise ValueError("secret: it is empty; give one, or None to leave requests unsigned")
        if not timeout > 0 or attempts < 1:
            raise ValueError(f"expected a timeout above 0 and attempts from 1 up, got {timeout!r} and {attempts!r}")
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._timeout = timeout
        self._attempts = attempts
        self._headers = dict(headers or {})
        self._instance = instance or uuid4().hex
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._key = (-1, 0)
        self.refused = 0
        """How many of the news the hub has refused."""

    def __repr__(self) -> str:
        return f"WebhookMirror({_shown(self._url)!r})"

    async def joined(self, news: News) -> None:
        """Post it alone; see `deliver`."""
        await self.deliver([news])

    async def changed(self, news: News) -> None:
        """Post it alone; see `deliver`."""
        await self.deliver([news])

    async def left(self, news: News) -> None:
        """Post it alone; see `deliver`."""
        await self.deliver([news])

    async def resync(self, news: News) -> None:
        """Post it alone; see `deliver`."""
        await self.deliver([news])

    async def deliver(self, batch: Sequence[News]) -> None:
        """Post all of *batch* in one request; returns once the hub has taken or refused it.

        Raises:
            Undelivered: It has done neither, however often it was asked.
        """
        body = _encode([news.as_dict() for news in batch])
        headers = self._headers_of(body, batch[-1].revision)
        for attempt in range(self._attempts):
            answer = await self._post(body, headers)
            if isinstance(answer, httpx.Response) and not _wants_it_again(answer):
                return self._note(answer, len(batch))
            if attempt + 1 < self._attempts:
                await self._sleep(self._pause(attempt, answer))
        raise Undelivered(f"no delivery in {self._attempts} attempts, the last: {_told(answer)}")

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # -- one request --------------------------------------------------------

    def _headers_of(self, body: bytes, revision: int) -> dict[str, str]:
        last, number = self._key
        self._key = revision, number + 1 if last == revision else 1
        part = "" if self._key[1] == 1 else f"-{self._key[1]}"  # a listing is of one revision, in several requests
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "Idempotency-Key": f"{self._instance}-{revision}{part}",
            "Agentreg-Instance": self._instance,
        }
        if self._secret is not None:
            headers["X-Hub-Signature-256"] = signature(self._secret, body)
        return headers

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response | Exception:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._timeout)
        try:
            # httpx's own time-outs begin anew with every byte
            return await asyncio.wait_for(self._answer(body, headers), self._timeout)
        except (httpx.HTTPError, OSError, TimeoutError, asyncio.TimeoutError) as error:
            return error

    async def _answer(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        assert self._client is not None
        async with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
            return answer  # what it says besides its status is not read

    def _note(self, answer: httpx.Response, count: int) -> None:
        if not answer.is_success:
            self.refused += count
            _log.warning("%r answers %d: %d news were refused, and are dropped", self, answer.status_code, count)

    def _pause(self, attempt: int, answer: httpx.Response | Exception) -> float:
        """Seconds until the next attempt."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 30))
        pause = longest * (0.5 + self._jitter() / 2)
        if attempt == 0:
            _log.info("%r: %s; trying again", self, _told(answer))
        return max(pause, self._wish(answer)) if isinstance(answer, httpx.Response) else pause

    def _wish(self, answer: httpx.Response) -> float:
        """Seconds that the hub wants to be left alone."""
        text = answer.headers.get("Retry-After", "")
        try:
            seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - self._clock()
        except (ValueError, TypeError, OverflowError):
            return 0.0
        return min(max(seconds, 0.0), LONGEST_WISH)


def signature(secret: bytes, body: bytes) -> str:
    """The value of ``X-Hub-Signature-256`` for *body*.

    >>> signature(b"s3cret", b"[]")[:20]
    'sha256=920fbe8da6e51'
    """
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


def _wants_it_again(answer: httpx.Response) -> bool:
    return answer.status_code in _AGAIN or answer.status_code >= 500


def _told(answer: httpx.Response | Exception) -> str:
    if isinstance(answer, httpx.Response):
        return f"it answers {answer.status_code}"
    return f"{type(answer).__name__}{f' ({answer})' if str(answer) else ''}"


def _checked(url: str) -> httpx.URL:
    try:
        checked = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"a mirror's url: {url!r} is none ({error}); expected https://host/path") from error
    if checked.scheme not in ("http", "https") or not checked.host:
        raise ValueError(f"a mirror's url: expected http:// or https:// and a host, got {url!r}")
    return checked


def _shown(url: httpx.URL) -> str:
    """The URL without what may be secret."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))
