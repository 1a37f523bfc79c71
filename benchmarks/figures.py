"""Figures: what was measured, beside what was to be reached."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from timing import Comparison

__all__ = ["Figures", "Point", "Row", "Target", "Unit", "at_least", "at_most", "shown"]

Unit = Literal["s", "B", "1/s", "x"]
STEPS: dict[Unit, tuple[tuple[float, str], ...]] = {
    "s": ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")),
    "B": ((1.0, "B"), (1e3, "kB"), (1e6, "MB")),
    "x": ((1.0, "times"),),
    "1/s": ((1.0, "/s"), (1e3, "k/s"), (1e6, "M/s")),
}


@dataclass(frozen=True)
class Target:
    """What is to be reached: a bound on the ratio, or on our own figure."""

    limit: float
    of: Literal["ratio", "ours"]
    direction: Literal["at most", "at least"]

    def reached(self, row: Row) -> bool:
        """Whether *row* is on the right side of it."""
        value = row.ratio if self.of == "ratio" else row.ours
        if value is None:
            return False
        return value <= self.limit if self.direction == "at most" else value >= self.limit

    def missed_by(self, row: Row) -> float:
        """How far the row is on the wrong side, as a part of the limit."""
        value = (row.ratio if self.of == "ratio" else row.ours) or 0.0
        return abs(value / self.limit - 1)


def at_most(limit: float, of: Literal["ratio", "ours"] = "ratio") -> Target:
    """A target: *limit* or less."""
    return Target(limit, of, "at most")


def at_least(limit: float, of: Literal["ratio", "ours"] = "ratio") -> Target:
    """A target: *limit* or more."""
    return Target(limit, of, "at least")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        work: What was done.
        ours: agentreg's figure.
        peer: Who it is compared with, or ``""``.
        theirs: The peer's figure.
        ratio: ours / theirs, the median over the rounds.
        quartiles: The ratio's lower and upper quartile, where there were rounds.
        target: What is to be reached, if anything is.
        unit: Of both figures.
    """

    work: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    quartiles: tuple[float, float] | None = None
    target: Target | None = None
    unit: Unit = "s"

    @classmethod
    def of(
        cls,
        compared: Comparison,
        work: str,
        ours: str,
        peer: str,
        target: Target | None = None,
        unit: Unit = "s",
    ) -> Row:
        """The row that *compared* gives for two of its works."""
        low, middle, high = compared.ratios(ours, peer)
        return cls(work, compared.median(ours), peer, compared.median(peer), middle, (low, high), target, unit)

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return None if self.target is None else self.target.reached(self)

    def beside(self, peer: str) -> Row:
        """The same row, with another name for the peer."""
        return replace(self, peer=peer)

    def cells(self) -> tuple[str, ...]:
        """Work, agentreg, peer, ratio, target, reached: as text."""
        peer = self.peer if self.theirs is None else f"{self.peer} {shown(self.theirs, self.unit)}"
        verdict = {None: "", True: "yes", False: "NO"}[self.reached]
        return self.work, shown(self.ours, self.unit), peer, self._ratio(), self._target(), verdict

    def _ratio(self) -> str:
        if self.ratio is None:
            return ""
        if self.quartiles is None:
            return plain(self.ratio)
        return f"{plain(self.ratio)} ({plain(self.quartiles[0])} to {plain(self.quartiles[1])})"

    def _target(self) -> str:
        if self.target is None:
            return ""
        limit = f"{self.target.limit:g}" if self.target.of == "ratio" else shown(self.target.limit, self.unit)
        return f"{'≤' if self.target.direction == 'at most' else '≥'} {limit}"


@dataclass(frozen=True)
class Point:
    """One point of the plot: what *operation* costs *who* in a registry of *agents*, in seconds."""

    operation: str
    who: str
    agents: int
    seconds: float


@dataclass
class Figures:
    """What one benchmark, or all of them, gave."""

    rows: list[Row] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    @classmethod
    def of(cls, known: dict[str, list[dict[str, Any]]]) -> Figures:
        """Figures from what ``dataclasses.asdict`` made of them, even by way of JSON."""
        return cls([_row(**row) for row in known["rows"]], [Point(**point) for point in known["points"]])

    def add(self, other: Figures) -> None:
        """Take over the other's rows and points."""
        self.rows += other.rows
        self.points += other.points


def _row(target: dict[str, Any] | None, quartiles: list[float] | None, **rest: Any) -> Row:
    between = None if quartiles is None else (quartiles[0], quartiles[1])
    return Row(**rest, quartiles=between, target=None if target is None else Target(**target))


def shown(value: float, unit: Unit) -> str:
    """*value* with three digits and the handiest unit."""
    steps = STEPS[unit]
    size, name = next((step for step in steps if abs(value) < step[0] * 999.5), steps[-1])
    return f"{digits(value / size)} {name}"


def plain(value: float) -> str:
    """A ratio with three digits."""
    return (
        f"{value:.3f}" if 0.1 <= abs(value) < 0.9995 else f"{value:.2g}" if 0 < abs(value) < 0.1 else digits(value, 2)
    )


def digits(value: float, most: int = 3) -> str:
    """*value* with *most* digits behind the point, fewer for a larger one."""
    behind = max(0, min(most, 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0))
    return f"{value:,.{behind}f}"
