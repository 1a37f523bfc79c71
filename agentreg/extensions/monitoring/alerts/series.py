"""What is known of the agents' metrics: the latest samples, put in order for any number of rules.

Not thread-safe: their user holds a lock.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping

from agentreg.extensions.monitoring.alerts.rule import Operator

__all__ = ["Levels", "Ordered", "holds"]

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
    """Values by agent, put in order at most once for any number of thresholds."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values
        self._low = min(values.values(), default=0.0)
        self._high = max(values.values(), default=0.0)
        self._agents: list[str] = []
        self._numbers: list[float] = []

    def matching(self, sign: Operator, threshold: float) -> list[str]:
        """The agents for whose value the comparison is true."""
        if self._is_out_of_reach(sign, threshold):  # mostly so: nothing has to be put in order then
            return []
        self._order()
        left = bisect_left(self._numbers, threshold)
        right = left if sign in (">=", "<") else bisect_right(self._numbers, threshold, left)
        if sign in (">", ">="):
            return self._agents[right:]
        if sign in ("<", "<="):
            return self._agents[:right]
        return self._agents[left:right] if sign == "==" else self._agents[:left] + self._agents[right:]

    def _is_out_of_reach(self, sign: Operator, threshold: float) -> bool:
        if sign in (">", ">="):
            return not holds(self._high, sign, threshold)
        return sign in ("<", "<=") and not holds(self._low, sign, threshold)

    def _order(self) -> None:
        if len(self._agents) < len(self.values):
            self._agents = sorted(self.values, key=self.values.__getitem__)
            self._numbers = list(map(self.values.__getitem__, self._agents))


class Levels:
    """The latest sample of each agent, of one metric.

    Attributes:
        latest: Agent -> value.
        heard: Agent -> when; also of an agent that was restored and has had no sample since.
    """

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self.heard: dict[str, float] = {}
        self._newest = -math.inf

    def is_late(self, at: float) -> bool:
        """Whether a sample of that time may come after a newer one."""
        return at < self._newest

    def put(self, values: Mapping[str, float], at: float) -> None:
        """Take in samples, none of them older than the agent's last."""
        self.latest.update(values)
        self.heard.update(dict.fromkeys(values, at))
        self._newest = max(self._newest, at)

    def restore(self, agent: str, at: float) -> None:
        """Let *agent* have been heard of at a time, if nothing is known of it."""
        self.heard.setdefault(agent, at)
        self._newest = max(self._newest, at)

    def older_than(self, moment: float) -> list[str]:
        """The agents that were last heard of before *moment*."""
        if not self.heard or min(self.heard.values()) >= moment:
            return []
        return [agent for agent, at in self.heard.items() if at < moment]

    def forget(self, agent: str) -> None:
        """Drop an agent."""
        self.latest.pop(agent, None)
        self.heard.pop(agent, None)
