"""What has to go so that something critical fits: only what is low, and as little of it as can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import combinations, islice
from typing import TYPE_CHECKING, NamedTuple

from agentreg.extensions.resources.hosts import Host, rank_of
from agentreg.extensions.resources.requests import Need

if TYPE_CHECKING:
    from agentreg.extensions.resources.allocation import Allocation

__all__ = ["Plan", "least_damage"]

HOSTS = 256  # looked at for one request, those with the least to give first
TRIES = 1000  # combinations of victims that are tried
SWAPS = 64  # victims up to which smaller ones are looked for


class Plan(NamedTuple):
    """Who would have to go from which host."""

    host: Host
    victims: list[Allocation]

    @property
    def damage(self) -> tuple[int, int, int]:
        """How many go, what they have together, and the host's number: the smaller, the better."""
        return len(self.victims), sum(victim.need.memory for victim in self.victims), self.host.serial


def least_damage(hosts: Iterable[Host], need: Need, kept: Callable[[Host], bool]) -> Plan | None:
    """The plan with the fewest victims, and of those the smallest; None if there is none.

    Where *kept* says so, what is free on a host is kept for somebody else,
    and only what the victims have counts.
    """
    plans = [plan for host in islice(hosts, HOSTS) if (plan := _plan(host, *_lack(host, need, kept(host)))) is not None]
    best = min(plans, key=lambda plan: plan.damage, default=None)
    return None if best is None else _least(best, *_lack(best.host, need, kept(best.host)))


def _lack(host: Host, need: Need, kept: bool) -> tuple[int, int]:
    return need.memory - (0 if kept else host.free_memory), need.cpu - (0 if kept else host.free_cpu)


def _plan(host: Host, memory: int, cpu: int) -> Plan | None:
    if memory > host.low_memory or cpu > host.low_cpu:
        return None
    return Plan(host, _smaller(host, _fewest(host, memory, cpu), memory, cpu))


def _least(plan: Plan, memory: int, cpu: int) -> Plan:
    """The best there is on that host, where so few come into question that all can be tried."""
    number, low = len(plan.victims), list(plan.host.low.walk()) if plan.host.low else []
    if number < 2 or math.comb(len(low), number) > TRIES:
        return plan
    enough = (
        Plan(plan.host, list(some))
        for some in combinations(low, number)
        if sum(each.need.memory for each in some) >= memory and sum(each.need.cpu for each in some) >= cpu
    )
    return min(enough, key=lambda other: other.damage, default=plan)


def _fewest(host: Host, memory: int, cpu: int) -> list[Allocation]:
    """Victims that have *memory* and *cpu* together: the largest, then the smallest that does for the rest."""
    assert host.low is not None or (memory <= 0 and cpu <= 0)
    chosen: dict[int, Allocation] = {}
    while memory > 0 or cpu > 0:
        victim = _enough(host, memory, cpu, chosen) or _most(host, memory, chosen)
        chosen[victim.serial] = victim
        memory -= victim.need.memory
        cpu -= victim.need.cpu
    return list(chosen.values())


def _enough(host: Host, memory: int, cpu: int, chosen: dict[int, Allocation]) -> Allocation | None:
    assert host.low is not None
    return next((each for each in host.low.walk(rank_of(memory), cpu) if each.serial not in chosen), None)


def _most(host: Host, memory: float, chosen: dict[int, Allocation]) -> Allocation:
    assert host.low is not None
    rest = (each for each in host.low.backwards() if each.serial not in chosen)
    return next(rest) if memory > 0 else max(rest, key=lambda each: each.need.cpu)


def _smaller(host: Host, victims: list[Allocation], memory: int, cpu: int) -> list[Allocation]:
    """The same number of victims or fewer, each exchanged for a smaller one where that does."""
    if len(victims) > SWAPS or host.low is None:
        return victims
    spare_memory = sum(victim.need.memory for victim in victims) - memory
    spare_cpu = sum(victim.need.cpu for victim in victims) - cpu
    kept = {victim.serial: victim for victim in victims}
    for victim in victims:
        least = victim.need.memory - spare_memory, victim.need.cpu - spare_cpu
        del kept[victim.serial]
        other = None if max(least) <= 0 else _enough(host, *least, kept) or victim
        if other is not None:
            kept[other.serial] = other
        spare_memory -= victim.need.memory - (other.need.memory if other else 0)
        spare_cpu -= victim.need.cpu - (other.need.cpu if other else 0)
    return list(kept.values())
