"""Time that tests move by hand, and a manager of small hosts."""

from __future__ import annotations

from typing import Any

from agentreg.extensions.resources import ResourceManager


class Clock:
    """Seconds; ``tick`` lets some pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


def manager_of(*sizes: int, **options: Any) -> ResourceManager:
    """A manager with a host for each of *sizes*, in bytes: ``a``, ``b``, ...; its clock stands still unless given."""
    names = "abcdefghij"
    options.setdefault("clock", Clock())
    return ResourceManager(hosts={names[place]: size for place, size in enumerate(sizes)}, **options)
