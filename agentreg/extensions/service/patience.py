"""Connections that send nothing, or without an end: they are not waited for as long as they like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["PatientProtocol", "close_the_silent"]

PATIENCE = 20.0  #: seconds for a request to arrive as a whole, from the connection or its first byte on
HURRY = 1.0  #: the same, while there are so many connections that others would not get one
HEAD = 65_536  #: bytes of a request's first line and headers


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol for HTTP/1.1, which knows how long it has been waiting for a request.

    Attributes:
        waits_since: The moment, in the loop's time; None while there is none that isn't whole.
    """

    waits_since: float | None = None
    _head: int | None = None  # bytes of a head that is not through

    def connection_made(self, transport: Any) -> None:
        """It begins to wait."""
        super().connection_made(transport)
        self.waits_since = self.loop.time()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.waits_since = self.loop.time()
        self._head = 0

    def on_headers_complete(self) -> None:
        """Its head is through."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is whole."""
        super().on_message_complete()
        self.waits_since = None

    def data_received(self, data: bytes) -> None:
        """Take it in; refuse a head that is too long."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD and not self.transport.is_closing():
                self._refuse()

    def _refuse(self) -> None:
        text = f"the request's head is longer than {HEAD:,} bytes, the limit".encode()
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(text), text)
        )
        self.transport.close()

    def give_up(self) -> None:
        """Close it: what has begun of a request is answered by nobody."""
        self.waits_since = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.abort()


def close_the_silent(connections: Iterable[Any], now: float, patience: float) -> None:
    """Close those that have waited for longer than *patience* seconds, at *now* of the loop's time."""
    silent = [
        each
        for each in connections
        if isinstance(each, PatientProtocol) and each.waits_since is not None and now - each.waits_since > patience
    ]
    for each in silent:
        each.give_up()
