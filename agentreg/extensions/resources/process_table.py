"""The system's processes, as psutil sees them: the one file that needs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import psutil

__all__ = ["Row", "one", "rows", "tree_of"]

CLOSE = 0.05  # seconds by which two readings of the same start may differ: a boot time is no exact number


class Row(NamedTuple):
    """One process: who it is, whose child, and what it has taken so far.

    Attributes:
        start: Its start in seconds since the epoch.
        memory: Bytes that are resident.
        cpu: Seconds of processor time, those of children that have ended and were waited for included.
    """

    pid: int
    parent: int
    start: float
    memory: int
    cpu: float

    def is_from(self, start: float | None) -> bool:
        """Whether it is the process that started at *start*: in seconds since the epoch, or in the system's ticks."""
        if not start or abs(self.start - start) <= CLOSE:
            return True
        return start == _ticks(self.pid)


def one(pid: int) -> Row | None:
    """The process *pid*; None if there is none, or only what is left of one."""
    try:
        return _row(pid)
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied as error:
        raise PermissionError(f"pid {pid}: the system doesn't let us look at it; ask as its owner") from error


def rows() -> Iterator[Row]:
    """All processes, in one pass over the table. One that ends meanwhile is left out."""
    for pid in psutil.pids():  # not process_iter: that keeps what it knows of a pid that was given away again
        with contextlib.suppress(psutil.Error):
            row = _row(pid)
            if row is not None:
                yield row


def tree_of(root: Row) -> list[Row]:
    """The process and all that descend from it."""
    return [root, *descendants(root, children_among(rows()))]


def children_among(table: Iterable[Row]) -> Callable[[Row], list[Row]]:
    """Who is whose child: a look-up over *table*."""
    by_parent: dict[int, list[Row]] = {}
    for row in table:
        by_parent.setdefault(row.parent, []).append(row)

    def children_of(parent: Row) -> list[Row]:
        # a child that is older than its parent is another's: the pid was given away again
        return [row for row in by_parent.get(parent.pid, ()) if row.start >= parent.start - CLOSE]

    return children_of


def descendants(root: Row, children_of: Callable[[Row], list[Row]]) -> Iterator[Row]:
    """All below *root*, each once."""
    seen = {root.pid}
    waiting = [root]
    while waiting:
        for child in children_of(waiting.pop()):
            if child.pid not in seen:
                seen.add(child.pid)
                waiting.append(child)
                yield child


def _row(pid: int) -> Row | None:
    process = psutil.Process(pid)
    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        start, memory = process.create_time(), process.memory_info().rss
        return Row(pid, process.ppid(), start, memory, _seconds(process.cpu_times()))


def _seconds(times: Any) -> float:
    ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + ended)


def _ticks(pid: int) -> int | None:
    """The start of *pid* in ticks since the boot, as Linux gives it and records of the directory keep it."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
