"""Metrics: what sampling, counting a task and asking cost, and what thirty days take on disk."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from crowd import USUAL
from figures import Figures, Row, at_most
from timing import Effort, clock, quiet

from agentreg.extensions.monitoring import TRACKED, MetricsStore, Summary, Tracking, record_task, tracked

__all__ = ["measure"]

HOUR, DAYS = 3600, 30
INTERVAL = 10
TASKS = 100_000
SMALL = 4  # agents of the thirty days
SAMPLING = at_most(0.3, "ours")  # seconds of the processor, every ten: 3 % of a core
WORST = at_most(0.3, "ours")
TASK = at_most(1.5e-6, "ours")
DISK = at_most(2e9, "ours")

# how each metric is distributed; with the digits that real ones have
SHAPES: dict[str, Callable[[], float]] = {
    "memory_usage": lambda: random.randint(50_000, 60_000) * 4096 / 2**30,
    "cpu_utilization": lambda: round(100 * random.random(), 1) / 100,
    "task_queue_length": lambda: random.randint(0, 12),
    "response_time": lambda: random.lognormvariate(0, 0.5),
    "error_rate": lambda: float(random.random() < 0.05),
    "mcp_connection_health": lambda: 1.0,
}


def measure(effort: Effort) -> Figures:
    """The sampled path at the usual number of agents, and thirty days of a few."""
    random.seed(1)
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder, quiet():
        figures.rows += sampled(Path(folder, "metrics.db"), hours=4 if effort.rounds > 5 else 3.2)
    figures.rows += [counted("record_task", by_call), counted("tracked block", by_block)]
    figures.rows.append(thirty_days())
    return figures


def sampled(file: Path, hours: float) -> list[Row]:
    """Every sample, flush and roll-up of some hours, and queries at their end."""
    agents = [f"agent-{number}" for number in range(USUAL)]
    ticks = [{metric: {agent: shape() for agent in agents} for metric, shape in SHAPES.items()} for _ in range(20)]
    now = [1_699_920_000.0]
    store = MetricsStore(file, clock=lambda: now[0])
    spent: list[float] = []
    for number in range(int(hours * HOUR / INTERVAL)):
        start = clock()
        for metric, values in ticks[number % len(ticks)].items():
            store.record_many(metric, values)
        (store.flush if store.flush_due else store.tend)()  # as a Sampler does
        spent.append(clock() - start)
        now[0] += INTERVAL
    samples = f"{USUAL * len(SHAPES):,} samples"
    return [
        Row(f"{samples}, with roll-ups and disk, on average", sum(spent) / len(spent), target=SAMPLING),
        Row(f"{samples}, with roll-ups and disk, 99th of 100", sorted(spent)[len(spent) * 99 // 100]),
        Row(f"{samples}, with roll-ups and disk, at worst", max(spent), target=WORST),
        timed("latest value of each agent", lambda: store.latest(TRACKED[0])),
        timed("one agent's last two hours, every 10 s", lambda: store.query(TRACKED[0], agents[7], step=10)),
        timed("one agent's day, every minute", lambda: store.query(TRACKED[0], agents[7], step=60)),
        timed("all agents' day, every minute", lambda: store.query(TRACKED[0], step=60)),
    ]


def timed(work: str, call: Callable[[], object]) -> Row:
    """The row of one call, the best of three."""
    spent = []
    for _ in range(3):
        start = clock()
        call()
        spent.append(clock() - start)
    return Row(work, min(spent))


def by_call(agents: list[str]) -> None:
    """Tasks that were timed elsewhere."""
    for agent in agents:
        record_task(agent, 0.25, True)


def by_block(agents: list[str]) -> None:
    """Tasks as blocks."""
    for agent in agents:
        with tracked(agent):
            pass


def counted(work: str, count: Callable[[list[str]], None]) -> Row:
    """Noting and counting tasks of many agents, the best of five."""
    agents = [f"agent-{number % USUAL}" for number in range(TASKS)]
    spent = []
    with Tracking().attach() as tracking, quiet():
        for _ in range(5):
            start = clock()
            count(agents)
            tracking.drain()
            spent.append(clock() - start)
    return Row(f"{work}, one of {TASKS:,} tasks of {USUAL:,} agents", min(spent) / TASKS, target=TASK)


def thirty_days() -> Row:
    """What each agent adds to the file, times all agents: from two stores, one of them with one agent.

    Every value of the ten-second samples is drawn. They are handed over in
    the steps in which the last day will find them: of what is in no finer
    level by then, an hour at once.
    """
    agents = [f"agent-{number}" for number in range(SMALL)]
    now = [1_699_920_000.0]
    one, several = (MetricsStore(clock=lambda: now[0]) for _ in range(2))
    hours = (DAYS + 1) * 24
    for left in range(hours, 0, -1):
        for tick in range(0, HOUR, step := found_in(left)):
            for metric, shape in SHAPES.items():
                drawn = {agent: Summary.of([shape() for _ in range(step // INTERVAL)]) for agent in agents}
                several.record_summaries(metric, drawn, at=now[0] + tick)
                one.record_summaries(metric, {agents[0]: drawn[agents[0]]}, at=now[0] + tick)
        now[0] += HOUR
        one.flush()
        several.flush()
    size = (several.size() - one.size()) / (SMALL - 1) * USUAL
    return Row(f"{DAYS} days of {USUAL:,} agents and {len(SHAPES)} metrics on disk", size, target=DISK, unit="B")


def found_in(left: int) -> int:
    """The step of the finest level that an hour is in when *left* hours have passed."""
    return INTERVAL if left <= 5 else 60 if left <= 36 else 300 if left <= 4 * 24 else HOUR


if __name__ == "__main__":
    import sys

    for row in measure(Effort.quick() if "--quick" in sys.argv else Effort()).rows:
        print(" | ".join(row.cells()))
