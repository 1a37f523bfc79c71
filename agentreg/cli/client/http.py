"""One question to the service and its answer, within a deadline."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from agentreg.cli.client.errors import NoServiceError, RefusedError
from agentreg.demo.printable import printable

__all__ = ["TIMEOUT", "Answer", "Service", "ask"]

TIMEOUT = 5.0  # seconds for a question and all of its answer
LONGEST = 1 << 28  # bytes of an answer
_SHOWN = 1000  # characters of a refusal


class Service(NamedTuple):
    """Where a service is.

    Attributes:
        url: Without a trailing slash.
        token: What it wants to be shown, or None.
        instance: Which of all services it is.
        pid: Its process, or None where it didn't say.
    """

    url: str
    token: str | None = None
    instance: str = ""
    pid: int | None = None


class Answer(NamedTuple):
    """A JSON object, as it came and as it is read."""

    content: bytes
    document: dict[str, Any]


def ask(
    service: Service, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float = TIMEOUT
) -> Answer:
    """What *service* answers within *timeout* seconds, however slowly it speaks.

    No proxy is asked, and no redirection followed. Thread-safe: each call has
    a connection of its own.

    Raises:
        NoServiceError: Nobody answers, or not as a service does.
        RefusedError: It answers that it can't be done.
    """
    place = _place(service.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    try:
        connection.connect()
        with _cut_after(timeout, connection.sock) as was_cut:
            connection.request(method, place.path + path, *_sent(service, body))
            response = connection.getresponse()
            content = response.read(LONGEST)
    except (OSError, HTTPException) as error:
        raise NoServiceError(f"{service.url} does not answer: {_told(error)}") from error
    finally:
        connection.close()
    if was_cut.is_set():
        raise NoServiceError(f"{service.url} does not answer: it is not through after {timeout:.3g} s")
    return _judged(service, response.status, response.reason, content)


def _place(url: str) -> SplitResult:
    try:
        place = urlsplit(url)
        if place.scheme == "http" and place.hostname and place.port != 0:
            return place
    except ValueError:  # a port that is no number
        pass
    raise NoServiceError(f"{printable(url)!r} is no address of a service; expected http://host:port")


def _sent(service: Service, body: dict[str, Any] | None) -> tuple[bytes | None, dict[str, str]]:
    headers = {"Accept": "application/json", "Connection": "close"}
    if service.token is not None:
        headers["Authorization"] = f"Bearer {service.token}"
    if body is None:
        return None, headers
    return json.dumps(body).encode(), {**headers, "Content-Type": "application/json"}


@contextmanager
def _cut_after(seconds: float, sock: socket.socket) -> Iterator[threading.Event]:
    """End the connection when the time is up: a socket's own timeout begins anew with every byte."""
    was_cut = threading.Event()

    def cut() -> None:
        was_cut.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield was_cut
    finally:
        timer.cancel()


def _judged(service: Service, status: int, reason: str, content: bytes) -> Answer:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise NoServiceError(f"{service.url} answers {status} and no JSON object: that is not agentreg's service")
    if status >= 400:
        told = next((text for key in ("detail", "error") if isinstance(text := document.get(key), str)), reason)
        lines = told[:_SHOWN].split("\n")  # a caret in the second points at a place in the first
        raise RefusedError(status, f"refused ({status}): " + "\n".join(map(printable, lines)))
    if status >= 300:
        raise NoServiceError(f"{service.url} answers {status}, which no service does")
    return Answer(content, document)


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it says nothing"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(text or type(error).__name__)
