"""Metrics for OpenTelemetry: observable instruments. Needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
from typing_extensions import Self

import agentreg
from agentreg.extensions.monitoring.exporting.naming import described
from agentreg.extensions.monitoring.metrics.names import TRACKED, UNITS
from agentreg.extensions.monitoring.metrics.store import MetricsStore
from agentreg.extensions.monitoring.tracking import Tracking

__all__ = ["OpenTelemetryExport"]

_UNITS = {"ratio": "1", "seconds": "s", "tasks": "{task}"}


class OpenTelemetryExport:
    """Instruments of the meter ``agentreg``: the latest values of a store, and the tasks that a tracking has counted.

    They are read whenever the provider's reader collects. OpenTelemetry
    can't take instruments back: after `close` they give nothing. An agent
    that was not sampled for *within* seconds is left out.

    Thread-safe: yes.

    Args:
        store: Whose values.
        tracking: Whose tasks, if any.
        provider: OpenTelemetry's meter provider; without it, the global one.
        metrics: Which metrics; OpenTelemetry wants to know beforehand.
        within: Seconds after which a value is too old.
    """

    def __init__(
        self,
        store: MetricsStore,
        tracking: Tracking | None = None,
        *,
        provider: MeterProvider | None = None,
        metrics: Iterable[str] = TRACKED,
        within: float = 60.0,
    ) -> None:
        self._store: MetricsStore | None = store
        self._tracking = tracking
        self._within = within
        meter = (provider or get_meter_provider()).get_meter("agentreg", agentreg.__version__)
        for metric in metrics:
            unit = _UNITS.get(UNITS.get(metric, ""), "")
            meter.create_observable_gauge(f"agentreg.{metric}", [self._gauge(metric)], unit, described(metric))
        if tracking is not None:
            meter.create_observable_counter("agentreg.tasks", [self._tasks], "{task}", "Tasks that have ended.")
            meter.create_observable_counter("agentreg.task_time", [self._seconds], "s", "What tasks took together.")

    def close(self) -> None:
        """Observe nothing any more. Calling it again is harmless."""
        self._store = self._tracking = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _gauge(self, metric: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            store = self._store
            values = {} if store is None or metric not in store.metrics() else store.latest(metric, self._within)
            return [Observation(value, {"agent": agent}) for agent, value in values.items()]

        return observe

    def _tasks(self, options: CallbackOptions) -> Iterable[Observation]:
        figures = {} if self._tracking is None else self._tracking.figures()
        for agent, each in figures.items():
            yield Observation(each.tasks - each.failures, {"agent": agent, "outcome": "ok"})
            yield Observation(each.failures, {"agent": agent, "outcome": "failed"})

    def _seconds(self, options: CallbackOptions) -> Iterable[Observation]:
        figures = {} if self._tracking is None else self._tracking.figures()
        return [Observation(each.seconds, {"agent": agent}) for agent, each in figures.items()]
