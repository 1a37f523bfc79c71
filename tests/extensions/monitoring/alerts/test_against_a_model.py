"""The engine fires and resolves at the same evaluations as a model that keeps every sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.monitoring.alerts import AlertEvent, AlertRule, Alerts
from tests.extensions.monitoring.alerts.clocks import Clock
from tests.extensions.monitoring.alerts.model import NaiveAlerts, Told

RULES = [
    "task_queue_length > 4",
    "task_queue_length > 4 for 1m clear after 0s",
    "task_queue_length >= 8 for 30s margin 50% clear after 90s",
    "task_queue_length < 2 for 1m margin 100%",
    'task_queue_length == 4 for 10s on "a*"',
    "task_queue_length != 4 for 2m",
    "task_queue_length > 4 avg for 1m",
    "task_queue_length >= 4 avg for 2m clear after 10s margin 25%",
    "task_queue_length < 3 min for 1m",
    "task_queue_length > 12 max for 30s",
    "task_queue_length > 20 sum for 1m",
    "task_queue_length <= 2 count for 1m",
    "task_queue_length > 4.5 p95 for 1m",
    "task_queue_length <= 2.5 p50 for 2m margin 10% clear after 30s",
    "task_queue_length >= 7.5 p99 for 30s margin 20%",
    "connection_failures > 5 in 1m",
    "connection_failures >= 3 in 30s clear after 5s margin 50%",
    "connection_failures < 2 in 1m",
    'connection_failures == 0 in 30s on "?b"',
    "connection_failures != 3 in 1m",
    "connection_failures >= 0 in 1m",
]
STALE = 40.0
AGENTS = ["a", "ab", "bb"]

agents = st.sampled_from(AGENTS)
levels = st.dictionaries(agents, st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 11, 16]), min_size=1)
intervals = st.sampled_from([1, 3, 10, 10, 10, 20, 31, 40, 41, 59, 60, 61])
lags = st.sampled_from([0, 0, 0, -1, -11])
steps = st.one_of(
    st.tuples(st.just("rest"), st.sampled_from([1, 10, 29, 30, 31, 40, 41, 60, 61, 120, 300])),
    st.tuples(st.just("observe"), levels, st.integers(1, 15), intervals, lags),
    st.tuples(st.just("observe"), levels, st.integers(1, 15), intervals, lags),
    st.tuples(st.just("observe"), levels, st.integers(1, 15), intervals, lags),
    st.tuples(st.just("count"), agents, st.integers(1, 4), st.integers(1, 6), intervals, lags),
    st.tuples(st.just("forget"), agents),
)
histories = st.lists(steps, min_size=2, max_size=12)


def told(events: Iterable[AlertEvent]) -> list[Told]:
    return sorted((each.kind, each.rule, each.agent, each.reason, said(each)) for each in events)


def said(event: AlertEvent) -> float | None:
    """The value, where a quantile's is a little off."""
    return event.value if event.value is None or " p" not in event.rule else round(event.value)


class Both:
    """The engine and the model, fed alike."""

    def __init__(self, every: int) -> None:
        self.every, self.calls = every, 0
        rules = [AlertRule.parse(text) for text in RULES]
        self.clock = Clock(1000.0)
        self.alerts = Alerts(rules, clock=self.clock, stale_after=STALE)
        self.model = NaiveAlerts(rules, STALE)

    def do(self, step: tuple[Any, ...]) -> None:
        getattr(self, f"do_{step[0]}")(*step[1:])

    def do_rest(self, seconds: float) -> None:
        self.clock.tick(seconds)
        self.evaluate()

    def do_observe(self, samples: dict[str, float], times: int, interval: float, lag: float) -> None:
        """The same samples again and again, the last one late."""
        for number in range(times):
            self.clock.tick(interval)
            at = self.clock() + (lag if number == times - 1 else 0)
            self.alerts.observe_many("task_queue_length", samples, at=at)
            for agent, value in samples.items():
                self.model.observe("task_queue_length", agent, value, at)
            self.evaluate()

    def do_count(self, agent: str, n: int, times: int, interval: float, lag: float) -> None:
        for _ in range(times):
            self.clock.tick(interval)
            self.alerts.count("connection_failures", agent, n, at=self.clock() + lag)
            self.model.observe("connection_failures", agent, n, self.clock() + lag)
            self.evaluate()

    def evaluate(self) -> None:
        self.calls += 1
        if self.calls % self.every == 0:
            expected = sorted(self.model.evaluate(self.clock()), key=str)
            assert sorted(told(self.alerts.evaluate()), key=str) == expected

    def do_forget(self, agent: str) -> None:
        departed = [(*each[:4], None) for each in told(self.alerts.forget(agent))]
        assert departed == sorted(self.model.forget(agent))


@settings(max_examples=50, deadline=None)
@given(histories, st.sampled_from([1, 1, 2, 5]))
def test_it_fires_and_resolves_when_a_model_that_keeps_every_sample_does(
    history: list[tuple[Any, ...]], every: int
) -> None:
    both = Both(every)

    for step in history:
        both.do(step)
