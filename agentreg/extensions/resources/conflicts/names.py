"""Names with a time in them, for agents whose name is taken."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentreg.extensions.resources.conflicts.lock import lock

__all__ = ["NameSuffixes"]

NAME_LIMIT = 255
_KEPT = 200


class NameSuffixes:
    """Names with a time stamp behind them, never the same twice.

    ``scout`` becomes ``scout-20260102-030405``: year, month, day, hour,
    minute and second in UTC. A second one within that second, or one that
    is taken, has a number behind it, ``scout-20260102-030405-2``. A name
    that would be too long is cut before the stamp.

    Thread-safe: yes. *clock* gives seconds since 1970.

    >>> suffixes = NameSuffixes(clock=lambda: 0.0)
    >>> suffixes.make("scout"), suffixes.make("scout")
    ('scout-19700101-000000', 'scout-19700101-000000-2')
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stamp = ""
        self._given: dict[str, int] = {}  # beginning -> the last number within this second

    def make(self, name: str, taken: Callable[[str], bool] = lambda name: False) -> str:
        """*name* with the present time behind it; *taken* says which names won't do, and is called without the lock."""
        while True:
            made = self._next(name)
            if not taken(made):
                return made

    def _next(self, name: str) -> str:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock()))
        with lock:
            if stamp > self._stamp:  # a clock that goes back keeps the numbers of the later second
                self._stamp, self._given = stamp, {}
            key = name[:_KEPT]  # names that are alike that far may be cut to the same text
            number = self._given[key] = self._given.get(key, 0) + 1
            tail = f"-{self._stamp}" + (f"-{number}" if number > 1 else "")
        return name[: NAME_LIMIT - len(tail)] + tail
