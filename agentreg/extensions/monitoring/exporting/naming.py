"""What metrics are called elsewhere."""

from __future__ import annotations

import re

from agentreg.extensions.monitoring.metrics.names import UNITS

__all__ = ["described", "exported_name"]

_DESCRIBED = {
    "memory_usage": "Used part of an agent's memory.",
    "cpu_utilization": "Used part of an agent's processor time.",
    "task_queue_length": "Tasks that wait.",
    "response_time": "What a task took, on average over the last interval.",
    "error_rate": "Failed part of an agent's tasks in the last interval.",
    "mcp_connection_health": "Part of an agent's MCP connections that answer.",
}


def exported_name(metric: str) -> str:
    """The metric's name with its unit, as Prometheus wants it.

    >>> exported_name("response_time"), exported_name("task_queue_length"), exported_name("disk.free")
    ('agentreg_response_time_seconds', 'agentreg_task_queue_length', 'agentreg_disk_free')
    """
    unit = UNITS.get(metric, "")
    suffix = f"_{unit}" if unit in ("ratio", "seconds") else ""
    return f"agentreg_{re.sub('[^A-Za-z0-9_]', '_', metric)}{suffix}"


def described(metric: str) -> str:
    """A sentence on the metric."""
    return _DESCRIBED.get(metric, f"The metric {metric}.")
