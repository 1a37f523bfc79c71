"""What is sent: frames that go out together, put together once for all who get the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentreg.extensions.service.events.frames import Frame

__all__ = ["Filter", "Packet", "Wire"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a reader wants; None for all."""

    types: frozenset[str] | None = None
    agents: frozenset[str] | None = None
    capabilities: frozenset[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets everything through."""
        return self.types is None and self.agents is None and self.capabilities is None

    def wants(self, frame: Frame) -> bool:
        """Whether *frame* is meant."""
        return (self.types is None or frame.kind in self.types) and self.concerns(frame.agent_id, frame.capabilities)

    def concerns(self, agent_id: str, capabilities: frozenset[str]) -> bool:
        """Whether an agent is meant."""
        return (self.agents is None or agent_id in self.agents) and (
            self.capabilities is None or not self.capabilities.isdisjoint(capabilities)
        )


class Packet:
    """Frames that go out together, and are put together once for all who get the same.

    Attributes:
        frames: Each of them, as JSON.
        size: Bytes.
    """

    __slots__ = ("_text", "_wire", "frames", "size")

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        self.size = sum(map(len, frames))
        self._text: str | None = None
        self._wire: bytes | None = None

    def _whole(self) -> bytes:
        return self.frames[0] if len(self.frames) == 1 else b"[%b]" % b",".join(self.frames)

    @property
    def text(self) -> str:
        """One frame, or an array of them."""
        if self._text is None:
            self._text = self._whole().decode()
        return self._text

    @property
    def wire(self) -> bytes:
        """The same as a WebSocket's text frame (RFC 6455), with its head."""
        if self._wire is None:
            text = self._whole()
            self._wire = _head(len(text)) + text
        return self._wire


def _head(size: int) -> bytes:
    if size < 126:
        return bytes((0x81, size))
    return b"\x81\x7e" + size.to_bytes(2, "big") if size < 65_536 else b"\x81\x7f" + size.to_bytes(8, "big")


class Wire(Protocol):
    """A connection that takes whole frames at once, as `wire.FramesProtocol`."""

    @property
    def waiting(self) -> int:
        """Bytes that are not sent yet."""

    def write_frame(self, frame: bytes) -> None:
        """Send a whole frame."""

    def leave(self, code: int, reason: str) -> None:
        """Close the connection once all that waits is sent."""
