"""Hosts: what each has and who is on it, and the search for the one that fits best."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentreg.extensions.resources.ranked import Ranked
from agentreg.extensions.resources.requests import UNLIMITED, Need, cores
from agentreg.extensions.resources.sizes import format_size

if TYPE_CHECKING:
    from agentreg.extensions.resources.allocation import Allocation

__all__ = ["Host", "Hosts", "rank_of"]


class Host:
    """One machine: its capacity for agents, what of it is free, and who is there.

    Attributes:
        name: Its name among the hosts.
        memory, cpu: What it has for agents: bytes, and thousandths of a core (`UNLIMITED` if not limited).
        free_memory, free_cpu: What of it is free.
        tasks: How many tasks at a time its allocations are for.
        residents: The allocations on it, by serial number.
        low: Those of them that may be preempted, by size; None as long as there was none.
        low_memory, low_cpu: What these have together.
        revision: How often it has changed.
    """

    __slots__ = (
        "cpu",
        "free_cpu",
        "free_memory",
        "low",
        "low_cpu",
        "low_memory",
        "memory",
        "name",
        "residents",
        "revision",
        "serial",
        "tasks",
    )

    def __init__(self, name: str, serial: int, memory: int, cpu: int) -> None:
        self.name = name
        self.serial = serial
        self.memory = self.free_memory = memory
        self.cpu = self.free_cpu = cpu
        self.tasks = 0
        self.residents: dict[int, Allocation] = {}
        self.low: Ranked[Allocation] | None = None
        self.low_memory = self.low_cpu = 0
        self.revision = 0

    def holds(self, need: Need) -> bool:
        """Whether *need* would fit if the host were empty."""
        return need.memory <= self.memory and need.cpu <= self.cpu

    def fits(self, need: Need) -> bool:
        """Whether *need* fits now."""
        return need.memory <= self.free_memory and need.cpu <= self.free_cpu

    def __str__(self) -> str:
        return f"{self.name!r} with {_amount(self.memory, self.cpu)}"


def rank_of(memory: int, serial: int = 0) -> int:
    """A rank by size, and among equals by number: one integer, because comparing two tuples costs a multiple."""
    return (memory << 40) + serial


def _amount(memory: int, cpu: int) -> str:
    return format_size(memory) if cpu >= UNLIMITED else f"{format_size(memory)} and {cores(cpu):g} cores"


class Hosts:
    """All hosts, searchable by what is free on them.

    Free and allocated always add up to the capacity. Thread-safe: no; the
    manager's lock guards it.

    Attributes:
        by_name: Name -> host.
        memory, cpu, free_memory, free_cpu, tasks: The sums over all hosts.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Host] = {}
        self.memory = self.free_memory = self.cpu = self.free_cpu = self.tasks = 0
        self._serials = itertools.count()
        self._free: Ranked[Host] = Ranked()
        self._reclaimable: Ranked[Host] = Ranked()
        self._shapes: Counter[tuple[int, int]] = Counter()

    def __iter__(self) -> Iterator[Host]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def add(self, name: str, memory: int, cpu: int) -> Host:
        """A new host, empty."""
        host = self.by_name[name] = Host(name, next(self._serials), memory, cpu)
        self._shapes[memory, cpu] += 1
        self.memory += memory
        self.free_memory += memory
        self.cpu += cpu
        self.free_cpu += cpu
        self._enter(host)
        return host

    def remove(self, host: Host) -> None:
        """Take an empty host out."""
        self._withdraw(host)
        del self.by_name[host.name]
        self._shapes -= Counter({(host.memory, host.cpu): 1})
        self.memory -= host.memory
        self.free_memory -= host.memory
        self.cpu -= host.cpu
        self.free_cpu -= host.free_cpu

    def holds(self, need: Need) -> bool:
        """Whether any host could take *need* if it were empty."""
        return any(need.memory <= memory and need.cpu <= cpu for memory, cpu in self._shapes)

    def largest(self) -> str:
        """What the largest host has, as text."""
        memory, cpu = max(self._shapes)
        return f"{_amount(memory, cpu)} on the largest of {len(self)} hosts" if len(self) > 1 else _amount(memory, cpu)

    def best_fit(self, need: Need, but: Host | None = None) -> Host | None:
        """The host, other than *but*, on which *need* leaves the least memory free; None if it fits nowhere."""
        for host in self._free.walk(rank_of(need.memory), need.cpu):
            if host is not but:
                return host
        return None

    def roomiest(self, but: Host | None = None) -> int:
        """The bytes that are free on the host with the most, *but* left out; -1 if there is no host."""
        return next((host.free_memory for host in self._free.backwards() if host is not but), -1)

    def nearest_to(self, need: Need) -> Host | None:
        """The host that could take *need*, and has the most free now."""
        return next((host for host in self._free.backwards() if host.holds(need)), None)

    def reclaimable(self, need: Need) -> Iterator[Host]:
        """Hosts on which *need* fits once everything low has left, those with the least to give first."""
        return self._reclaimable.walk(rank_of(need.memory), need.cpu)

    def most_reclaimable(self) -> int:
        """The bytes that are free or held by something low, where these are most; -1 where nothing is low."""
        return next((host.free_memory + host.low_memory for host in self._reclaimable.backwards()), -1)

    def put(self, allocation: Allocation, host: Host) -> None:
        """Give *allocation* its share of *host*, where it fits."""
        self._withdraw(host)
        host.residents[allocation.serial] = allocation
        self._change(host, allocation, allocation.need, 1)
        self._enter(host)
        allocation.home = host

    def take(self, allocation: Allocation) -> Host:
        """Take its share back."""
        host = allocation.home
        assert host is not None
        self._withdraw(host)
        del host.residents[allocation.serial]
        self._change(host, allocation, allocation.need, -1)
        self._enter(host)
        return host

    def _change(self, host: Host, allocation: Allocation, need: Need, sign: int) -> None:
        host.revision += 1
        host.free_memory -= sign * need.memory
        host.free_cpu -= sign * need.cpu
        host.tasks += sign * need.tasks
        self.free_memory -= sign * need.memory
        self.free_cpu -= sign * need.cpu
        self.tasks += sign * need.tasks
        if allocation.priority == "low":
            self._change_low(host, allocation, need, sign)

    def _change_low(self, host: Host, allocation: Allocation, need: Need, sign: int) -> None:
        if host.low is None:
            host.low = Ranked()
        rank = rank_of(need.memory, allocation.serial)
        if sign > 0:
            host.low.add(rank, need.cpu, allocation)
        else:
            host.low.remove(rank)
        host.low_memory += sign * need.memory
        host.low_cpu += sign * need.cpu

    def _enter(self, host: Host) -> None:
        self._free.add(rank_of(host.free_memory, host.serial), host.free_cpu, host)
        if host.low:
            reclaimable = host.free_memory + host.low_memory
            self._reclaimable.add(rank_of(reclaimable, host.serial), host.free_cpu + host.low_cpu, host)

    def _withdraw(self, host: Host) -> None:
        self._free.remove(rank_of(host.free_memory, host.serial))
        if host.low:
            self._reclaimable.remove(rank_of(host.free_memory + host.low_memory, host.serial))
