"""A lock between processes: the kernel keeps the queue, and frees it when its holder dies."""

from __future__ import annotations

import os
import sys
import weakref

if sys.platform != "win32":
    import fcntl

__all__ = ["FileLock"]


class FileLock:
    """The lock of one user of the file *path*, alone or shared with others who share.

    Where the system has no `flock`, nobody waits for anybody. Not
    thread-safe: each thread has one of its own, and they exclude each other.

    Attributes:
        waiting: Whether `acquire` waits just now; to be read from any thread.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting = False
        self._file = -1
        _all.add(self)

    def acquire(self, shared: bool = False) -> None:
        """Wait for the lock, without a limit. Raises OSError if the file can't be had."""
        if sys.platform == "win32":
            return
        self.waiting = True
        try:
            while True:
                if self._file < 0:
                    self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                fcntl.flock(self._file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
                if self._is_the_file():
                    break
                self.close()
        finally:
            self.waiting = False
        if not shared:
            os.pwrite(self._file, b"%-11d" % os.getpid(), 0)

    def _is_the_file(self) -> bool:
        # who locks a file that was deleted or renamed meanwhile excludes nobody
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let the next one have it; nothing happens if it is not held."""
        if sys.platform != "win32" and self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def holder(self) -> str:
        """Who held it alone last, as text; empty if that is not known."""
        try:
            with open(self.path, "rb") as file:
                return f"process {int(file.read(16))}"
        except (OSError, ValueError):
            return ""

    def close(self) -> None:
        """Release it and close the file; the next `acquire` opens it again."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


_all: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget() -> None:
    # a child shares its parent's open files: kept open, they would outlive a parent that is killed, and hold the lock
    for lock in list(_all):
        lock.close()
        lock.waiting = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
