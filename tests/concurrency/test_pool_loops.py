"""Pools and agents between event loops in several threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, ExecutionConfig, Orchestra, OrchestraResult
from tests.crew import Echo, LoopThread, Owners, Plain, finish, turns
from tests.watchdog import run_threads


@contextlib.contextmanager
def loops(count: int) -> Any:
    """Event loops in threads of their own."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(LoopThread()) for _ in range(count)]


@pytest.mark.parametrize("kind", [Echo, Plain])
def test_a_storm_of_tasks_in_four_loops_never_shares_a_member_and_loses_none(
    kind: type, restless_threads: None
) -> None:
    pool = AgentPool(kind, 3, name="pool")
    owners = Owners()

    async def borrow(branch: str, rounds: int) -> int:
        async with pool.aborrow(branch, timeout=60) as member:
            with owners.owning(member, branch):
                await turns(rounds)
        return 1

    async def storm(loop: int) -> int:
        borrowed = 0
        for round_ in range(8):
            tasks = [asyncio.create_task(borrow(f"{loop}.{round_}.{n}", n % 4)) for n in range(25)]
            await turns(round_)
            for task in tasks[round_ % 3 :: 3]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in outcomes:
                assert outcome == 1 or isinstance(outcome, asyncio.CancelledError)
            borrowed += outcomes.count(1)
        return borrowed

    with loops(4) as threads:
        borrowed = sum(run.result(60) for run in [thread.start(storm(n)) for n, thread in enumerate(threads)])

    statistics = pool.get_statistics()
    assert owners.twice == []
    assert pool.available_instances == {0, 1, 2}
    assert statistics["total_allocations"] == statistics["total_releases"] >= borrowed >= 4 * 8 * 16
    assert all(member.acquire_instance("anybody") for member in pool.instances if isinstance(member, Echo))


def test_tasks_and_threads_share_a_pool_fairly() -> None:
    pool = AgentPool(Plain, 2, name="pool")
    owners = Owners()

    def in_a_thread(thread: int) -> None:
        for number in range(200):
            with pool.borrow(f"{thread}.{number}", timeout=60) as member, owners.owning(member, f"{thread}.{number}"):
                pass

    def in_a_loop(thread: int) -> None:
        async def borrow(branch: str) -> None:
            async with pool.aborrow(branch, timeout=60) as member:
                with owners.owning(member, branch):
                    await turns(1)

        async def many() -> None:
            for number in range(20):
                await asyncio.gather(*(borrow(f"{thread}.{number}.{task}") for task in range(10)))

        finish(many())

    run_threads(*(lambda n=n: in_a_thread(n) for n in range(4)), *(lambda n=n: in_a_loop(4 + n) for n in range(4)))

    assert owners.twice == []
    assert pool.get_statistics()["total_allocations"] == 8 * 200
    assert pool.get_available_count() == 2


def test_what_one_loop_gives_back_wakes_who_waits_in_another() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def start(branch: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(pool.acquire_instance_async(branch, timeout=None))
        await turns()
        return task

    async def end(task: asyncio.Task[Any]) -> Any:
        return await task

    async def give_back(branch: str) -> bool:
        return pool.release_instance(branch)

    with loops(3) as (one, two, three):
        tasks = [one.finish(start("b")), two.finish(start("c")), three.finish(start("d"))]
        assert two.finish(give_back("a")) is True
        assert one.finish(end(tasks[0])) is member
        assert one.finish(give_back("b")) is True
        assert two.finish(end(tasks[1])) is member
        assert three.finish(give_back("c")) is True
        assert three.finish(end(tasks[2])) is member


def test_loops_that_are_closed_in_a_storm_take_nothing_with_them() -> None:
    pool = AgentPool(Plain, 2, name="pool")
    owners = Owners()
    done = threading.Event()

    async def hold(branch: str) -> None:
        async with pool.aborrow(branch, timeout=None) as member:
            with owners.owning(member, branch):
                await turns(2)

    def leave_early() -> None:
        try:
            for round_ in range(100):
                loop = asyncio.new_event_loop()
                tasks = [loop.create_task(pool.acquire_instance_async(f"lost {round_}.{n}", None)) for n in range(3)]
                loop.run_until_complete(turns(1))
                for task in tasks:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                served = [task.done() for task in tasks]
                loop.close()
                for number, task in enumerate(tasks):
                    if served[number]:
                        task.result()
                del task, tasks  # whoever was handed something, but never told, lets it go now
                for number in range(3):
                    pool.release_instance(f"lost {round_}.{number}")
        finally:
            done.set()

    def go_on() -> None:
        async def many() -> None:
            number = 0
            while not done.is_set():
                await asyncio.gather(*(hold(f"{threading.get_ident()} {number} {task}") for task in range(5)))
                number += 1

        finish(many())

    run_threads(leave_early, go_on, go_on)

    assert owners.twice == []
    assert pool.get_available_count() == 2


def test_an_agent_is_handed_round_between_four_loops() -> None:
    agent = Echo("agent")
    owners = Owners()

    async def hold(branch: str) -> None:
        assert await agent.acquire_instance_async(branch, timeout=60)
        with owners.owning(agent, branch):
            await turns(1)
        assert agent.release_instance(branch)

    async def many(loop: int) -> None:
        for number in range(10):
            await asyncio.gather(*(hold(f"{loop}.{number}.{task}") for task in range(10)))

    with loops(4) as threads:
        for run in [thread.start(many(number)) for number, thread in enumerate(threads)]:
            run.result(60)

    assert owners.twice == []
    assert agent.acquire_instance("anybody")


def test_orchestras_in_four_loops_share_a_pool_and_an_agent() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(pool)
    agent = Echo("agent")
    keep = ExecutionConfig(auto_cleanup_agents=False)

    async def many() -> list[OrchestraResult]:
        runs = (Orchestra.run(number, ["pool", "agent", "pool_1"], execution_config=keep) for number in range(10))
        return await asyncio.gather(*runs)

    with loops(4) as threads:
        results = [result for run in [thread.start(many()) for thread in threads] for result in run.result(60)]

    assert [(result.success, result.final_response) for result in results] == [(True, n) for n in [*range(10)] * 4]
    assert pool.get_available_count() == 2
    assert AgentRegistry.get("agent") is agent
