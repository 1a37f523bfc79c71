"""A lock between processes, which the system takes back from those that die."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked"]

_PAUSE = 0.02  # seconds between two tries: neither system call waits with a deadline

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(file: Path, timeout: float) -> Iterator[None]:
    """Hold the lock *file*, which is made when it is not there; it stays there.

    Raises:
        TimeoutError: Another process holds it for longer than *timeout* seconds.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for(descriptor, file, time.monotonic() + timeout)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _wait_for(descriptor: int, file: Path, deadline: float) -> None:
    while True:
        try:
            return _take(descriptor)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process holds {file}") from None
            time.sleep(_PAUSE)
