"""The last value of each agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["Latest"]


class Latest:
    """Agent -> its last value, and when that was. Thread-safe: no, its user holds a lock.

    Attributes:
        row: The last row of the file that was read into this.
    """

    def __init__(self) -> None:
        self.row = 0
        self._values: dict[str, float] = {}
        self._times: dict[str, float] = {}
        self._newest = -1.0

    def update(self, values: Mapping[str, float], at: float, now: float) -> None:
        """Take these values, unless there are later ones; what was dated ahead of *now* is not later."""
        if self._newest > at:
            values = {name: value for name, value in values.items() if not at < self._times.get(name, -1.0) <= now}
        self._newest = max(at, min(self._newest, now))
        self._values.update(values)
        self._times.update(dict.fromkeys(values, at))

    def since(self, time: float) -> dict[str, float]:
        """The values that were sampled from then on."""
        times = self._times
        return {name: value for name, value in self._values.items() if times[name] >= time}

    def names(self) -> Iterable[str]:
        """Whose values are known."""
        return self._values

    def drop(self, name: str) -> None:
        """Forget *name*."""
        self._values.pop(name, None)
        self._times.pop(name, None)

    def forget_before(self, time: float) -> None:
        """Forget values that are older than *time*."""
        for name in [name for name, at in self._times.items() if at < time]:
            self.drop(name)
