"""Alerts sent to an address, as JSON."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from urllib.parse import urlsplit

import httpx
import stamina
from typing_extensions import Self

from agentreg.extensions.monitoring.alerts.events import AlertEvent

__all__ = ["WebhookHandler"]

_log = logging.getLogger("agentreg")

BATCH = 100  # events of one request
TRIES = 5
_AGAIN = {408, 425, 429}  # statuses, besides those from 500


class WebhookHandler:
    """Posts events to *url*: ``{"events": [...]}``, each as of `AlertEvent.to_dict`, oldest first, up to 100 at once.

    Between `start` and `close` a thread does so; what comes before waits.
    A request that fails for want of a connection, or with status 408, 425,
    429 or from 500 up, is tried again, five times in all, with growing
    pauses. One that is refused otherwise is logged and given up. An event
    may arrive twice: its answer may have been lost. Redirects are not
    followed.

    Needs the extra ``monitoring``. Thread-safe: yes.

    Args:
        url: Where to, ``http://`` or ``https://``.
        headers: Sent along: a token, for example.
        timeout: Seconds for each request.
        limit: How many events wait at most; then the oldest are dropped.

    Attributes:
        counts: How many events were ``sent``, ``failed`` and ``dropped``.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0, limit: int = 1000
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: expected one with http:// or https:// and a host, got {url!r:.200}")
        if limit < 1:
            raise ValueError(f"limit: expected 1 or more events, got {limit!r}")
        self.counts = {"sent": 0, "failed": 0, "dropped": 0}
        self._url, self._headers, self._timeout, self._limit = url, dict(headers or {}), timeout, limit
        self._shown = f"{parts.scheme}://{parts.hostname}"  # the rest of an address is often a secret
        self._queue: deque[AlertEvent] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def notify(self, event: AlertEvent) -> None:
        """Have *event* sent; never waits for the network."""
        with self._changed:
            self._queue.append(event)
            if len(self._queue) > self._limit:
                self._queue.popleft()
                self.counts["dropped"] += 1
            self._changed.notify_all()

    def start(self) -> None:
        """Send from now on, in a thread of its own; once more has no effect."""
        with self._changed:
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._work, name="agentreg-alerts-webhook", daemon=True)
                self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Stop after what waits was sent; whether that was done within *timeout* seconds.

        A request that is being tried again after that is given up at its next failure.
        """
        with self._changed:
            thread, self._thread = self._thread, None
            self._closing = True
            self._changed.notify_all()
        if thread is None:
            return not self._queue
        thread.join(timeout)
        return not thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        with httpx.Client(headers=self._headers, timeout=self._timeout) as client:
            while batch := self._next():
                self._try(client, batch)

    def _next(self) -> list[AlertEvent]:
        """The next events; none once this is closed."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]

    def _try(self, client: httpx.Client, batch: list[AlertEvent]) -> None:
        body = {"events": [event.to_dict() for event in batch]}
        try:
            for attempt in stamina.retry_context(on=self._is_passing, attempts=TRIES, timeout=None):
                with attempt:
                    client.post(self._url, json=body).raise_for_status()
        except Exception as error:
            self.counts["failed"] += len(batch)
            _log.error("%d alerts could not be sent to %s: %s", len(batch), self._shown, _reason(error))
        else:
            self.counts["sent"] += len(batch)

    def _is_passing(self, error: Exception) -> bool:
        """Whether it is worth to try again."""
        if isinstance(error, httpx.HTTPStatusError):
            status = error.response.status_code
            return not self._closing and (status in _AGAIN or status >= 500)
        return not self._closing and isinstance(error, httpx.TransportError)


def _reason(error: Exception) -> str:
    """Why, without the address, which httpx puts into its texts."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return type(error).__name__
