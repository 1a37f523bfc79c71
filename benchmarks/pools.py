"""Pools: borrowing a member and giving it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import peers
from figures import Figures, Row
from timing import Effort, Timed, clock, compare

from agentreg import AgentPool
from agentreg.testing import isolated_registry

__all__ = ["measure"]

MEMBERS = 10
LOANS = 2_000
PAIR = "pool.acquire_instance('branch'); pool.release_instance('branch')"


class Member:
    """A member that keeps who holds it, as marsys' agents do."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.holder: str | None = None

    def acquire_instance(self, branch_id: str) -> Member | None:
        """Itself, unless another branch holds it."""
        if self.holder not in (None, branch_id):
            return None
        self.holder = branch_id
        return self

    def release_instance(self, branch_id: str) -> bool:
        """Whether *branch_id* held it."""
        held, self.holder = self.holder == branch_id, None
        return held


def measure(effort: Effort) -> Figures:
    """A loan without waiting, from a thread and from a task."""
    with isolated_registry():
        marsys = peers.marsys_pool()(Member, MEMBERS, name="Member")
        pools = {"agentreg": AgentPool(Member, MEMBERS), "marsys": marsys}
        plain = compare({who: Timed(PAIR, pool=pool) for who, pool in pools.items()}, effort.rounds)
        tasks = compare({who: _in_a_task(pool) for who, pool in pools.items()}, effort.rounds)
    return Figures(
        [
            Row.of(plain, f"pool of {MEMBERS}: acquire + release", "agentreg", "marsys"),
            Row.of(tasks, f"pool of {MEMBERS}: await acquire + release", "agentreg", "marsys"),
        ]
    )


def _in_a_task(pool: Any) -> Callable[[], float]:
    return lambda: asyncio.run(_loans(pool))


async def _loans(pool: Any) -> float:
    started = clock()
    for _ in range(LOANS):
        await pool.acquire_instance_async("branch")
        pool.release_instance("branch")
    return (clock() - started) / LOANS
