"""Handlers that are shipped: into the log, and into a function of yours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import get_args

from agentreg.extensions.monitoring.alerts.events import AlertEvent
from agentreg.extensions.monitoring.alerts.rule import Severity

__all__ = ["CallbackHandler", "LogHandler"]

_LEVELS: Mapping[str, int] = MappingProxyType(
    {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}
)
_SEVERITIES: tuple[str, ...] = get_args(Severity)


class LogHandler:
    """Writes each event into a log: firing ones with the level of their severity, resolved ones with INFO.

    The record's ``alert`` is the event, for formatters that want its parts.
    Thread-safe: yes.

    Args:
        logger: Where to; ``logging.getLogger("agentreg.alerts")`` if None.

    Example:
        >>> import logging
        >>> from agentreg.extensions.monitoring.alerts import Alerts
        >>> alerts = Alerts(handlers=[LogHandler(logging.getLogger("my.alerts"))])
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("agentreg.alerts")

    def notify(self, event: AlertEvent) -> None:
        """Write *event*."""
        level = logging.INFO if event.kind == "resolved" else _LEVELS[event.severity]
        self._logger.log(level, "%s", event.message, extra={"alert": event})


class CallbackHandler:
    """Calls a function with some of the events. Thread-safe: as the function is.

    Args:
        function: What is called.
        rules: Only with events of these rules, a pattern of names.
        agents: Only of these agents, a pattern.
        severity: Only with events that are at least as severe.

    Example:
        >>> urgent = CallbackHandler(print, severity="critical")
    """

    def __init__(
        self,
        function: Callable[[AlertEvent], object],
        *,
        rules: str = "*",
        agents: str = "*",
        severity: Severity = "info",
    ) -> None:
        if severity not in _SEVERITIES:
            raise ValueError(f"severity: expected one of {_SEVERITIES}, got {severity!r}")
        if not callable(function):
            raise TypeError(f"function: expected something to call, got {function!r:.200}")
        self._function = function
        self._rules, self._agents = rules, agents
        self._least = _SEVERITIES.index(severity)

    def notify(self, event: AlertEvent) -> None:
        """Call the function if *event* is one of those that were asked for."""
        severe = _SEVERITIES.index(event.severity) >= self._least
        if severe and fnmatchcase(event.rule, self._rules) and fnmatchcase(event.agent, self._agents):
            self._function(event)
