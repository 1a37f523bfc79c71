"""What was sampled and is not on disk yet."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentreg.extensions.monitoring.metrics.latest import Latest
from agentreg.extensions.monitoring.metrics.names import is_agent_name
from agentreg.extensions.monitoring.metrics.slots import Slot
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["Limits", "Pending", "column_of"]

WAITING = 360  # slots of a metric that wait for a file that can't be written, at most


@dataclass(frozen=True)
class Limits:
    """How many names a store takes. Samples of any more are dropped, and counted in `MetricsStore.dropped`.

    Attributes:
        agents: How many agents.
        metrics: How many metrics.
    """

    agents: int = 20_000
    metrics: int = 64

    def __post_init__(self) -> None:
        for name, value in (("agents", self.agents), ("metrics", self.metrics)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"limits: {name}: expected a whole number from 1 up, got {value!r:.80}")


def column_of(values: Mapping[str, float]) -> array[float]:
    """The values as a column. Raises TypeError, which names the first that is no number."""
    try:
        return array("d", values.values())
    except TypeError:
        for agent, value in values.items():
            if not isinstance(value, (int, float)):
                raise TypeError(f"value of {agent!r:.120}: expected a number, got {value!r:.80}") from None
        raise


class Pending:
    """Slots in memory, and the latest values. Thread-safe: no, its user holds a lock.

    Attributes:
        slots: Metric -> when a slot begins -> the slot.
        latest: Metric -> its latest values.
        dropped: What was not taken -> how often.
    """

    def __init__(self, interval: int, limits: Limits) -> None:
        self.slots: dict[str, dict[int, Slot]] = {}
        self.latest: dict[str, Latest] = {}
        self.dropped: Counter[str] = Counter()
        self._interval = interval
        self._limits = limits
        self._agents: set[str] = set()
        self._rosters: dict[str, tuple[str, ...]] = {}

    def know(self, agents: Iterable[str]) -> None:
        """Count these among the agents, as far as there is room."""
        self._agents.update(agents)

    def unknow(self, agents: Iterable[str]) -> None:
        """Count these no longer."""
        self._agents.difference_update(agents)
        self._rosters.clear()

    def record(self, metric: str, values: Mapping[str, float], column: array[float], at: float, now: float) -> None:
        """Take a column of values."""
        if not self._takes(metric):
            self.dropped["metrics"] += len(column)
            return
        names = tuple(values)
        if names == self._rosters.get(metric) and math.isfinite(sum(column)):
            names = self._rosters[metric]  # the same object for all slots
        else:
            values = self._admitted(values)
            names, column = tuple(values), array("d", values.values())
            self._rosters[metric] = names
        if names:
            self._slot(metric, at).add(names, column)
            self.latest.setdefault(metric, Latest()).update(values, at, now)

    def record_summaries(self, metric: str, summaries: Mapping[str, Summary], at: float, now: float) -> None:
        """Take summaries of values."""
        if not self._takes(metric):
            self.dropped["metrics"] += len(summaries)
            return
        single = {name: each.total for name, each in summaries.items() if each.count == 1}
        if single:
            self.record(metric, single, array("d", single.values()), at, now)
        means = self._admitted({name: each.mean for name, each in summaries.items() if each.count > 1})
        if means:
            slot = self._slot(metric, at)
            for name in means:
                slot.add_summary(name, summaries[name])
            self.latest.setdefault(metric, Latest()).update(means, at, now)

    def drop(self, agent: str) -> None:
        """Forget an agent."""
        self.unknow([agent])
        for slots in self.slots.values():
            for slot in slots.values():
                slot.drop(agent)
        for latest in self.latest.values():
            latest.drop(agent)

    def take(self) -> dict[str, dict[int, Slot]]:
        """Hand out the slots, and begin anew."""
        taken, self.slots = self.slots, {}
        return taken

    def give_back(self, taken: dict[str, dict[int, Slot]]) -> None:
        """Take slots that could not be written, the latest of them if they are too many."""
        for metric, slots in taken.items():
            for time, newer in self.slots.get(metric, {}).items():
                slots.setdefault(time, Slot(time)).merge(newer)
            for time in sorted(slots)[:-WAITING]:
                self.dropped["unwritten"] += 1
                del slots[time]
            self.slots[metric] = slots

    def _takes(self, metric: str) -> bool:
        if metric in self.latest:
            return True
        if len(self.latest) >= self._limits.metrics:
            return False
        self.latest[metric] = Latest()
        return True

    def _slot(self, metric: str, at: float) -> Slot:
        time = int(at // self._interval) * self._interval
        slots = self.slots.setdefault(metric, {})
        slot = slots.get(time)
        if slot is None:
            slot = slots[time] = Slot(time)
        return slot

    def _admitted(self, values: Mapping[str, float]) -> dict[str, float]:
        """What can be taken: of agents with a name, as many as there is room for, with a finite value."""
        admitted = {}
        for name, value in values.items():
            if not math.isfinite(value):
                self.dropped["values"] += 1
            elif name in self._agents or self._enters(name):
                admitted[name] = float(value)
        return admitted

    def _enters(self, name: str) -> bool:
        if not is_agent_name(name) or len(self._agents) >= self._limits.agents:
            self.dropped["agents"] += 1
            return False
        self._agents.add(name)
        return True
