"""The statistics of a pool, exact to the second of a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, PoolExhaustedError, get_pool_statistics
from tests.crew import Echo, JumpingLoop, Plain, Waiting, jump, turns
from tests.watchdog import run_threads


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


clock = Clock()


class TimedPool(AgentPool):
    """A pool on that clock."""

    clock = clock


class LoopPool(AgentPool):
    """A pool on the clock of the event loop."""

    clock = staticmethod(lambda: asyncio.get_running_loop().time())


@pytest.fixture(autouse=True)
def _start_of_time() -> None:
    clock.now = 1000.0


def counts(pool: AgentPool) -> dict[str, Any]:
    """The statistics without the present loans."""
    statistics = pool.get_statistics()
    del statistics["current_allocations"]
    return statistics


def test_the_statistics_of_a_fresh_pool_are_all_zero() -> None:
    pool = TimedPool(Echo, 3, name="pool")

    assert pool.get_statistics() == {
        "pool_name": "pool",
        "total_instances": 3,
        "available_instances": 3,
        "allocated_instances": 0,
        "total_allocations": 0,
        "total_releases": 0,
        "peak_concurrent_usage": 0,
        "average_wait_time": 0.0,
        "current_allocations": {},
    }


def test_loans_and_returns_are_counted() -> None:
    pool = TimedPool(Echo, 3, name="pool")

    for branch in "abc":
        pool.acquire_instance(branch)
    pool.release_instance("a")
    pool.release_instance("b")
    pool.acquire_instance("d")

    assert counts(pool) == {
        "pool_name": "pool",
        "total_instances": 3,
        "available_instances": 1,
        "allocated_instances": 2,
        "total_allocations": 4,
        "total_releases": 2,
        "peak_concurrent_usage": 3,
        "average_wait_time": 0.0,
    }


def test_asking_again_counts_nothing() -> None:
    pool = TimedPool(Echo, 2, name="pool")
    pool.acquire_instance("a")
    before = counts(pool)

    pool.acquire_instance("a")
    jump(lambda loop: pool.acquire_instance_async("a"))

    assert counts(pool) == before


def test_what_was_not_lent_counts_nothing() -> None:
    pool = TimedPool(Echo, 1, name="pool")
    pool.acquire_instance("a")
    before = counts(pool)

    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("b")
    assert jump(lambda loop: pool.acquire_instance_async("b")) is None
    assert pool.release_instance("b") is False

    assert counts(pool) == before


def test_a_loan_that_was_cancelled_before_it_arrived_counts_nothing() -> None:
    pool = LoopPool(Echo, 1, name="pool")

    async def cancelled(loop: JumpingLoop) -> tuple[dict[str, Any], dict[str, Any]]:
        await pool.acquire_instance_async("a")
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        before = counts(pool)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return before, counts(pool)

    before, after = jump(cancelled)

    assert (before["total_allocations"], before["total_releases"]) == (1, 1)
    assert (after["total_allocations"], after["total_releases"]) == (1, 1)
    assert (after["available_instances"], after["allocated_instances"]) == (1, 0)


def test_a_member_that_refuses_counts_nothing() -> None:
    class Refusing(Plain):
        def acquire_instance(self, branch_id: str) -> bool:
            return False

    pool = TimedPool(Refusing, 2, name="pool")

    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("a")

    statistics = counts(pool)
    assert (statistics["total_allocations"], statistics["total_releases"]) == (0, 0)
    assert statistics["peak_concurrent_usage"] == 0


def test_a_return_that_failed_is_counted() -> None:
    class Sticky(Plain):
        def release_instance(self, branch_id: str) -> bool:
            raise OSError("sticky")

    pool = TimedPool(Sticky, 1, name="pool")
    pool.acquire_instance("a")
    pool.release_instance("a")

    assert counts(pool)["total_releases"] == 1


def test_the_peak_stays_when_the_members_come_back() -> None:
    pool = TimedPool(Echo, 3, name="pool")
    for branch in "ab":
        pool.acquire_instance(branch)
    for branch in "ab":
        pool.release_instance(branch)

    assert counts(pool)["peak_concurrent_usage"] == 2


def test_present_loans_are_listed_by_branch() -> None:
    pool = TimedPool(Echo, 3, name="pool")
    before = time.time()
    pool.acquire_instance("a")
    clock.tick(5)
    pool.acquire_instance("b")
    clock.tick(0.5)

    loans = pool.get_statistics()["current_allocations"]

    assert list(loans) == ["a", "b"]
    assert [loan["instance_id"] for loan in loans.values()] == [0, 1]
    assert [loan["duration"] for loan in loans.values()] == [5.5, 0.5]
    assert all(before <= loan["allocated_at"] <= time.time() for loan in loans.values())


def test_the_average_wait_is_over_every_loan_waited_for_or_not() -> None:
    pool = LoopPool(Echo, 1, name="pool")

    async def wait(loop: JumpingLoop) -> float:
        await pool.acquire_instance_async("a")
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        loop.call_later(8, pool.release_instance, "a")
        await waiting
        pool.release_instance("b")
        await pool.acquire_instance_async("c")
        await pool.acquire_instance_async("c")
        average: float = pool.get_statistics()["average_wait_time"]
        return average

    assert jump(wait) == pytest.approx(8 / 3, abs=0.01)


def test_the_wait_of_a_thread_counts_too() -> None:
    pool = TimedPool(Echo, 1, name="pool")
    pool.acquire_instance("a")
    waiting = Waiting(lambda: pool.acquire_instance("b", timeout=30))

    clock.tick(4)
    pool.release_instance("a")
    waiting.result()

    assert pool.get_statistics()["average_wait_time"] == 2.0


def test_a_reset_counts_from_zero_again_and_the_peak_from_the_present_loans() -> None:
    pool = TimedPool(Echo, 3, name="pool")
    for branch in "abc":
        pool.acquire_instance(branch)
    pool.release_instance("c")
    clock.tick(3)

    pool.reset_statistics()

    assert counts(pool) == {
        "pool_name": "pool",
        "total_instances": 3,
        "available_instances": 1,
        "allocated_instances": 2,
        "total_allocations": 0,
        "total_releases": 0,
        "peak_concurrent_usage": 2,
        "average_wait_time": 0.0,
    }
    assert list(pool.get_statistics()["current_allocations"]) == ["a", "b"]


def test_a_reset_forgets_the_waits() -> None:
    pool = LoopPool(Echo, 1, name="pool")

    async def wait(loop: JumpingLoop) -> float:
        await pool.acquire_instance_async("a")
        loop.call_later(8, pool.release_instance, "a")
        await pool.acquire_instance_async("b")
        pool.reset_statistics()
        pool.release_instance("b")
        await pool.acquire_instance_async("c")
        average: float = pool.get_statistics()["average_wait_time"]
        return average

    assert jump(wait) == 0.0


def test_the_statistics_of_a_registered_pool_are_found_by_its_name() -> None:
    pool = TimedPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("a")

    assert get_pool_statistics("pool") == pool.get_statistics() == get_pool_statistics(pool)


def test_the_statistics_of_an_unknown_pool_are_an_error() -> None:
    agent = Echo("agent")

    assert get_pool_statistics("pool") == {"error": "Pool 'pool' not found"}
    assert get_pool_statistics(agent.name) == {"error": "Pool 'agent' not found"}


def test_statistics_stay_exact_in_a_crowd() -> None:
    pool = AgentPool(Plain, 3, name="pool")

    def borrow(thread: int) -> None:
        for number in range(200):
            with pool.borrow(f"{thread}.{number}", timeout=60):
                pool.acquire_instance(f"{thread}.{number}")

    run_threads(*(lambda thread=thread: borrow(thread) for thread in range(8)))

    statistics = counts(pool)
    assert (statistics["total_allocations"], statistics["total_releases"]) == (1600, 1600)
    assert (statistics["available_instances"], statistics["allocated_instances"]) == (3, 0)
    assert 1 <= statistics["peak_concurrent_usage"] <= 3


def test_statistics_are_of_one_moment() -> None:
    pool = AgentPool(Plain, 3, name="pool")
    done = threading.Event()

    def borrow() -> None:
        try:
            for number in range(500):
                with pool.borrow(f"branch {number}", timeout=60):
                    pass
        finally:
            done.set()

    def look() -> None:
        while not done.is_set():
            statistics = pool.get_statistics()
            assert statistics["allocated_instances"] == len(statistics["current_allocations"])
            assert statistics["available_instances"] + statistics["allocated_instances"] <= 3
            assert statistics["total_releases"] <= statistics["total_allocations"] <= 500

    run_threads(borrow, look)
