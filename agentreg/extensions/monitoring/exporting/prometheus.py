"""Metrics for Prometheus: a collector for prometheus-client. Needs the extra ``monitoring``."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from agentreg.extensions.monitoring.exporting.naming import described, exported_name
from agentreg.extensions.monitoring.metrics.store import MetricsStore
from agentreg.extensions.monitoring.tracking import Tracking

__all__ = ["PrometheusCollector", "prometheus_text"]


class PrometheusCollector(Collector):
    """The latest values of a store, and the tasks that a tracking has counted, whenever Prometheus asks.

    ``REGISTRY.register(PrometheusCollector(store))`` adds it to what a
    program exports already. An agent that was not sampled for *within*
    seconds is left out.

    Thread-safe: yes. It may raise MetricsStoreError, as `MetricsStore.latest` does.
    """

    def __init__(self, store: MetricsStore, tracking: Tracking | None = None, *, within: float = 60.0) -> None:
        self._store = store
        self._tracking = tracking
        self._within = within

    def collect(self) -> Iterator[Metric]:
        """A gauge for each metric; with a tracking, a counter of tasks and a summary of their seconds."""
        for metric in self._store.metrics():
            gauge = GaugeMetricFamily(exported_name(metric), described(metric), labels=["agent"])
            for agent, value in self._store.latest(metric, self._within).items():
                gauge.add_metric([agent], value)
            yield gauge
        if self._tracking is not None:
            yield from self._tasks(self._tracking)
        dropped = CounterMetricFamily("agentreg_metrics_dropped", "Samples that were not taken.", labels=["reason"])
        for reason, count in self._store.dropped.items():
            dropped.add_metric([reason], count)
        yield dropped

    def describe(self) -> Iterator[Metric]:
        """Nothing: which metrics there are shows when it is asked."""
        return iter(())

    def _tasks(self, tracking: Tracking) -> Iterator[Metric]:
        tasks = CounterMetricFamily("agentreg_tasks", "Tasks that have ended.", labels=["agent", "outcome"])
        seconds = SummaryMetricFamily("agentreg_task_seconds", "What tasks took.", labels=["agent"])
        for agent, figures in tracking.figures().items():
            tasks.add_metric([agent, "ok"], figures.tasks - figures.failures)
            tasks.add_metric([agent, "failed"], figures.failures)
            seconds.add_metric([agent], figures.tasks, figures.seconds)
        yield tasks
        yield seconds


def prometheus_text(store: MetricsStore, tracking: Tracking | None = None, *, within: float = 60.0) -> bytes:
    """What `PrometheusCollector` gives as text, for a program that has no registry of prometheus-client's.

    >>> store = MetricsStore()
    >>> store.record("memory_usage", "planner", 0.5)
    >>> print(prometheus_text(store).decode().splitlines()[2])
    agentreg_memory_usage_ratio{agent="planner"} 0.5
    """
    from prometheus_client import generate_latest

    registry = CollectorRegistry()
    registry.register(PrometheusCollector(store, tracking, within=within))
    return generate_latest(registry)
