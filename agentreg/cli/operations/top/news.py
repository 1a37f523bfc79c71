"""News: the service's stream of events, as far as it says that something is to be asked for anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from agentreg.cli.client.http import Service

__all__ = ["ABOUT", "News"]

#: Type of event -> what has changed.
ABOUT = {
    "agent_registered": "agents",
    "agent_deregistered": "agents",
    "resource_alert": "alerts",
    "performance_update": "metrics",
}
_PATIENCE = 40.0  # seconds; a stream that is alive says so every 15
_PAUSE = 2.0  # seconds until the next try


class News:
    """Listens in a thread of its own, from `start` to `close`; a stream that ends is opened anew.

    Args:
        place: Where the service is now; may raise.
        heard: Called in that thread with what has changed: ``"agents"``, ``"alerts"`` or ``"metrics"``.

    Attributes:
        listening: Whether the stream is open.
    """

    def __init__(self, place: Callable[[], Service], heard: Callable[[str], object]) -> None:
        self.listening = False
        self._place = place
        self._heard = heard
        self._over = threading.Event()
        self._connection: HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="agentreg-top-news")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and wait for the thread's end."""
        self._over.set()
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(2)
        self._thread.join(_PAUSE)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._listen()
            except Exception:  # nobody there, or none that has a stream: whoever asks sees that, and says so
                pass
            finally:
                self.listening = False
            self._over.wait(_PAUSE)

    def _listen(self) -> None:
        service = self._place()
        place = urlsplit(service.url)
        connection = self._connection = HTTPConnection(place.hostname or "", place.port, timeout=_PATIENCE)
        try:
            path = f"{place.path}/registry/events?type={','.join(ABOUT)}"
            connection.request("GET", path, headers=_headers(service))
            response = connection.getresponse()
            if response.status != 200:
                return
            self.listening = True
            for kind in _kinds(response):
                if kind in ABOUT:
                    self._heard(ABOUT[kind])
        except (OSError, HTTPException, ValueError):
            pass
        finally:
            self._connection = None
            connection.close()


def _headers(service: Service) -> dict[str, str]:
    headers = {"Accept": "text/event-stream"}
    return headers if service.token is None else {**headers, "Authorization": f"Bearer {service.token}"}


def _kinds(response: Any) -> Iterator[str]:
    """The types of the events, as they come."""
    while line := response.readline(1 << 26):
        name, _, value = line.partition(b":")
        if name == b"event":
            yield value.strip().decode("ascii", "replace")
