"""Quantiles are within their error, and sketches are merged in any order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.extensions.monitoring import Sketch
from agentreg.extensions.monitoring.metrics.sketch import ACCURACY, bucket_of, buckets_of

MAGNITUDES = st.floats(1e-9, 1e15) | st.floats(-1e15, -1e-9) | st.just(0.0)
VALUES = st.lists(MAGNITUDES, min_size=1, max_size=200)


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_off_by_at_most_one_per_cent_of_itself(values: list[float], part: float) -> None:
    exact = sorted(values)[math.floor(part * (len(values) - 1))]

    quantile = Sketch.of(values).quantile(part)

    assert math.isclose(quantile, exact, rel_tol=ACCURACY * 1.0001)


@given(VALUES, VALUES)
def test_merging_is_commutative(one: list[float], other: list[float]) -> None:
    left, right = Sketch.of(one), Sketch.of(other)

    left.merge(Sketch.of(other))
    right.merge(Sketch.of(one))

    assert left == right == Sketch.of(one + other)


@given(VALUES, VALUES, VALUES)
def test_merging_is_associative(one: list[float], two: list[float], three: list[float]) -> None:
    left, right, tail = Sketch.of(one), Sketch.of(one), Sketch.of(two)

    left.merge(Sketch.of(two))
    left.merge(Sketch.of(three))
    tail.merge(Sketch.of(three))
    right.merge(tail)

    assert left == right


@given(VALUES)
def test_buckets_are_in_the_order_of_the_values(values: list[float]) -> None:
    ordered = sorted(values)

    assert [bucket_of(value) for value in ordered] == sorted(buckets_of(values))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=500))
def test_there_are_never_more_than_5600_buckets(values: list[float]) -> None:
    assert all(abs(bucket) <= 2800 for bucket in buckets_of(values))


def test_a_sketch_of_nothing_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        Sketch().quantile(0.5)


def test_a_copy_counts_by_itself() -> None:
    sketch = Sketch.of([1.0])

    sketch.copy().merge(Sketch.of([2.0]))

    assert sketch == Sketch.of([1.0])
