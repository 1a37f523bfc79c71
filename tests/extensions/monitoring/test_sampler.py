"""Sources are asked at each interval; one that fails does not spoil the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.monitoring import MetricsStore, Sampler, Tracking
from agentreg.extensions.monitoring.metrics.sampler import TASK_NAME
from tests.extensions.monitoring.hands import START, Hands


class Alarm:
    """Sleep that moves the clock, and lets the test go on after some rounds."""

    def __init__(self, hands: Hands, rounds: int) -> None:
        self.done = asyncio.Event()
        self._hands, self._left = hands, rounds

    async def __call__(self, seconds: float) -> None:
        if not self._left:
            self.done.set()
            await asyncio.Event().wait()
        self._left -= 1
        self._hands.tick(seconds)


def test_plain_and_asynchronous_sources_are_asked() -> None:
    async def slow() -> Mapping[str, float]:
        await asyncio.sleep(0)
        return {"ann": 0.5}

    store = MetricsStore()
    asyncio.run(Sampler(store, {"memory_usage": lambda: {"ann": 0.1}, "cpu_utilization": slow}).sample())

    assert store.latest("memory_usage") == {"ann": 0.1}
    assert store.latest("cpu_utilization") == {"ann": 0.5}


def test_a_source_that_fails_is_counted_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Mapping[str, float]:
        raise OSError("no such process")

    def wrong() -> Any:
        return {"ann": "much"}

    store = MetricsStore()
    sampler = Sampler(store, {"memory_usage": broken, "cpu_utilization": wrong, "battery": lambda: {"ann": 1.0}})

    asyncio.run(sampler.sample())

    assert sampler.failures == {"memory_usage": 1, "cpu_utilization": 1}
    assert store.latest("battery") == {"ann": 1.0}
    assert "no such process" in caplog.text


def test_tasks_become_response_time_and_error_rate() -> None:
    store, tracking = MetricsStore(clock=Hands()), Tracking()
    for seconds, ok in ((1.0, True), (2.0, True), (6.0, False)):
        tracking.record("ann", seconds, ok)

    asyncio.run(Sampler(store, {}, tracking=tracking, clock=Hands()).sample())

    (times,), (errors,) = store.query("response_time", "ann"), store.query("error_rate", "ann")
    assert (times.min, times.mean, times.max, times.count) == (1.0, 3.0, 6.0, 3)
    assert errors.mean == pytest.approx(1 / 3)
    assert errors.count == 3


def test_it_samples_at_multiples_of_the_interval_until_it_is_stopped(tmp_path: Path) -> None:
    hands = Hands(START + 3)
    asked: list[float] = []
    states: list[tuple[bool, bool]] = []

    def source() -> Mapping[str, float]:
        asked.append(hands.now)
        return {"ann": 1.0}

    async def work() -> None:
        alarm = Alarm(hands, rounds=5)
        sampler = Sampler(store, {"m": source}, clock=hands, sleep=alarm)
        before = sampler.running
        sampler.start()
        sampler.start()
        assert [task.get_name() for task in asyncio.all_tasks()].count(TASK_NAME) == 1
        await alarm.done.wait()
        states.append((before, sampler.running))
        await sampler.stop()
        await sampler.stop()
        states.append((True, sampler.running))
        assert TASK_NAME not in [task.get_name() for task in asyncio.all_tasks()]

    with MetricsStore(tmp_path / "m.db", clock=hands) as store:
        asyncio.run(work())
        with MetricsStore(tmp_path / "m.db", clock=hands) as other:
            written = other.query("m", "ann").points

    assert states == [(False, True), (True, False)]
    assert asked == [START + 10, START + 20, START + 30, START + 40, START + 50]
    assert [point.time for point in written] == asked


def test_stopping_takes_account_of_the_last_tasks() -> None:
    store, tracking, hands = MetricsStore(), Tracking(), Hands()

    async def work() -> None:
        alarm = Alarm(hands, rounds=0)
        sampler = Sampler(store, {}, tracking=tracking, clock=hands, sleep=alarm)
        sampler.start()
        await alarm.done.wait()
        tracking.record("ann", 2.0, True)
        await sampler.stop()

    asyncio.run(work())

    assert store.latest("response_time") == {"ann": 2.0}


def test_nothing_runs_unless_it_is_started() -> None:
    async def work() -> int:
        Sampler(MetricsStore(), {})
        return len(asyncio.all_tasks())

    assert asyncio.run(work()) == 1


def test_a_metric_that_can_not_be_called_so_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="metric: expected"):
        Sampler(MetricsStore(), {"queue length": dict})
