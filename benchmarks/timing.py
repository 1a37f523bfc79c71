"""Timing: works measured in turn, round after round, and compared by the median of the rounds.

Time is what the thread itself spent in the processor: what other programs
take meanwhile does not count. Only where waiting is part of the matter
(threads) is it the time on the wall.
"""

from __future__ import annotations

import gc
import statistics
import time
import timeit
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Comparison", "Effort", "Timed", "clock", "compare", "quiet"]

clock = time.thread_time
SLICE = 0.005  # seconds that one measurement of a short statement takes at least


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: How often each work is measured.
        sizes: How many agents the registry holds, for the figures over several sizes.
        crowd: How many agents pass through the registry to see what they leave behind.
    """

    rounds: int = 21
    sizes: tuple[int, ...] = (100, 4_462, 100_000, 1_000_000)
    crowd: int = 1_000_000

    @classmethod
    def quick(cls) -> Effort:
        """Enough to see whether something has become slow."""
        return cls(rounds=5, sizes=(100, 4_462, 100_000), crowd=100_000)


class Timed:
    """A statement, timed: each call gives its seconds per execution, without the garbage collector.

    *per* says how many times the statement itself does the work.
    """

    def __init__(self, statement: str, per: int = 1, **names: object) -> None:
        self._statement = statement
        self._names = names
        self._per = per
        self._number = 0

    def __call__(self) -> float:
        if not self._number:
            self._number = self._calibrated()
        return self._seconds(self._number) / self._number / self._per

    def _calibrated(self) -> int:
        number = 1
        while self._seconds(number) < SLICE:
            number *= 2
        return number

    def _seconds(self, number: int) -> float:
        # compiled anew each time: where in memory the code comes to lie may tell by a tenth
        return timeit.Timer(self._statement, timer=clock, globals=self._names).timeit(number)


@dataclass(frozen=True)
class Comparison:
    """What each work gave in each round."""

    rounds: Mapping[str, list[float]]

    def median(self, work: str) -> float:
        """The middle one of a work's measurements."""
        return statistics.median(self.rounds[work])

    def ratios(self, work: str, peer: str) -> tuple[float, float, float]:
        """The lower quartile, median and upper quartile of work / peer within each round.

        Within a round both were measured right after each other, so that a
        machine that is slow for a second is slow for both.
        """
        ratios = [ours / theirs for ours, theirs in zip(self.rounds[work], self.rounds[peer], strict=True)]
        if len(ratios) < 2:
            return (ratios[0],) * 3
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, middle, high


def compare(works: Mapping[str, Callable[[], float]], rounds: int) -> Comparison:
    """Measure every work in turn, *rounds* times, in changing order; the first, warming round does not count."""
    measured: dict[str, list[float]] = {work: [] for work in works}
    for work in works:
        works[work]()
    for number in range(rounds):
        for work in list(works)[:: 1 if number % 2 else -1]:
            measured[work].append(works[work]())
    return Comparison(measured)


@contextmanager
def quiet() -> Iterator[None]:
    """A block without garbage collections: what they cost depends on everything else in the process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
