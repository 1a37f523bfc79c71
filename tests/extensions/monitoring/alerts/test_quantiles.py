"""Rules about quantiles: within the sketch's error of what every sample says, in memory that is bounded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.monitoring.alerts import AlertRule, AlertRuleError, Alerts
from agentreg.extensions.monitoring.alerts.rule import Aggregate
from agentreg.extensions.monitoring.alerts.windows import SLICES, Sketches, Window
from agentreg.extensions.monitoring.metrics.sketch import ACCURACY
from tests.extensions.monitoring.alerts.clocks import Clock
from tests.extensions.monitoring.alerts.model import AGGREGATES
from tests.extensions.monitoring.alerts.model import SLICES as MODEL_SLICES

QUANTILES: list[Aggregate] = ["p50", "p95", "p99"]
VALUES = st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6) | st.just(0.0)
SAMPLES = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, 7.0, 60.0, 130.0]), VALUES), min_size=1, max_size=80)


@settings(deadline=None)
@given(SAMPLES, st.sampled_from([1.0, 60.0, 300.0]), st.sampled_from(QUANTILES))
def test_a_window_says_what_every_sample_in_it_says(
    samples: list[tuple[float, float]], seconds: float, aggregate: Aggregate
) -> None:
    window, now, taken = Window(seconds, keeps_silent=False, sketched=True), 1000.0, []
    for pause, value in samples:
        now += pause
        window.add({"ann": value}, now)
        taken.append((now, value))

        window.settle(now)
        found = window.values(aggregate).values

        edge = now // (seconds / MODEL_SLICES) - MODEL_SLICES
        exact = AGGREGATES[aggregate]([value for at, value in taken if at // (seconds / MODEL_SLICES) > edge])
        assert math.isclose(found["ann"], exact, rel_tol=ACCURACY * 1.001, abs_tol=1e-9)


def test_a_window_is_as_large_as_its_slices_however_many_samples() -> None:
    series, whole = Sketches(0.0), 200_000
    for number in range(whole):
        series.expire(number // 1000 - SLICES)
        series.add(number // 1000, 1.0 + number % 7 / 10)

    assert series.size == SLICES
    assert sum(len(counts) for _, counts in series.slices) <= 7 * SLICES
    assert sum(series.whole.counts.values()) == 1000 * SLICES


def test_nothing_is_left_of_what_has_left_the_window() -> None:
    series = Sketches(0.0)
    for number in range(100):
        series.add(number, float(number))

    assert series.expire(99)
    assert series.whole.counts == {}


def test_a_slow_twentieth_is_found_that_the_average_hides() -> None:
    clock = Clock(0.0)
    rules = ["average: response_time > 5s avg for 5m", "tail: response_time > 5s p95 for 5m"]
    alerts, fired = Alerts(rules, clock=clock), set()
    for number in range(120):
        alerts.observe("response_time", "ann", 20.0 if number % 10 == 0 else 0.2)
        fired |= {event.rule for event in alerts.evaluate()}
        clock.tick(5)

    assert fired == {"tail"}


def test_an_alert_about_a_quantile_is_resolved_once_its_window_is_well_again() -> None:
    clock = Clock(0.0)
    alerts, told = Alerts(["slow: response_time > 5s p95 for 1m"], clock=clock), []
    for number in range(60):
        alerts.observe("response_time", "ann", 9.0 if number < 20 else 1.0)
        told += [(event.kind, event.reason) for event in alerts.evaluate()]
        clock.tick(5)

    assert told == [("firing", ""), ("resolved", "recovered")]


def test_an_alert_says_the_quantile_in_the_limits_unit() -> None:
    clock = Clock(0.0)
    alerts = Alerts(["slow: response_time > 500ms p50 for 10s"], clock=clock)
    for _ in range(12):
        alerts.observe("response_time", "ann", 2.0)
        alerts.evaluate()
        clock.tick(1)

    (alert,) = alerts.active()

    assert alert.value == pytest.approx(2.0, rel=ACCURACY)


@pytest.mark.parametrize("aggregate", QUANTILES)
def test_a_rule_about_a_quantile_is_written_as_it_is_read(aggregate: str) -> None:
    text = f"response_time > 5s {aggregate} for 5m"

    assert str(AlertRule.parse(text)) == text


def test_a_quantile_that_is_not_kept_is_refused_with_those_that_are() -> None:
    with pytest.raises(AlertRuleError, match="p50, p95, p99") as caught:
        AlertRule.parse("response_time > 5s p90 for 5m")

    assert caught.value.suggestion in {"p50", "p95", "p99"}
    assert caught.value.column == 20


def test_a_quantile_needs_a_window() -> None:
    with pytest.raises(AlertRuleError, match="expected for or in"):
        AlertRule.parse("response_time > 5s p95")


def test_events_have_no_quantile() -> None:
    with pytest.raises(AlertRuleError, match="is counted: it has no aggregate"):
        AlertRule.parse("connection_failures > 5 p95 in 1m")
