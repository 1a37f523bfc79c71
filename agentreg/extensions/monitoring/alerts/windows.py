"""Aggregates over windows of time, for each agent, in memory that does not grow with the number of samples.

Not thread-safe: their user holds a lock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from operator import add, methodcaller
from typing import Any

from agentreg.extensions.monitoring.alerts.rule import Aggregate
from agentreg.extensions.monitoring.alerts.series import Ordered
from agentreg.extensions.monitoring.metrics.sketch import Sketch, bucket_of

__all__ = ["QUANTILES", "SLICES", "Sketches", "Sums", "Window"]

SLICES = 60  #: a window's far edge moves in steps of this part of it


class Window:
    """Aggregates over the last *seconds*, for each agent, of one metric.

    Time is cut into slices of a sixtieth of the window. It reaches from the
    slice that *now* is in back to the sixtieth, that one included: what it
    holds is at most `SLICES` slices of each agent, however many samples.

    Args:
        seconds: How long it is.
        keeps_silent: Whether an agent without samples in the window is remembered: zero events are a number, too.
        sketched: Whether it is asked for quantiles, and for nothing else.

    Attributes:
        series: Agent -> its slices.
    """

    def __init__(self, seconds: float, keeps_silent: bool, sketched: bool = False) -> None:
        self.seconds = seconds
        self.keeps_silent = keeps_silent
        self.series: dict[str, _Series] = {}
        self._new: Callable[[float], _Series] = Sketches if sketched else Sums
        self._slice = seconds / SLICES
        self._restored: set[str] = set()

    def add(self, values: Mapping[str, float], at: float) -> None:
        """Take in samples, none of them older than the agent's last."""
        index = at // self._slice
        edge, series = index - SLICES, self.series
        for agent, value in values.items():
            known = series.get(agent)
            if known is None:
                known = series[agent] = self._new(at)
            elif known.expire(edge) and not self.keeps_silent and at >= known.kept_until:
                known.first = at
            known.add(index, value)

    def restore(self, agent: str, since: float, now: float) -> None:
        """Let *agent* be known since *since*, though its samples are gone: nothing ends until the window is full."""
        series = self.series.get(agent)
        if series is None:
            series = self.series[agent] = self._new(since)
            series.kept_until = now + self.seconds
            self._restored.add(agent)
        series.first = min(series.first, since)

    def settle(self, now: float) -> None:
        """Drop what is outside of the window at *now*."""
        edge = now // self._slice - SLICES
        empty = [agent for agent, each in self.series.items() if each.expire(edge)]
        if not self.keeps_silent:
            for agent in empty:
                if now >= self.series[agent].kept_until:
                    del self.series[agent]

    def values(self, aggregate: Aggregate | None) -> Ordered:
        """Agent -> aggregate (None: the sum, of no samples 0), where there is one; as of the last `settle`."""
        if aggregate is None:
            return Ordered({agent: _sum(each) if each.size else 0.0 for agent, each in self.series.items()})
        read = _READ[aggregate]
        return Ordered({agent: read(each) for agent, each in self.series.items() if each.size})

    def young(self, now: float) -> set[str]:
        """The agents known for less than the window."""
        edge = now - self.seconds
        return {agent for agent, each in self.series.items() if each.first > edge}

    def waiting(self, now: float) -> set[str]:
        """The agents that were restored so lately that their windows aren't full again."""
        for agent in tuple(self._restored):
            if agent not in self.series or self.series[agent].kept_until <= now:
                self._restored.discard(agent)
        return set(self._restored)


# of one slice, or of several: how many samples, their sum, the least, the greatest
_Sum = tuple[float, int, float, float, float]


class Sums:
    """The slices of one agent for what is added up or compared.

    They are a queue of two stacks: no step looks at more than its ends, on average.
    `old` holds, for each slice from the last to the first, the sum from it
    to the end of `old`; `new` the slices after those, and `sum_of_new` their sum.
    """

    __slots__ = ("first", "kept_until", "last", "new", "old", "sum_of_new")

    def __init__(self, first: float) -> None:
        self.first = first
        self.kept_until = self.last = -math.inf
        self.old: list[_Sum] = []
        self.new: list[_Sum] = []
        self.sum_of_new: _Sum | None = None

    def add(self, index: float, value: float) -> None:
        """Count a sample of the slice *index*, which is not before the last."""
        if self.new and self.last >= index:
            self.new[-1] = _increased(self.new[-1], value)
        else:
            self.new.append((index, 1, value, value, value))
            self.last = index
        whole = self.sum_of_new
        self.sum_of_new = (index, 1, value, value, value) if whole is None else _increased(whole, value)

    def expire(self, edge: float) -> bool:
        """Drop the slices up to *edge*; whether none is left."""
        old = self.old
        while old and old[-1][0] <= edge:
            old.pop()
        if not old and self.new and self.new[0][0] <= edge:
            self._turn_over(edge)
        return not (self.old or self.new)

    @property
    def size(self) -> int:
        """How many slices there are."""
        return len(self.old) + len(self.new)

    def _turn_over(self, edge: float) -> None:
        new, self.new, self.sum_of_new = self.new, [], None
        count, total, low, high = 0, 0.0, math.inf, -math.inf
        for index, size, amount, least, greatest in reversed(new):
            if index <= edge:
                break
            count, total = count + size, total + amount
            low = low if low < least else least  # noqa: FURB136 - a call would take longer than all of this
            high = high if high > greatest else greatest  # noqa: FURB136
            self.old.append((index, count, total, low, high))


def _increased(whole: _Sum, value: float) -> _Sum:
    index, count, total, low, high = whole
    return (
        index,
        count + 1,
        total + value,
        low if low < value else value,  # noqa: FURB136
        high if high > value else value,  # noqa: FURB136
    )


def _whole(series: Any, place: int, join: Callable[[Any, Any], float]) -> float:
    """One figure of all slices, which are at least one."""
    old, new = series.old, series.sum_of_new
    if not old:
        return new[place]  # type: ignore[no-any-return]
    return old[-1][place] if new is None else join(old[-1][place], new[place])


def _average(series: Any) -> float:
    old, new = series.old, series.sum_of_new
    if not old:
        return new[2] / new[1]  # type: ignore[no-any-return]
    last = old[-1]
    return last[2] / last[1] if new is None else (last[2] + new[2]) / (last[1] + new[1])  # type: ignore[no-any-return]


def _sum(series: Any) -> float:
    return _whole(series, 2, add)


QUANTILES: Mapping[Aggregate, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Aggregate -> the part of the samples that are not above it."""


class Sketches:
    """The slices of one agent for quantiles: how many samples fell into which bucket of a `Sketch`.

    Whole numbers can be taken away again without an error, so one sum of
    all slices is enough.
    """

    __slots__ = ("first", "kept_until", "last", "slices", "whole")

    def __init__(self, first: float) -> None:
        self.first = first
        self.kept_until = self.last = -math.inf
        self.slices: deque[tuple[float, dict[int, int]]] = deque()
        self.whole = Sketch()

    def add(self, index: float, value: float) -> None:
        """Count a sample of the slice *index*, which is not before the last."""
        if not self.slices or self.last < index:
            self.slices.append((index, {}))
            self.last = index
        bucket = bucket_of(value)
        for counts in (self.slices[-1][1], self.whole.counts):
            counts[bucket] = counts.get(bucket, 0) + 1

    def expire(self, edge: float) -> bool:
        """Drop the slices up to *edge*; whether none is left."""
        while self.slices and self.slices[0][0] <= edge:
            self._take_away(self.slices.popleft()[1])
        return not self.slices

    def _take_away(self, gone: Mapping[int, int]) -> None:
        counts = self.whole.counts
        for bucket, count in gone.items():
            if counts[bucket] == count:
                del counts[bucket]
            else:
                counts[bucket] -= count

    @property
    def size(self) -> int:
        """How many slices there are."""
        return len(self.slices)

    def quantile(self, part: float) -> float:
        """The value that *part* of the samples don't exceed, off by at most `ACCURACY` of itself."""
        return self.whole.quantile(part)


_Series = Sums | Sketches

_READ: dict[Aggregate, Callable[[Any], float]] = {
    "avg": _average,
    "sum": _sum,
    "count": lambda series: _whole(series, 1, add),
    "min": lambda series: _whole(series, 3, min),
    "max": lambda series: _whole(series, 4, max),
    **{name: methodcaller("quantile", part) for name, part in QUANTILES.items()},
}
