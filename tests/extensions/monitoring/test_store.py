"""Samples go in, and points come out."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import pytest

from agentreg import RegistryError
from agentreg.extensions.monitoring import (
    TRACKED,
    MetricsStore,
    MetricsStoreError,
    Spans,
    StepError,
    Summary,
    UnknownMetricError,
)
from agentreg.extensions.monitoring.metrics.pending import Limits
from tests.extensions.monitoring.hands import START, Hands

HOUR, DAY = 3600, 86_400


def run(
    store: MetricsStore, hands: Hands, seconds: float, step: float = 10, agents: tuple[str, ...] = ("ann",)
) -> None:
    """Sample and flush as a sampler does; the value is the number of the step."""
    for number in range(int(seconds / step)):
        store.record_many("memory_usage", {agent: float(number) for agent in agents})
        store.flush()
        hands.tick(step)


def test_a_sample_is_seen_before_and_after_it_is_on_disk(tmp_path: Path) -> None:
    hands = Hands()
    with MetricsStore(tmp_path / "m.db", clock=hands) as store:
        store.record("memory_usage", "ann", 0.5)
        before = store.query("memory_usage", "ann")
        store.flush()

        after = store.query("memory_usage", "ann")

    assert before == after
    assert [(point.time, point.min, point.mean, point.max, point.count) for point in after] == [
        (START, 0.5, 0.5, 0.5, 1)
    ]


def test_samples_of_one_interval_all_count() -> None:
    store = MetricsStore(clock=Hands())
    for value in (1.0, 4.0, 1.0):
        store.record("task_queue_length", "ann", value)

    (point,) = store.query("task_queue_length", "ann")

    assert (point.min, point.mean, point.max, point.count) == (1.0, 2.0, 4.0, 3)


def test_all_agents_together_are_a_series_of_their_own() -> None:
    store = MetricsStore(clock=Hands())
    store.record_many("memory_usage", {"ann": 0.2, "bob": 0.6})
    store.flush()

    (point,) = store.query("memory_usage")

    assert (point.min, point.max, point.count) == (0.2, 0.6, 2)
    assert math.isclose(point.mean, 0.4)


def test_quantiles_are_known_from_an_hour_up() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    run(store, hands, HOUR)

    hour, minute = (
        store.query("memory_usage", "ann", step=HOUR).points[0],
        store.query("memory_usage", step=60).points[0],
    )

    assert (minute.p50, minute.p95, minute.p99) == (None, None, None)
    assert hour.p50 == pytest.approx(179, rel=0.01)
    assert hour.p95 == pytest.approx(341, rel=0.01)
    assert hour.p99 == pytest.approx(355, rel=0.01)


@pytest.mark.parametrize(
    ("hours", "step"), [(1, 10), (2, 10), (3, 60), (24, 60), (30, 300), (72, 300), (80, 3600), (720, 3600)]
)
def test_the_step_suits_the_span(hours: int, step: int) -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)

    series = store.query("memory_usage", since=hands.now - hours * HOUR)

    assert series.step == step


def test_without_a_span_it_is_the_samples() -> None:
    assert MetricsStore(interval=30).query("memory_usage").step == 30


@pytest.mark.parametrize("step", ["10s", "1m", "5m", "1h", "1d", 10, 60.0, 300, 3600, 86400])
def test_steps_are_numbers_or_text(step: Any) -> None:
    assert MetricsStore().query("memory_usage", step=step).step in (10, 60, 300, 3600, 86400)


@pytest.mark.parametrize("step", [0, 30, -60, "2m", "hour", True, [], math.nan])
def test_another_step_is_refused_with_those_there_are(step: Any) -> None:
    with pytest.raises(StepError, match=r"expected one of 10, 60, 300, 3600, 86400"):
        MetricsStore().query("memory_usage", step=step)


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    store = MetricsStore()
    store.record("battery", "ann", 1)

    with pytest.raises(UnknownMetricError, match=r"batery.*battery, cpu_utilization"):
        store.query("batery")


def test_a_tracked_metric_may_have_no_samples_yet() -> None:
    store = MetricsStore()

    assert [len(store.query(metric)) for metric in TRACKED] == [0] * 6
    assert store.latest("memory_usage") == {}


@pytest.mark.parametrize("metric", ["", "a b", "1st", "x" * 101, None, "größe"])
def test_a_metric_that_can_not_be_called_so_is_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="metric: expected letters"):
        MetricsStore().record(metric, "ann", 1.0)


def test_a_value_that_is_no_number_is_refused_and_nothing_is_taken() -> None:
    store = MetricsStore()

    with pytest.raises(TypeError, match="value of 'bob': expected a number, got 'much'"):
        store.record_many("memory_usage", {"ann": 0.5, "bob": "much"})  # type: ignore[dict-item]

    assert store.latest("memory_usage") == {}


@pytest.mark.parametrize("at", [-1, math.nan, math.inf, "now", 1e12])
def test_a_time_that_can_not_be_is_refused(at: Any) -> None:
    with pytest.raises(ValueError, match="at: expected seconds since 1970"):
        MetricsStore().record("memory_usage", "ann", 0.5, at=at)


@pytest.mark.parametrize("interval", [0, 7, 0.5, 120, -10, "10", math.nan])
def test_an_interval_that_does_not_divide_a_minute_is_refused(interval: Any) -> None:
    with pytest.raises(ValueError, match="interval: expected a divisor of 60"):
        MetricsStore(interval=interval)


@pytest.mark.parametrize("spans", [{"raw": 0}, {"minute": 60}, {"day": math.inf}, {"hour": "a month"}, {"raw": True}])
def test_spans_that_can_not_be_are_refused(spans: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="spans: "):
        Spans(**spans)


@pytest.mark.parametrize("limits", [{"agents": 0}, {"metrics": "many"}, {"agents": True}])
def test_limits_that_can_not_be_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="limits: "):
        Limits(**limits)


def test_what_is_no_finite_number_is_dropped_and_counted() -> None:
    store = MetricsStore()

    store.record_many("memory_usage", {"ann": math.nan, "bob": math.inf, "eve": 0.5})

    assert store.latest("memory_usage") == {"eve": 0.5}
    assert store.dropped == {"values": 2}


def test_beyond_the_limits_samples_are_dropped_and_counted(tmp_path: Path) -> None:
    store = MetricsStore(tmp_path / "m.db", limits=Limits(agents=2, metrics=2))
    for number in range(4):
        for metric in ("a", "b", "c"):
            store.record(metric, f"agent-{number}", 1.0)

    assert store.agents() == ["agent-0", "agent-1"]
    assert store.metrics() == ["a", "b"]
    assert store.dropped == {"agents": 4, "metrics": 4}


def test_names_that_can_not_be_are_dropped_and_counted() -> None:
    store = MetricsStore()

    store.record_many("a", {"": 1.0, "x" * 513: 1.0, "\ud800": 1.0, "ann": 1.0})

    assert store.agents() == ["ann"]
    assert store.dropped == {"agents": 3}


def test_a_forgotten_agent_makes_room_for_another() -> None:
    store = MetricsStore(limits=Limits(agents=1))
    store.record("a", "ann", 1.0)
    store.forget("ann")

    store.record("a", "bob", 1.0)

    assert store.agents() == ["bob"]


def test_a_forgotten_agent_is_gone_from_every_level() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands, spans=Spans(raw=HOUR, minute=8 * HOUR, five=12 * HOUR))
    run(store, hands, DAY, step=60, agents=("ann", "bob"))
    store.record_many("memory_usage", {"ann": 1.0, "bob": 1.0})

    store.forget("ann")

    assert store.agents() == ["bob"]
    assert store.latest("memory_usage") == {"bob": 1.0}
    for step in (10, 60, 300, HOUR, DAY):
        assert len(store.query("memory_usage", "ann", step=step)) == 0
        assert len(store.query("memory_usage", "bob", step=step)) > 0


def test_an_agent_that_comes_back_begins_anew() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    run(store, hands, HOUR)
    store.forget("ann")

    store.record("memory_usage", "ann", 7.0)
    store.flush()

    assert [point.mean for point in store.query("memory_usage", "ann", step=HOUR)] == [7.0]


def test_who_was_not_sampled_lately_is_not_among_the_latest() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    store.record("memory_usage", "ann", 0.1)
    hands.tick(61)
    store.record("memory_usage", "bob", 0.2)

    assert store.latest("memory_usage", within=60) == {"bob": 0.2}
    assert store.latest("memory_usage") == {"ann": 0.1, "bob": 0.2}


def test_an_old_sample_does_not_replace_a_later_one() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    store.record_many("memory_usage", {"ann": 0.9})

    store.record_many("memory_usage", {"ann": 0.1, "bob": 0.2}, at=START - 60)

    assert store.latest("memory_usage") == {"ann": 0.9, "bob": 0.2}


def test_after_the_clock_was_put_back_the_latest_are_those_sampled_since() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    store.record("memory_usage", "ann", 0.1)
    hands.tick(-5 * HOUR)

    store.record("memory_usage", "ann", 0.2)

    assert store.latest("memory_usage") == {"ann": 0.2}


def test_summaries_count_with_all_their_values() -> None:
    store = MetricsStore(clock=Hands())
    tasks = Summary.of([1.0, 2.0, 3.0])
    store.record_summaries("response_time", {"ann": tasks, "bob": Summary.of([6.0])})

    (ann,), (both,) = store.query("response_time", "ann"), store.query("response_time")

    assert (ann.count, ann.mean, both.count, both.mean) == (3, 2.0, 4, 3.0)
    assert store.latest("response_time") == {"ann": 2.0, "bob": 6.0}


def test_points_lie_between_since_and_until() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    run(store, hands, 60)

    series = store.query("memory_usage", "ann", since=START + 15, until=START + 40)

    assert [point.time for point in series] == [START + 10, START + 20, START + 30, START + 40]


def test_samples_are_on_disk_after_a_minute_even_if_nobody_flushes(tmp_path: Path) -> None:
    hands = Hands()
    store, other = (MetricsStore(tmp_path / "m.db", clock=hands) for _ in range(2))
    for _ in range(7):
        store.record("memory_usage", "ann", 0.5)
        hands.tick(10)

    assert len(other.query("memory_usage", "ann")) >= 6


def test_a_closed_store_opens_again(tmp_path: Path) -> None:
    store = MetricsStore(tmp_path / "m.db", clock=Hands())
    store.record("memory_usage", "ann", 0.5)
    store.close()
    store.close()

    assert store.latest("memory_usage") == {"ann": 0.5}


def test_threads_record_and_read_at_once(tmp_path: Path) -> None:
    hands = Hands()
    store = MetricsStore(tmp_path / "m.db", clock=hands)
    go = threading.Barrier(5)
    troubles: list[BaseException] = []

    def work(number: int) -> None:
        try:
            go.wait()
            for turn in range(50):
                store.record("memory_usage", f"agent-{number}", 1.0)
                if turn % 10 == number:
                    store.flush()
                store.query("memory_usage", step=60)
                store.latest("memory_usage")
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert troubles == []
    assert [point.count for point in store.query("memory_usage", step="1d")] == [250]


def test_a_missing_folder_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(MetricsStoreError, match="make the folder") as caught:
        MetricsStore(tmp_path / "nowhere" / "m.db")

    assert isinstance(caught.value, (RegistryError, OSError))
