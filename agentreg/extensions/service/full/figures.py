"""The registry in figures: ``GET /registry/stats``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.service.full.shape import STATUSES, active_tasks, status_of

__all__ = ["bytes_of", "number_of", "statistics"]

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"([\d.]+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_NUMBER = re.compile(r"([\d.]+)\s*(ms|s|m|h|%)?", re.IGNORECASE)
_FACTORS = {"ms": 0.001, "m": 60.0, "h": 3600.0}
BEST = 3


def bytes_of(text: Any) -> float | None:
    """The size that *text* says; None if it says none.

    >>> bytes_of("1.5gb"), bytes_of("256mb"), bytes_of("a lot")
    (1610612736.0, 268435456.0, None)
    """
    found = _SIZE.fullmatch(str(text).strip())
    return _float(found[1], _UNITS[found[2].lower()]) if found else None


def number_of(text: Any) -> float | None:
    """The seconds or the percentage that *text* says; None if it says none.

    >>> number_of("1.2s"), number_of("99.8%"), number_of("500ms"), number_of(None)
    (1.2, 99.8, 0.5, None)
    """
    found = _NUMBER.fullmatch(str(text).strip())
    return _float(found[1], _FACTORS.get((found[2] or "").lower(), 1.0)) if found else None


def _float(digits: str, factor: float) -> float | None:
    try:
        return float(digits) * factor
    except ValueError:
        return None


def statistics(records: Sequence[AgentMetadata], revision: int) -> dict[str, Any]:
    """What all records say together. Figures that no record has are null."""
    counts = Counter(map(status_of, records))
    return {
        "agent_counts": {"total": len(records), **{status: counts[status] for status in STATUSES}},
        "resource_utilization": _resources(records),
        "performance_metrics": _performance(records),
        "top_performers": _best(records),
        "revision": revision,
    }


def _resources(records: Sequence[AgentMetadata]) -> dict[str, Any]:
    used = sum(bytes_of(record.resources.get("memory_used")) or 0 for record in records)
    allocated = sum(bytes_of(record.resources.get("memory_allocated")) or 0 for record in records)
    tasks = sum(map(active_tasks, records))
    slots = sum(_slots(record) for record in records)
    memory = f"{100 * used / allocated:.0f}% ({_gb(used)} / {_gb(allocated)})" if allocated else None
    return {
        "memory": memory,
        "cpu": f"{100 * tasks / slots:.0f}% average" if slots else None,
        "task_queue": f"{tasks} pending",
    }


def _slots(record: AgentMetadata) -> float:
    slots = record.resources.get("max_concurrent_tasks", record.max_concurrency)
    return slots if isinstance(slots, (int, float)) else 0


def _gb(size: float) -> str:
    return f"{size / (1 << 30):.3g}GB"


def _performance(records: Sequence[AgentMetadata]) -> dict[str, Any]:
    seconds = _mean(records, "avg_response_time")
    success, uptime = _mean(records, "task_success_rate"), _mean(records, "uptime")
    return {
        "avg_response_time": None if seconds is None else f"{seconds:.3g}s",
        "success_rate": None if success is None else f"{success:.1f}%",
        "uptime": None if uptime is None else f"{uptime:.1f}%",
    }


def _mean(records: Iterable[AgentMetadata], field: str) -> float | None:
    numbers = [number_of(record.performance.get(field)) for record in records]
    known = [number for number in numbers if number is not None]
    return fmean(known) if known else None


def _best(records: Iterable[AgentMetadata]) -> list[dict[str, str]]:
    rated = [(number_of(record.performance.get("task_success_rate")), record) for record in records]
    best = sorted(((rate, each) for rate, each in rated if rate is not None), key=lambda pair: -pair[0])[:BEST]
    return [{record.name: f"{rate:.1f}% success rate"} for rate, record in best]
