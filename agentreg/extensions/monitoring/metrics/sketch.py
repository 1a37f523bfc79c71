"""A quantile sketch that can be merged: DDSketch.

After C. Masson, J. E. Rim and H. K. Lee, "DDSketch: A Fast and Fully-Mergeable
Quantile Sketch with Relative-Error Guarantees", PVLDB 12 (12), 2019. A value
counts in the bucket of its logarithm. Buckets are wide by a constant factor,
so a quantile is wrong by a constant part of itself, and two sketches are
merged by adding their counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

__all__ = ["ACCURACY", "Sketch", "bucket_of", "buckets_of"]

ACCURACY = 0.01  #: a quantile is at most this part of itself off
SMALLEST, LARGEST = 1e-9, 1e15  # magnitudes between which that holds; below counts as 0, above as the largest
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_SCALE = 1 / math.log(_GAMMA)
_SHIFT = 1 - math.ceil(math.log(SMALLEST) * _SCALE)  # the smallest magnitude has bucket 1
_log, _ceil = math.log, math.ceil


def bucket_of(value: float) -> int:
    """The number of the bucket that *value* counts in; in the order of the values, 0 for 0.

    >>> bucket_of(0.0), bucket_of(1.001) == bucket_of(1.002), bucket_of(-2.0) < bucket_of(-1.0) < 0
    (0, True, True)
    """
    size = abs(value)
    if size < SMALLEST:
        return 0
    number = _ceil(_log(min(LARGEST, size)) * _SCALE) + _SHIFT
    return number if value > 0 else -number


def buckets_of(values: Iterable[float]) -> list[int]:
    """The bucket of each of *values*."""
    # the usual value is done without a call
    return [
        _ceil(_log(value) * _SCALE) + _SHIFT if SMALLEST <= value < LARGEST else bucket_of(value) for value in values
    ]


def _middle(bucket: int) -> float:
    """The value that is as far off from one end of the bucket as from the other, relatively."""
    if not bucket:
        return 0.0
    size = 2 * _GAMMA ** (abs(bucket) - _SHIFT) / (_GAMMA + 1)
    return size if bucket > 0 else -size


class Sketch:
    """How values are distributed: bucket -> how many fell into it.

    At most 5,600 buckets, however many values. Thread-safe: no, its user
    holds a lock.

    Attributes:
        counts: Bucket -> how many values.

    Example:
        >>> sketch = Sketch.of([1.0, 2.0, 3.0, 4.0])
        >>> round(sketch.quantile(0.5), 1)
        2.0
    """

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = {} if counts is None else counts

    @classmethod
    def of(cls, values: Iterable[float]) -> Sketch:
        """The sketch of *values*."""
        return cls(dict(Counter(buckets_of(values))))

    def merge(self, other: Sketch) -> None:
        """Count what *other* has counted, too.

        >>> low, high = Sketch.of([1.0]), Sketch.of([9.0, 9.0])
        >>> low.merge(high)
        >>> low == Sketch.of([9.0, 1.0, 9.0])
        True
        """
        counts = self.counts
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count

    def quantile(self, part: float) -> float:
        """The value that *part* (0 to 1) of the values don't exceed, off by at most `ACCURACY` of itself.

        Raises ValueError if it has counted nothing.
        """
        if not self.counts:
            raise ValueError("quantile: expected a sketch of at least one value, got an empty one")
        counts = self.counts
        above = sum(counts.values())
        rank = part * (above - 1)
        for bucket in sorted(counts, reverse=True):  # it is nearer to the greatest, mostly
            above -= counts[bucket]
            if above <= rank:
                break
        return _middle(bucket)

    def copy(self) -> Sketch:
        """Another of the same counts."""
        return Sketch(dict(self.counts))

    def __eq__(self, other: object) -> bool:
        return self.counts == other.counts if isinstance(other, Sketch) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Sketch of {sum(self.counts.values())} values in {len(self.counts)} buckets>"
