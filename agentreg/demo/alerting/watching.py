"""The watch: what tasks took goes into the metrics and through the rules, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentreg.demo.alerting.scene import Scene
from agentreg.extensions.monitoring import AlertEvent, Alerts, MetricsStore, Tracking

__all__ = ["Watch"]

TICK = 0.1  # seconds


class Watch:
    """Feeds a store of metrics and the alerts with what was counted.

    Args:
        rules: What must not be.
        scene: Where the response times are shown.
        told: Called with every event of an alert.

    Attributes:
        metrics: What every task took, and which failed.
        alerts: The rules, and what they say.
    """

    def __init__(self, rules: list[str], scene: Scene, told: Callable[[AlertEvent], None]) -> None:
        self.metrics = MetricsStore(interval=1)
        self.alerts = Alerts(rules)
        self._scene = scene
        self._told = told
        self._tracking = Tracking()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Count the runs of agents until the end of the block."""
        with self._tracking.attach(), self.metrics:
            yield

    async def go_on(self) -> None:
        """Look every tenth of a second; never ends by itself."""
        while True:
            self.look()
            await asyncio.sleep(TICK)

    def look(self) -> None:
        """Take what was counted since the last look, and evaluate the rules."""
        times, errors = self._tracking.drain()
        for metric, summaries in (("response_time", times), ("error_rate", errors)):
            self.metrics.record_summaries(metric, summaries)
            self.alerts.observe_many(metric, {agent: summary.mean for agent, summary in summaries.items()})
        self._scene.measured({agent: summary.mean for agent, summary in times.items()})
        self._scene_counts()
        for event in self.alerts.evaluate():
            self._told(event)

    def _scene_counts(self) -> None:
        figures = self._tracking.figures()
        for name, lane in self._scene.lanes.items():
            if name in figures:
                lane.tasks, lane.failures = figures[name].tasks, figures[name].failures
