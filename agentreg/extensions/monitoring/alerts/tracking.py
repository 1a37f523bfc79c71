"""One rule over all agents: who is pending, who is firing, and when that changes.

Nobody is looked at one by one unless something happens to them: a rule
sees the set of the agents for which its condition holds.

Not thread-safe: their user holds a lock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from agentreg.extensions.monitoring.alerts.events import Reason
from agentreg.extensions.monitoring.alerts.rule import AlertRule
from agentreg.extensions.monitoring.alerts.series import Levels, Ordered, holds
from agentreg.extensions.monitoring.alerts.windows import Window

__all__ = ["Acknowledgement", "EachTracker", "Firing", "Tracker", "Transition", "WindowTracker"]


@dataclass(frozen=True)
class Acknowledgement:
    """Who has seen an alert, when (seconds since 1970), and what they said."""

    by: str
    at: float
    note: str = ""


@dataclass
class Firing:
    """An alert that fires.

    Attributes:
        since: Since when the condition has held, by the clock.
        fired_at: When it fired, by the clock.
        told_at: When the handlers were last told, by the clock; None: a silence has kept it from them.
        near_since: At which evaluation the condition was first found false, though not by the margin; else None.
        acknowledged: By whom, or None.
    """

    since: float
    fired_at: float
    told_at: float | None = None
    near_since: float | None = None
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True)
class Transition:
    """What an evaluation has found."""

    kind: Literal["firing", "resolved"]
    agent: str
    value: float | None
    firing: Firing
    reason: Reason = ""


class Tracker(ABC):
    """A rule and its alerts.

    Attributes:
        rule: The rule.
        pending: Agent -> since when its condition has held, by the clock, where it does not fire yet.
        firing: Agent -> its alert.
        touched: The agents whose alert has changed since this was last emptied.
        untold: The agents whose alert fires, and of which a silence has kept the handlers.
    """

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.pending: dict[str, float] = {}
        self.firing: dict[str, Firing] = {}
        self.touched: set[str] = set()
        self.untold: set[str] = set()
        self._nearing: set[str] = set()
        self._scope: set[str] | None = None if rule.agents == "*" else set()
        self._threshold = rule.threshold
        sign = {">": -1, ">=": -1, "<": 1, "<=": 1}.get(rule.operator, 0)
        self._loosened = self._threshold + sign * float(rule.margin) * abs(self._threshold)

    def meet(self, agents: Iterable[str]) -> None:
        """Hear of agents that were not known before."""
        if self._scope is not None:
            self._scope.update(agent for agent in agents if fnmatchcase(agent, self.rule.agents))

    def forget(self, agent: str) -> Firing | None:
        """Drop an agent; its alert, if it was firing."""
        if self._scope is not None:
            self._scope.discard(agent)
        self._nearing.discard(agent)
        self.untold.discard(agent)
        pending, firing = self.pending.pop(agent, None), self.firing.pop(agent, None)
        if pending is not None or firing is not None:
            self.touched.add(agent)
        return firing

    @abstractmethod
    def value_of(self, agent: str) -> float | None:
        """What was compared last."""

    @abstractmethod
    def evaluate(self, now: float) -> Iterator[Transition]:
        """What changes at *now*; to be exhausted."""

    def matching(self, values: Ordered) -> set[str]:
        """The agents that this rule is about and whose value fulfils its condition."""
        found = values.matching(self.rule.operator, self._threshold)
        if not found:
            return set()
        return set(found) if self._scope is None else self._scope.intersection(found)

    def _fire(self, agents: Iterable[str], now: float) -> Iterator[Transition]:
        for agent in agents:
            firing = self.firing[agent] = Firing(self.pending.pop(agent), now)
            self.touched.add(agent)
            yield Transition("firing", agent, self.value_of(agent), firing)

    def _resolve(self, agents: Iterable[str], now: float) -> Iterator[Transition]:
        for agent in agents:
            value = self.value_of(agent)
            reason = self._reason(agent, value, now)
            if reason:
                firing = self.firing[agent]
                self.forget_alert(agent)
                yield Transition("resolved", agent, value, firing, reason)

    def forget_alert(self, agent: str) -> None:
        """The alert is over."""
        del self.firing[agent]
        self._nearing.discard(agent)
        self.untold.discard(agent)
        self.touched.add(agent)

    def _reason(self, agent: str, value: float | None, now: float) -> Reason:
        """Why the alert of *agent*, whose condition holds no more, is resolved; empty while it is not."""
        if value is None:
            return "no data"
        if not holds(value, self.rule.operator, self._loosened):
            return "recovered"
        firing = self.firing[agent]
        if firing.near_since is None:
            firing.near_since = now
            self._nearing.add(agent)
        return "recovered" if now - firing.near_since >= self.rule.clear_after / 1000 else ""

    def _renew(self, agents: Iterable[str]) -> None:
        """Those that were near to be resolved, and whose condition holds again."""
        for agent in agents:
            self.firing[agent].near_since = None
            self._nearing.discard(agent)


class EachTracker(Tracker):
    """A rule about every single sample: `pending` is kept up as they come in."""

    def __init__(self, rule: AlertRule, levels: Levels) -> None:
        super().__init__(rule)
        self._levels = levels
        self._lapsed: set[str] = set()  # whose alert fires, and whose last sample does not fulfil the condition

    def value_of(self, agent: str) -> float | None:
        """The latest sample."""
        return self._levels.latest.get(agent)

    def take(self, values: Ordered, at: float) -> None:
        """Take in samples."""
        holding, fed = self.matching(values), values.values
        if self.pending:
            self._end([agent for agent in _both(self.pending, fed) if agent not in holding])
        if self._lapsed:
            self._lapsed -= holding
        if self.firing and not holding.issuperset(self.firing):
            self._lapsed.update(agent for agent in _both(self.firing, fed) if agent not in holding)
        for agent in holding.difference(self.firing):
            if agent not in self.pending:
                self.pending[agent] = at
                self.touched.add(agent)

    def interrupt(self, agents: Iterable[str]) -> None:
        """Nobody knows whether the condition of *agents* holds."""
        self._end([agent for agent in agents if agent in self.pending])
        self._lapsed.update(agent for agent in agents if agent in self.firing)

    def _end(self, agents: Iterable[str]) -> None:
        for agent in agents:
            del self.pending[agent]
            self.touched.add(agent)

    def forget_alert(self, agent: str) -> None:
        """The alert is over."""
        super().forget_alert(agent)
        self._lapsed.discard(agent)

    def forget(self, agent: str) -> Firing | None:
        """Drop an agent; its alert, if it was firing."""
        self._lapsed.discard(agent)
        return super().forget(agent)

    def evaluate(self, now: float) -> Iterator[Transition]:
        """Fire who has been pending for as long as the rule says, with a sample among what is known now."""
        if self.pending:
            latest, edge = self._levels.latest, now - self.rule.seconds
            due = [agent for agent, since in self.pending.items() if since <= edge and agent in latest]
            yield from self._fire(due, now)
        if self._nearing:
            self._renew(self._nearing - self._lapsed)
        if self._lapsed:
            yield from self._resolve(tuple(self._lapsed), now)


class WindowTracker(Tracker):
    """A rule about an aggregate over a window, or about the events in it."""

    def __init__(self, rule: AlertRule, window: Window) -> None:
        super().__init__(rule)
        self.window = window
        self._values: Mapping[str, float] = {}
        self._waiting: set[str] = set()
        self._at_once = rule.counted and rule.operator in (">", ">=")  # more events can only make it truer

    def value_of(self, agent: str) -> float | None:
        """The aggregate as of the last evaluation; of events, 0 where there were none."""
        return self._values.get(agent, 0.0 if self.rule.counted else None)

    def evaluate(self, now: float) -> Iterator[Transition]:
        """Fire whose aggregate fulfils the condition, once the window is full."""
        return self.evaluate_with(now, self.window.values(self.rule.aggregate), self.window.young(now))

    def evaluate_with(self, now: float, values: Ordered, young: set[str]) -> Iterator[Transition]:
        """The same, with what other rules on the same window have asked for already."""
        self._values = values.values
        holding = self.matching(values)
        idle = not self.pending and not self._nearing
        if idle and len(holding) == len(self.firing) and holding.issuperset(self.firing):
            return
        self._waiting = self.window.waiting(now) if (self.pending or self.firing) else set()
        self._renew(self._nearing & holding)
        new = holding.difference(self.firing)
        self._keep_pending(new, now)
        yield from self._fire(new if self._at_once else new - young, now)
        yield from self._resolve([agent for agent in self.firing if agent not in holding], now)

    def _keep_pending(self, holding: set[str], now: float) -> None:
        for agent in [agent for agent in self.pending if agent not in holding and agent not in self._waiting]:
            del self.pending[agent]
            self.touched.add(agent)
        for agent in holding.difference(self.pending):
            self.pending[agent] = now
            self.touched.add(agent)

    def _reason(self, agent: str, value: float | None, now: float) -> Reason:
        if agent in self._waiting:
            return ""
        return super()._reason(agent, value, now)


def _both(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[str]:
    """What is in both, by way of the smaller."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    return (agent for agent in few if agent in many)
