"""What a query gives: points in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from agentreg.extensions.monitoring.metrics.sketch import Sketch
from agentreg.extensions.monitoring.metrics.summary import Cell

__all__ = ["Point", "Series"]


@dataclass(frozen=True, slots=True)
class Point:
    """What was sampled within one step.

    Attributes:
        time: When the step begins, in seconds since 1970.
        min, max, mean: Of the samples.
        count: How many there were.
        p50, p95, p99: Quantiles, each within 1 % of itself; None for steps under an hour.
    """

    time: float
    min: float
    max: float
    mean: float
    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, time: float, cell: Cell, sketch: Sketch | None) -> Point:
        """The point of one step's values."""
        count, low, high, total = cell

        def within(value: float) -> float:
            return min(max(value, low), high)

        # a float's last digit must not put the mean beside the values
        quantiles = [within(sketch.quantile(part)) for part in (0.5, 0.95, 0.99)] if sketch else [None] * 3
        return cls(float(time), low, high, within(total / count), count, *quantiles)


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the order of time; a step without samples has none. It can be iterated over, and has a length.

    Attributes:
        metric: Of which metric.
        agent: Of which agent; None: of all agents together.
        step: Seconds from one point to the next.
        points: The points.
    """

    metric: str
    agent: str | None
    step: int
    points: tuple[Point, ...]

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values: ``metric``, ``agent``, ``step``, and ``points`` with each point's attributes.

        >>> Series("memory_usage", None, 60, (Point(0, 0.1, 0.3, 0.2, 6),)).to_dict()["points"][0]["mean"]
        0.2
        """
        points = [asdict(point) for point in self.points]
        return {"metric": self.metric, "agent": self.agent, "step": self.step, "points": points}
