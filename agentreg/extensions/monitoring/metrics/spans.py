"""For how long what is kept: the levels, from raw samples to days."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, fields

from agentreg.extensions.monitoring.metrics.errors import StepError

__all__ = ["DAY", "FIVE", "HOUR", "LEVELS", "MINUTE", "Level", "Spans", "Steps"]

MINUTE, FIVE, HOUR, DAY = 60, 300, 3600, 86_400
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
_MOST = 1500  # points that a query gives without being asked for a step


@dataclass(frozen=True)
class Level:
    """One of the roll-ups on disk.

    Attributes:
        table: Where it is.
        step: Seconds from one point to the next.
        block: Seconds that one row holds.
        grain: Seconds that one sketch covers; 0 for a level without any.
    """

    table: str
    step: int
    block: int
    grain: int


# a sample is in one level at a time, or as a part of a point: in the fives and the hours, which have different readers
LEVELS = (
    Level("metrics_minutes", MINUTE, HOUR, HOUR),
    Level("metrics_fives", FIVE, 6 * HOUR, 0),
    Level("metrics_hours", HOUR, DAY, HOUR),
    Level("metrics_days", DAY, 30 * DAY, DAY),
)


@dataclass(frozen=True)
class Spans:
    """For how many seconds points of each step are kept. What is older rolls up into the next.

    Raises ValueError if one is not longer than 0, or shorter than that of a
    finer step.

    Example:
        >>> Spans(raw=3600).minute
        86400
    """

    raw: float = 2 * HOUR
    minute: float = DAY
    five: float = 3 * DAY
    hour: float = 30 * DAY
    day: float = 30 * DAY

    def __post_init__(self) -> None:
        before, least = "0", 0.0
        for field, span in zip(fields(self), astuple(self), strict=True):
            if isinstance(span, bool) or not isinstance(span, (int, float)) or not 0 < span < 1e10:
                raise ValueError(f"spans: {field.name}: expected seconds above 0, got {span!r:.80}")
            if span < least:
                raise ValueError(f"spans: {field.name}: expected at least {before} ({least:g} s), got {span:g} s")
            before, least = field.name, span


class Steps:
    """Which steps there are, for how long each is kept, and which one suits a query."""

    def __init__(self, interval: int, spans: Spans) -> None:
        self.kept: dict[int, float] = {}
        for step, span in zip((interval, MINUTE, FIVE, HOUR, DAY), astuple(spans), strict=True):
            self.kept[step] = max(span, self.kept.get(step, 0.0))

    def named(self, step: object) -> int:
        """The seconds that *step* says, as a number or as text. Raises StepError.

        >>> Steps(10, Spans()).named("5m")
        300
        """
        found = _seconds(step)
        if found not in self.kept:
            raise StepError(step, self.kept)
        return int(found)

    def suiting(self, since: float, until: float, now: float) -> int:
        """The finest step that is kept since then, and gives no more than 1,500 points."""
        for step, span in self.kept.items():
            if since >= now - span and until - since <= _MOST * step:
                return step
        return DAY


def _seconds(step: object) -> float:
    if isinstance(step, str):
        match = re.fullmatch(r"(\d{1,6})\s*([smhd])", step.strip(), re.ASCII)
        return int(match[1]) * _UNITS[match[2]] if match else 0
    return step if isinstance(step, (int, float)) and not isinstance(step, bool) else 0
