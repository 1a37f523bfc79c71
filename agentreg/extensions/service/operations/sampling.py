"""Samples: what all records say, or is measured of them, into the metrics and the alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, AgentStatus
from agentreg.extensions.monitoring import TRACKED, AlertEvent, Alerts, MetricsStore
from agentreg.extensions.resources import Usage
from agentreg.extensions.service.operations.measured import Measuring
from agentreg.extensions.service.operations.readings import Reading, reading_of

__all__ = ["Columns", "Known", "Sampling", "totals_of"]

Columns = dict[str, dict[str, float]]
_SUMMED = "task_queue_length"


class Known(NamedTuple):
    """What was read of a record last.

    Attributes:
        token: Its registration's.
        revision: The change that showed in it.
        reading: What it said.
    """

    token: str
    revision: int
    reading: Reading


def totals_of(columns: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Metric -> what all agents have together: the sum of queues, the mean of the rest.

    >>> totals_of({"memory_usage": {"a": 0.25, "b": 0.75}, "task_queue_length": {"a": 2, "b": 3}, "error_rate": {}})
    {'memory_usage': 0.5, 'task_queue_length': 5.0}
    """
    return {
        metric: sum(values.values()) / (1 if metric == _SUMMED else len(values))
        for metric, values in columns.items()
        if values
    }


class Sampling:
    """Reads records, and hands on what they say. Belongs to one thread.

    A record is read again only when it has changed.

    Args:
        directory: Whose records.
        store: Where the samples go.
        alerts: Who watches them.
        given: The bytes that an agent was allocated, for one that does not say; None for none.
        clock: Gives the seconds since 1970.
        monotonic: Gives the seconds that alerts go by.
    """

    def __init__(
        self,
        directory: AgentDirectory,
        store: MetricsStore,
        alerts: Alerts,
        given: Callable[[str], int | None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._store = store
        self._alerts = alerts
        self._given = given
        self._clock = clock
        self._monotonic = monotonic
        self._measuring = Measuring(monotonic)
        self._known: dict[str, Known] = {}
        self._failed: dict[str, float] = {}

    def sample(self) -> Columns:
        """Take one sample of everybody who is there; what came of it."""
        records = [each for each in self._directory.records() if each.status is not AgentStatus.OFFLINE]
        readings = {record.agent_id: self._reading(record) for record in records}
        self._known = {agent_id: self._known[agent_id] for agent_id in readings}
        silent = [each for each in records if _is_silent(readings[each.agent_id])]
        return self._take(readings, self._measuring.look(silent))

    def feed(self, fresh: Mapping[str, Known | None]) -> Columns:
        """Take what these say just now, and for new ones what they said when they came; what came of it."""
        for agent_id, known in fresh.items():
            before = self._known.get(agent_id)
            if known is not None and (before is None or before.token != known.token):
                self._known[agent_id] = known
        records = [record for record in map(self._directory.agents.get, fresh) if record is not None]
        there = [record for record in records if record.status is not AgentStatus.OFFLINE]
        return self._take({record.agent_id: self._reading(record) for record in there}, {})

    def forget(self, agent_ids: Iterable[str]) -> list[AlertEvent]:
        """These have left; the events of their alerts, which are resolved."""
        events: list[AlertEvent] = []
        for agent_id in agent_ids:
            self._known.pop(agent_id, None)
            events += self._alerts.forget(agent_id)
        return events

    def _reading(self, record: AgentMetadata) -> Reading:
        agent_id, token, revision = record.agent_id, record.token, record.revision
        known = self._known.get(agent_id)
        if known is not None and known.revision == revision and known.token == token:
            return known.reading
        reading = reading_of(record)
        if known is not None and known.token == token:
            self._count(agent_id, known.reading.failures, reading.failures)
        self._known[agent_id] = Known(token, revision, reading)
        return reading

    def _count(self, agent_id: str, before: float | None, now: float | None) -> None:
        """Count the connections that have failed since; a count that is lower than before began anew."""
        if now is None or before is None:
            return
        more = now - before if now >= before else now
        if more > 0:
            self._failed[agent_id] = self._failed.get(agent_id, 0.0) + more

    def _take(self, readings: Mapping[str, Reading], measured: Mapping[str, Usage]) -> Columns:
        columns: Columns = {metric: {} for metric in TRACKED}
        used = {agent_id: each.used for agent_id, each in readings.items() if each.used is not None}
        for agent_id, reading in readings.items():
            for metric, value in reading.values.items():
                columns[metric][agent_id] = value
            if "memory_usage" not in reading.values and reading.used is not None:
                self._enter_share(columns, agent_id, reading.used, reading)
        for agent_id, usage in measured.items():
            reading = readings[agent_id]
            if reading.used is None:
                used[agent_id] = float(usage.memory)
                self._enter_share(columns, agent_id, usage.memory, reading)
            if not reading.busy and usage.cores is not None:
                columns["cpu_utilization"][agent_id] = usage.cores
        self._hand_on(columns, used)
        return columns

    def _enter_share(self, columns: Columns, agent_id: str, used: float, reading: Reading) -> None:
        given = reading.given or self._given(agent_id)
        if given:
            columns["memory_usage"][agent_id] = used / given

    def _hand_on(self, columns: Columns, used: dict[str, float]) -> None:
        at, moment = self._clock(), self._monotonic()
        for metric, values in columns.items():
            if values:
                self._store.record_many(metric, values, at)
                self._alerts.observe_many(metric, values, moment)
        if used:
            self._alerts.observe_many("memory_bytes", used, moment)
        failed, self._failed = self._failed, {}
        for agent_id, more in failed.items():
            self._alerts.count("connection_failures", agent_id, more, moment)


def _is_silent(reading: Reading) -> bool:
    return reading.used is None or not reading.busy
