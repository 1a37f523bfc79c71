"""Whatever is sampled, whenever: the roll-ups say the same as the samples, and nothing is kept for too long."""

from __future__ import annotations

import math
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.monitoring import MetricsStore, Point, Sketch, Spans
from agentreg.extensions.monitoring.metrics.rollup import Block
from agentreg.extensions.monitoring.metrics.sketch import ACCURACY
from agentreg.extensions.monitoring.metrics.summary import Summary
from tests.extensions.monitoring.hands import START, Hands

HOUR, DAY = 3600, 86_400
STEPS = (10, 60, 300, HOUR, DAY)
VALUES = st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6) | st.just(0.0)
SAMPLES = st.lists(
    st.tuples(st.integers(0, 3 * HOUR - 1), st.sampled_from(["ann", "bob", "eve"]), VALUES), min_size=1, max_size=60
)
SHORT = Spans(raw=HOUR, minute=6 * HOUR, five=DAY, hour=3 * DAY, day=9 * DAY)


def check(points: tuple[Point, ...], samples: list[tuple[float, float]], step: int) -> None:
    """The points say of every step what the samples in it say."""
    expected: dict[float, list[float]] = {}
    for at, value in samples:
        expected.setdefault(at // step * step, []).append(value)
    assert [point.time for point in points] == sorted(expected)
    for point in points:
        values = sorted(expected[point.time])
        largest = max(map(abs, values))
        assert point.count == len(values)
        assert math.isclose(point.min, values[0], rel_tol=1e-8)
        assert math.isclose(point.max, values[-1], rel_tol=1e-8)
        assert math.isclose(point.mean, math.fsum(values) / len(values), rel_tol=1e-8, abs_tol=1e-8 * largest)
        if step >= HOUR:
            for part, quantile in ((0.5, point.p50), (0.95, point.p95), (0.99, point.p99)):
                assert quantile is not None
                exact = values[math.floor(part * (len(values) - 1))]
                assert math.isclose(quantile, exact, rel_tol=ACCURACY * 1.001)


@settings(deadline=None, max_examples=30)
@given(SAMPLES, st.lists(st.integers(0, 60), max_size=3))
def test_every_step_says_what_the_samples_say(samples: list[tuple[int, str, float]], flushes: list[int]) -> None:
    hands = Hands(START + 3 * HOUR - 1)
    store = MetricsStore(clock=hands, spans=Spans(raw=3 * HOUR))
    for number, (offset, agent, value) in enumerate(samples):
        store.record("m", agent, value, at=START + offset)
        if number in flushes:
            store.flush()

    for step in STEPS:
        for asked in ("ann", "bob", "eve", None):
            own = [(START + offset, value) for offset, name, value in samples if asked in (name, None)]
            check(store.query("m", asked, step=step).points, own, step)


@settings(deadline=None, max_examples=15)
@given(SAMPLES, st.integers(0, 5))
def test_growing_older_changes_nothing_but_the_step(samples: list[tuple[int, str, float]], pause: int) -> None:
    hands = Hands(START + 3 * HOUR)
    store = MetricsStore(clock=hands, spans=SHORT)
    half = len(samples) // 2
    for offset, agent, value in samples[:half]:
        store.record("m", agent, value, at=START + offset)
    for _ in range(pause):
        store.flush()
    for offset, agent, value in samples[half:]:  # some belong to hours that were rolled up already
        store.record("m", agent, value, at=START + offset)

    for age, step in ((4 * HOUR, 60), (20 * HOUR, 300), (2 * DAY, HOUR), (8 * DAY, DAY)):
        hands.now = START + age
        for _ in range(12):
            store.flush()
        for asked in ("ann", None):
            own = [(START + offset, value) for offset, name, value in samples if asked in (name, None)]
            check(store.query("m", asked, step=step).points, own, step)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([10, 600, HOUR, 7 * HOUR, 2 * DAY, 40 * DAY, -10, -HOUR, -3 * DAY]), max_size=25))
def test_nothing_is_kept_for_too_long_however_the_clock_jumps(jumps: list[int]) -> None:
    hands = Hands(START + 100 * DAY)
    store = MetricsStore(clock=hands, spans=SHORT)
    kept = dict(zip(STEPS, (SHORT.raw, SHORT.minute, SHORT.five, SHORT.hour, SHORT.day), strict=True))
    for jump in jumps:
        store.record_many("memory_usage", {"ann": 1.0, "bob": 2.0})
        hands.tick(jump)
        for _ in range(4):
            store.flush()
        for step, span in kept.items():
            for point in store.query("memory_usage", step=step, until=hands.now + DAY):
                assert hands.now - span <= point.time <= hands.now + DAY

    hands.tick(60 * DAY)
    for _ in range(4):
        store.flush()

    assert [len(store.query("memory_usage", step=step)) for step in STEPS] == [0] * 5
    assert store.agents() == store.metrics() == []


@contextmanager
def crashed(path: Path) -> Iterator[Path]:
    """The file as a process that is killed now leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        for each in path.parent.glob(f"{path.name}*"):
            shutil.copy(each, folder)
        yield Path(folder, path.name)


@settings(deadline=None, max_examples=10)
@given(SAMPLES, st.integers(0, 60))
def test_after_a_crash_everything_is_there_that_was_flushed(samples: list[tuple[int, str, float]], until: int) -> None:
    hands = Hands(START + 3 * HOUR)
    with tempfile.TemporaryDirectory() as folder:
        store = MetricsStore(os.path.join(folder, "m.db"), clock=hands, spans=Spans(raw=4 * HOUR))
        for offset, agent, value in samples[:until]:
            store.record("m", agent, value, at=START + offset)
        store.flush()
        for offset, agent, value in samples[until:]:
            store.record("m", agent, value, at=START + offset)

        with crashed(Path(folder, "m.db")) as left, MetricsStore(left, clock=hands, spans=Spans(raw=4 * HOUR)) as again:
            own = [(START + offset, value) for offset, name, value in samples[:until] if name == "ann"]
            points = again.query("m", "ann", step=10).points if own else ()

        check(points, own, 10)
        store.close()


CELLS = st.dictionaries(st.integers(0, 5), st.lists(VALUES, min_size=1, max_size=9), max_size=4)


def block(cells: dict[int, list[float]]) -> Block:
    """A block of these values."""
    made = Block()
    for time, values in cells.items():
        made.add(60 * time, Summary.of(values).cell)
        made.spread(0, Sketch.of(values))
    return made


def joined(*blocks: dict[int, list[float]] | Block) -> Block:
    """All of them merged, from the left."""
    whole = Block()
    for each in blocks:
        whole.merge(each if isinstance(each, Block) else block(each))
    return whole


def same(one: Block, other: Block) -> bool:
    """Whether they are equal up to the last digits of the sums."""
    return (
        one.sketches == other.sketches
        and one.cells.keys() == other.cells.keys()
        and all(one.cells[time] == pytest.approx(other.cells[time], rel=1e-9, abs=1e-3) for time in one.cells)
    )


@given(CELLS, CELLS, CELLS)
def test_merging_blocks_is_commutative_and_associative(
    one: dict[int, list[float]], two: dict[int, list[float]], three: dict[int, list[float]]
) -> None:
    assert same(joined(one, two), joined(two, one))
    assert same(joined(joined(one, two), three), joined(one, joined(two, three)))


def test_time_zones_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def days() -> tuple[Point, ...]:
        store = MetricsStore(clock=Hands(START + 2 * DAY - 1))
        for hour in range(48):
            store.record("m", "ann", float(hour), at=START + hour * HOUR)
        return store.query("m", "ann", step="1d").points

    here = days()
    monkeypatch.setenv("TZ", "Asia/Kathmandu")

    assert days() == here
    assert [(point.time, point.count) for point in here] == [(START, 24), (START + DAY, 24)]


def test_thirty_days_of_4462_agents_take_at_most_two_gigabytes() -> None:
    digits = random.Random(1)  # more of them than real metrics have: nothing can be packed better than this
    hands = Hands()
    one, three = MetricsStore(clock=hands), MetricsStore(clock=hands)
    for hour in range(31 * 24):
        step = 10 if hour > 31 * 24 - 5 else 60 if hour > 27 * 24 else 300  # what is older is in no finer level
        for offset in range(0, HOUR, step):
            values = {name: [digits.gauss(0.5, 0.03) for _ in range(step // 10)] for name in ("ann", "bob", "eve")}
            summaries = {name: Summary.of(each) for name, each in values.items()}
            three.record_summaries("memory_usage", summaries, at=hands.now + offset)
            one.record_summaries("memory_usage", {"ann": summaries["ann"]}, at=hands.now + offset)
        hands.tick(HOUR)
        one.flush()
        three.flush()

    for_each_agent = (three.size() - one.size()) / 2

    assert len(three.query("memory_usage", "eve", step=HOUR)) == 720
    assert len(three.query("memory_usage", "eve", step=60)) == 1440
    assert for_each_agent * 4462 * 6 <= 2e9
