"""`Sampler`: asks for the values of all agents now and then, and records them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from agentreg.extensions.monitoring.metrics.errors import MetricsStoreError
from agentreg.extensions.monitoring.metrics.names import check_metric
from agentreg.extensions.monitoring.metrics.store import MetricsStore
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["Sampler", "Source", "TaskSource"]

TASK_NAME = "agentreg-metrics-sampler"

_log = logging.getLogger("agentreg")

Source = Callable[[], "Mapping[str, float] | Awaitable[Mapping[str, float]]"]
"""Gives agent -> value, plain or asynchronous."""


class TaskSource(Protocol):
    """What hands out tasks: a `Tracking`."""

    def drain(self) -> tuple[dict[str, Summary], dict[str, Summary]]:
        """Agent -> the times of its tasks since the last call, and agent -> their errors."""
        ...


class Sampler:
    """Records what its sources give, one sample of each metric at a time.

    Nothing runs by itself until `start`. A source that fails is logged and
    counted in `failures`, and the others go on. Thread-safe: no, it belongs
    to one event loop; the store may be used from anywhere.

    Args:
        store: Where the samples go.
        sources: Metric -> a function that gives agent -> value, plain or asynchronous. A plain one should not
            wait: it holds up the loop.
        tracking: Whose tasks become ``response_time`` and ``error_rate``.
        clock: Gives the seconds since 1970.
        sleep: Waits for so many seconds.

    Attributes:
        failures: Metric -> how often its source failed; ``"flush"``: how often the file could not be written.

    Example:
        >>> store = MetricsStore()
        >>> sampler = Sampler(store, {"task_queue_length": lambda: {"planner": 3}})
        >>> asyncio.run(sampler.sample())
        >>> store.latest("task_queue_length")
        {'planner': 3.0}
    """

    def __init__(
        self,
        store: MetricsStore,
        sources: Mapping[str, Source],
        *,
        tracking: TaskSource | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        for metric in sources:
            check_metric(metric)
        self.failures: Counter[str] = Counter()
        self._store = store
        self._sources = dict(sources)
        self._tracking = tracking
        self._clock = clock
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started, and goes on."""
        return self._task is not None and not self._task.done()

    async def sample(self) -> None:
        """Record one sample of each metric; in a thread, flush when that is due, and roll up a part of what is old."""
        at = self._clock()
        for metric, source in self._sources.items():
            await self._ask(metric, source, at)
        if self._tracking is not None:
            times, errors = self._tracking.drain()
            self._store.record_summaries("response_time", times, at)
            self._store.record_summaries("error_rate", errors, at)
        await self._in_thread(self._store.flush if self._store.flush_due else self._store.tend)

    def start(self) -> None:
        """Sample at each multiple of the store's interval, in a task of the running loop. Again: nothing happens."""
        if not self.running:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=TASK_NAME)

    async def stop(self) -> None:
        """End the task, take a last account of the tasks, and flush. Calling it again is harmless."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._tracking is not None:
            times, errors = self._tracking.drain()
            self._store.record_summaries("response_time", times)
            self._store.record_summaries("error_rate", errors)
        await self._in_thread(self._store.flush)

    async def _run(self) -> None:
        interval = self._store.interval
        while True:
            await self._sleep(interval - self._clock() % interval)
            try:
                await self.sample()
            except Exception:
                self.failures["sample"] += 1
                _log.exception("a sample of the metrics failed; the next one is tried")

    async def _ask(self, metric: str, source: Source, at: float) -> None:
        try:
            values = source()
            if inspect.isawaitable(values):
                values = await values
            self._store.record_many(metric, values, at)
        except Exception:
            self.failures[metric] += 1
            _log.exception("the source of %s failed", metric)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except MetricsStoreError as error:
            self.failures["flush"] += 1
            _log.warning("samples wait in memory: %s", error)
