"""The rules that hold unless you say otherwise."""

from __future__ import annotations

from agentreg.extensions.monitoring.alerts.rule import AlertRule

__all__ = ["DEFAULT_RULES"]

DEFAULT_RULES: tuple[AlertRule, ...] = tuple(
    map(
        AlertRule.parse,
        (
            "high_memory: memory_usage > 90% for 2m",
            "slow_response: response_time > 5s avg for 5m",
            "high_error_rate: error_rate > 10% for 1m",
            "connection_failures: connection_failures > 5 in 1m",
        ),
    )
)
"""high_memory, slow_response, high_error_rate and connection_failures."""
