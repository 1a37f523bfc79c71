"""The directory over a store in memory: entering and leaving, heartbeats, look-ups, beside kaizen."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import cycle, islice
from typing import Any

import peers
from crowd import USUAL
from figures import Figures, Point, Row, at_least, at_most
from process import fresh, resident
from timing import Comparison, Effort, clock, compare, quiet

from agentreg.extensions.coordination import AgentDirectory, AgentDirectoryConfig, AgentMetadata, RegistryEventType

__all__ = ["measure"]

HITS = 50
PAIRS = 400  # registrations and deregistrations in one measurement
BEATS = 20_000
QUERIES = 3_000
CHUNK = 10_000  # records entered in one step
FEW = 1_000


def measure(effort: Effort) -> Figures:
    """Everything, at every size."""
    figures = Figures()
    with quiet():
        figures.rows += _comings_and_goings(effort.rounds)
        figures.rows.append(_heartbeats(effort.rounds))
    large = max(effort.sizes)
    found = {size: fresh(_look_ups, size) for size in (FEW, *(size for size in effort.sizes if size > FEW))}
    for size, (median, _, rate, _) in found.items():
        figures.points.append(Point("find_agents_by_capability", "memory", size, median))
        figures.points.append(Point("bulk registration", "memory", size, 1 / rate))
    median, p99, rate, size_of_one = found[large]
    work = f"find_agents_by_capability, {HITS} hits, {large:,} records"
    figures.rows += [
        Row(f"{work}, median", median, target=at_most(60e-6, of="ours")),
        Row(f"{work}, p99", p99, target=at_most(150e-6, of="ours")),
        Row(f"{work}", median, f"{FEW:,} records", found[FEW][0], median / found[FEW][0], target=at_most(4.0)),
        Row(f"bulk registrations, {large:,} records", rate, target=at_least(150_000, of="ours"), unit="1/s"),
        Row(f"memory of a record, {large:,} records", size_of_one, target=at_most(1200, of="ours"), unit="B"),
    ]
    return figures


class _Agent:
    """An agent as kaizen expects it."""

    def __init__(self, number: int) -> None:
        self.agent_id = f"agent-{number}"
        self._a2a_card = {"capability": f"skill {number % 90}"}


def _comings_and_goings(rounds: int) -> list[Row]:
    kaizen = peers.kaizen_module()
    events: Any = kaizen.AgentRegistryConfig(event_queue_size=1_000_000)
    makers: dict[str, tuple[Callable[[], Any], Any]] = {
        "agentreg": (lambda: AgentDirectory(AgentDirectoryConfig(event_queue_size=1_000_000)), RegistryEventType),
        "kaizen": (lambda: kaizen.AgentRegistry(events), kaizen.RegistryEventType),
    }
    rows = []
    for what, delivered in (("events delivered", True), ("events queued only", False)):
        compared = asyncio.run(_compared(makers, rounds, delivered))
        rows.append(Row.of(compared, f"register_agent + deregister_agent, {what}", "agentreg", "kaizen", at_most(1.0)))
    return rows


async def _compared(makers: dict[str, tuple[Callable[[], Any], Any]], rounds: int, delivered: bool) -> Comparison:
    stands = {who: await _Stand.made(*makers[who]) for who in makers}
    seconds: dict[str, list[float]] = {who: [] for who in makers}
    for number in range(rounds + 1):
        for who in list(makers)[:: 1 if number % 2 else -1]:
            taken = await stands[who].pairs(delivered)
            if number:
                seconds[who].append(taken)
    for stand in stands.values():
        await stand.registry.shutdown()
    return Comparison(seconds)


class _Stand:
    """A started registry with the usual crowd, one listener to everything, and agents that come and go."""

    def __init__(self, registry: Any) -> None:
        self.registry = registry
        self.heard = 0
        self.crowd = [_Agent(number) for number in range(USUAL)]
        self.passers = [_Agent(USUAL + number) for number in range(PAIRS)]

    @classmethod
    async def made(cls, make: Callable[[], Any], kinds: Any) -> _Stand:
        stand = cls(make())
        await stand.registry.start()
        for kind in kinds:
            stand.registry.subscribe(kind, stand.hear)
        for agent in stand.crowd:
            await stand.registry.register_agent(agent, "here")
        await stand.until(USUAL)
        return stand

    async def hear(self, event: Any) -> None:
        self.heard += 1

    async def until(self, heard: int) -> None:
        while self.heard < heard:
            await asyncio.sleep(0)

    async def pairs(self, delivered: bool) -> float:
        expected, registry = self.heard + 2 * PAIRS, self.registry
        started = clock()
        for agent in self.passers:
            await registry.register_agent(agent, "here")
            await registry.deregister_agent(agent.agent_id, "here")
        queued = clock() - started
        await self.until(expected)
        return ((clock() - started) if delivered else queued) / PAIRS


def _heartbeats(rounds: int) -> Row:
    directory = AgentDirectory()
    agents = [_Agent(number) for number in range(USUAL)]
    for agent in agents:
        peers.answer(directory.register_agent(agent, "here"))
    names = list(islice(cycle([agent.agent_id for agent in agents]), BEATS))

    async def beat() -> float:
        started = clock()
        for name in names:
            await directory.update_agent_heartbeat(name)
        return (clock() - started) / BEATS

    taken = compare({"beat": partial(_answer, beat)}, rounds).median("beat")
    return Row("update_agent_heartbeat", 1 / taken, target=at_least(300_000, of="ours"), unit="1/s")


def _answer(call: Callable[[], Coroutine[Any, Any, float]]) -> float:
    return float(peers.answer(call()))


def _look_ups(size: int) -> tuple[float, float, float, float]:
    """Median and p99 of a search in seconds, bulk registrations a second, bytes of a record."""
    with quiet():
        directory = AgentDirectory(AgentDirectoryConfig(enable_heartbeat_monitoring=False))
        phrases = [f"skill {number} for things" for number in range(max(1, size // HITS))]
        before, taken = resident(), 0.0
        for start in range(0, size, CHUNK):
            batch = [
                AgentMetadata(
                    f"agent-{number}", f"runtime-{number % 100}", capabilities=(phrases[number % len(phrases)],)
                )
                for number in range(start, min(start + CHUNK, size))
            ]
            started = clock()
            peers.answer(directory.register_records(batch))
            taken += clock() - started
            del batch
        peers.answer(directory.find_agents_by_capability(phrases[0]))
        grown = resident() - before
        asked = sorted(_seconds(directory, random.Random(1).choices(phrases, k=QUERIES)))
    return statistics.median(asked), asked[int(len(asked) * 0.99)], size / taken, grown / size


def _seconds(directory: AgentDirectory, questions: list[str]) -> list[float]:
    taken = []
    for question in questions:
        started = clock()
        found = peers.answer(directory.find_agents_by_capability(question))
        taken.append(clock() - started)
        assert len(found) >= min(HITS, len(directory.agents))
    return taken


if __name__ == "__main__":
    import sys

    import readme

    print(readme.plain_table(measure(Effort.quick() if "--quick" in sys.argv else Effort()).rows))
