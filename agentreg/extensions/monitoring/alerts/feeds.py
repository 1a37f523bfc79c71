"""From metrics to rules: what is fed goes to the samples, windows and rules that it concerns.

Not thread-safe: their user holds a lock.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping

from agentreg.extensions.monitoring.alerts.rule import Aggregate, AlertRule
from agentreg.extensions.monitoring.alerts.series import Levels, Ordered
from agentreg.extensions.monitoring.alerts.texts import NAME_LIMIT, checked_text
from agentreg.extensions.monitoring.alerts.tracking import EachTracker, Firing, Tracker, Transition, WindowTracker
from agentreg.extensions.monitoring.alerts.units import Dimension
from agentreg.extensions.monitoring.alerts.windows import QUANTILES, Window

__all__ = ["Feeds"]


class Feeds:
    """All that is known of the agents, as far as some rule asks for it.

    Attributes:
        stale_after: Seconds after which a sample says nothing any more; infinite: never.
        late: How many samples were dropped because a newer one was there.
    """

    def __init__(self, metrics: Mapping[str, Dimension], stale_after: float | None) -> None:
        self.stale_after = math.inf if stale_after is None else stale_after
        self.late = 0
        self._metrics = metrics
        self._feeds: dict[str, _Feed] = {}
        self._agents: set[str] = set()

    # -- rules --------------------------------------------------------------

    def add(self, rule: AlertRule) -> Tracker:
        """Watch a rule."""
        tracker = self._feeds.setdefault(rule.metric, _Feed()).add(rule)
        tracker.meet(self._agents)
        return tracker

    def remove(self, tracker: Tracker) -> None:
        """Watch it no more; what only it asked for is dropped."""
        feed = self._feeds[tracker.rule.metric]
        feed.remove(tracker)
        if feed.is_idle:
            del self._feeds[tracker.rule.metric]

    def restore(self, tracker: Tracker, agent: str, since: float, firing: Firing | None, now: float) -> None:
        """Let an alert go on that was kept."""
        self._meet((agent,))
        self._feeds[tracker.rule.metric].restore(tracker, agent, since, now)
        if firing is None:
            tracker.pending[agent] = since
        else:
            tracker.firing[agent] = firing
            if firing.told_at is None and firing.acknowledged is None:
                tracker.untold.add(agent)

    # -- feeding ------------------------------------------------------------

    def check(self, metric: str, values: Mapping[str, float], counted: bool) -> None:
        """Refuse what can't be fed. Raises ValueError or TypeError."""
        dimension = self._metrics.get(metric)
        if dimension is None:
            near = difflib.get_close_matches(str(metric), self._metrics, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(sorted(self._metrics))}"
            raise ValueError(f"unknown metric {metric!r:.100}{hint}")
        if counted != (dimension == "events"):
            verb = "observe" if counted else "count"
            raise ValueError(f"{metric} is {'measured' if counted else 'counted'}: call {verb}()")
        _check_values(metric, values, counted)

    def observe(self, metric: str, values: Mapping[str, float], at: float) -> None:
        """Take in samples."""
        self._meet(values)
        feed = self._feeds.get(metric)
        if feed is not None:
            self.late += feed.observe(values, at, self.stale_after)

    def count(self, metric: str, agent: str, n: float, at: float) -> None:
        """Take in events; late ones count as of the latest."""
        self._meet((agent,))
        feed = self._feeds.get(metric)
        if feed is not None:
            feed.observe({agent: n}, max(at, feed.levels.heard.get(agent, at)), self.stale_after)

    def forget(self, agent: str) -> None:
        """Drop an agent."""
        self._agents.discard(agent)
        for feed in self._feeds.values():
            feed.forget(agent)

    def _meet(self, agents: Iterable[str]) -> None:
        if not self._agents.issuperset(agents):
            new = set(agents) - self._agents
            for agent in new:
                checked_text(agent, "agent", NAME_LIMIT)
            self._agents |= new
            for feed in self._feeds.values():
                for tracker in feed.trackers():
                    tracker.meet(new)

    # -- evaluating ---------------------------------------------------------

    def evaluate(self, now: float) -> Iterator[tuple[Tracker, Transition]]:
        """What changes at *now*; to be exhausted."""
        silent: set[str] = set()
        for feed in self._feeds.values():
            silent |= feed.drop_stale(now - self.stale_after)
            yield from feed.evaluate(now)
        for agent in silent:
            if not any(feed.knows(agent) for feed in self._feeds.values()):
                self.forget(agent)


class _Feed:
    """One metric: its samples, and the rules about it."""

    def __init__(self) -> None:
        self.levels = Levels()
        self._each: list[EachTracker] = []
        self._windows: dict[_Key, tuple[Window, list[WindowTracker]]] = {}

    @property
    def is_idle(self) -> bool:
        return not self._each and not self._windows

    def trackers(self) -> Iterator[Tracker]:
        yield from self._each
        for _, trackers in self._windows.values():
            yield from trackers

    def add(self, rule: AlertRule) -> Tracker:
        if not rule.counted and rule.aggregate is None:
            each = EachTracker(rule, self.levels)
            self._each.append(each)
            return each
        key = _window_key(rule)
        window, trackers = self._windows.setdefault(key, (Window(rule.seconds, *key[1:]), []))
        tracker = WindowTracker(rule, window)
        trackers.append(tracker)
        return tracker

    def remove(self, tracker: Tracker) -> None:
        if isinstance(tracker, EachTracker):
            self._each.remove(tracker)
            return
        key = _window_key(tracker.rule)
        self._windows[key][1].remove(tracker)  # type: ignore[arg-type]
        if not self._windows[key][1]:
            del self._windows[key]

    def restore(self, tracker: Tracker, agent: str, since: float, now: float) -> None:
        if isinstance(tracker, WindowTracker):
            tracker.window.restore(agent, since, now)
        else:
            self.levels.restore(agent, now)

    def observe(self, values: Mapping[str, float], at: float, stale_after: float) -> int:
        """Take in samples; how many were too late."""
        heard = self.levels.heard
        late = [agent for agent in values if heard.get(agent, at) > at] if self.levels.is_late(at) else ()
        if late:
            values = {agent: value for agent, value in values.items() if heard.get(agent, at) <= at}
        self._take(values, at, at - stale_after)
        return len(late)

    def _take(self, values: Mapping[str, float], at: float, stale: float) -> None:
        if self._each:
            gaps = [agent for agent in self.levels.older_than(stale) if agent in values]
            ordered = Ordered(values)
            for tracker in self._each:
                if gaps:
                    tracker.interrupt(gaps)
                tracker.take(ordered, at)
        self.levels.put(values, at)
        for window, _ in self._windows.values():
            window.add(values, at)

    def drop_stale(self, moment: float) -> set[str]:
        silent = self.levels.older_than(moment)
        for agent in silent:
            self.levels.forget(agent)
        for tracker in self._each:
            tracker.interrupt(silent)
        return set(silent)

    def knows(self, agent: str) -> bool:
        in_window = any(agent in window.series for window, _ in self._windows.values())
        return in_window or agent in self.levels.heard or any(agent in each.firing for each in self.trackers())

    def forget(self, agent: str) -> None:
        self.levels.forget(agent)
        for tracker in self.trackers():
            tracker.forget(agent)
        for window, _ in self._windows.values():
            window.series.pop(agent, None)

    def evaluate(self, now: float) -> Iterator[tuple[Tracker, Transition]]:
        for each in self._each:
            for transition in each.evaluate(now):
                yield each, transition
        for window, trackers in self._windows.values():
            window.settle(now)
            young = window.young(now)
            known: dict[Aggregate | None, Ordered] = {}
            for tracker in trackers:
                aggregate = tracker.rule.aggregate
                if aggregate not in known:
                    known[aggregate] = window.values(aggregate)
                for transition in tracker.evaluate_with(now, known[aggregate], young):
                    yield tracker, transition


_Key = tuple[int, bool, bool]


def _window_key(rule: AlertRule) -> _Key:
    """Rules with the same one share a window. Where few events are too few, those who are silent must be known."""
    keeps_silent = rule.counted and (rule.operator not in (">", ">=") or rule.threshold <= 0)
    return rule.window, keeps_silent, rule.aggregate in QUANTILES


def _check_values(metric: str, values: Mapping[str, float], counted: bool) -> None:
    usual = set(map(type, values.values())) <= {float, int}
    if usual and not counted and math.isfinite(sum(values.values())):
        return
    for agent, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{metric} of {agent!r}: expected a number, got {value!r:.100}")
        if not math.isfinite(value) or (counted and value <= 0):
            what = "a number of events above 0" if counted else "a finite number"
            raise ValueError(f"{metric} of {agent!r}: expected {what}, got {value!r}")
