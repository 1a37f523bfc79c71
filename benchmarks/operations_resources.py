"""Resources: allocation and release at several sizes, and the search for the best host beside two other ways.

Run by itself (``python benchmarks/operations_resources.py``) it prints
microseconds; ``--quick`` leaves the largest size out.
"""

from __future__ import annotations

import random
import sys
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from crowd import USUAL
from figures import Figures, Point, Row, at_most
from timing import Effort, clock, compare, quiet

from agentreg.extensions.resources import ResourceManager
from agentreg.extensions.resources.hosts import Hosts
from agentreg.extensions.resources.requests import UNLIMITED, Need

__all__ = ["measure"]

AT_MOST = at_most(20e-6, "ours")
MB = 1 << 20
HOST = 8192  # MB
TURNS = 2_000
SCANNED = 100_000  # hosts up to which the scan is measured: it is the slow one


class ByScan:
    """What everybody would write first: look at every host."""

    def __init__(self, free: list[int]) -> None:
        self.free = free

    def turn(self, size: int) -> None:
        """Take *size* from the host that it leaves fullest, and give it back."""
        best = min((room, place) for place, room in enumerate(self.free) if room >= size)[1]
        self.free[best] -= size
        self.free[best] += size


class BySortedList:
    """One sorted list of (free, host): a binary search, and the whole rest of the list moved at each change."""

    def __init__(self, free: list[int]) -> None:
        self.free = sorted((room, place) for place, room in enumerate(free))

    def turn(self, size: int) -> None:
        """The same."""
        place = bisect_left(self.free, (size, -1))
        room, host = self.free.pop(place)
        insort(self.free, (room - size, host))
        del self.free[bisect_left(self.free, (room - size, host))]
        insort(self.free, (room, host))


class ByBuckets:
    """What the manager uses."""

    def __init__(self, free: list[int]) -> None:
        self.hosts = Hosts()
        for place, room in enumerate(free):
            self.hosts.add(f"h{place}", room, UNLIMITED)

    def turn(self, size: int) -> None:
        """The same, through an allocation."""
        allocation = _Share(Need(size, 0, 0))
        host = self.hosts.best_fit(allocation.need)
        assert host is not None
        self.hosts.put(allocation, host)  # type: ignore[arg-type]
        self.hosts.take(allocation)  # type: ignore[arg-type]


class _Share:
    """As much of an allocation as hosts look at."""

    priority = "normal"
    serial = 0

    def __init__(self, need: Need) -> None:
        self.need = need
        self.home = None


def measure(effort: Effort) -> Figures:
    """Allocation and release on one host and on many; and the search alone."""
    figures = Figures()
    with quiet():
        for size in effort.sizes:
            _measure_managers(figures, size, effort)
            _measure_search(figures, size, effort)
    return figures


def _measure_managers(figures: Figures, size: int, effort: Effort) -> None:
    target = AT_MOST if size == USUAL else None
    for what, make, sizes in (
        ("allocations on one host", _one_host, [1] * TURNS),
        ("allocations on as many hosts", _many_hosts, _sizes(TURNS)),
    ):
        manager = make(size)
        _turns(manager, size, sizes)
        rounds = [_timed(lambda m=manager, s=sizes: _turns(m, size, s)) for _ in range(min(effort.rounds, 9))]
        figures.rows.append(Row(f"release and allocate, {size:,} {what}", median(rounds), target=target))
        figures.points.append(Point(f"release and allocate, {what}", "agentreg", size, median(rounds)))


def _one_host(size: int) -> ResourceManager:
    manager = ResourceManager(total_memory=size * MB, reserved=0)
    for number in range(size):
        manager.allocate(f"agent-{number}", memory=MB)
    return manager


def _many_hosts(size: int) -> ResourceManager:
    manager = ResourceManager(hosts={f"h{number}": HOST * MB for number in range(size)})
    for number, memory in enumerate(_sizes(size)):
        manager.allocate(f"agent-{number}", memory=memory * MB)
    return manager


def _turns(manager: ResourceManager, size: int, sizes: list[int]) -> None:
    for number, memory in enumerate(sizes):
        name = f"agent-{number * 7919 % size}"
        manager.release(name)
        manager.allocate(name, memory=memory * MB)


def _measure_search(figures: Figures, size: int, effort: Effort) -> None:
    free = _sizes(size)
    ways = {"agentreg": ByBuckets(free), "sorted list": BySortedList(free)}
    if size <= SCANNED:
        ways["scan"] = ByScan(free)  # type: ignore[assignment]
    works: dict[str, Callable[[], float]] = {
        name: lambda way=way, name=name: _timed(  # type: ignore[misc]
            lambda: _search(way, 20 if name == "scan" else TURNS), 20 if name == "scan" else TURNS
        )
        for name, way in ways.items()
    }
    compared = compare(works, min(effort.rounds, 7))
    for peer in list(works)[1:]:
        figures.rows.append(Row.of(compared, f"best fit, take and give back, {size:,} hosts", "agentreg", peer))
    for name in works:
        figures.points.append(Point("best fit", name, size, compared.median(name)))


def _search(way: ByBuckets | BySortedList | ByScan, turns: int) -> None:
    for size in _sizes(turns):
        way.turn(size // 2)


def _timed(work: Callable[[], object], turns: int = TURNS) -> float:
    start = clock()
    work()
    return (clock() - start) / turns


def _sizes(number: int) -> list[int]:
    choice = random.Random(number)
    return [choice.randint(2, HOST) for _ in range(number)]


def main() -> None:
    """Print the figures, one size after the other."""
    effort = Effort.quick() if "--quick" in sys.argv else Effort()
    for size in effort.sizes:
        for row in measure(replace(effort, sizes=(size,))).rows:
            print(" | ".join(row.cells()), flush=True)


if __name__ == "__main__":
    main()
