"""WebSockets on uvicorn: whole frames, made once for all readers, written straight to their connections."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["EXTENSION", "FramesProtocol"]

#: Where the scope of a connection has its `FramesProtocol`, under ``extensions``.
EXTENSION = "agentreg.frames"
_IN_KERNEL = 65_536  # bytes that the system keeps (it takes twice as many) before they wait in this process
_COURTESY = 1.0  # seconds between looks whether one that has been told to leave has read it
_ABANDONED = 30.0  # seconds after which one that has been told to leave is cut off


class FramesProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, with a second way out, for those who send the same to many.

    ASGI's own way costs each reader a task that is woken, a message, a copy
    and a frame, for each packet; this one a call.
    """

    def handle_connect(self, event: Any) -> None:
        """Offer the way out to the application."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self
            connection = self.transport.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _IN_KERNEL)

    @property
    def waiting(self) -> int:
        """Bytes that are not sent yet."""
        return self.transport.get_write_buffer_size()

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.disconnected or self.close_sent or self.transport.is_closing()

    def write_frame(self, frame: bytes) -> None:
        """Send a whole frame; to one that has gone, nothing."""
        if not self.is_over:
            self.transport.write(frame)

    def leave(self, code: int, reason: str) -> None:
        """Close the connection once all that waits is sent; cut it off if that takes too long."""
        if self.is_over:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_COURTESY, self._part, self.loop.time() + _ABANDONED)

    def _part(self, until: float) -> None:
        """Close it without the other side's answer, once it has been sent everything, or at the end of patience."""
        self.close_timer = None
        if self.transport.is_closing():
            return
        if not self.waiting:
            self.transport.close()
        elif self.loop.time() >= until:
            self.transport.abort()
        else:
            self.close_timer = self.loop.call_later(_COURTESY, self._part, until)

    def keepalive_timeout(self) -> None:
        """One that does not even answer a ping is not waited for."""
        super().keepalive_timeout()
        abort: Callable[[], None] = self.transport.abort
        self.loop.call_later(_ABANDONED, abort)
