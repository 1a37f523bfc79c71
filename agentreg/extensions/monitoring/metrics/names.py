"""Which metrics there are, what they are measured in, and what a metric may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["NAME_LIMIT", "TRACKED", "UNITS", "check_metric", "is_agent_name"]

NAME_LIMIT = 512  # characters of an agent's name

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "memory_usage": "ratio",
        "cpu_utilization": "ratio",
        "task_queue_length": "tasks",
        "response_time": "seconds",
        "error_rate": "ratio",
        "mcp_connection_health": "ratio",
    }
)
"""Tracked metric -> its unit. A ratio is a part of 1: 90 % of the memory are 0.9."""

TRACKED: tuple[str, ...] = tuple(UNITS)
"""The metrics that are expected of every agent. A store takes others, too."""

_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,99}")


def check_metric(metric: str) -> None:
    """Refuse what no metric can be called: it begins with a letter, and has at most 100 characters.

    Raises:
        ValueError: it says what is expected.

    >>> check_metric("queue length")
    Traceback (most recent call last):
    ValueError: metric: expected letters, digits and _ . : -, beginning with a letter, at most 100; got 'queue length'
    """
    if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
        expected = "letters, digits and _ . : -, beginning with a letter, at most 100"
        raise ValueError(f"metric: expected {expected}; got {metric!r:.120}")


def is_agent_name(name: object) -> bool:
    """Whether *name* can be that of an agent: text of 1 to 512 characters that UTF-8 can hold.

    >>> is_agent_name("planner"), is_agent_name(""), is_agent_name(7)
    (True, False, False)
    """
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
