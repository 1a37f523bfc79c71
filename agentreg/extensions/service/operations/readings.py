"""What a record says of its agent's use and performance, as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.service.full.figures import bytes_of

__all__ = ["Reading", "reading_of"]

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|%)?", re.IGNORECASE)
_FACTORS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "%": 0.01}
_WORDS = {"healthy": 1.0, "ok": 1.0, "connected": 1.0, "unhealthy": 0.0, "down": 0.0, "disconnected": 0.0}
_MOST = 1e15


class Reading:
    """What one state of a record says.

    Attributes:
        values: Metric -> value: fractions of 1, seconds, counts.
        used: Bytes of memory in use, None if it does not say.
        given: Bytes that it was given, None if it does not say.
        failures: How many connections have failed so far; None if it does not say.
        busy: Whether it says how busy its processor is.
    """

    __slots__ = ("busy", "failures", "given", "used", "values")

    def __init__(self, record: AgentMetadata) -> None:
        resources, performance = record.resources, record.performance
        self.used = _positive(bytes_of(resources.get("memory_used")))
        self.given = _positive(bytes_of(resources.get("memory_allocated")))
        self.failures = number(performance.get("connection_failures"))
        said = {
            "memory_usage": self.used / self.given if self.used is not None and self.given else None,
            "cpu_utilization": _first(_CPU, resources, performance, number),
            "task_queue_length": _first(_QUEUE, resources, {}, number),
            "response_time": number(performance.get("avg_response_time")),
            "error_rate": _errors(performance),
            "mcp_connection_health": _first(_HEALTH, performance, resources, _health),
        }
        self.values = {metric: value for metric, value in said.items() if value is not None}
        self.busy = "cpu_utilization" in self.values


_CPU = ("cpu_used", "cpu", "cpu_utilization")
_QUEUE = ("queued_tasks", "active_tasks")
_HEALTH = ("mcp_connection_health",)


def reading_of(record: AgentMetadata) -> Reading:
    """What *record* says now.

    >>> from agentreg.extensions.coordination.record import from_wire
    >>> wire = {"agent_id": "planner", "runtime_id": "worker", "token": "1", "registered": 0.0}
    >>> record = from_wire({**wire, "performance": {"task_success_rate": "98%", "avg_response_time": "1s"}})
    >>> {metric: round(value, 3) for metric, value in reading_of(record).values.items()}
    {'response_time': 1.0, 'error_rate': 0.02}
    """
    return Reading(record)


def number(said: Any) -> float | None:
    """The number that *said* is, or says: seconds, a fraction of 1, or a plain one; None if it is none.

    >>> number("500ms"), number("45%"), number(7), number("many")
    (0.5, 0.45, 7.0, None)
    """
    if isinstance(said, bool):
        return None
    if isinstance(said, (int, float)):
        return _positive(float(said)) if abs(said) <= _MOST else None
    found = _NUMBER.fullmatch(said.strip()) if isinstance(said, str) and len(said) < 40 else None
    return _positive(float(found[1]) * _FACTORS.get((found[2] or "").lower(), 1.0)) if found else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and 0 <= value <= _MOST else None


def _first(
    names: Iterable[str], one: Mapping[str, Any], other: Mapping[str, Any], read: Callable[[Any], float | None]
) -> float | None:
    for place in (one, other):
        for name in names:
            value = read(place.get(name))
            if value is not None:
                return value
    return None


def _errors(performance: Mapping[str, Any]) -> float | None:
    """The part of the tasks that fail; a number above 1 is one of a hundred."""
    rate = number(performance.get("error_rate"))
    if rate is not None:
        return rate / 100 if rate > 1 else rate
    rate = number(performance.get("task_success_rate"))
    if rate is not None:
        return max(0.0, 1 - (rate / 100 if rate > 1 else rate))
    tasks, errors = number(performance.get("total_tasks")), number(performance.get("error_count"))
    return min(errors / tasks, 1.0) if tasks and errors is not None else None


def _health(said: Any) -> float | None:
    """How many of its connections are well; a mapping has one entry for each."""
    if isinstance(said, Mapping):
        known = [value for value in map(_health, said.values()) if value is not None]
        return sum(known) / len(known) if known else None
    if isinstance(said, bool):
        return float(said)
    value = _WORDS.get(said.strip().lower()) if isinstance(said, str) else None
    return number(said) if value is None else value
