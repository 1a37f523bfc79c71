"""The registry in figures: who is there, what they use, and how they do."""

from __future__ import annotations

import re
import statistics as arithmetic
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentreg.extensions.monitoring.metrics.spans import DAY
from agentreg.extensions.monitoring.metrics.store import MetricsStore

__all__ = ["Performer", "Record", "Statistics", "statistics"]

STATES = ("active", "idle", "error", "maintenance")
TOP = 3
_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|%)?", re.IGNORECASE)
_FACTORS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "%": 0.01}


class Record(Protocol):
    """What is read of an agent's record: ``AgentMetadata`` of the directory is one.

    A resource or performance figure is a number (bytes, seconds, a part of
    1) or text with a unit, as ``"256mb"``, ``"1.2s"`` or ``"99.8%"``.
    """

    @property
    def agent_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> Any: ...
    @property
    def work_state(self) -> Any: ...
    @property
    def active_tasks(self) -> int: ...
    @property
    def max_concurrency(self) -> int: ...
    @property
    def resources(self) -> Mapping[str, Any]: ...
    @property
    def performance(self) -> Mapping[str, Any]: ...
    @property
    def completed_tasks(self) -> int: ...
    @property
    def failed_tasks(self) -> int: ...
    @property
    def avg_execution_time(self) -> float: ...


@dataclass(frozen=True)
class Performer:
    """An agent that leads in something.

    Attributes:
        name: Its name.
        what: In what: ``"uptime"``, ``"avg response"`` or ``"success rate"``.
        value: A part of 1, or seconds.
    """

    name: str
    what: str
    value: float

    def __str__(self) -> str:
        return f"{_seconds(self.value) if self.what == 'avg response' else _percent(self.value)} {self.what}"


@dataclass(frozen=True)
class Statistics:
    """What all agents are together. A figure that nobody knows is None.

    Attributes:
        total: How many agents there are.
        states: Work state -> how many: active, idle, error, maintenance, and offline for those that can't be reached.
        memory_used, memory_allocated: Bytes, of the agents that say both.
        memory: The used part, from 0 to 1.
        cpu: The used part on average, from 0 to 1.
        queued: How many tasks wait.
        response_time: Seconds that a task takes on average.
        success_rate: The part of the tasks that go well, from 0 to 1.
        uptime: The part of the time that agents are up, on average, from 0 to 1.
        top: Who leads in uptime, response time and success rate.
    """

    total: int
    states: Mapping[str, int] = field(default_factory=dict)
    memory_used: float | None = None
    memory_allocated: float | None = None
    memory: float | None = None
    cpu: float | None = None
    queued: int = 0
    response_time: float | None = None
    success_rate: float | None = None
    uptime: float | None = None
    top: Sequence[Performer] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values for people: ``agent_counts``, ``resource_utilization``, ``performance_metrics``, and the best.

        >>> statistics([]).to_dict()["resource_utilization"]
        {'memory': None, 'cpu': None, 'task_queue': '0 pending'}
        """
        return {
            "agent_counts": {"total": self.total, **self.states},
            "resource_utilization": {
                "memory": self._memory(),
                "cpu": None if self.cpu is None else f"{100 * self.cpu:.0f}% average",
                "task_queue": f"{self.queued} pending",
            },
            "performance_metrics": {
                "avg_response_time": None if self.response_time is None else _seconds(self.response_time),
                "success_rate": None if self.success_rate is None else _percent(self.success_rate),
                "uptime": None if self.uptime is None else _percent(self.uptime),
            },
            "top_performers": [{each.name: str(each)} for each in self.top],
        }

    def __str__(self) -> str:
        """The same as text, with a line for each figure."""
        plain = self.to_dict()
        lines: list[str] = []
        for title in ("agent_counts", "resource_utilization", "performance_metrics"):
            lines += [f"{title}:", *(f"  {key}: {'-' if each is None else each}" for key, each in plain[title].items())]
        best = [f"  - {each.name}: {each}" for each in self.top] or ["  -"]
        return "\n".join([*lines, "top_performers:", *best])

    def _memory(self) -> str | None:
        if self.memory is None:
            return None
        share = f"{100 * self.memory:.0f}%"
        if not self.memory_allocated or self.memory_used is None:
            return share
        return f"{share} ({_gigabytes(self.memory_used)} / {_gigabytes(self.memory_allocated)})"


def statistics(
    records: Iterable[Record],
    store: MetricsStore | None = None,
    *,
    window: float = DAY,
    within: float = 60.0,
    clock: Callable[[], float] = time.time,
) -> Statistics:
    """What *records* say together, and what *store* has measured, which counts more than what records say.

    Processor, memory and queue are those of the latest samples of at most
    *within* seconds ago, response time and success rate those of the last
    *window* seconds. Who is not in *records* does not count in the former.
    The uptime is what records say of it.

    Raises MetricsStoreError if the store's file can't be read.

    >>> print(statistics([]))
    agent_counts:
      total: 0
      active: 0
      idle: 0
      error: 0
      maintenance: 0
      offline: 0
    resource_utilization:
      memory: -
      cpu: -
      task_queue: 0 pending
    performance_metrics:
      avg_response_time: -
      success_rate: -
      uptime: -
    top_performers:
      -
    """
    records = list(records)
    counts = Counter(map(_state, records))
    measured = _Measured(records, store, clock() - window, within)
    used, allocated = _memory_of(records)
    return Statistics(
        total=len(records),
        states={state: counts[state] for state in (*STATES, "offline")},
        memory_used=used,
        memory_allocated=allocated,
        memory=used / allocated if used is not None and allocated else measured.mean("memory_usage"),
        cpu=_first(measured.mean("cpu_utilization"), _cpu_of(records)),
        queued=round(_first(measured.total("task_queue_length"), float(sum(map(_tasks, records)))) or 0),
        response_time=_first(measured.over_time("response_time"), _mean(map(_response_time, records))),
        success_rate=_first(_complement(measured.over_time("error_rate")), _mean(map(_success_rate, records))),
        uptime=_mean(map(_uptime, records)),
        top=tuple(_top(records, measured)),
    )


class _Measured:
    """What a store knows of these agents; of one that is None: nothing."""

    def __init__(self, records: Sequence[Record], store: MetricsStore | None, since: float, within: float) -> None:
        self._names = {name for record in records for name in (record.agent_id, record.name)}
        self._store, self._since, self._within = store, since, within

    def latest(self, metric: str) -> dict[str, float]:
        found = {} if self._store is None else self._store.latest(metric, self._within)
        return {agent: value for agent, value in found.items() if agent in self._names}

    def mean(self, metric: str) -> float | None:
        return _mean(self.latest(metric).values())

    def total(self, metric: str) -> float | None:
        values = self.latest(metric).values()
        return sum(values) if values else None

    def over_time(self, metric: str) -> float | None:
        points = () if self._store is None else self._store.query(metric, since=max(self._since, 0)).points
        count = sum(point.count for point in points)
        return sum(point.mean * point.count for point in points) / count if count else None


# -- what a record says -----------------------------------------------------


def _word(value: Any) -> str:
    return str(getattr(value, "value", value))


def _state(record: Record) -> str:
    status = _word(record.status)
    return {"offline": "offline", "unhealthy": "error"}.get(status, _word(record.work_state))


def _tasks(record: Record) -> int:
    said = record.resources.get("active_tasks")
    return said if isinstance(said, int) and not isinstance(said, bool) else record.active_tasks


def _memory_of(records: Iterable[Record]) -> tuple[float | None, float | None]:
    pairs = [
        (_bytes(each.resources.get("memory_used")), _bytes(each.resources.get("memory_allocated"))) for each in records
    ]
    known = [(used, allocated) for used, allocated in pairs if used is not None and allocated]
    return (sum(pair[0] for pair in known), sum(pair[1] for pair in known)) if known else (None, None)


def _cpu_of(records: Iterable[Record]) -> float | None:
    """The busy part of the agents' slots, where nobody has measured."""
    slots = tasks = 0.0
    for record in records:
        own = record.resources.get("max_concurrent_tasks", record.max_concurrency)
        slots += own if isinstance(own, (int, float)) else 0
        tasks += _tasks(record)
    return tasks / slots if slots and tasks else None


def _response_time(record: Record) -> float | None:
    return _first(_number(record.performance.get("avg_response_time")), record.avg_execution_time or None)


def _success_rate(record: Record) -> float | None:
    tasks = record.completed_tasks + record.failed_tasks
    counted = record.completed_tasks / tasks if tasks else None
    return _first(_rate(record.performance.get("task_success_rate")), counted)


def _uptime(record: Record) -> float | None:
    return _rate(record.performance.get("uptime"))


def _top(records: Sequence[Record], measured: _Measured) -> list[Performer]:
    """The best in uptime, response time and success rate; nobody twice while there are others."""
    times = measured.latest("response_time")

    def seconds(record: Record) -> float | None:
        return _first(_first(times.get(record.agent_id), times.get(record.name)), _response_time(record))

    best: list[Performer] = []
    for what, value_of, sign in (
        ("uptime", _uptime, -1),
        ("avg response", seconds, 1),
        ("success rate", _success_rate, -1),
    ):
        rated = [(value, record.name) for record in records if (value := value_of(record)) is not None]
        ranked = sorted(rated, key=lambda pair: sign * pair[0])
        taken = {each.name for each in best}
        chosen = next((pair for pair in ranked if pair[1] not in taken), ranked[0] if ranked else None)
        if chosen is not None:
            best.append(Performer(chosen[1], what, chosen[0]))
    return best[:TOP]


# -- numbers ----------------------------------------------------------------


def _bytes(said: Any) -> float | None:
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return float(said) if said >= 0 else None
    found = _SIZE.fullmatch(said.strip()) if isinstance(said, str) else None
    return float(found[1]) * _SIZES[found[2].lower()] if found else None


def _number(said: Any) -> float | None:
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return float(said) if said >= 0 else None
    found = _NUMBER.fullmatch(said.strip()) if isinstance(said, str) else None
    return float(found[1]) * _FACTORS.get((found[2] or "").lower(), 1.0) if found else None


def _rate(said: Any) -> float | None:
    """A part of 1; a number above 1 is one of a hundred."""
    number = _number(said)
    return number / 100 if number is not None and number > 1 else number


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _complement(part: float | None) -> float | None:
    return None if part is None else 1 - part


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return arithmetic.fmean(known) if known else None


def _percent(part: float) -> str:
    return f"{100 * part:.1f}%"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g}s"


def _gigabytes(size: float) -> str:
    return f"{size / (1 << 30):.3g}GB"
