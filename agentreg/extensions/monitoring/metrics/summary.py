"""What many values are together: how many, the least, the greatest, their sum and their distribution."""

from __future__ import annotations

from collections.abc import Sequence

from agentreg.extensions.monitoring.metrics.sketch import Sketch, bucket_of

__all__ = ["Cell", "Summary", "merged"]

_FEW = 4  # values that are counted faster one by one

Cell = tuple[int, float, float, float]
"""Count, least, greatest, sum: of the values of one step."""


def merged(one: Cell, other: Cell) -> Cell:
    """What the values of both are together.

    >>> merged((1, 2.0, 2.0, 2.0), (2, 1.0, 3.0, 4.0))
    (3, 1.0, 3.0, 6.0)
    """
    count, low, high, total = one
    others, lower, higher, rest = other
    return count + others, min(low, lower), max(high, higher), total + rest


class Summary:
    """Values of one agent within a short time. Thread-safe: no.

    Attributes:
        count: How many.
        low, high: The least and the greatest.
        total: Their sum.
        sketch: Their distribution.

    Example:
        >>> summary = Summary.of([0.2, 0.4])
        >>> summary.add(0.9)
        >>> summary.count, summary.high, round(summary.mean, 6)
        (3, 0.9, 0.5)
    """

    __slots__ = ("count", "high", "low", "sketch", "total")

    def __init__(self, count: int, low: float, high: float, total: float, sketch: Sketch) -> None:
        self.count, self.low, self.high, self.total, self.sketch = count, low, high, total, sketch

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """The summary of *values*, which are at least one."""
        return cls(len(values), min(values), max(values), sum(values), Sketch.of(values))

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return self.total / self.count

    @property
    def cell(self) -> Cell:
        """Without the distribution."""
        return self.count, self.low, self.high, self.total

    def add(self, value: float) -> None:
        """Count one more value."""
        self.count += 1
        self.total += value
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value
        counts = self.sketch.counts
        bucket = bucket_of(value)
        counts[bucket] = counts.get(bucket, 0) + 1

    def extend(self, values: Sequence[float]) -> None:
        """Count several more values."""
        if len(values) < _FEW:
            for value in values:
                self.add(value)
        else:
            self.merge(Summary.of(values))

    def merge(self, other: Summary) -> None:
        """Count the values of *other*, too."""
        self.count, self.low, self.high, self.total = merged(self.cell, other.cell)
        self.sketch.merge(other.sketch)

    def copy(self) -> Summary:
        """Another of the same values."""
        return Summary(*self.cell, self.sketch.copy())
