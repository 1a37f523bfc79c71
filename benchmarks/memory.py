"""Memory: what an entry takes, and what a crowd leaves behind."""

from __future__ import annotations

import ctypes
import gc
import tracemalloc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import peers
from crowd import USUAL, Agent, crowd, register_all
from figures import Figures, Row, Target, at_most
from process import fresh, resident
from timing import Effort, Timed, compare

from agentreg import AgentRegistry
from agentreg.testing import isolated_registry

__all__ = ["measure"]

AS_FRESH = 1.15  # how "as on a fresh registry" is read


def measure(effort: Effort) -> Figures:
    """Each figure from processes of its own."""
    rows = [
        _entry_row(USUAL, entry_traced, "memory of an entry", at_most(130, of="ours")),
        _entry_row(effort.crowd, entry_resident, f"memory of an entry, of {effort.crowd:,}, resident"),
    ]
    for at_once in (True, False):
        rows += _crowd_rows(effort, at_once)
    return Figures(rows)


def _entry_row(size: int, measured: Callable[[str, int], float], work: str, target: Target | None = None) -> Row:
    ours, theirs = (fresh(measured, who, size) for who in WHO)
    return Row(work, ours, "marsys", theirs, ours / theirs, target=target, unit="B")


def entry_traced(who: str, size: int) -> float:
    """Bytes that Python's allocator gave out per entry, over the agent and its name."""
    registry, agents = WHO[who](), crowd(size)
    tracemalloc.start()
    register_all(registry, agents)
    return tracemalloc.get_traced_memory()[0] / size


def entry_resident(who: str, size: int) -> float:
    """Bytes that the process grew by per entry, over the agent and its name."""
    registry, agents = WHO[who](), crowd(size)
    gc.collect()
    before = resident()
    register_all(registry, agents)
    return (resident() - before) / size


# -- a crowd that has passed ------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """What a crowd left behind.

    Attributes:
        growth: Of the process, in bytes, once the C library has given back what was freed.
        untrimmed: The same before that.
        slower: The time of ``all()`` then, in times of that on a fresh table.
    """

    growth: float
    untrimmed: float
    slower: float


def _crowd_rows(effort: Effort, at_once: bool) -> list[Row]:
    how = "at once" if at_once else "one by one"
    work = f"{effort.crowd:,} agents come and gone {how}"
    ours, theirs = (fresh(passage, who, effort, at_once) for who in WHO)
    marsys = "marsys"
    return [
        Row(f"{work}: growth", ours.growth, marsys, theirs.growth, target=at_most(5e6, of="ours"), unit="B"),
        Row(f"{work}: growth, untrimmed", ours.untrimmed, marsys, theirs.untrimmed, unit="B"),
        Row(f"{work}: slower all()", ours.slower, marsys, theirs.slower, target=at_most(AS_FRESH, of="ours"), unit="x"),
    ]


def passage(who: str, effort: Effort, at_once: bool) -> Passage:
    """Let a crowd pass by the usual number of agents, who stay."""
    registry, staying = WHO[who](), crowd(USUAL)
    register_all(registry, staying)
    registry.all()
    seats: list[Agent | None] = [None] * (effort.crowd if at_once else 1)  # its memory is not the registry's
    _trim()
    before = resident()
    for number in range(effort.crowd):
        seat = number % len(seats)
        seats[seat] = agent = Agent()
        registry.register(agent, f"passing-{number}")
    del agent
    for seat in range(len(seats)):
        seats[seat] = None
    len(registry._agents)  # the next operation
    gc.collect()
    untrimmed = resident() - before
    _trim()
    growth = resident() - before
    worn, anew = Timed("t.all()", t=registry), ANEW[who](registry, staying)
    compared = compare({"after": worn, "fresh": anew}, effort.rounds)
    return Passage(growth, untrimmed, compared.ratios("after", "fresh")[1])


def _trim() -> None:
    """Let the C library give back what it keeps; it may be another than glibc, and keep nothing."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _our_fresh(registry: Any, agents: dict[str, Agent]) -> Callable[[], float]:
    timed = Timed("t.all()", t=registry)

    def measured() -> float:
        with isolated_registry():
            register_all(registry, agents)
            return timed()

    return measured


def _marsys_fresh(registry: Any, agents: dict[str, Agent]) -> Callable[[], float]:
    timed = Timed("t.all()", t=registry)
    table = weakref.WeakValueDictionary(agents)

    def measured() -> float:
        worn, registry._agents = registry._agents, table
        try:
            return timed()
        finally:
            registry._agents = worn

    return measured


Anew = Callable[[Any, dict[str, Agent]], Callable[[], float]]
WHO: dict[str, Callable[[], Any]] = {"agentreg": lambda: AgentRegistry, "marsys": peers.marsys}
ANEW: dict[str, Anew] = {"agentreg": _our_fresh, "marsys": _marsys_fresh}
