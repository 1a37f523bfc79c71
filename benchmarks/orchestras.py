"""Orchestras: what a run over three nodes costs beyond the nodes' own work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from figures import Figures, Row
from timing import Effort, clock, compare

from agentreg import BaseAgent, ExecutionConfig, Orchestra, Topology
from agentreg.testing import isolated_registry

__all__ = ["measure"]

RUNS = 100
NAMES = ["scout", "analyst", "reporter"]
KEEP = ExecutionConfig(auto_cleanup_agents=False)


class Idle(BaseAgent):
    """An agent that returns what it is given."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        """*prompt*, at once."""
        return prompt


def measure(effort: Effort) -> Figures:
    """A pipeline of three that do nothing, beside three tasks made and awaited in turn."""
    with isolated_registry():
        agents = [Idle(name) for name in NAMES]
        topology = Topology.of(NAMES)

        async def orchestra() -> None:
            result = await Orchestra.run("task", topology, execution_config=KEEP)
            assert result.success

        async def by_hand() -> None:
            for agent in agents:
                await asyncio.ensure_future(agent.run("task"))

        works = {"agentreg": _timed(orchestra), "three tasks": _timed(by_hand)}
        compared = compare(works, effort.rounds)
    return Figures([Row.of(compared, "Orchestra over three idle nodes", "agentreg", "three tasks")])


def _timed(run: Callable[[], Awaitable[None]]) -> Callable[[], float]:
    async def runs() -> float:
        started = clock()
        for _ in range(RUNS):
            await run()
        return (clock() - started) / RUNS

    return lambda: asyncio.run(runs())
