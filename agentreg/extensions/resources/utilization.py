"""How much of everything is taken: figures of one moment, per host and in total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentreg.extensions.resources.requests import UNLIMITED, cores

__all__ = ["Use", "Utilization", "fragmentation_of", "use_of"]


@dataclass(frozen=True)
class Use:
    """What one host, or all together, have given away.

    Attributes:
        memory: Bytes allocated.
        memory_total: Bytes there are for agents; what is reserved is not among them.
        cpu: Cores allocated.
        cpu_total: Cores there are; None if they are not limited.
        tasks: How many tasks at a time the allocations are for.
        allocations: How many there are.
    """

    memory: int
    memory_total: int
    cpu: float
    cpu_total: float | None
    tasks: int
    allocations: int

    @property
    def memory_free(self) -> int:
        """Bytes that nobody has."""
        return self.memory_total - self.memory

    @property
    def memory_share(self) -> float:
        """The part of the memory that is allocated, from 0 to 1."""
        return self.memory / self.memory_total if self.memory_total else 0.0

    @property
    def cpu_share(self) -> float:
        """The part of the cores that is allocated, from 0 to 1; 0 if they are not limited."""
        return self.cpu / self.cpu_total if self.cpu_total else 0.0

    @property
    def share(self) -> float:
        """The larger of the two."""
        return max(self.memory_share, self.cpu_share)


def use_of(memory: tuple[int, int], cpu: tuple[int, int], tasks: int, allocations: int) -> Use:
    """The figures of what there is and what is free of it, in bytes and in thousandths of a core."""
    limit = cores(cpu[0]) if cpu[0] < UNLIMITED else None
    return Use(memory[0] - memory[1], memory[0], cores(cpu[0] - cpu[1]), limit, tasks, allocations)


@dataclass(frozen=True)
class Utilization:
    """The state of all hosts and of the line, taken down in one moment.

    Attributes:
        total: All hosts together.
        hosts: Host -> its own figures.
        fragmentation: The part of the free memory, from 0 to 1, that would have to move to lie together as far as
            the hosts allow. 0 on a single host, where memory is given by the byte.
        waiting: How many requests wait.
        waiting_memory: The bytes that they ask for.
    """

    total: Use
    hosts: Mapping[str, Use]
    fragmentation: float
    waiting: int
    waiting_memory: int

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON; with the shares.

        >>> use = Use(512, 1024, 0.0, None, 10, 1)
        >>> Utilization(use, {"local": use}, 0.0, 0, 0).to_dict()["total"]["memory_share"]
        0.5
        """
        return {
            "total": _plain(self.total),
            "hosts": {name: _plain(use) for name, use in self.hosts.items()},
            "fragmentation": self.fragmentation,
            "waiting": self.waiting,
            "waiting_memory": self.waiting_memory,
        }


def _plain(use: Use) -> dict[str, Any]:
    return {**asdict(use), "memory_share": use.memory_share, "cpu_share": use.cpu_share}


def fragmentation_of(free: Sequence[int], capacities: Sequence[int]) -> float:
    """The part of the free memory that would have to move to lie together as far as the hosts allow.

    Together it lies when the largest hosts are empty, one after the other.

    >>> fragmentation_of([8, 8], [16, 16]), fragmentation_of([16, 0], [16, 16])
    (0.5, 0.0)
    """
    rest = total = sum(free)
    misplaced = 0
    for here, capacity in zip(sorted(free, reverse=True), sorted(capacities, reverse=True), strict=True):
        ideal = min(rest, capacity)
        misplaced += max(0, ideal - here)
        rest -= ideal
    return misplaced / total if total else 0.0
