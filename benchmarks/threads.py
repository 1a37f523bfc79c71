"""Threads: what eight readers get done beside a writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import peers
from crowd import USUAL, Agent, crowd, register_all, shuffled
from figures import Figures, Row, at_least
from timing import Effort, compare

from agentreg import AgentRegistry

__all__ = ["measure"]

READERS = 8
SECONDS = 0.3


def measure(effort: Effort) -> Figures:
    """Reads in a second: look-ups, and listings."""
    agents = crowd(USUAL)
    registries = {"agentreg": AgentRegistry, "marsys": peers.marsys()}
    for registry in registries.values():
        register_all(registry, agents)
    names = shuffled(agents, 1_000)
    rounds = effort.rounds // 2 + 1
    looks = compare({who: _bustle(r, _looking(r, names)) for who, r in registries.items()}, rounds)
    lists = compare({who: _bustle(r, _listing(r)) for who, r in registries.items()}, rounds)
    return Figures(
        [
            Row.of(looks, f"get by {READERS} threads beside a writer", "agentreg", "marsys", at_least(2), "1/s"),
            Row.of(lists, f"all() by {READERS} threads beside a writer", "agentreg", "marsys", at_least(2), "1/s"),
        ]
    )


def _looking(registry: Any, names: list[str]) -> Callable[[], int]:
    def look() -> int:
        for name in names:
            registry.get(name)
        return len(names)

    return look


def _listing(registry: Any) -> Callable[[], int]:
    def listed() -> int:
        registry.all()
        return 1

    return listed


def _bustle(registry: Any, read: Callable[[], int]) -> Callable[[], float]:
    """Reads in a second, by all readers together, while a writer registers and unregisters."""
    return lambda: _Bustle(registry, read).reads_per_second()


class _Bustle:
    def __init__(self, registry: Any, read: Callable[[], int]) -> None:
        self.registry = registry
        self.read = read
        self.counts: list[int] = []
        self.start = threading.Barrier(READERS + 2)
        self.over = False

    def reads_per_second(self) -> float:
        threads = [threading.Thread(target=self._reading) for _ in range(READERS)]
        threads.append(threading.Thread(target=self._writing))
        for thread in threads:
            thread.start()
        self.start.wait()
        started = time.perf_counter()
        time.sleep(SECONDS)
        self.over = True
        for thread in threads:
            thread.join()
        return sum(self.counts) / (time.perf_counter() - started)

    def _reading(self) -> None:
        count = 0
        self.start.wait()
        while not self.over:
            count += self.read()
        self.counts.append(count)

    def _writing(self) -> None:
        agent = Agent()
        self.start.wait()
        while not self.over:
            self.registry.register(agent, "busy")
            self.registry.unregister_if_same("busy", agent)
