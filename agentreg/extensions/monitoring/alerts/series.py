"""What is known of the agents' metrics: the latest samples, and aggregates over windows.

Not thread-safe: their user holds a lock.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping

from agentreg.extensions.monitoring.alerts.rule import Aggregate, Operator

__all__ = ["SLICES", "Levels", "Ordered", "Window", "holds"]

SLICES = 60  #: a window's far edge moves in steps of this part of it

_COMPARE: dict[Operator, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def holds(value: float, sign: Operator, threshold: float) -> bool:
    """Whether the comparison is true."""
    return _COMPARE[sign](value, threshold)


class Ordered:
    """Values by agent, put in order once for any number of thresholds."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values
        self._agents = sorted(values, key=values.__getitem__)
        self._numbers = list(map(values.__getitem__, self._agents))

    def matching(self, sign: Operator, threshold: float) -> list[str]:
        """The agents for whose value the comparison is true."""
        left = bisect_left(self._numbers, threshold)
        right = left if sign in (">=", "<") else bisect_right(self._numbers, threshold, left)
        if sign in (">", ">="):
            return self._agents[right:]
        if sign in ("<", "<="):
            return self._agents[:right]
        return self._agents[left:right] if sign == "==" else self._agents[:left] + self._agents[right:]


class Levels:
    """The latest sample of each agent, of one metric.

    Attributes:
        latest: Agent -> value.
        heard: Agent -> when; also of an agent that was restored and has had no sample since.
    """

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self.heard: dict[str, float] = {}

    def put(self, values: Mapping[str, float], at: float) -> None:
        """Take in samples, none of them older than the agent's last."""
        self.latest.update(values)
        self.heard.update(dict.fromkeys(values, at))

    def older_than(self, moment: float) -> list[str]:
        """The agents that were last heard of before *moment*."""
        if not self.heard or min(self.heard.values()) >= moment:
            return []
        return [agent for agent, at in self.heard.items() if at < moment]

    def forget(self, agent: str) -> None:
        """Drop an agent."""
        self.latest.pop(agent, None)
        self.heard.pop(agent, None)


class Window:
    """Aggregates over the last *seconds*, for each agent, of one metric.

    Time is cut into slices of a sixtieth of the window. It reaches from the
    slice that *now* is in back to the sixtieth, that one included: what it
    holds is at most `SLICES` slices of each agent, however many samples.

    Attributes:
        series: Agent -> its slices.
        keeps_silent: Whether an agent without samples in the window is remembered: zero events are a number, too.
    """

    def __init__(self, seconds: float, keeps_silent: bool) -> None:
        self.seconds = seconds
        self.keeps_silent = keeps_silent
        self.series: dict[str, _Series] = {}
        self._slice = seconds / SLICES

    def add(self, values: Mapping[str, float], at: float) -> None:
        """Take in samples, none of them older than the agent's last."""
        index = at // self._slice
        series = self.series
        for agent, value in values.items():
            known = series.get(agent)
            if known is None:
                known = series[agent] = _Series(at)
            elif known.expire(index - SLICES) and not self.keeps_silent and at >= known.kept_until:
                known.first = at
            known.add(index, value)

    def restore(self, agent: str, since: float, now: float) -> None:
        """Let *agent* be known since *since*, though its samples are gone: nothing ends until the window is full."""
        series = self.series.get(agent)
        if series is None:
            series = self.series[agent] = _Series(since)
            series.kept_until = now + self.seconds
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
            return Ordered({agent: each.total() for agent, each in self.series.items()})
        read = _READ[aggregate]
        return Ordered({agent: read(each) for agent, each in self.series.items() if each.size})

    def young(self, now: float) -> set[str]:
        """The agents known for less than the window."""
        edge = now - self.seconds
        return {agent for agent, each in self.series.items() if each.first > edge}

    def waiting(self, now: float) -> set[str]:
        """The agents that were restored so lately that their windows aren't full again."""
        return {agent for agent, each in self.series.items() if each.kept_until > now}


# of one slice, or of several: how many samples, their sum, the least, the greatest
_Sum = tuple[float, int, float, float, float]


class _Series:
    """The slices of one agent, as a queue of two stacks: no step looks at more than its ends, on average.

    `old` holds, for each slice from the last to the first, the sum from it
    to the end of `old`; `new` the slices after those, and `sum_of_new` their sum.
    """

    __slots__ = ("first", "kept_until", "new", "old", "sum_of_new")

    def __init__(self, first: float) -> None:
        self.first = first
        self.kept_until = -math.inf
        self.old: list[_Sum] = []
        self.new: list[_Sum] = []
        self.sum_of_new: _Sum | None = None

    def add(self, index: float, value: float) -> None:
        one = (index, 1, value, value, value)
        if self.new and self.new[-1][0] >= index:
            self.new[-1] = _joined(self.new[-1], one)
        else:
            self.new.append(one)
        self.sum_of_new = one if self.sum_of_new is None else _joined(self.sum_of_new, one)

    def expire(self, edge: float) -> bool:
        """Drop the slices up to *edge*; whether none is left."""
        old = self.old
        while old and old[-1][0] <= edge:
            old.pop()
        if not old and self.new and self.new[0][0] <= edge:
            self._turn_over(edge)
        return not (self.old or self.new)

    def _turn_over(self, edge: float) -> None:
        rest = [each for each in self.new if each[0] > edge]
        self.new, self.sum_of_new = [], None
        for each in reversed(rest):
            self.old.append(_joined(each, self.old[-1]) if self.old else each)

    @property
    def size(self) -> int:
        return len(self.old) + len(self.new)

    def whole(self) -> _Sum:
        if self.old:
            return self.old[-1] if self.sum_of_new is None else _joined(self.old[-1], self.sum_of_new)
        assert self.sum_of_new is not None
        return self.sum_of_new

    def total(self) -> float:
        return self.whole()[2] if self.old or self.new else 0.0


def _joined(left: _Sum, right: _Sum) -> _Sum:
    low, high = right[3], right[4]
    return (
        left[0],
        left[1] + right[1],
        left[2] + right[2],
        left[3] if left[3] < low else low,  # noqa: FURB136 - a call would take longer than all of this
        left[4] if left[4] > high else high,  # noqa: FURB136
    )


def _average(series: _Series) -> float:
    whole = series.whole()
    return whole[2] / whole[1]


_READ: dict[Aggregate, Callable[[_Series], float]] = {
    "avg": _average,
    "sum": lambda series: series.whole()[2],
    "count": lambda series: series.whole()[1],
    "min": lambda series: series.whole()[3],
    "max": lambda series: series.whole()[4],
}
