"""Waiting for the end of a process, a signal, or whatever else ends a watch."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from agentreg.cli.client.processes import Process, opened

__all__ = ["Alarm", "Marker", "wait_for_end"]

_LOOK = 0.5  # seconds between two looks at what can't wake us
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))


class Alarm:
    """Wakes the main thread: at the first signal that asks for the end, or when another thread rings.

    Within the block such signals do nothing else; one that was ignored before
    (as nohup does) goes on being ignored. Only the main thread can use it; any
    may ring.
    """

    def __init__(self) -> None:
        self._ear, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, lambda *_: None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._ear.close()
        self._bell.close()

    def ring(self) -> None:
        """Wake whoever waits, now or later. Thread-safe."""
        with suppress(OSError):  # it is full, and so rings already; or the wait is over
            self._bell.send(b"\0")

    def wait(self, seconds: float | None, *others: int) -> tuple[bool, bool]:
        """Wait for at most *seconds* (None: for ever); whether it rang, and whether one of *others* can be read."""
        wanted: list[Any] = [self._ear, *others]
        ready = select.select(wanted, [], [], seconds)[0]
        return self._ear in ready, any(other in ready for other in others)


class Marker:
    """A file whose disappearance ends a watch; so does another one in its place."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._identity = self._look()

    def is_gone(self) -> bool:
        """Whether the file is not there any more."""
        return self._identity is None or self._look() != self._identity

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def wait_for_end(alarm: Alarm, process: Process, marker: Marker | None = None) -> None:
    """Come back when *alarm* rings, *process* is over, or *marker* is gone: at most half a second later."""
    with _ending(process) as descriptors:
        must_look = marker is not None or (process.pid != 0 and not descriptors)
        while not process.is_over() and not (marker is not None and marker.is_gone()):
            rang, ended = alarm.wait(_LOOK if must_look else None, *descriptors)
            if rang:
                return
            if ended:  # what the process table doesn't show yet
                descriptors, must_look = [], True


@contextmanager
def _ending(process: Process) -> Iterator[list[int]]:
    """Descriptors that can be read when *process* ends."""
    descriptor = opened(process)
    try:
        yield [] if descriptor is None else [descriptor]
    finally:
        if descriptor is not None:
            os.close(descriptor)
