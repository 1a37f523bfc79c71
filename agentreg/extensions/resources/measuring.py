"""What agents really use: memory and processor time of their processes, children included."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["MeasuredUse", "Usage", "measure"]

K = TypeVar("K", bound=Hashable)
Process = tuple[int, float | None]


@dataclass(frozen=True)
class Usage:
    """What one process and its children use.

    Attributes:
        memory: Bytes resident in memory, of all of them together; pages that they share count for each.
        cpu: Seconds of processor time that they have taken so far, with those children that have ended.
        processes: How many they are.
        cores: How many cores they kept busy since the last look; None at the first.
    """

    memory: int
    cpu: float
    processes: int
    cores: float | None = None


def measure(pid: int, process_start: float | None = None) -> Usage | None:
    """What the process *pid* and its children use now; None if it is gone.

    *process_start* tells it from another that was given the same id later:
    its start in seconds since the epoch (psutil's ``create_time()``), or in
    ticks, as records of a directory keep it. None or 0: whoever has the id.

    Raises:
        ImportError: psutil is missing.
        PermissionError: the system does not let us look at it.
        ValueError: *pid* is no whole number above 0.

    >>> import os
    >>> usage = measure(os.getpid())
    >>> usage.memory > 0, usage.processes >= 1
    (True, True)
    >>> measure(os.getpid(), process_start=1.0) is None
    True
    """
    pid = _pid(pid)
    table = _table()
    root = table.one(pid)
    return None if root is None or not root.is_from(process_start) else _sum(table.tree_of(root))


class MeasuredUse:
    """What many agents use, in one pass over the process table, with the cores they keep busy.

    Keep it, and look every ten seconds, say: how busy a process was is
    known from the second look on. Thread-safe: yes; one thread looks at a
    time.

    >>> import os
    >>> looks = MeasuredUse()
    >>> usage = looks.look({"ann": (os.getpid(), None), "bob": (2**22 + 1, None)})
    >>> usage["ann"].processes >= 1, usage["ann"].cores, usage["bob"]
    (True, None, None)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._before: dict[tuple[int, float], tuple[float, float]] = {}

    def look(self, processes: Mapping[K, Process]) -> dict[K, Usage | None]:
        """Key -> what its process and that one's children use now; None for one that is gone.

        *processes* is key -> (pid, start), as `measure` takes them. Keys of
        one process all get its figures.

        Raises:
            ImportError: psutil is missing.
            ValueError: a pid is no whole number above 0.
        """
        wanted = {key: (_pid(pid), start) for key, (pid, start) in processes.items()}
        table = _table()
        with self._lock:
            now, rows = self._clock(), {row.pid: row for row in table.rows()}
            children_of = table.children_among(rows.values())
            found: dict[int, Usage] = {}
            after: dict[tuple[int, float], tuple[float, float]] = {}
            for pid in {pid for pid, _ in wanted.values()} & rows.keys():
                root = rows[pid]
                usage = _sum([root, *table.descendants(root, children_of)])
                after[pid, root.start] = now, usage.cpu
                found[pid] = self._with_cores(usage, now, self._before.get((pid, root.start)))
            self._before = after
        return {
            key: found[pid] if pid in found and rows[pid].is_from(start) else None
            for key, (pid, start) in wanted.items()
        }

    @staticmethod
    def _with_cores(usage: Usage, now: float, before: tuple[float, float] | None) -> Usage:
        if before is None or now <= before[0]:
            return usage
        busy = max(0.0, usage.cpu - before[1]) / (now - before[0])
        return Usage(usage.memory, usage.cpu, usage.processes, busy)


def _sum(tree: Iterable[Any]) -> Usage:
    rows = list(tree)
    return Usage(sum(row.memory for row in rows), sum(row.cpu for row in rows), len(rows))


def _pid(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"pid: expected a whole number above 0, got {value!r}")
    return value


def _table() -> Any:
    """The room that reads the process table; imported when it is needed, because psutil is an extra."""
    try:
        return importlib.import_module("agentreg.extensions.resources.process_table")
    except ModuleNotFoundError as error:
        if error.name != "psutil":
            raise
        raise ImportError('measuring needs a package: pip install "agentreg[resources]"', name="psutil") from error
