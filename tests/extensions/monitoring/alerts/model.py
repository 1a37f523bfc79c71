"""Alerts as they would be without any cleverness: every sample is kept, and everything is worked out anew each time."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from agentreg.extensions.monitoring.alerts import AlertRule


def quantile(values: Sequence[float], part: float) -> float:
    """The value that *part* of the values don't exceed."""
    return sorted(values)[math.floor(part * (len(values) - 1))]


COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "avg": lambda values: sum(values) / len(values),
    "sum": sum,
    "count": len,
    "min": min,
    "max": max,
    "p50": lambda values: quantile(values, 0.5),
    "p95": lambda values: quantile(values, 0.95),
    "p99": lambda values: quantile(values, 0.99),
}
SLICES = 60

Told = tuple[str, str, str, str, float | None]  # kind, rule, agent, reason, value


@dataclass
class Naive:
    """One rule and one agent."""

    rule: AlertRule
    stale: float
    samples: list[tuple[float, float]] = field(default_factory=list)
    firing: bool = False
    near_since: float | None = None

    def take(self, value: float, at: float) -> None:
        self._let_go(at)
        self.samples.append((at, value))

    def evaluate(self, now: float) -> tuple[str, str, float | None] | None:
        """(kind, reason, value), if something changes."""
        self._let_go(now)
        value = self._value(now)
        if self._holds(value, 0.0):
            self.near_since = None
            if not self.firing and self._long_enough(now):
                self.firing = True
                return "firing", "", value
            return None
        return self._over(value, now) if self.firing else None

    def _over(self, value: float | None, now: float) -> tuple[str, str, float | None] | None:
        if value is None:
            reason = "no data"
        elif not self._holds(value, float(self.rule.margin)):
            reason = "recovered"
        else:
            self.near_since = now if self.near_since is None else self.near_since
            if now - self.near_since < self.rule.clear_after / 1000:
                return None
            reason = "recovered"
        self.firing, self.near_since = False, None
        return "resolved", reason, value

    def _holds(self, value: float | None, margin: float) -> bool:
        if value is None:
            return False
        sign = -1 if ">" in self.rule.operator else 1 if "<" in self.rule.operator else 0
        return COMPARE[self.rule.operator](value, self.rule.threshold + sign * margin * abs(self.rule.threshold))

    def _let_go(self, now: float) -> None:
        if self._is_each:
            if self.samples and now - self.samples[-1][0] > self.stale:
                self.samples.clear()
        elif not self.rule.counted and not self._within(now):
            self.samples.clear()

    @property
    def _is_each(self) -> bool:
        return self.rule.aggregate is None and not self.rule.counted

    def _within(self, now: float) -> list[float]:
        slice_ = self.rule.seconds / SLICES
        return [value for at, value in self.samples if math.floor(at / slice_) > math.floor(now / slice_) - SLICES]

    def _value(self, now: float) -> float | None:
        if self._is_each:
            return self.samples[-1][1] if self.samples else None
        within = self._within(now)
        if self.rule.counted:
            return sum(within) if self.samples or self.firing else None
        if not within:
            return None
        return AGGREGATES[self.rule.aggregate or ""](within)

    def _long_enough(self, now: float) -> bool:
        if self.rule.counted and ">" in self.rule.operator:
            return True
        if not self._is_each:
            return now - self.samples[0][0] >= self.rule.seconds
        since = math.inf
        for at, value in reversed(self.samples):
            if not self._holds(value, 0.0):
                break
            since = at
        return now - since >= self.rule.seconds


class NaiveAlerts:
    """The same for several rules and agents."""

    def __init__(self, rules: list[AlertRule], stale: float) -> None:
        self._rules = rules
        self._stale = stale
        self._all: dict[tuple[str, str], Naive] = {}
        self._heard: dict[tuple[str, str], float] = {}

    def observe(self, metric: str, agent: str, value: float, at: float) -> None:
        counted = metric == "connection_failures"
        if at < self._heard.get((metric, agent), -math.inf):
            if not counted:
                return
            at = self._heard[metric, agent]
        self._heard[metric, agent] = at
        for rule in self._rules:
            if rule.metric == metric and fnmatchcase(agent, rule.agents):
                self._all.setdefault((rule.name, agent), Naive(rule, self._stale)).take(value, at)

    def evaluate(self, now: float) -> Iterator[Told]:
        for (name, agent), each in self._all.items():
            change = each.evaluate(now)
            if change is not None:
                yield change[0], name, agent, *change[1:]
        self._heard = {key: at for key, at in self._heard.items() if now - at <= self._stale}

    def forget(self, agent: str) -> Iterator[Told]:
        for key in [key for key in self._all if key[1] == agent]:
            each = self._all.pop(key)
            if each.firing:
                yield "resolved", key[0], agent, "departed", None
        self._heard = {key: at for key, at in self._heard.items() if key[1] != agent}
