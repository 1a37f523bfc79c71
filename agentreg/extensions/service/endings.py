"""Which processes of this machine have ended: the system tells of it where it can, else they are looked at."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from agentreg.extensions.coordination.processes import Process, boot, is_over

resource: Any
try:
    import resource
except ImportError:  # not everywhere is there such a limit
    resource = None

__all__ = ["Endings"]


class Endings:
    """Follows processes. On Linux each takes an open file (a pidfd), as long as there are enough; none is asked then.

    For one event loop, from the first `among` to `close`.

    Args:
        news: Called when the system has told of an end; `among` then has it.
    """

    def __init__(self, news: Callable[[], object]) -> None:
        self._news = news
        self._files: dict[Process, int] = {}
        self._ended: set[Process] = set()

    def among(self, processes: Iterable[Process]) -> set[Process]:
        """Those of *processes* that have ended; from now on, these are followed and no others."""
        wanted = set(processes)
        for gone in self._files.keys() - wanted:
            self._let_go(gone)
        self._ended &= wanted
        return {each for each in wanted if self._has_ended(each)}

    def _has_ended(self, process: Process) -> bool:
        if process in self._files:
            return False
        if process not in self._ended:
            self._follow(process)  # first: what ends between the two is seen by the look
            if not is_over(process._replace(host=platform.node())):
                return False
            self._tell(process, again=False)
        return True

    def _follow(self, process: Process) -> None:
        """Have the system tell of its end, if it can."""
        if sys.platform != "linux" or not process.start or process.boot != boot() or len(self._files) >= _most():
            return
        try:
            self._files[process] = file = os.pidfd_open(process.pid)
            asyncio.get_running_loop().add_reader(file, self._tell, process)
        except (OSError, OverflowError, AttributeError, NotImplementedError):
            # it has ended, or there are too many, or no such pid can be, or an old system, or another loop
            self._let_go(process)

    def _tell(self, process: Process, again: bool = True) -> None:
        self._let_go(process)
        self._ended.add(process)
        if again:
            self._news()

    def _let_go(self, process: Process) -> None:
        file = self._files.pop(process, -1)
        if file >= 0:
            with suppress(OSError, NotImplementedError):
                asyncio.get_running_loop().remove_reader(file)
            os.close(file)

    def close(self) -> None:
        """Follow nobody any more."""
        for process in list(self._files):
            self._let_go(process)


def _most() -> int:
    """How many files may be taken for this: half of what this process may open."""
    if resource is None:
        return 0
    few, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if few == resource.RLIM_INFINITY else few // 2
